"""LaunchDarkly's REST API: requests as values, typed models, one error tree, two thin clients. Not Airflow.

Names load their modules on first use, so that a DAG file which names an operator pays for no model or HTTP client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.client import AsyncLaunchDarklyClient as AsyncLaunchDarklyClient
    from airflow_provider_launchdarkly.api.client import LaunchDarklyClient as LaunchDarklyClient
    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError as LaunchDarklyError
    from airflow_provider_launchdarkly.api.procedure import Answer as Answer
    from airflow_provider_launchdarkly.api.procedure import Pause as Pause
    from airflow_provider_launchdarkly.api.procedure import Procedure as Procedure
    from airflow_provider_launchdarkly.api.request import EnvironmentRef as EnvironmentRef
    from airflow_provider_launchdarkly.api.request import Request as Request

_HOME_OF = {
    "Answer": "procedure",
    "AsyncLaunchDarklyClient": "client",
    "EnvironmentRef": "request",
    "LaunchDarklyClient": "client",
    "LaunchDarklyError": "errors",
    "Pause": "procedure",
    "Procedure": "procedure",
    "Request": "request",
}

if not TYPE_CHECKING:
    __all__ = [*_HOME_OF]  # noqa: PLE0604

    def __getattr__(name):
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)

    def __dir__():
        return sorted(_HOME_OF)
