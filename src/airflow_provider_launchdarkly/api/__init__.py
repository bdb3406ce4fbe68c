"""LaunchDarkly's REST API: requests as values, typed models, one error tree, two thin clients. Not Airflow.

Names load their modules on first use, so that a DAG file which names an operator pays for no model or HTTP client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.lazy import on_first_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.client import AsyncLaunchDarklyClient as AsyncLaunchDarklyClient
    from airflow_provider_launchdarkly.api.client import LaunchDarklyClient as LaunchDarklyClient
    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError as LaunchDarklyError
    from airflow_provider_launchdarkly.api.procedure import Answer as Answer
    from airflow_provider_launchdarkly.api.procedure import Pause as Pause
    from airflow_provider_launchdarkly.api.procedure import Procedure as Procedure
    from airflow_provider_launchdarkly.api.request import EnvironmentRef as EnvironmentRef
    from airflow_provider_launchdarkly.api.request import Request as Request

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "client": ("AsyncLaunchDarklyClient", "LaunchDarklyClient"),
            "errors": ("LaunchDarklyError",),
            "procedure": ("Answer", "Pause", "Procedure"),
            "request": ("EnvironmentRef", "Request"),
        },
    )
