"""Functions that build the requests of LaunchDarkly's API, one for each call. They do no I/O.

Each name loads the module it lives in when it is first used, and with it only that resource's models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly._lazy import on_first_use
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef as EnvironmentRef
from airflow_provider_launchdarkly.api.http.request import Request as Request

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.endpoints.approvals import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.code_references import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.experiments import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.flags import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.holdouts import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.metrics import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.projects import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.releases import *  # noqa: F403
    from airflow_provider_launchdarkly.api.endpoints.results import *  # noqa: F403

if not TYPE_CHECKING:
    __getattr__, __all__ = on_first_use(
        __name__,
        {
            "experiments": (
                "EVERYTHING",
                "ExperimentFilter",
                "create_experiment",
                "get_experiment",
                "list_experiments",
                "list_experiments_in_any_environment",
                "create_iteration",
                "patch_experiment",
                "get_experimentation_settings",
                "put_experimentation_settings",
            ),
            "approvals": (
                "list_approval_requests",
                "get_approval_request",
                "create_approval_request",
                "review_approval_request",
                "apply_approval_request",
                "delete_approval_request",
            ),
            "code_references": ("list_code_references",),
            "flags": (
                "get_flag",
                "list_flags",
                "create_flag",
                "patch_flag",
                "delete_flag",
                "copy_flag",
                "get_flag_status",
                "get_flag_statuses",
                "archive_flag",
                "list_dependent_flags",
            ),
            "holdouts": (
                "list_holdouts",
                "get_holdout",
                "get_holdout_by_id",
                "create_holdout",
                "patch_holdout",
                "list_layers",
                "create_layer",
                "patch_layer",
            ),
            "metrics": (
                "get_metric",
                "list_metrics",
                "create_metric",
                "patch_metric",
                "delete_metric",
                "get_metric_group",
                "list_metric_groups",
                "create_metric_group",
                "patch_metric_group",
                "delete_metric_group",
            ),
            "projects": (
                "get_caller_identity",
                "get_versions",
                "get_project",
                "list_projects",
                "get_environment",
                "list_environments",
                "list_members",
                "get_member",
                "get_access_token",
            ),
            "releases": (
                "list_releases",
                "get_release",
                "START",
                "start_release",
                "stop_release",
            ),
            "results": (
                "get_metric_results",
                "get_metric_group_results",
                "get_legacy_results",
            ),
        },
    )
