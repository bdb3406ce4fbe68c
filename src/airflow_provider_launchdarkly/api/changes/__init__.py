"""Writes beside an experiment's life - flags, metrics, settings, holdouts, layers - made safe to repeat. Pure.

Each name loads the module it lives in when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.lazy import on_first_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.changes.existing import Existing as Existing
    from airflow_provider_launchdarkly.api.changes.existing import create_flag as create_flag
    from airflow_provider_launchdarkly.api.changes.existing import create_metric as create_metric
    from airflow_provider_launchdarkly.api.changes.existing import create_metric_group as create_metric_group
    from airflow_provider_launchdarkly.api.changes.flags import Serving as Serving
    from airflow_provider_launchdarkly.api.changes.flags import read_flag as read_flag
    from airflow_provider_launchdarkly.api.changes.flags import serve as serve
    from airflow_provider_launchdarkly.api.changes.flags import turn_flag as turn_flag
    from airflow_provider_launchdarkly.api.changes.flags import weights_of as weights_of
    from airflow_provider_launchdarkly.api.changes.holdouts import end_holdout as end_holdout
    from airflow_provider_launchdarkly.api.changes.holdouts import reserve as reserve
    from airflow_provider_launchdarkly.api.changes.units import merge_randomization_units as merge_randomization_units

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "existing": (
                "Existing",
                "create_flag",
                "create_metric",
                "create_metric_group",
            ),
            "flags": (
                "Serving",
                "weights_of",
                "read_flag",
                "turn_flag",
                "serve",
            ),
            "holdouts": (
                "end_holdout",
                "reserve",
            ),
            "units": ("merge_randomization_units",),
        },
    )
