"""Handle feature flags (LaunchDarkly REST docs, Feature flags)."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers import flag_json_patch
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import (
    approvals,
    factories,
    filters,
    flag_copy,
    flag_patch,
    flag_settings,
)
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import flags as serialize
from airflow_provider_launchdarkly.emulator.serializers.links import link, resource_links


def get_feature_flag(request: Request) -> Response:
    """GET one flag with all its environments or those named by `env`."""
    transaction = request.transaction()
    environments = request.query_values("env") or list(transaction.project.environments)
    return Response(
        200, serialize.flag(transaction.project, transaction.flag(request.params["featureFlagKey"]), environments)
    )


def get_feature_flags(request: Request) -> Response:
    """GET a project's flags, by `filter` and `sort`. `env` adds environments, `summary=0` what their rules serve."""
    transaction = request.transaction()
    environments = request.query_values("env")
    for key in environments:
        transaction.environment(key)
    wanted = filters.flags(transaction, request.query_value("filter"), archived=request.query_flag("archived"))
    wanted = filters.sorted_flags(wanted, request.query_value("sort"), environments)
    tags = set(request.query_values("tag"))
    wanted = [flag for flag in wanted if tags <= set(flag.tags)]
    full = (request.query_value("summary") or "").lower() in ("0", "false")
    page, paging = request.page(wanted, highest=100)
    items = [serialize.flag(transaction.project, flag, environments, summary=not full) for flag in page]
    return Response(200, {"items": items, "totalCount": len(wanted), "_links": paging})


def post_feature_flag(request: Request) -> Response:
    """POST a flag. The response is a 201; the flag is off unless `isFlagOn`, and has people by a default truth."""
    transaction = request.transaction()
    flag = factories.flag(transaction, RequestBody(request.body))
    representation = serialize.flag(transaction.project, flag, list(transaction.project.environments))
    transaction.commit()
    return Response(201, representation, transaction.effects, (("x-emulator-truth", factories.DEFAULT_TRUTH_IN_WORDS),))


def patch_feature_flag(request: Request) -> Response:
    """PATCH a flag with a semantic patch, JSON patch or merge patch. `dryRun` returns the result without storing it.

    A change that would make a pending approval request fail is a 400, unless `ignoreConflicts` is true.
    """
    transaction = request.transaction()
    key = request.params["featureFlagKey"]
    transaction.flag(key)
    if request.semantic:
        flag_patch.apply_patch(transaction, key, RequestBody(request.body))
    else:
        flag_json_patch.apply_patch(transaction, key, request.body)
    if not request.query_flag("ignoreConflicts"):
        approvals.check_conflicts(transaction, key, request.transaction)
    representation = serialize.flag(transaction.project, transaction.flag(key), list(transaction.project.environments))
    if request.query_flag("dryRun") and request.settings.api.has_flag_dry_run:
        return Response(200, representation)
    transaction.commit()
    return Response(200, representation, transaction.effects)


def delete_feature_flag(request: Request) -> Response:
    """DELETE a flag that no experiment and no other flag needs. The response is a 204."""
    transaction = request.transaction()
    flag = transaction.flag(request.params["featureFlagKey"])
    flag_settings.delete(transaction, flag)
    transaction.commit()
    return Response(204, None, transaction.effects)


def copy_feature_flag(request: Request) -> Response:
    """POST a copy of a flag's configuration from one environment to another. The response is a 201 with the flag."""
    transaction = request.transaction()
    key = request.params["featureFlagKey"]
    flag_copy.copy(transaction, transaction.flag(key), RequestBody(request.body))
    representation = serialize.flag(transaction.project, transaction.flag(key), list(transaction.project.environments))
    transaction.commit()
    return Response(201, representation, transaction.effects)


def get_dependent_flags(request: Request) -> Response:
    """GET the flags that have a flag as a prerequisite, with the environments in which they do."""
    transaction = request.transaction()
    found = flag_settings.dependents(transaction, transaction.flag(request.params["featureFlagKey"]))
    return Response(200, serialize.dependents(transaction.project, found, request.path))


def get_dependent_flags_by_env(request: Request) -> Response:
    """GET the flags that have a flag as a prerequisite in one environment."""
    transaction = request.transaction()
    environment_key = request.params["environmentKey"]
    transaction.environment(environment_key)
    found = flag_settings.dependents(transaction, transaction.flag(request.params["featureFlagKey"]))
    here = {flag: [environment_key] for flag, environments in found.items() if environment_key in environments}
    return Response(200, serialize.dependents_here(transaction.project, here, environment_key, request.path))


def get_feature_flag_status(request: Request) -> Response:
    """GET a flag's status in an environment."""
    transaction = request.transaction()
    environment_key = request.params["environmentKey"]
    transaction.environment(environment_key)
    flag = transaction.flag(request.params["featureFlagKey"])
    links = resource_links(f"/api/v2/flag-statuses/{transaction.project.key}/{environment_key}", flag.key)
    return Response(200, serialize.status(transaction, flag, environment_key) | {"_links": links})


def get_feature_flag_statuses(request: Request) -> Response:
    """GET the statuses of an environment's flags that are not archived."""
    transaction = request.transaction()
    environment_key = request.params["environmentKey"]
    transaction.environment(environment_key)
    here = f"/api/v2/flag-statuses/{transaction.project.key}/{environment_key}"
    items = [
        serialize.status(transaction, flag, environment_key) | {"_links": resource_links(here, flag.key)}
        for flag in transaction.project.flags.values()
        if not flag.archived
    ]
    return Response(200, {"items": items, "_links": {"self": link(here)}})


def get_feature_flag_status_across_environments(request: Request) -> Response:
    """GET a flag's status in all environments or those named by `env`."""
    transaction = request.transaction()
    flag = transaction.flag(request.params["featureFlagKey"])
    environments = request.query_values("env") or list(transaction.project.environments)
    for key in environments:
        transaction.environment(key)
    statuses = {key: serialize.status(transaction, flag, key) for key in environments}
    links = resource_links(f"/api/v2/flag-status/{transaction.project.key}", flag.key)
    return Response(200, {"environments": statuses, "key": flag.key, "_links": links})
