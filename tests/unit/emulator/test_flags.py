"""Semantic patches of flags: atomic, by variation id, rejected where an experiment runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
    from support.emulator_caller import Caller


def test_a_flag_is_turned_on_and_off(api: Caller) -> None:
    assert api.patch_flag({"kind": "turnFlagOn"}).json()["environments"]["production"]["on"] is True
    assert api.patch_flag({"kind": "turnFlagOff"}).json()["environments"]["production"]["on"] is False
    assert api.production()["version"] == 3


def test_turning_on_a_flag_that_is_on_succeeds_without_a_change(api: Caller) -> None:
    api.turn_on()
    changes = len(api.server.journal())
    assert api.patch_flag({"kind": "turnFlagOn"}).status_code == 200
    assert api.production()["version"] == 2
    assert len(api.server.journal()) == changes


def test_a_change_in_one_environment_leaves_the_version_of_another(api: Caller) -> None:
    api.turn_on()
    assert api.flag()["environments"]["test"]["version"] == 1
    assert api.flag()["_version"] == 2


def test_the_fallthrough_takes_a_variation_id_and_shows_its_index(api: Caller) -> None:
    bold = api.flag()["variations"][1]["_id"]
    api.patch_flag({"kind": "updateFallthroughVariationOrRollout", "variationId": bold})
    assert api.production()["fallthrough"] == {"variation": 1}


def test_the_fallthrough_takes_a_rollout_by_variation_id(api: Caller) -> None:
    classic, bold = (v["_id"] for v in api.flag()["variations"])
    weights = {classic: 90000, bold: 10000}
    api.patch_flag({"kind": "updateFallthroughVariationOrRollout", "rolloutWeights": weights})
    rollout = api.production()["fallthrough"]["rollout"]
    assert [v["weight"] for v in rollout["variations"]] == [90000, 10000]
    assert rollout["contextKind"] == "user"
    assert "experimentAllocation" not in rollout


def test_a_rule_is_added_changed_and_removed(api: Caller) -> None:
    variations = [v["_id"] for v in api.flag()["variations"]]
    clause = {"attribute": "country", "op": "in", "values": ["FR"]}
    api.patch_flag({"kind": "addRule", "clauses": [clause], "variationId": variations[0], "description": "France"})
    rule = api.production()["rules"][0]
    assert (rule["variation"], rule["clauses"][0]["values"], rule["description"]) == (0, ["FR"], "France")
    api.patch_flag({"kind": "updateRuleVariationOrRollout", "ruleId": rule["_id"], "variationId": variations[1]})
    assert api.production()["rules"][0]["variation"] == 1
    api.patch_flag({"kind": "removeRule", "ruleId": rule["_id"]})
    assert api.production()["rules"] == []
    assert api.patch_flag({"kind": "removeRule", "ruleId": rule["_id"]}).status_code == 200


def test_a_rule_can_be_put_before_another(api: Caller) -> None:
    variation = api.flag("pricing-page")["variations"][1]["_id"]
    old = api.production("pricing-page")["rules"][0]["_id"]
    rule = {"kind": "addRule", "clauses": [], "variationId": variation, "beforeRuleId": old, "description": "first"}
    api.patch_flag(rule, key="pricing-page")
    assert [r["description"] for r in api.production("pricing-page")["rules"]] == ["first", "German visitors"]


def test_the_rule_of_a_running_experiment_cannot_be_changed(api: Caller) -> None:
    api.running()
    bold = api.flag()["variations"][1]["_id"]
    response = api.patch_flag({"kind": "updateFallthroughVariationOrRollout", "variationId": bold})
    assert error_of(response)[:2] == (409, "optimistic_locking_error")
    assert "rollout" in api.production()["fallthrough"]


def test_other_rules_can_be_changed_while_an_experiment_runs(api: Caller) -> None:
    api.running()
    variation = api.flag()["variations"][1]["_id"]
    assert api.patch_flag({"kind": "addRule", "clauses": [], "variationId": variation}).status_code == 200
    rule = api.production()["rules"][0]["_id"]
    assert api.patch_flag({"kind": "removeRule", "ruleId": rule}).status_code == 200


def test_setting_the_winner_again_after_the_stop_changes_nothing(api: Caller) -> None:
    api.running()
    api.stop(api.treatments()[1]["_id"])
    version = api.production()["version"]
    bold = api.flag()["variations"][1]["_id"]
    assert api.patch_flag({"kind": "updateFallthroughVariationOrRollout", "variationId": bold}).status_code == 200
    assert api.production()["version"] == version


def test_a_patch_of_which_one_instruction_fails_does_nothing(api: Caller) -> None:
    response = api.patch_flag({"kind": "turnFlagOn"}, {"kind": "updateOffVariation", "variationId": "nothing"})
    assert response.status_code == 400
    assert api.production()["on"] is False


def test_a_dry_run_shows_the_change_and_does_not_make_it(api: Caller) -> None:
    body = {"environmentKey": "production", "instructions": [{"kind": "turnFlagOn"}]}
    semantic = {"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"}
    response = api.http.patch("/api/v2/flags/demo/checkout-button?dryRun=true", json=body, headers=semantic)
    assert response.json()["environments"]["production"]["on"] is True
    assert api.production()["on"] is False
    assert api.server.journal() == []


def test_name_description_and_tags_need_no_environment(api: Caller) -> None:
    changed = api.http.patch(
        "/api/v2/flags/demo/checkout-button",
        json={
            "instructions": [
                {"kind": "updateName", "value": "Button"},
                {"kind": "updateDescription", "value": ""},
                {"kind": "addTags", "values": ["a", "b"]},
                {"kind": "removeTags", "values": ["a"]},
            ]
        },
        headers={"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"},
    ).json()
    assert (changed["name"], changed["description"], changed["tags"]) == ("Button", "", ["b"])
    assert changed["_version"] == 2


def test_an_archived_flag_can_be_restored(api: Caller) -> None:
    assert api.patch_flag({"kind": "archiveFlag"}).json()["archived"] is True
    assert api.patch_flag({"kind": "restoreFlag"}).json()["archived"] is False


def test_without_the_semantic_content_type_a_flag_is_not_patched(api: Caller) -> None:
    body = {"environmentKey": "production", "instructions": [{"kind": "turnFlagOn"}]}
    response = api.http.patch("/api/v2/flags/demo/checkout-button", json=body)
    assert error_of(response)[:2] == (400, "invalid_request")


FALLTHROUGH = "updateFallthroughVariationOrRollout"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown kind": ({"kind": "explode"}, "unknown instruction 'explode'"),
    "neither variation nor rollout": ({"kind": FALLTHROUGH}, "either variationId or rolloutWeights"),
    "an unknown variation": ({"kind": FALLTHROUGH, "variationId": "v"}, "no variation 'v'"),
    "an unknown variation in a rollout": ({"kind": FALLTHROUGH, "rolloutWeights": {"v": 100000}}, "no variation 'v'"),
    "an empty rollout": ({"kind": FALLTHROUGH, "rolloutWeights": {}}, "add up to 100000"),
    "an unknown rule": ({"kind": "updateRuleVariationOrRollout", "ruleId": "r", "variationId": "v"}, "no rule 'r'"),
    "no kind": ({}, "kind is required"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_instruction_is_rejected_and_named(api: Caller, wrong: str) -> None:
    instruction, message = WRONG[wrong]
    status, code, said = error_of(api.patch_flag(instruction))
    assert (status, code) == (400, "invalid_request")
    assert message in said


def test_weights_that_do_not_add_up_are_rejected(api: Caller) -> None:
    classic, bold = (v["_id"] for v in api.flag()["variations"])
    for weights in ({classic: 50, bold: 50}, {classic: 110_000, bold: -10_000}):
        assert "add up" in error_of(api.patch_flag({"kind": FALLTHROUGH, "rolloutWeights": weights}))[2]


def test_targeting_needs_an_environment_that_exists(api: Caller) -> None:
    assert "environmentKey is required" in error_of(api.patch_flag({"kind": "turnFlagOn"}, environmentKey=None))[2]
    assert error_of(api.patch_flag({"kind": "turnFlagOn"}, environmentKey="nothing"))[0] == 404


def test_where_approvals_are_required_a_flag_cannot_be_patched(api: Caller) -> None:
    def require(emulator: Emulator) -> None:
        from dataclasses import replace

        environments = emulator.world.projects["demo"].environments
        environments["production"] = replace(environments["production"], approvals_required=True)

    api.server.call(require)
    status, code, message = error_of(api.patch_flag({"kind": "turnFlagOn"}))
    assert (status, code) == (405, "method_not_allowed")
    assert "approval is required" in message
