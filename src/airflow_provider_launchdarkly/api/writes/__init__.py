"""Writes that are safe to repeat: each reads first and reads back. Pure procedures, no I/O.

LaunchDarkly has no idempotency key: each docstring says what makes a repeat safe. Each name loads its module when it
is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly._lazy import on_first_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.reads.flags import read_flag as read_flag
    from airflow_provider_launchdarkly.api.writes.create import CreatedExperiment as CreatedExperiment
    from airflow_provider_launchdarkly.api.writes.create import CreatedIteration as CreatedIteration
    from airflow_provider_launchdarkly.api.writes.create import create_experiment as create_experiment
    from airflow_provider_launchdarkly.api.writes.create import create_iteration as create_iteration
    from airflow_provider_launchdarkly.api.writes.create_by_key import Existing as Existing
    from airflow_provider_launchdarkly.api.writes.create_by_key import create_flag as create_flag
    from airflow_provider_launchdarkly.api.writes.create_by_key import create_metric as create_metric
    from airflow_provider_launchdarkly.api.writes.create_by_key import create_metric_group as create_metric_group
    from airflow_provider_launchdarkly.api.writes.flags import Serving as Serving
    from airflow_provider_launchdarkly.api.writes.flags import serve as serve
    from airflow_provider_launchdarkly.api.writes.flags import turn_flag as turn_flag
    from airflow_provider_launchdarkly.api.writes.flags import weights_of as weights_of
    from airflow_provider_launchdarkly.api.writes.holdouts_and_layers import end_holdout as end_holdout
    from airflow_provider_launchdarkly.api.writes.holdouts_and_layers import reserve as reserve
    from airflow_provider_launchdarkly.api.writes.randomization_units import (
        merge_randomization_units as merge_randomization_units,
    )
    from airflow_provider_launchdarkly.api.writes.start import StartedIteration as StartedIteration
    from airflow_provider_launchdarkly.api.writes.start import start_iteration as start_iteration
    from airflow_provider_launchdarkly.api.writes.stop import BASELINE as BASELINE
    from airflow_provider_launchdarkly.api.writes.stop import StopEffect as StopEffect
    from airflow_provider_launchdarkly.api.writes.stop import StoppedIteration as StoppedIteration
    from airflow_provider_launchdarkly.api.writes.stop import stop_iteration as stop_iteration
    from airflow_provider_launchdarkly.api.writes.update import SavedIteration as SavedIteration
    from airflow_provider_launchdarkly.api.writes.update import archive_experiment as archive_experiment
    from airflow_provider_launchdarkly.api.writes.update import field_changes as field_changes
    from airflow_provider_launchdarkly.api.writes.update import restore_experiment as restore_experiment
    from airflow_provider_launchdarkly.api.writes.update import save_and_start as save_and_start
    from airflow_provider_launchdarkly.api.writes.update import update_experiment as update_experiment

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "create": (
                "CreatedExperiment",
                "CreatedIteration",
                "create_experiment",
                "create_iteration",
            ),
            "create_by_key": (
                "Existing",
                "create_flag",
                "create_metric",
                "create_metric_group",
            ),
            "flags": (
                "Serving",
                "serve",
                "turn_flag",
                "weights_of",
            ),
            "holdouts_and_layers": (
                "end_holdout",
                "reserve",
            ),
            "randomization_units": ("merge_randomization_units",),
            "start": (
                "StartedIteration",
                "start_iteration",
            ),
            "stop": (
                "BASELINE",
                "StopEffect",
                "StoppedIteration",
                "stop_iteration",
            ),
            "update": (
                "SavedIteration",
                "archive_experiment",
                "field_changes",
                "restore_experiment",
                "save_and_start",
                "update_experiment",
            ),
        },
    )
