"""The writes of an experiment's life, made safe by reading first and reading back. Pure procedures, no I/O.

LaunchDarkly has no idempotency key: what makes each of them safe to repeat is in its docstring. Each name loads the
module it lives in when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.lazy import on_first_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.lifecycle.creating import CreatedExperiment as CreatedExperiment
    from airflow_provider_launchdarkly.api.lifecycle.creating import CreatedIteration as CreatedIteration
    from airflow_provider_launchdarkly.api.lifecycle.creating import create_experiment as create_experiment
    from airflow_provider_launchdarkly.api.lifecycle.creating import create_iteration as create_iteration
    from airflow_provider_launchdarkly.api.lifecycle.editing import SavedIteration as SavedIteration
    from airflow_provider_launchdarkly.api.lifecycle.editing import archive_experiment as archive_experiment
    from airflow_provider_launchdarkly.api.lifecycle.editing import field_changes as field_changes
    from airflow_provider_launchdarkly.api.lifecycle.editing import restore_experiment as restore_experiment
    from airflow_provider_launchdarkly.api.lifecycle.editing import save_and_start as save_and_start
    from airflow_provider_launchdarkly.api.lifecycle.editing import update_experiment as update_experiment
    from airflow_provider_launchdarkly.api.lifecycle.reading import ITERATIONS as ITERATIONS
    from airflow_provider_launchdarkly.api.lifecycle.reading import read_experiment as read_experiment
    from airflow_provider_launchdarkly.api.lifecycle.starting import StartedIteration as StartedIteration
    from airflow_provider_launchdarkly.api.lifecycle.starting import start_iteration as start_iteration
    from airflow_provider_launchdarkly.api.lifecycle.stopping import BASELINE as BASELINE
    from airflow_provider_launchdarkly.api.lifecycle.stopping import StoppedIteration as StoppedIteration
    from airflow_provider_launchdarkly.api.lifecycle.stopping import StopPlan as StopPlan
    from airflow_provider_launchdarkly.api.lifecycle.stopping import stop_iteration as stop_iteration

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "creating": (
                "CreatedExperiment",
                "CreatedIteration",
                "create_experiment",
                "create_iteration",
            ),
            "editing": (
                "SavedIteration",
                "field_changes",
                "update_experiment",
                "archive_experiment",
                "restore_experiment",
                "save_and_start",
            ),
            "reading": (
                "ITERATIONS",
                "read_experiment",
            ),
            "starting": (
                "StartedIteration",
                "start_iteration",
            ),
            "stopping": (
                "BASELINE",
                "StopPlan",
                "StoppedIteration",
                "stop_iteration",
            ),
        },
    )
