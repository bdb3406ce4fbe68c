"""A DAG for each kind of waiting: Airflow's own deferrable sensor, and two of ours on a running iteration."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG

from airflow_provider_launchdarkly import (
    LaunchDarklyDwellSensor,
    LaunchDarklyWaitForSignificanceSensor,
    Policy,
)

DAY = timedelta(days=1)
ITERATION: Any = {
    "experiment_key": "{{ dag_run.conf['experiment'] }}",
    "iteration_id": "{{ dag_run.conf['iteration'] }}",
}

with DAG("airflow", schedule=None):
    DateTimeSensorAsync(task_id="wait", target_time="{{ dag_run.conf['until'] }}")

with DAG("dwell", schedule=None):
    LaunchDarklyDwellSensor(task_id="wait", dwell=DAY, **ITERATION)

with DAG("significance", schedule=None):
    LaunchDarklyWaitForSignificanceSensor(
        task_id="wait", policy=Policy(alpha=0.05, looks=DAY, min_duration=DAY, max_duration=DAY), **ITERATION
    )
