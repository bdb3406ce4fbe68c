"""The table of all operations, named as in LaunchDarkly's published clients."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers import (
    approvals,
    code_references,
    experiments,
    flags,
    holdouts_and_layers,
    members,
    metrics,
    projects,
    releases,
    tokens,
)
from airflow_provider_launchdarkly.emulator.handlers.operation import Operation

_PROJECT = "/api/v2/projects/{projectKey}"
_ENVIRONMENT = f"{_PROJECT}/environments/{{environmentKey}}"
_EXPERIMENTS = f"{_ENVIRONMENT}/experiments"
_EXPERIMENT = f"{_EXPERIMENTS}/{{experimentKey}}"
_SETTINGS = f"{_PROJECT}/experimentation-settings"
_HOLDOUTS = f"{_ENVIRONMENT}/holdouts"
_HOLDOUT = f"{_HOLDOUTS}/{{holdoutKey}}"
_LAYERS = f"{_PROJECT}/layers"
_GROUPS = f"{_PROJECT}/metric-groups"
_GROUP = f"{_GROUPS}/{{metricGroupKey}}"
_STATUSES = "/api/v2/flag-statuses/{projectKey}/{environmentKey}"
_FLAGS = "/api/v2/flags/{projectKey}"
_FLAG = f"{_FLAGS}/{{featureFlagKey}}"
_APPROVALS = f"{_PROJECT}/flags/{{featureFlagKey}}/environments/{{environmentKey}}/approval-requests"
_REPOSITORIES = "/api/v2/code-refs/repositories"
_REPOSITORY = f"{_REPOSITORIES}/{{repo}}"
_METRICS = "/api/v2/metrics/{projectKey}"
_RELEASES = f"{_PROJECT}/flags/{{flagKey}}/environments/{{environmentKey}}/releases"
_RELEASE = f"{_RELEASES}/{{releaseId}}"

OPERATIONS = (
    Operation("get_experiment", "GET", _EXPERIMENT, experiments.get_experiment, beta="strict"),
    Operation("patch_experiment", "PATCH", _EXPERIMENT, experiments.patch_experiment, beta="strict", semantic="strict"),
    Operation(
        "get_experiment_results",
        "GET",
        f"{_EXPERIMENT}/metrics/{{metricKey}}/results",
        experiments.get_experiment_results,
        beta="strict",
        result=True,
        until="17.2",
    ),
    Operation(
        "get_experiment_results_for_metric_group",
        "GET",
        f"{_EXPERIMENT}/metric-groups/{{metricGroupKey}}/results",
        experiments.get_experiment_results_for_metric_group,
        beta="strict",
        result=True,
        until="17.2",
    ),
    Operation("get_experiments", "GET", _EXPERIMENTS, experiments.get_experiments, beta="strict"),
    Operation("create_experiment", "POST", _EXPERIMENTS, experiments.create_experiment, beta="strict"),
    Operation("create_iteration", "POST", f"{_EXPERIMENT}/iterations", experiments.create_iteration, beta="strict"),
    Operation(
        "get_experiments_any_env",
        "GET",
        f"{_PROJECT}/experiments",
        experiments.get_experiments_any_env,
        beta="strict",
        since="25",
    ),
    Operation("get_feature_flag", "GET", _FLAG, flags.get_feature_flag),
    Operation("patch_feature_flag", "PATCH", _FLAG, flags.patch_feature_flag),
    Operation("get_feature_flags", "GET", _FLAGS, flags.get_feature_flags),
    Operation("post_feature_flag", "POST", _FLAGS, flags.post_feature_flag),
    Operation("delete_feature_flag", "DELETE", _FLAG, flags.delete_feature_flag),
    Operation("copy_feature_flag", "POST", f"{_FLAG}/copy", flags.copy_feature_flag),
    Operation(
        "get_feature_flag_status",
        "GET",
        f"{_STATUSES}/{{featureFlagKey}}",
        flags.get_feature_flag_status,
    ),
    Operation("get_feature_flag_statuses", "GET", _STATUSES, flags.get_feature_flag_statuses),
    Operation(
        "get_feature_flag_status_across_environments",
        "GET",
        "/api/v2/flag-status/{projectKey}/{featureFlagKey}",
        flags.get_feature_flag_status_across_environments,
    ),
    Operation("get_dependent_flags", "GET", f"{_FLAG}/dependent-flags", flags.get_dependent_flags, beta="always"),
    Operation(
        "get_dependent_flags_by_env",
        "GET",
        f"{_FLAGS}/{{environmentKey}}/{{featureFlagKey}}/dependent-flags",
        flags.get_dependent_flags_by_env,
        beta="always",
    ),
    Operation("get_approvals_for_flag", "GET", _APPROVALS, approvals.get_approvals_for_flag),
    Operation("post_approval_request_for_flag", "POST", _APPROVALS, approvals.post_approval_request_for_flag),
    Operation("get_approval_for_flag", "GET", f"{_APPROVALS}/{{id}}", approvals.get_approval_for_flag),
    Operation(
        "delete_approval_request_for_flag", "DELETE", f"{_APPROVALS}/{{id}}", approvals.delete_approval_request_for_flag
    ),
    Operation(
        "post_approval_request_apply_for_flag",
        "POST",
        f"{_APPROVALS}/{{id}}/apply",
        approvals.post_approval_request_apply_for_flag,
    ),
    Operation(
        "post_approval_request_review_for_flag",
        "POST",
        f"{_APPROVALS}/{{id}}/reviews",
        approvals.post_approval_request_review_for_flag,
    ),
    Operation("get_repositories", "GET", _REPOSITORIES, code_references.get_repositories),
    Operation("post_repository", "POST", _REPOSITORIES, code_references.post_repository),
    Operation("get_repository", "GET", _REPOSITORY, code_references.get_repository),
    Operation("get_branch", "GET", f"{_REPOSITORY}/branches/{{branch}}", code_references.get_branch),
    Operation("put_branch", "PUT", f"{_REPOSITORY}/branches/{{branch}}", code_references.put_branch),
    Operation("get_statistics", "GET", "/api/v2/code-refs/statistics/{projectKey}", code_references.get_statistics),
    Operation("get_environment_release", "GET", _RELEASE, releases.get_environment_release, beta="always", since="25"),
    Operation(
        "list_environment_releases", "GET", _RELEASES, releases.list_environment_releases, beta="always", since="25"
    ),
    Operation(
        "start_environment_release", "POST", _RELEASES, releases.start_environment_release, beta="always", since="25"
    ),
    Operation(
        "stop_environment_release",
        "PUT",
        f"{_RELEASE}/stop",
        releases.stop_environment_release,
        beta="always",
        since="25",
    ),
    Operation("get_metric", "GET", f"{_METRICS}/{{metricKey}}", metrics.get_metric),
    Operation("get_metrics", "GET", _METRICS, metrics.get_metrics),
    Operation("post_metric", "POST", _METRICS, metrics.post_metric),
    Operation("patch_metric", "PATCH", f"{_METRICS}/{{metricKey}}", metrics.patch_metric),
    Operation("delete_metric", "DELETE", f"{_METRICS}/{{metricKey}}", metrics.delete_metric),
    Operation("get_metric_group", "GET", _GROUP, metrics.get_metric_group, beta="always"),
    Operation("get_metric_groups", "GET", _GROUPS, metrics.get_metric_groups, beta="always"),
    Operation("create_metric_group", "POST", _GROUPS, metrics.create_metric_group, beta="always"),
    Operation("patch_metric_group", "PATCH", _GROUP, metrics.patch_metric_group, beta="always"),
    Operation("delete_metric_group", "DELETE", _GROUP, metrics.delete_metric_group, beta="always"),
    Operation("get_environment", "GET", _ENVIRONMENT, projects.get_environment),
    Operation("get_environments_by_project", "GET", f"{_PROJECT}/environments", projects.get_environments_by_project),
    Operation("get_project", "GET", _PROJECT, projects.get_project),
    Operation("get_projects", "GET", "/api/v2/projects", projects.get_projects),
    Operation("get_experimentation_settings", "GET", _SETTINGS, projects.get_experimentation_settings, beta="strict"),
    Operation("put_experimentation_settings", "PUT", _SETTINGS, projects.put_experimentation_settings, beta="strict"),
    Operation(
        "get_holdout_by_id",
        "GET",
        f"{_HOLDOUTS}/id/{{holdoutId}}",
        holdouts_and_layers.get_holdout_by_id,
        beta="strict",
    ),
    Operation("get_holdout", "GET", _HOLDOUT, holdouts_and_layers.get_holdout, beta="strict"),
    Operation("patch_holdout", "PATCH", _HOLDOUT, holdouts_and_layers.patch_holdout, beta="strict", semantic="always"),
    Operation("get_all_holdouts", "GET", _HOLDOUTS, holdouts_and_layers.get_all_holdouts, beta="strict"),
    Operation("post_holdout", "POST", _HOLDOUTS, holdouts_and_layers.post_holdout, beta="strict"),
    Operation("get_layers", "GET", _LAYERS, holdouts_and_layers.get_layers),
    Operation("create_layer", "POST", _LAYERS, holdouts_and_layers.create_layer),
    Operation("update_layer", "PATCH", f"{_LAYERS}/{{layerKey}}", holdouts_and_layers.update_layer, semantic="always"),
    Operation(
        "get_legacy_experiment_results",
        "GET",
        f"{_FLAG}/experiments/{{environmentKey}}/{{metricKey}}",
        experiments.get_legacy_experiment_results,
        beta="strict",
        result=True,
        until="17.1",
    ),
    Operation("get_members", "GET", "/api/v2/members", members.get_members),
    Operation("get_member", "GET", "/api/v2/members/{id}", members.get_member),
    Operation("get_token", "GET", "/api/v2/tokens/{id}", tokens.get_token),
    Operation("get_versions", "GET", "/api/v2/versions", projects.get_versions),
    Operation("get_caller_identity", "GET", "/api/v2/caller-identity", projects.get_caller_identity),
    Operation("get_root", "GET", "/api/v2", projects.get_root),
)
"""Every operation. The router tries them in this order, so the more frequent paths come first."""
