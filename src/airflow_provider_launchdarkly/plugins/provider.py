"""The provider's plugin. Airflow imports it in every process, tasks included: it imports nothing that tasks do not.

The pages are properties, so that only the API server, which asks for them, imports FastAPI and what they are made of.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from typing_extensions import override

from airflow_provider_launchdarkly.rollout.timetable import ChangeWindowTimetable


class LaunchDarklyPlugin(AirflowPlugin):
    """Registers the timetable, without which Airflow stores no DAG that uses it, and the pages."""

    name = "launchdarkly"
    timetables = [ChangeWindowTimetable]  # noqa: RUF012 - Airflow declares it as a list of each plugin

    @property
    @override
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # asked for only where it is served
        """The application with the pages."""
        from airflow_provider_launchdarkly.plugins.pages.addresses import PREFIX
        from airflow_provider_launchdarkly.plugins.pages.app import mounted

        return [{"name": self.name, "app": mounted, "url_prefix": PREFIX}]

    @property
    @override
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]  # needs the configuration
        """The places in Airflow's UI that show them."""
        from airflow.configuration import conf

        from airflow_provider_launchdarkly.plugins.pages.addresses import external_views

        return list(external_views(conf.get("api", "base_url", fallback="")))
