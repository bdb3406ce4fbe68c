"""Every instruction that LaunchDarkly publishes for flags: what it changes, and when it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from airflow_provider_launchdarkly.api.models import FlagInstruction, OtherFlagInstruction
from airflow_provider_launchdarkly.emulator.rules.flag_patch import INSTRUCTIONS
from support.emulator_caller import error_of

if TYPE_CHECKING:
    from support.emulator_caller import Caller

HEADINGS = """
turnFlagOff turnFlagOn addClauses addPrerequisite addRule addTargets addUserTargets addValuesToClause addVariation
clearTargets clearUserTargets removeClauses removePrerequisite removeRule removeTargets removeUserTargets
removeValuesFromClause removeVariation reorderRules replacePrerequisites replaceRules replaceTargets replaceUserTargets
updateClause updateDefaultVariation updateFallthroughVariationOrRollout updateOffVariation updatePrerequisite
updateRuleDescription updateRuleTrackEvents updateRuleVariationOrRollout updateTrackEvents updateTrackEventsFallthrough
updateVariation addCustomProperties addTags makeFlagPermanent makeFlagTemporary removeCustomProperties removeMaintainer
removeTags replaceCustomProperties turnOffClientSideAvailability turnOnClientSideAvailability updateDescription
updateMaintainerMember updateMaintainerTeam updateName archiveFlag deleteFlag deprecateFlag restoreDeprecatedFlag
restoreFlag
"""
"""The headings of the instructions in client 25.0.1's description of Patch feature flag."""
PUBLISHED = HEADINGS.split()
CLAUSE = {"contextKind": "user", "attribute": "country", "op": "in", "negate": False, "values": ["FR", "CH"]}
FLAG = "/api/v2/flags/demo/search-ranking"


@pytest.fixture
def ids(api: Caller) -> list[str]:
    return [variation["_id"] for variation in api.flag("search-ranking")["variations"]]


def patched(api: Caller, kind: str, **fields: Any) -> dict[str, Any]:
    response = api.patch_flag({"kind": kind, **fields}, key="search-ranking")
    assert response.status_code == 200, response.text
    flag: dict[str, Any] = response.json()
    return flag


def in_production(api: Caller, kind: str, **fields: Any) -> dict[str, Any]:
    config: dict[str, Any] = patched(api, kind, **fields)["environments"]["production"]
    return config


def refused(api: Caller, kind: str, **fields: Any) -> tuple[int, str]:
    status, _, message = error_of(api.patch_flag({"kind": kind, **fields}, key="search-ranking"))
    return status, message


def rule(api: Caller, ids: list[str], **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = in_production(api, "addRule", clauses=[CLAUSE], variationId=ids[0], **fields)["rules"][-1]
    return made


def test_client_and_emulator_take_all_published_instructions() -> None:
    kinds = {kind for model in get_args(FlagInstruction) for kind in get_args(model.model_fields["kind"].annotation)}
    assert len(PUBLISHED) == 53
    assert kinds == set(INSTRUCTIONS) == set(PUBLISHED)
    assert OtherFlagInstruction.of("makeFlagPermanent").to_wire() == {"kind": "makeFlagPermanent"}


def test_an_unknown_instruction_is_refused(api: Caller) -> None:
    assert refused(api, "paintFlag") == (400, "instructions[0].kind: unknown instruction 'paintFlag'")


def test_clauses_are_added_changed_and_removed(api: Caller, ids: list[str]) -> None:
    rule_id = rule(api, ids)["_id"]

    def clauses(kind: str, **fields: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = in_production(api, kind, ruleId=rule_id, **fields)["rules"][0]["clauses"]
        return found

    first, second = clauses("addClauses", clauses=[CLAUSE | {"attribute": "plan"}])
    assert (first["attribute"], second["attribute"]) == ("country", "plan")
    assert clauses("addValuesToClause", clauseId=first["_id"], values=["DE", "FR"])[0]["values"] == ["FR", "CH", "DE"]
    assert clauses("removeValuesFromClause", clauseId=first["_id"], values=["FR"])[0]["values"] == ["CH", "DE"]
    [changed, _] = clauses("updateClause", clauseId=first["_id"], clause=CLAUSE | {"op": "startsWith"})
    assert (changed["_id"], changed["op"]) == (first["_id"], "startsWith")
    assert clauses("removeClauses", clauseIds=[second["_id"]]) == [changed]
    assert refused(api, "removeClauses", ruleId=rule_id, clauseIds=["none"])[0] == 400
    assert refused(api, "updateClause", ruleId=rule_id, clauseId="none", clause=CLAUSE)[0] == 400
    assert refused(api, "addClauses", ruleId="none", clauses=[CLAUSE])[0] == 400
    assert refused(api, "addClauses", ruleId=rule_id, clauses=[CLAUSE | {"values": 5}])[0] == 400


def test_rules_are_described_tracked_reordered_and_replaced(api: Caller, ids: list[str]) -> None:
    first, second = rule(api, ids), rule(api, ids, description="two")
    described = in_production(api, "updateRuleDescription", ruleId=first["_id"], description="one")
    assert [r["description"] for r in described["rules"]] == ["one", "two"]
    tracked = in_production(api, "updateRuleTrackEvents", ruleId=first["_id"], trackEvents=True)
    assert [r["trackEvents"] for r in tracked["rules"]] == [True, False]
    order = [second["_id"], first["_id"]]
    assert [r["_id"] for r in in_production(api, "reorderRules", ruleIds=order)["rules"]] == order
    assert refused(api, "reorderRules", ruleIds=order[:1])[0] == 400
    [new] = in_production(api, "replaceRules", rules=[{"clauses": [CLAUSE], "variationId": ids[1]}])["rules"]
    assert (new["variation"], new["_id"] in order) == (1, False)


def test_targets_are_added_moved_and_removed(api: Caller, ids: list[str]) -> None:
    def user(*values: str, variation: int = 0) -> dict[str, Any]:
        return {"values": list(values), "variation": variation, "contextKind": "user"}

    device = {"values": ["d"], "variation": 1, "contextKind": "device"}
    assert in_production(api, "addUserTargets", values=["a"], variationId=ids[0])["targets"] == [user("a")]
    assert in_production(api, "addTargets", values=["b"], variationId=ids[0])["targets"] == [user("a", "b")]
    added = in_production(api, "addTargets", values=["d"], contextKind="device", variationId=ids[1])
    assert (added["targets"], added["contextTargets"]) == ([user("a", "b")], [device])
    status, message = refused(api, "addTargets", values=["a"], variationId=ids[1])
    assert (status, "more than one variation" in message) == (400, True)
    assert in_production(api, "removeUserTargets", values=["b"], variationId=ids[0])["targets"] == [user("a")]
    assert in_production(api, "removeTargets", values=["x"], variationId=ids[0])["targets"] == [user("a")]
    cleared = in_production(api, "clearUserTargets", variationId=ids[0])
    assert (cleared["targets"], cleared["contextTargets"]) == ([], [device])
    assert in_production(api, "clearTargets", variationId=ids[1])["contextTargets"] == []
    wanted = [{"variationId": v, "values": [str(index)]} for index, v in enumerate(ids)]
    assert len(in_production(api, "replaceUserTargets", targets=wanted)["targets"]) == 3
    assert refused(api, "replaceUserTargets", targets=wanted[:1])[0] == 400
    assert in_production(api, "replaceTargets", targets=wanted[:1])["targets"] == [user("0")]


def test_prerequisites_are_added_changed_and_removed(api: Caller) -> None:
    classic, bold = (variation["_id"] for variation in api.flag()["variations"])
    needed = {"key": "checkout-button", "variationId": classic}
    shown = {"key": "checkout-button", "variation": 0}
    assert in_production(api, "addPrerequisite", **needed)["prerequisites"] == [shown]
    assert in_production(api, "updatePrerequisite", **needed | {"variationId": bold})["prerequisites"] == [
        shown | {"variation": 1}
    ]
    assert refused(api, "updatePrerequisite", key="pricing-page", variationId=bold)[0] == 400
    assert refused(api, "addPrerequisite", key="none", variationId=bold)[0] == 400
    circle = {"kind": "addPrerequisite", "key": "search-ranking", "variationId": "x"}
    assert "its own prerequisite" in error_of(api.patch_flag(circle))[2]
    for kind in ("archiveFlag", "deleteFlag"):
        assert error_of(api.patch_flag({"kind": kind}))[:2] == (409, "optimistic_locking_error")
    assert in_production(api, "removePrerequisite", key="checkout-button")["prerequisites"] == []
    assert in_production(api, "replacePrerequisites", prerequisites=[needed])["prerequisites"] == [shown]
    assert api.patch_flag({"kind": "removePrerequisite", "key": "none"}).status_code == 200


def test_events_are_tracked(api: Caller) -> None:
    assert in_production(api, "updateTrackEvents", trackEvents=True)["trackEvents"] is True
    assert in_production(api, "updateTrackEventsFallthrough", trackEvents=True)["trackEventsFallthrough"] is True


def test_variations_are_added_changed_and_removed(api: Caller, ids: list[str]) -> None:
    added = patched(api, "addVariation", value="neural", name="Neural")["variations"][3]
    assert (added["value"], added["name"]) == ("neural", "Neural")
    assert refused(api, "addVariation", value="neural")[0] == 400
    changed = patched(api, "updateVariation", variationId=added["_id"], value=None, description="none")
    assert changed["variations"][3] | {"_id": ""} == {"_id": "", "value": None, "name": "Neural", "description": "none"}
    in_production(api, "updateOffVariation", variationId=added["_id"])
    assert refused(api, "removeVariation", variationId=added["_id"])[0] == 409
    flag = patched(api, "updateDefaultVariation", onVariationValue="semantic", OffVariationValue="hybrid")
    assert flag["defaults"] == {"onVariation": 1, "offVariation": 2}
    assert refused(api, "updateDefaultVariation", onVariationValue="absent")[0] == 400
    assert refused(api, "removeVariation", variationId=ids[2])[0] == 409
    in_production(api, "updateFallthroughVariationOrRollout", variationId=ids[1])
    in_production(api, "addTargets", values=["a"], variationId=ids[2])
    patched(api, "updateDefaultVariation", onVariationValue="hybrid")
    test = api.http.patch(
        FLAG,
        json={
            "environmentKey": "test",
            "instructions": [
                {"kind": "updateOffVariation", "variationId": ids[1]},
                {"kind": "updateFallthroughVariationOrRollout", "variationId": ids[1]},
            ],
        },
        headers={"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"},
    )
    assert test.status_code == 200
    flag = patched(api, "removeVariation", variationId=ids[0])
    production = flag["environments"]["production"]
    assert [v["_id"] for v in flag["variations"]] == [ids[1], ids[2], added["_id"]]
    assert (production["fallthrough"], production["offVariation"]) == ({"variation": 0}, 2)
    assert production["targets"][0]["variation"] == 1
    assert flag["defaults"] == {"onVariation": 1, "offVariation": 1}
    assert flag["environments"]["test"]["offVariation"] == 0


def test_settings_are_changed(api: Caller) -> None:
    member = api.get("/api/v2/caller-identity").json()["memberId"]
    prop = {"key": "jira", "name": "Jira"}
    assert patched(api, "addCustomProperties", **prop, values=["a", "b"])["customProperties"] == {
        "jira": {"name": "Jira", "value": ["a", "b"]}
    }
    assert patched(api, "removeCustomProperties", key="jira", values=["a"])["customProperties"]["jira"]["value"] == [
        "b"
    ]
    assert patched(api, "replaceCustomProperties", **prop, values=["c"])["customProperties"]["jira"]["value"] == ["c"]
    assert patched(api, "removeCustomProperties", key="jira", values=["c"])["customProperties"] == {}
    assert patched(api, "makeFlagPermanent")["temporary"] is False
    assert patched(api, "makeFlagTemporary")["temporary"] is True
    assert patched(api, "turnOnClientSideAvailability", value="usingMobileKey")["clientSideAvailability"] == {
        "usingMobileKey": True,
        "usingEnvironmentId": False,
    }
    assert patched(api, "turnOnClientSideAvailability", value="usingEnvironmentId")["includeInSnippet"] is True
    assert not patched(api, "turnOffClientSideAvailability", value="usingMobileKey")["clientSideAvailability"][
        "usingMobileKey"
    ]
    assert refused(api, "turnOnClientSideAvailability", value="x")[0] == 400
    team = patched(api, "updateMaintainerTeam", value="growth")
    assert (team["maintainerTeamKey"], "maintainerId" in team) == ("growth", False)
    assert refused(api, "updateMaintainerTeam", value="none")[0] == 400
    assert patched(api, "updateMaintainerMember", value=member)["maintainerId"] == member
    assert "maintainerId" not in patched(api, "removeMaintainer")


def test_a_flag_is_deprecated_archived_restored_and_deleted(api: Caller) -> None:
    assert patched(api, "deprecateFlag")["deprecatedDate"]
    assert patched(api, "restoreDeprecatedFlag")["deprecated"] is False
    assert patched(api, "archiveFlag")["archivedDate"]
    assert "archivedDate" not in patched(api, "restoreFlag")
    assert patched(api, "deleteFlag")["key"] == "search-ranking"
    assert api.get(FLAG).status_code == 404
    assert api.server.effects("flag.deleted") == [{"kind": "flag.deleted", "project": "demo", "flag": "search-ranking"}]


def test_what_an_experiment_needs_stays(api: Caller) -> None:
    api.running()
    bold = api.flag()["variations"][1]["_id"]
    api.patch_flag({"kind": "addVariation", "value": "third"})
    for instruction in ({"kind": "deleteFlag"}, {"kind": "removeVariation", "variationId": bold}):
        assert error_of(api.patch_flag(instruction))[0] == 409
    assert api.patch_flag({"kind": "removeMaintainer"}).status_code == 200
