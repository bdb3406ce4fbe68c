"""The tasks whose waiting is measured. No run of them begins by itself."""

from datetime import UTC, datetime

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG

from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor

for name in ("sleeping", "http", "alone", "ours"):
    with DAG(dag_id=name, schedule=None, is_paused_upon_creation=False):
        if name in ("sleeping", "http"):
            DateTimeSensorAsync(task_id="wait", target_time=datetime(2100, 1, 1, tzinfo=UTC))
        else:
            LaunchDarklyWaitForSignificanceSensor(
                task_id="wait", experiment_key="experiment-00000", iteration_id="0" * 24
            )
