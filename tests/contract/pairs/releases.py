"""Environment releases, said in both clients' words."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from contract.pairs.pair import NEW, PRODUCTION, Pair

FLAG: dict[str, Any] = {
    "ld_api_version": "beta",
    "project_key": "demo",
    "flag_key": "cta",
    "environment_key": "production",
}
ID = "6a2f41a3-c54c-4ce8-92d2-0324e1c32e22"
OLD_ID, NEW_ID = "74ece9e8-656f-4b4a-8705-4f5cf26fadd4", "87f944fa-c143-4ade-8a2f-5086b9096127"
STEPS = [{"allocation": 10_000, "durationMillis": 3_600_000}, {"allocation": 50_000, "durationMillis": 7_200_000}]
CLAUSE = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"], "negate": False}
SEGMENT = {"attribute": "", "op": "segmentMatch", "values": ["testers"], "negate": True}
BODIES: dict[str, dict[str, Any]] = {
    "guarded, in phases": {
        "originalVariationId": OLD_ID,
        "targetVariationId": NEW_ID,
        "randomizationUnit": "user",
        "phases": [
            {"clauses": [CLAUSE, SEGMENT], "description": "testers", "steps": STEPS},
            {"clauses": [CLAUSE], "steps": STEPS},
        ],
        "metrics": [{"metricKey": "sales", "autoRollback": True}, {"metricKey": "errors", "autoRollback": False}],
        "advancementMode": "manual",
        "cleanupBehavior": "remove_rules_and_update_default_rule",
        "bypassHealthChecks": ["flag_evaluations_any", "metric_events_with_context"],
        "beforeRuleId": "rule-1",
        "comment": "ship it",
    },
    "progressive, on a rule": {
        "originalVariationId": OLD_ID,
        "targetVariationId": NEW_ID,
        "randomizationUnit": "user",
        "phases": [{"ruleId": "rule-1", "steps": STEPS}],
    },
    "from a plan": {"originalVariationId": OLD_ID, "targetVariationId": NEW_ID, "releasePlanKey": "careful"},
}


def _pair(ours: Any, method: str, **arguments: Any) -> Pair:
    return Pair(ours, "environment_releases", method, {**FLAG, **arguments}, beta=True, versions=NEW)


RELEASES = {
    "list releases": _pair(endpoints.list_releases(PRODUCTION, "cta"), "list_environment_releases"),
    "list releases, of one kind, paged": _pair(
        endpoints.list_releases(PRODUCTION, "cta", kind="guarded", limit=10, offset=20, snapshot="17"),
        "list_environment_releases",
        filter='kind equals "guarded"',
        limit=10,
        offset=20,
        snapshot="17",
    ),
    "get release": _pair(
        endpoints.get_release(PRODUCTION, "cta", ID, expand=["metrics"]),
        "get_environment_release",
        release_id=ID,
        expand=["metrics"],
    ),
    **{
        f"start release, {name}": _pair(
            endpoints.start_release(PRODUCTION, "cta", m.ReleasePost.checked(body)),
            "start_environment_release",
            start_environment_release_request=body,
        )
        for name, body in BODIES.items()
    },
    "stop release": _pair(
        endpoints.stop_release(PRODUCTION, "cta", ID, "roll_forward_all_phases", comment="enough"),
        "stop_environment_release",
        release_id=ID,
        stop_environment_release_request={"resolution": "roll_forward_all_phases", "comment": "enough"},
    ),
}
