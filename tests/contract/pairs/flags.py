"""Flags and the instructions of their patch, said in both clients' words."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from airflow_provider_launchdarkly.api.models import instructions as do
from contract.pairs.pair import NEW, PRODUCTION, PROJECT, Pair

FLAG = {**PROJECT, "feature_flag_key": "cta"}
POST = m.FlagPost(
    key="cta",
    name="CTA",
    variations=(m.VariationInput(value="a", name="A"), m.VariationInput(value="b", name="B")),
    defaults=m.DefaultsInput(on_variation=1, off_variation=0),
    client_side_availability=m.ClientSideAvailabilityInput(using_environment_id=True, using_mobile_key=False),
    temporary=False,
    tags=("a",),
    description="d",
)
BODY = {
    "key": "cta",
    "name": "CTA",
    "variations": [{"value": "a", "name": "A"}, {"value": "b", "name": "B"}],
    "defaults": {"onVariation": 1, "offVariation": 0},
    "clientSideAvailability": {"usingEnvironmentId": True, "usingMobileKey": False},
    "temporary": False,
    "tags": ["a"],
    "description": "d",
}
WEIGHTS = {"id-0": 60_000, "id-1": 40_000}
CLAUSE = {"contextKind": "user", "attribute": "country", "op": "in", "negate": False, "values": ["DE"]}
SAID: list[tuple[do.FlagInstruction, dict[str, Any]]] = [
    (do.TurnFlagOn(), {"kind": "turnFlagOn"}),
    (do.TurnFlagOff(), {"kind": "turnFlagOff"}),
    (
        do.UpdateFallthroughVariationOrRollout(variation_id="id-1"),
        {"kind": "updateFallthroughVariationOrRollout", "variationId": "id-1"},
    ),
    (
        do.UpdateRuleVariationOrRollout(rule_id="r", rollout_weights=WEIGHTS, rollout_context_kind="user"),
        {
            "kind": "updateRuleVariationOrRollout",
            "ruleId": "r",
            "rolloutWeights": WEIGHTS,
            "rolloutContextKind": "user",
        },
    ),
    (do.UpdateOffVariation(variation_id="id-0"), {"kind": "updateOffVariation", "variationId": "id-0"}),
    (
        do.OtherFlagInstruction.of("addRule", clauses=[CLAUSE], variationId="id-1"),
        {"kind": "addRule", "clauses": [CLAUSE], "variationId": "id-1"},
    ),
]
PATCHES = {
    f"patch a flag: {json['kind']}": Pair(
        endpoints.patch_flag(PRODUCTION, "cta", [ours], comment="by Airflow"),
        "feature_flags",
        "patch_feature_flag",
        {
            **FLAG,
            "patch_with_comment": {
                "environmentKey": "production",
                "comment": "by Airflow",
                "instructions": [json],
            },
        },
    )
    for ours, json in SAID
}
DRY_RUN = Pair(
    endpoints.patch_flag(PRODUCTION, "cta", [do.TurnFlagOn()], dry_run=True, ignore_conflicts=True),
    "feature_flags",
    "patch_feature_flag",
    {
        **FLAG,
        "dry_run": True,
        "ignore_conflicts": True,
        "patch_with_comment": {"environmentKey": "production", "instructions": [{"kind": "turnFlagOn"}]},
    },
    versions=NEW,
)
LISTED_OURS: dict[str, Any] = {
    "environments": ("production",),
    "filters": "hasExperiment:true",
    "tag": "a",
    "sort": "-name",
}
LISTED_THEIRS = {"env": "production", "filter": "hasExperiment:true", "tag": "a", "sort": "-name"}
ON_FLAG = {**FLAG, "environment_key": "production"}
APPROVALS = {
    "list approval requests": Pair(
        endpoints.list_approval_requests(PRODUCTION, "cta"), "approvals", "get_approvals_for_flag", ON_FLAG
    ),
    "get an approval request": Pair(
        endpoints.get_approval_request(PRODUCTION, "cta", "5f"),
        "approvals",
        "get_approval_for_flag",
        {**ON_FLAG, "id": "5f"},
    ),
    "create an approval request": Pair(
        endpoints.create_approval_request(
            PRODUCTION,
            "cta",
            m.ApprovalRequestPost(
                description="Turn it on",
                instructions=({"kind": "turnFlagOn"},),
                comment="by Airflow",
                notify_member_ids=("ada",),
                notify_team_keys=("shop",),
            ),
        ),
        "approvals",
        "post_approval_request_for_flag",
        {
            **ON_FLAG,
            "create_flag_config_approval_request_request": {
                "description": "Turn it on",
                "instructions": [{"kind": "turnFlagOn"}],
                "comment": "by Airflow",
                "notifyMemberIds": ["ada"],
                "notifyTeamKeys": ["shop"],
            },
        },
    ),
    "review an approval request": Pair(
        endpoints.review_approval_request(PRODUCTION, "cta", "5f", "approve", comment="fine"),
        "approvals",
        "post_approval_request_review_for_flag",
        {**ON_FLAG, "id": "5f", "post_approval_request_review_request": {"kind": "approve", "comment": "fine"}},
    ),
    "apply an approval request": Pair(
        endpoints.apply_approval_request(PRODUCTION, "cta", "5f", comment="now"),
        "approvals",
        "post_approval_request_apply_for_flag",
        {**ON_FLAG, "id": "5f", "post_approval_request_apply_request": {"comment": "now"}},
    ),
    "delete an approval request": Pair(
        endpoints.delete_approval_request(PRODUCTION, "cta", "5f"),
        "approvals",
        "delete_approval_request_for_flag",
        {**ON_FLAG, "id": "5f"},
    ),
}
FLAGS = {
    "get a flag": Pair(endpoints.get_flag("demo", "cta"), "feature_flags", "get_feature_flag", FLAG),
    "get a flag in one environment": Pair(
        endpoints.get_flag("demo", "cta", environments=("production",), expand=("evaluation",)),
        "feature_flags",
        "get_feature_flag",
        {**FLAG, "env": "production", "expand": "evaluation"},
    ),
    "list flags": Pair(endpoints.list_flags("demo"), "feature_flags", "get_feature_flags", PROJECT),
    "list flags with every parameter": Pair(
        endpoints.list_flags("demo", **LISTED_OURS, with_rules=True, archived=False, limit=5, offset=10),
        "feature_flags",
        "get_feature_flags",
        {**PROJECT, **LISTED_THEIRS, "summary": False, "archived": False, "limit": 5, "offset": 10},
        versions=NEW,
    ),
    "create a flag": Pair(
        endpoints.create_flag("demo", POST),
        "feature_flags",
        "post_feature_flag",
        {**PROJECT, "feature_flag_body": BODY},
    ),
    "delete a flag": Pair(endpoints.delete_flag("demo", "cta"), "feature_flags", "delete_feature_flag", FLAG),
    "copy a flag": Pair(
        endpoints.copy_flag(
            "demo",
            "cta",
            "production",
            "test",
            source_version=2,
            target_version=3,
            actions=["updateOn"],
            comment="by Airflow",
        ),
        "feature_flags",
        "copy_feature_flag",
        {
            **FLAG,
            "flag_copy_config_post": {
                "source": {"key": "production", "currentVersion": 2},
                "target": {"key": "test", "currentVersion": 3},
                "includedActions": ["updateOn"],
                "comment": "by Airflow",
            },
        },
    ),
    "get a flag's status": Pair(
        endpoints.get_flag_status(PRODUCTION, "cta"),
        "feature_flags",
        "get_feature_flag_status",
        {**FLAG, "environment_key": "production"},
    ),
    "get a flag's statuses": Pair(
        endpoints.get_flag_statuses("demo", "cta", environment="test"),
        "feature_flags",
        "get_feature_flag_status_across_environments",
        {**FLAG, "env": "test"},
    ),
    **APPROVALS,
    "archive a flag": Pair(
        endpoints.archive_flag("demo", "cta", comment="by Airflow"),
        "feature_flags",
        "patch_feature_flag",
        {**FLAG, "patch_with_comment": {"comment": "by Airflow", "instructions": [{"kind": "archiveFlag"}]}},
    ),
    "list a flag's dependent flags": Pair(
        endpoints.list_dependent_flags("demo", "cta"), "feature_flags_beta", "get_dependent_flags", FLAG, beta=True
    ),
    "list a flag's code references": Pair(
        endpoints.list_code_references("demo", "cta"),
        "code_references",
        "get_repositories",
        {"with_references_for_default_branch": "true", "proj_key": "demo", "flag_key": "cta"},
    ),
    **PATCHES,
    "patch a flag: only to see what would come of it": DRY_RUN,
}
