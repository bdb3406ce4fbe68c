"""The provider's plugin. Airflow imports it in every process, tasks included: it imports nothing that tasks do not."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_launchdarkly.rollout.timetable import ChangeWindowTimetable


class LaunchDarklyPlugin(AirflowPlugin):
    """Registers the timetable; without it, Airflow stores no DAG that uses it."""

    name = "launchdarkly"
    timetables = [ChangeWindowTimetable]  # noqa: RUF012 - Airflow declares it as a list of each plugin
