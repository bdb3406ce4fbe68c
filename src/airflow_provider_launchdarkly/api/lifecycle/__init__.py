"""The writes of an experiment's life, made safe by reading first and reading back. Pure procedures, no I/O.

LaunchDarkly has no idempotency key: what makes each of them safe to repeat is in its docstring.
"""

from airflow_provider_launchdarkly.api.lifecycle.creating import (
    CreatedExperiment,
    CreatedIteration,
    create_experiment,
    create_iteration,
)
from airflow_provider_launchdarkly.api.lifecycle.reading import ITERATIONS, read_experiment, read_flag
from airflow_provider_launchdarkly.api.lifecycle.starting import StartedIteration, start_iteration
from airflow_provider_launchdarkly.api.lifecycle.stopping import BASELINE, StoppedIteration, StopPlan, stop_iteration

__all__ = [
    "BASELINE",
    "ITERATIONS",
    "CreatedExperiment",
    "CreatedIteration",
    "StartedIteration",
    "StopPlan",
    "StoppedIteration",
    "create_experiment",
    "create_iteration",
    "read_experiment",
    "read_flag",
    "start_iteration",
    "stop_iteration",
]
