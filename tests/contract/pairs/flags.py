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
    **PATCHES,
    "patch a flag: only to see what would come of it": DRY_RUN,
}
