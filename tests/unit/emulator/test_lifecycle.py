"""Start, stop, archive and edit: their conditions and effects; a rejected request changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
    from support.emulator_caller import Caller


def test_starting_needs_the_flag_on(api: Caller) -> None:
    api.create()
    status, code, message = error_of(api.start())
    assert (status, code) == (400, "invalid_request")
    assert "must be on" in message
    assert api.read()["currentIteration"]["status"] == "not_started"


def test_starting_puts_the_experiments_rollout_on_the_rule_and_raises_the_flags_version(api: Caller) -> None:
    api.turn_on()
    api.create()
    before = api.production()["version"]
    started = api.start().json()["currentIteration"]
    assert started["status"] == "running"
    assert started["startedAt"] == api.server.call(lambda emulator: emulator.clock.milliseconds())
    after = api.production()
    assert after["version"] == before + 1
    rollout = after["fallthrough"]["rollout"]
    assert [(v["variation"], v["weight"]) for v in rollout["variations"]] == [(0, 50000), (1, 50000)]
    assert rollout["experimentAllocation"] == {"type": "experiment", "defaultVariation": 0, "canReshuffle": True}


def test_weights_add_up_even_where_shares_do_not_divide(api: Caller) -> None:
    iteration = api.iteration("search-ranking")
    third = {
        "name": "Arm 2",
        "baseline": False,
        "parameters": [
            {"flagKey": "search-ranking", "variationId": api.flag("search-ranking")["variations"][2]["_id"]}
        ],
    }
    iteration["treatments"].append(third)
    for arm, share in zip(iteration["treatments"], ("33.33333", "33.33333", "33.33334"), strict=True):
        arm["allocationPercent"] = share
    api.create(iteration=iteration)
    assert api.start().status_code == 200
    weights = [v["weight"] for v in api.production("search-ranking")["fallthrough"]["rollout"]["variations"]]
    assert sum(weights) == 100_000
    assert max(weights) - min(weights) <= 1


def test_an_experiment_on_a_rule_leaves_the_fallthrough_alone(api: Caller) -> None:
    rule = api.production("pricing-page")["rules"][0]["_id"]
    api.turn_on("pricing-page")
    metrics = {"metrics": [{"key": "signup-form-opened"}], "primarySingleMetricKey": "signup-form-opened"}
    api.create(iteration=api.iteration("pricing-page", rule, **metrics))
    started = api.start().json()
    use = started["currentIteration"]["flags"]["pricing-page"]
    assert use["targetingRule"] == rule
    assert use["targetingRuleClauses"][0]["values"] == ["DE"]
    config = api.production("pricing-page")
    assert "rollout" in config["rules"][0]
    assert config["fallthrough"] == {"variation": 0}
    api.stop(api.treatments()[1]["_id"])
    assert api.production("pricing-page")["rules"][0]["variation"] == 1


def test_an_archived_flag_cannot_start(api: Caller) -> None:
    api.turn_on()
    api.create()
    api.patch_flag({"kind": "archiveFlag"})
    assert "archived" in error_of(api.start())[2]


def test_a_second_start_is_rejected_without_a_new_iteration(api: Caller) -> None:
    api.running()
    assert error_of(api.start(changeJustification="again"))[:2] == (400, "invalid_request")


def test_a_rule_takes_one_running_experiment(api: Caller) -> None:
    api.running("first")
    api.create("second")
    status, code, message = error_of(api.start("second"))
    assert (status, code) == (409, "optimistic_locking_error")
    assert "first" not in message


def test_a_rule_is_free_again_after_the_stop(api: Caller) -> None:
    api.running("first")
    api.stop(api.treatments("first")[0]["_id"], "first")
    api.create("second")
    assert api.start("second").status_code == 200


def test_restarting_a_running_experiment_needs_a_justification_and_ends_the_old_iteration_without_a_winner(
    api: Caller,
) -> None:
    old = api.running()["currentIteration"]["_id"]
    new = api.post(f"{api.experiments}/bold/iterations", api.iteration()).json()["_id"]
    assert "changeJustification" in error_of(api.start())[2]
    api.server.clock.advance("P1D")
    assert api.start(changeJustification="a larger share").status_code == 200
    shown = api.read()
    assert shown["currentIteration"]["_id"] == new
    assert [(i["_id"], i["status"], "winningTreatmentId" in i) for i in shown["previousIterations"]] == [
        (old, "stopped", False)
    ]
    assert "rollout" in api.production()["fallthrough"]


def test_restarting_on_another_rule_gives_the_first_one_back(api: Caller) -> None:
    metrics: dict[str, Any] = {
        "metrics": [{"key": "signup-form-opened"}],
        "primarySingleMetricKey": "signup-form-opened",
    }
    rule = api.production("pricing-page")["rules"][0]["_id"]
    api.turn_on("pricing-page")
    api.create(iteration=api.iteration("pricing-page", rule, **metrics))
    api.start()
    api.post(f"{api.experiments}/bold/iterations", api.iteration("pricing-page", **metrics))
    assert api.start(changeJustification="everybody").status_code == 200
    config = api.production("pricing-page")
    assert config["rules"][0]["variation"] == 0
    assert "rollout" in config["fallthrough"]


@pytest.mark.parametrize("arm", [0, 1])
def test_stopping_serves_the_winner_to_everyone(api: Caller, arm: int) -> None:
    api.running()
    winner = api.treatments()[arm]["_id"]
    before = api.production()["version"]
    api.server.clock.advance("P14D")
    stopped = api.stop(winner, winningReason="enough").json()["currentIteration"]
    assert stopped["status"] == "stopped"
    assert stopped["winningTreatmentId"] == winner
    assert stopped["winningReason"] == "enough"
    assert stopped["endedAt"] - stopped["startedAt"] == 14 * 86_400_000
    after = api.production()
    assert after["fallthrough"] == {"variation": arm}
    assert after["version"] == before + 1
    assert after["on"]


def test_stopping_leaves_other_environments_alone(api: Caller) -> None:
    before = api.flag()["environments"]["test"]
    api.running()
    api.stop(api.treatments()[1]["_id"])
    assert api.flag()["environments"]["test"] == before


def test_stopping_needs_a_winner(api: Caller) -> None:
    api.running()
    assert error_of(api.stop(None))[:2] == (400, "invalid_request")
    assert api.read()["currentIteration"]["status"] == "running"


def test_with_the_switch_optional_a_stop_without_a_winner_serves_the_variation_outside_the_experiment(
    api: Caller,
) -> None:
    api.server.switch(winner="optional")
    api.running()
    assert "winningTreatmentId" not in api.stop(None).json()["currentIteration"]
    assert api.production()["fallthrough"] == {"variation": 0}


def test_the_winner_must_be_one_of_the_treatments(api: Caller) -> None:
    api.running()
    variation = api.flag()["variations"][1]["_id"]
    assert "has no treatment" in error_of(api.stop(variation))[2]


def test_an_experiment_that_does_not_run_cannot_be_stopped(api: Caller) -> None:
    api.create()
    assert "no running iteration" in error_of(api.stop(api.treatments()[0]["_id"]))[2]


def test_a_stopped_experiment_continues_with_a_new_iteration(api: Caller) -> None:
    api.running()
    api.stop(api.treatments()[0]["_id"])
    new = api.post(f"{api.experiments}/bold/iterations", api.iteration()).json()["_id"]
    assert api.read()["draftIteration"]["_id"] == new
    assert api.start().json()["currentIteration"]["_id"] == new


def test_several_instructions_are_one_step(api: Caller) -> None:
    api.turn_on()
    api.create()
    response = api.patch({"kind": "updateName", "value": "New"}, {"kind": "startIteration"})
    assert response.json()["name"] == "New"
    assert response.json()["currentIteration"]["status"] == "running"
    assert len([e for e in api.server.journal() if e.operation == "patch_experiment"]) == 1


def test_a_patch_of_which_one_instruction_fails_does_nothing(api: Caller) -> None:
    api.create()
    changes = len(api.server.journal())
    response = api.patch({"kind": "updateName", "value": "New"}, {"kind": "startIteration"})
    assert response.status_code == 400
    assert api.read()["name"] == "Bold button"
    assert len(api.server.journal()) == changes


def test_an_unknown_instruction_is_a_422(api: Caller) -> None:
    api.create()
    assert error_of(api.patch({"kind": "pauseIteration"}))[:2] == (422, "patch_failed")


@pytest.mark.parametrize(
    "body", [{}, {"instructions": []}, {"instructions": {}}, {"instructions": ["start"]}, {"instructions": [{}]}, []]
)
def test_a_patch_without_proper_instructions_is_invalid(api: Caller, body: object) -> None:
    api.create()
    assert error_of(api.http.patch(f"{api.experiments}/bold", json=body))[:2] == (400, "invalid_request")


def test_name_and_description_can_be_changed_at_any_time(api: Caller) -> None:
    api.running()
    changed = api.patch({"kind": "updateName", "value": "New"}, {"kind": "updateDescription", "value": "Longer"}).json()
    assert (changed["name"], changed["description"]) == ("New", "Longer")


def test_a_patch_to_the_present_state_succeeds_without_a_change(api: Caller) -> None:
    api.create()
    changes = len(api.server.journal())
    assert api.patch({"kind": "updateName", "value": "Bold button"}).status_code == 200
    assert len(api.server.journal()) == changes


def test_an_archived_experiment_is_hidden_and_cannot_start_until_restored(api: Caller) -> None:
    api.turn_on()
    api.create()
    assert "archivedDate" in api.patch({"kind": "archiveExperiment"}).json()
    assert api.get(api.experiments).json()["total_count"] == 0
    assert "archived" in error_of(api.start())[2]
    assert "archivedDate" not in api.patch({"kind": "restoreExperiment"}).json()
    assert api.start().status_code == 200


def test_a_running_experiment_cannot_be_archived(api: Caller) -> None:
    api.running()
    assert "stop it before" in error_of(api.patch({"kind": "archiveExperiment"}))[2]


def test_delete_is_a_405(api: Caller) -> None:
    api.create()
    response = api.http.delete(f"{api.experiments}/bold")
    assert error_of(response)[:2] == (405, "method_not_allowed")
    assert "PATCH" in response.headers["Allow"]


def _update(**fields: Any) -> dict[str, Any]:
    return {"kind": "updateExperimentFields", "value": fields}


def test_before_the_start_everything_about_an_iteration_can_be_edited(api: Caller) -> None:
    iteration = api.create()["currentIteration"]
    arms = [
        {key: arm[key] for key in ("name", "baseline", "parameters")} | {"allocationPercent": share}
        for arm, share in zip(iteration["treatments"], ("90", "10"), strict=True)
    ]
    changed = api.patch(
        _update(
            hypothesis={"operation": "update", "value": "Other"},
            treatments={"operation": "update", "value": arms},
            tags={"operation": "add", "value": ["a", "b"]},
        )
    ).json()
    now = changed["currentIteration"]
    assert changed["tags"] == ["a", "b"]
    assert now["hypothesis"] == "Other"
    assert [(t["_id"], t["allocationPercent"]) for t in now["treatments"]] == [
        (iteration["treatments"][0]["_id"], "90"),
        (iteration["treatments"][1]["_id"], "10"),
    ]
    assert now["_id"] == iteration["_id"]


def test_while_running_metrics_can_be_added_and_the_hypothesis_is_locked(api: Caller) -> None:
    api.running()
    added = _update(metrics={"operation": "add", "value": [{"key": "checkout-errors"}]})
    keys = [metric["key"] for metric in api.patch(added).json()["currentIteration"]["metrics"]]
    assert keys == ["checkout-conversion", "page-load-ms", "checkout-errors"]
    response = api.patch(_update(hypothesis={"operation": "update", "value": "Other"}))
    assert "value.hypothesis: cannot update while the iteration is running" in error_of(response)[2]


def test_expand_returns_the_fields_that_can_be_edited(api: Caller) -> None:
    api.create()
    shown = api.read(expand="mutableFieldsByStatus")["mutableFieldsByStatus"]
    assert shown.keys() == {"not_started", "running", "stopped"}
    assert shown["running"]["metrics"] == ["add"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "names no field"),
        ({"name": {"operation": "rename", "value": "x"}}, "operation must be one of"),
        ({"name": {"operation": "update"}}, "is required to update"),
        ({"flag": {"operation": "update", "value": "x"}}, "locked or unknown"),
        ({"metrics": {"operation": "remove", "value": [{"key": "checkout-conversion"}]}}, "primary metric"),
    ],
)
def test_an_invalid_edit_is_rejected(api: Caller, fields: dict[str, Any], message: str) -> None:
    api.create()
    assert message in error_of(api.patch(_update(**fields)))[2]


def test_save_and_start_ends_the_running_iteration_and_starts_an_edited_copy(api: Caller) -> None:
    old = api.running()["currentIteration"]
    api.server.clock.advance("P7D")
    hypothesis = {"hypothesis": {"operation": "update", "value": "Other"}}
    response = api.patch({"kind": "saveAndStartNewIteration", "changeJustification": "why not", "value": hypothesis})
    assert response.status_code == 200
    shown = api.read()
    assert shown["currentIteration"]["_id"] != old["_id"]
    assert shown["currentIteration"]["status"] == "running"
    assert shown["currentIteration"]["hypothesis"] == "Other"
    assert [i["_id"] for i in shown["previousIterations"]] == [old["_id"]]
    assert "rollout" in api.production()["fallthrough"]


def test_save_and_start_needs_something_that_runs(api: Caller) -> None:
    api.create()
    assert "no running iteration" in error_of(api.patch({"kind": "saveAndStartNewIteration"}))[2]


EDITS: dict[str, tuple[dict[str, Any], Callable[[Any, Any], bool]]] = {
    "name": ({"operation": "update", "value": "New"}, lambda e, _: e["name"] == "New"),
    "description": ({"operation": "remove"}, lambda e, _: e["description"] == ""),
    "methodology": ({"operation": "update", "value": "frequentist"}, lambda e, _: e["methodology"] == "frequentist"),
    "tags": ({"operation": "remove", "value": ["a"]}, lambda e, _: e["tags"] == ["b"]),
    "analysisConfig": (
        {"operation": "update", "value": {"bayesianThreshold": "95"}},
        lambda e, _: e["analysisConfig"] == {"bayesianThreshold": "95"},
    ),
    "randomizationUnit": (
        {"operation": "update", "value": "organization"},
        lambda _, i: i["randomizationUnit"] == "organization",
    ),
    "canReshuffleTraffic": ({"operation": "update", "value": False}, lambda _, i: i["canReshuffleTraffic"] is False),
    "attributes": ({"operation": "add", "value": ["country"]}, lambda _, i: i["attributes"] == ["country"]),
    "metrics": (
        {"operation": "update", "value": [{"key": "checkout-conversion"}, {"key": "checkout-errors"}]},
        lambda _, i: [m["key"] for m in i["metrics"]] == ["checkout-conversion", "checkout-errors"],
    ),
    "primarySingleMetricKey": (
        {"operation": "update", "value": "page-load-ms"},
        lambda _, i: i["primarySingleMetric"]["key"] == "page-load-ms",
    ),
    "primaryFunnelKey": (
        {"operation": "update", "value": "signup-funnel"},
        lambda _, i: i["primaryFunnel"]["key"] == "signup-funnel",
    ),
}


@pytest.mark.parametrize("field", EDITS)
def test_each_field_can_be_edited_before_the_start(api: Caller, field: str) -> None:
    metrics = [{"key": "checkout-conversion"}, {"key": "page-load-ms"}, {"key": "signup-funnel", "isGroup": True}]
    api.create(tags=["a", "b"], description="Long", iteration=api.iteration(metrics=metrics))
    edit, took_effect = EDITS[field]
    assert api.patch(_update(**{field: edit})).status_code == 200
    shown = api.read(expand="treatments,analysisConfig")
    assert took_effect(shown, shown["currentIteration"])


def test_the_maintainer_can_be_changed_to_another_member(api: Caller) -> None:
    api.create()
    grace = api.server.call(lambda emulator: list(emulator.world.members)[1])
    changed = api.patch(_update(maintainerId={"operation": "update", "value": grace}))
    assert changed.json()["_maintainerId"] == grace
    response = api.patch(_update(maintainerId={"operation": "update", "value": "nobody"}))
    assert "no member 'nobody'" in error_of(response)[2]


def test_a_treatment_list_left_as_it_is_makes_no_new_version(api: Caller) -> None:
    before = api.create()["currentIteration"]
    api.patch(_update(hypothesis={"operation": "update", "value": before["hypothesis"]}))
    assert api.read()["currentIteration"] == before


def test_an_iteration_whose_rule_was_removed_cannot_start(api: Caller) -> None:
    rule = api.production("pricing-page")["rules"][0]["_id"]
    metrics = {"metrics": [{"key": "signup-form-opened"}], "primarySingleMetricKey": "signup-form-opened"}
    api.turn_on("pricing-page")
    api.create(iteration=api.iteration("pricing-page", rule, **metrics))
    api.patch_flag({"kind": "removeRule", "ruleId": rule}, key="pricing-page")
    assert "any more" in error_of(api.start())[2]


def test_a_migration_flag_cannot_start(api: Caller) -> None:
    def make_migration(emulator: Emulator) -> None:
        flags = emulator.world.projects["demo"].flags
        flags["search-ranking"] = replace(flags["search-ranking"], purpose="migration")

    api.server.call(make_migration)
    api.create(iteration=api.iteration("search-ranking"))
    assert "migration flag" in error_of(api.start())[2]
    assert api.flag("search-ranking")["_purpose"] == "migration"
