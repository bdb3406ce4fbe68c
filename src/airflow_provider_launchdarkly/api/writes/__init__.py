"""Writes that are safe to repeat: each reads first and reads back. Pure procedures, no I/O.

LaunchDarkly has no idempotency key: each docstring says what makes a repeat safe. Each name loads its module when it
is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly._lazy import on_first_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.writes.approvals import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.approved import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.create import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.create_by_key import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.delete import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.flag_copies import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.flags import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.holdouts_and_layers import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.left_rules import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.metrics import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.randomization_units import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.releases import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.shipping import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.start import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.stop import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.stop_for_release import *  # noqa: F403
    from airflow_provider_launchdarkly.api.writes.update import *  # noqa: F403

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "approvals": (
                "ApprovalDeclinedError",
                "NotApprovedYetError",
                "apply_approval",
                "asks_for",
                "request_approval",
            ),
            "approved": (
                "Approval",
                "ApprovalPendingError",
                "ApprovalTimedOutError",
                "ApprovalWithdrawnError",
                "review_deadline",
                "through_approval",
                "withdraw",
            ),
            "create": (
                "CreatedExperiment",
                "CreatedIteration",
                "create_experiment",
                "create_iteration",
            ),
            "create_by_key": (
                "Existing",
                "create_flag",
                "lacking",
                "create_metric",
                "create_metric_group",
                "create_holdout",
                "create_layer",
            ),
            "flag_copies": ("copy_flag",),
            "delete": (
                "delete_flag",
                "delete_metric",
                "delete_metric_group",
            ),
            "metrics": (
                "update_metric",
                "update_metric_group",
            ),
            "flags": (
                "Serving",
                "archive_flag",
                "change_flag",
                "raise_if_owned",
                "serve",
                "turn_flag",
                "weights_of",
            ),
            "holdouts_and_layers": (
                "end_holdout",
                "reserve",
            ),
            "left_rules": (
                "asked_clauses",
                "begun_on_left_rule",
                "on_left_rule",
                "on_same_rule",
                "plain_clause",
                "plain_clauses",
            ),
            "randomization_units": ("merge_randomization_units",),
            "releases": (
                "ReleaseNeedsApprovalError",
                "StartedRelease",
                "StoppedRelease",
                "check_on",
                "release_differences",
                "same_release",
                "start_release",
                "stop_release",
                "without_descriptions",
            ),
            "shipping": (
                "ReleaseDesign",
                "ShippedByRelease",
                "check_releasable",
                "kind_clause",
                "remove_rule",
                "ship_by_release",
            ),
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
            "stop_for_release": (
                "SHIPS_BY_RELEASE",
                "is_stop_for_a_release",
                "stop_reason",
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
