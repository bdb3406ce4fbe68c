"""The rows of docs/coverage.md about flags, metrics, holdouts, layers and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.models import (
    ApprovalRequestPost,
    FlagPost,
    MetricGroupPost,
    MetricPost,
    OtherFlagInstruction,
    TurnFlagOn,
)
from airflow_provider_launchdarkly.api.writes.flags import Serving
from support.code_scan import scan
from support.coverage_row import IN_ENV, IN_PROJECT, Case, Row
from support.reviewers import add_reviewer
from support.scene import LAYER

if TYPE_CHECKING:
    from support.scene import Scene


def _keys(found: Any) -> set[str]:
    return {item.key for item in found}


def _stop_flag(call: Any, scene: Scene, **kwargs: Any) -> Any:
    scene.stop()
    return call("checkout-button", Serving(weights={scene.classic: 90_000, scene.bold: 10_000}), **kwargs)


def _off(scene: Scene) -> bool:
    """Turn a flag off in production that is on in both environments."""
    scene.hook.turn_flag("search-ranking", on=False)
    return True


def _need(scene: Scene) -> bool:
    """Make a flag a prerequisite of another one in production."""
    variation = scene.hook.get_flag("search-ranking").variations[0].id
    needed = OtherFlagInstruction.of("addPrerequisite", key="search-ranking", variationId=variation)
    scene.hook.patch_flag("pricing-page", [needed])
    return True


def _scan(scene: Scene) -> bool:
    """Let a scanner have found a flag in a repository."""
    scan(scene.emulator, "shop", {"cart.py": [7]}, "checkout-button")
    return True


ON_FLAG = f"{IN_PROJECT}/flags/{{featureFlagKey}}/environments/{{environmentKey}}"
APPROVAL = ApprovalRequestPost(description="Turn it off", instructions=({"kind": "turnFlagOff"},))


def _asked(scene: Scene) -> str:
    """Ask for the approval of a change; return the request's id."""
    return scene.hook.request_approval("pricing-page", APPROVAL).value.id


def _approved(scene: Scene) -> str:
    """Ask for a change that another member approves; return the request's id."""
    asked, env = _asked(scene), scene.hook.environment()
    with LaunchDarklyClient(scene.emulator.url, add_reviewer(scene.emulator)) as reviewer:
        reviewer.send(endpoints.review_approval_request(env, "pricing-page", asked, "approve"))
    return asked


METRIC = MetricPost(key="signups", kind="custom", event_key="signup", name="Sign-ups", is_numeric=False)


RESOURCES = (
    Row(
        "flags: get, list, create, semantic patch (all 53 instructions), `dryRun`, copy, archive, delete, status,"
        " dependents",
        (
            Case(
                "get_flag",
                "GET /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("checkout-button"),
                lambda flag: flag.environments["production"].on,
            ),
            Case(
                "list_flags",
                "GET /api/v2/flags/{projectKey}",
                lambda call, scene: call(with_rules=True),
                lambda found: "checkout-button" in _keys(found),
            ),
            Case(
                "create_flag",
                "POST /api/v2/flags/{projectKey}",
                lambda call, scene: call(FlagPost(key="new-footer", name="New footer")),
                lambda made: not made.adopted and made.value.key == "new-footer",
            ),
            Case(
                "patch_flag",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("pricing-page", [TurnFlagOn()], dry_run=True),
                lambda flag: flag.key == "pricing-page",
            ),
            Case(
                "turn_flag",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("pricing-page", on=True),
                lambda reached: reached.changed and reached.value.environments["production"].on,
            ),
            Case(
                "delete_flag",
                "DELETE /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("pricing-page"),
                lambda reached: reached.changed and reached.value == "pricing-page",
            ),
            Case(
                "copy_flag",
                "POST /api/v2/flags/{projectKey}/{featureFlagKey}/copy",
                lambda call, scene: call("search-ranking", "test", actions=["updateOn"]) if _off(scene) else None,
                lambda reached: reached.changed and not reached.value.environments["test"].on,
            ),
            Case(
                "archive_flag",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("pricing-page", comment="retired"),
                lambda reached: reached.changed and reached.value.archived,
            ),
            Case(
                "list_dependent_flags",
                "GET /api/v2/flags/{projectKey}/{featureFlagKey}/dependent-flags",
                lambda call, scene: call("search-ranking") if _need(scene) else None,
                lambda found: (
                    [(flag.key, flag.environments[0].key) for flag in found.items] == [("pricing-page", "production")]
                ),
            ),
            Case(
                "get_flag_status",
                "GET /api/v2/flag-statuses/{projectKey}/{environmentKey}/{featureFlagKey}",
                lambda call, scene: call("checkout-button"),
                lambda status: status.name == "active" and status.last_requested,
            ),
            Case(
                "get_flag_statuses",
                "GET /api/v2/flag-status/{projectKey}/{featureFlagKey}",
                lambda call, scene: call("checkout-button"),
                lambda found: found.environments.keys() == {"production", "test"},
            ),
            Case(
                "serve",
                "PATCH /api/v2/flags/{projectKey}/{featureFlagKey}",
                _stop_flag,
                lambda reached: reached.value.environments["production"].fallthrough.rollout is not None,
            ),
        ),
        (
            "LaunchDarklySetFlagOperator",
            "LaunchDarklyFlagStateSensor",
            "LaunchDarklyCheckFlagServesOperator",
            "LaunchDarklyRetireFlagOperator",
        ),
    ),
    Row(
        "approvals of flag changes: list, get, create, review, apply, delete",
        (
            Case(
                "list_approval_requests",
                f"GET {ON_FLAG}/approval-requests",
                lambda call, scene: call("pricing-page") if _asked(scene) else None,
                lambda found: found.items[0].review_status == "pending",
            ),
            Case(
                "get_approval_request",
                f"GET {ON_FLAG}/approval-requests/{{id}}",
                lambda call, scene: call("pricing-page", _asked(scene)),
                lambda found: found.description == "Turn it off",
            ),
            Case(
                "request_approval",
                f"POST {ON_FLAG}/approval-requests",
                lambda call, scene: call("pricing-page", APPROVAL),
                lambda reached: reached.changed and not reached.value.approved,
            ),
            Case(
                "review_approval_request",
                f"POST {ON_FLAG}/approval-requests/{{id}}/reviews",
                lambda call, scene: call("pricing-page", _asked(scene), "comment", comment="please"),
                lambda found: found.all_reviews[0].comment == "please",
            ),
            Case(
                "apply_approval",
                f"POST {ON_FLAG}/approval-requests/{{id}}/apply",
                lambda call, scene: call("pricing-page", _approved(scene)),
                lambda reached: reached.changed and reached.value.applied,
            ),
            Case(
                "delete_approval_request",
                f"DELETE {ON_FLAG}/approval-requests/{{id}}",
                lambda call, scene: call("pricing-page", _asked(scene)),
                lambda _nothing: True,
            ),
        ),
    ),
    Row(
        "code references: repositories with a flag's references",
        (
            Case(
                "list_code_references",
                "GET /api/v2/code-refs/repositories",
                lambda call, scene: call("checkout-button") if _scan(scene) else None,
                lambda found: found.items[0].branches[0].references[0].hunks[0].starting_line_number == 7,
            ),
        ),
    ),
    Row(
        "metrics: get, list, create, update, delete",
        (
            Case(
                "get_metric",
                "GET /api/v2/metrics/{projectKey}/{metricKey}",
                lambda call, scene: call("page-load-ms"),
                lambda metric: metric.lower_is_better,
            ),
            Case(
                "list_metrics",
                "GET /api/v2/metrics/{projectKey}",
                lambda call, scene: call(max_items=3),
                lambda found: len(found) == 3,
            ),
            Case(
                "create_metric",
                "POST /api/v2/metrics/{projectKey}",
                lambda call, scene: call(METRIC),
                lambda made: made.value.key == "signups",
            ),
            Case(
                "update_metric",
                "PATCH /api/v2/metrics/{projectKey}/{metricKey}",
                lambda call, scene: call("page-load-ms", {"name": "Load", "tags": ["speed"]}),
                lambda reached: reached.changed and (reached.value.name, reached.value.tags) == ("Load", ("speed",)),
            ),
            Case(
                "delete_metric",
                "DELETE /api/v2/metrics/{projectKey}/{metricKey}",
                lambda call, scene: call("revenue-per-user"),
                lambda reached: reached.changed,
            ),
        ),
    ),
    Row(
        "metric groups: get, list, create, update, delete",
        (
            Case(
                "get_metric_group",
                f"GET {IN_PROJECT}/metric-groups/{{metricGroupKey}}",
                lambda call, scene: call("signup-funnel"),
                lambda group: len(group.metrics) == 3,
            ),
            Case(
                "list_metric_groups",
                f"GET {IN_PROJECT}/metric-groups",
                lambda call, scene: call(),
                lambda found: "page-health" in _keys(found),
            ),
            Case(
                "create_metric_group",
                f"POST {IN_PROJECT}/metric-groups",
                lambda call, scene: call(
                    MetricGroupPost.checked(
                        {
                            "key": "health",
                            "name": "Health",
                            "kind": "standard",
                            "maintainer_id": scene.hook.get_caller_identity().member_id,
                            "metrics": [
                                {"key": "checkout-errors", "name_in_group": "Errors"},
                                {"key": "page-load-ms", "name_in_group": "Speed"},
                            ],
                        }
                    )
                ),
                lambda made: made.value.key == "health",
            ),
            Case(
                "update_metric_group",
                f"PATCH {IN_PROJECT}/metric-groups/{{metricGroupKey}}",
                lambda call, scene: call("page-health", {"description": "Speed and errors"}),
                lambda reached: reached.changed and reached.value.description == "Speed and errors",
            ),
            Case(
                "delete_metric_group",
                f"DELETE {IN_PROJECT}/metric-groups/{{metricGroupKey}}",
                lambda call, scene: call("page-health"),
                lambda reached: reached.changed,
            ),
        ),
    ),
    Row(
        "holdouts: create, get, list, end",
        (
            Case(
                "create_holdout",
                f"POST {IN_ENV}/holdouts",
                lambda call, scene: call(scene.holdout_post()),
                lambda made: not made.adopted and made.value.base_experiment.key == "q1",
            ),
            Case(
                "list_holdouts",
                f"GET {IN_ENV}/holdouts",
                lambda call, scene: scene.holdout() and call(),
                lambda found: len(found) == 1,
            ),
            Case(
                "get_holdout",
                f"GET {IN_ENV}/holdouts/{{holdoutKey}}",
                lambda call, scene: scene.holdout() and call("q1"),
                lambda holdout: holdout.status,
            ),
            Case(
                "get_holdout_by_id",
                f"GET {IN_ENV}/holdouts/id/{{holdoutId}}",
                lambda call, scene: call(scene.holdout().id),
                lambda holdout: holdout.status,
            ),
            Case(
                "end_holdout",
                f"PATCH {IN_ENV}/holdouts/{{holdoutKey}}",
                lambda call, scene: scene.holdout() and call("q1"),
                lambda reached: reached.changed and reached.value.status == "ended",
            ),
        ),
    ),
    Row(
        "layers: create, list, reserve",
        (
            Case(
                "create_layer",
                f"POST {IN_PROJECT}/layers",
                lambda call, scene: call(LAYER),
                lambda made: not made.adopted and made.value.key == "checkout",
            ),
            Case(
                "list_layers",
                f"GET {IN_PROJECT}/layers",
                lambda call, scene: scene.layer() and call(),
                lambda page: [layer.key for layer in page.items] == ["checkout"],
            ),
            Case(
                "reserve_layer",
                f"PATCH {IN_PROJECT}/layers/{{layerKey}}",
                lambda call, scene: call(scene.layer(), "bold", 40),
                lambda reached: reached.changed,
            ),
        ),
    ),
    Row(
        "projects, environments: get, list",
        (
            Case("get_project", f"GET {IN_PROJECT}", lambda call, scene: call(), lambda project: project.key == "demo"),
            Case(
                "list_projects",
                "GET /api/v2/projects",
                lambda call, scene: call(),
                lambda found: "demo" in _keys(found),
            ),
            Case(
                "get_environment",
                f"GET {IN_ENV}",
                lambda call, scene: call("test"),
                lambda environment: environment.key == "test" and "sdk" not in repr(environment),
            ),
            Case(
                "list_environments",
                f"GET {IN_PROJECT}/environments",
                lambda call, scene: call(),
                lambda found: _keys(found) == {"production", "test"},
            ),
        ),
    ),
    Row(
        "caller identity; members; versions",
        (
            Case(
                "get_caller_identity",
                "GET /api/v2/caller-identity",
                lambda call, scene: call(),
                lambda identity: identity.token_name == "emulator",
            ),
            Case(
                "list_members",
                "GET /api/v2/members",
                lambda call, scene: call(filters="email:grace@example.com"),
                lambda found: [member.first_name for member in found] == ["Grace"],
            ),
            Case(
                "get_member",
                "GET /api/v2/members/{id}",
                lambda call, scene: call(),
                lambda member: member.email == "ada@example.com",
            ),
            Case(
                "get_versions",
                "GET /api/v2/versions",
                lambda call, scene: call(),
                lambda versions: 20240415 in versions.valid_versions,
            ),
        ),
        ("`test_connection`", "LaunchDarklyChangeWindowSensor"),
    ),
)
