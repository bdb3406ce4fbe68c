"""A second release, after one that left its rule: LaunchDarkly takes no two rules with the same clauses."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.models import OtherFlagInstruction
from airflow_provider_launchdarkly.operators.releases import (
    LaunchDarklyStartReleaseOperator,
    LaunchDarklyStopReleaseOperator,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Rule
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.testing import EmulatorServer

FLAG = "checkout-button"
STEPS = [{"percent": 10, "duration": "1d"}]
BACK = "roll_back_all_phases_and_remove_pending_phases"
KIND = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"], "negate": False}
TESTERS = {"contextKind": "user", "attribute": "group", "op": "in", "values": ["testers"]}
REMOVES = {"cleanup_behavior": "remove_rules_and_update_default_rule"}


@pytest.fixture(autouse=True)
def turned_on(hook: LaunchDarklyHook) -> None:
    hook.turn_flag(FLAG, on=True)


def of_run(number: int, tries: int = 1, **more: Any) -> Any:
    ti = SimpleNamespace(dag_id="ship", task_id="start", run_id=f"run-{number}", try_number=tries)
    return {"ti": ti, **more}


def start(context: Any, **fields: Any) -> Any:
    given = {"flag_key": FLAG, "original": "Classic", "target": "Bold", "phases": [{"steps": STEPS}]}
    return LaunchDarklyStartReleaseOperator(task_id="start", **(given | fields)).execute(context)


def go_back(started: Any) -> None:
    LaunchDarklyStopReleaseOperator(
        task_id="stop", flag_key=FLAG, release_id=started["release_id"], resolution=BACK
    ).execute(of_run(1))


def rules(hook: LaunchDarklyHook) -> list[Rule]:
    return list(hook.get_flag(FLAG).environments["production"].rules)


@pytest.mark.parametrize("fields", [{}, REMOVES, {"phases": [{"steps": STEPS, "description": "Everybody"}]}])
def test_a_release_follows_one_that_went_back(
    hook: LaunchDarklyHook, emulator: EmulatorServer, fields: dict[str, Any]
) -> None:
    first = start(of_run(1), **fields)
    go_back(first)
    (left,) = rules(hook)

    second = start(of_run(2), **fields)

    assert (second["changed"], second["status"]) == (True, "in_progress")
    assert second["release_id"] != first["release_id"]
    assert second["phases"][0]["rule_id"] == left.id
    assert [rule.id for rule in rules(hook)] == [left.id]
    emulator.clock.advance("P2D")
    assert len(rules(hook)) == (0 if fields == REMOVES else 1)


def test_a_release_goes_back_from_what_the_one_before_has_left(
    hook: LaunchDarklyHook, emulator: EmulatorServer
) -> None:
    start(of_run(1))
    emulator.clock.advance("P2D")

    second = start(of_run(2), original="Bold", target="Classic")

    assert (second["changed"], second["phases"][0]["rule_id"]) == (True, rules(hook)[0].id)


@pytest.mark.parametrize("answered", [True, False])
def test_one_on_a_left_rule_is_started_once_however_often_its_run_tries(
    emulator: EmulatorServer, answered: bool
) -> None:
    go_back(start(of_run(1)))
    emulator.clock.advance("PT1H")
    run = SimpleNamespace(start_date=emulator.clock.now())
    if not answered:
        emulator.fault("start_environment_release", "close_after")
    first = start(of_run(2, dag_run=run))

    active = start(of_run(2, tries=2, dag_run=run))
    emulator.clock.advance("P2D")
    ended = start(of_run(2, tries=3, dag_run=run))

    assert active["release_id"] == ended["release_id"] == first["release_id"]
    assert (active["changed"], ended["changed"], ended["status"]) == (False, False, "completed")
    assert len(emulator.effects("release.started")) == 2


def test_another_run_does_not_adopt_it(emulator: EmulatorServer) -> None:
    go_back(start(of_run(1)))
    emulator.clock.advance("PT1H")
    second = start(of_run(2, dag_run=SimpleNamespace(start_date=emulator.clock.now())))
    late = SimpleNamespace(start_date=emulator.clock.now() + timedelta(hours=1))
    with pytest.raises(AirflowFailException, match=second["release_id"]):
        start(of_run(3, tries=2, dag_run=late))


def add_rule(hook: LaunchDarklyHook, *clauses: dict[str, Any], description: str) -> None:
    classic = hook.get_flag(FLAG).variations[0].id
    instruction = OtherFlagInstruction.of(
        "addRule", clauses=list(clauses), variationId=classic, description=description
    )
    hook.patch_flag(FLAG, [instruction])


def test_a_rule_that_no_release_has_left_is_not_touched(hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
    add_rule(hook, KIND, description="Ours")
    with pytest.raises(
        AirflowFailException, match=r"rule .* \(Ours\) has the clauses of phases\[0\].* with rule_id \("
    ):
        start(of_run(1))
    assert emulator.effects("release.started") == []


def test_nor_is_one_that_serves_something_else_by_now(hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
    start(of_run(1))
    emulator.clock.advance("P2D")
    with pytest.raises(
        AirflowFailException, match=r"it serves 100 % 'Bold', where this release starts from .*'Classic'"
    ):
        start(of_run(2))
    assert len(emulator.effects("release.started")) == 1


def test_one_at_the_place_that_is_asked_for_is_used(hook: LaunchDarklyHook) -> None:
    go_back(start(of_run(1)))
    add_rule(hook, KIND, TESTERS, description="Testers")
    last = rules(hook)[-1].id
    assert start(of_run(2), before_rule_id=last)["changed"] is True


def test_a_place_that_is_not_the_rules_is_refused(hook: LaunchDarklyHook) -> None:
    add_rule(hook, KIND, TESTERS, description="Testers")
    testers = rules(hook)[0].id
    go_back(start(of_run(1)))
    with pytest.raises(AirflowFailException, match=f"is not right before before_rule_id '{testers}'"):
        start(of_run(2), before_rule_id=testers)


def test_a_release_of_several_phases_says_what_to_do(emulator: EmulatorServer) -> None:
    phases = [{"steps": STEPS, "clauses": [TESTERS]}, {"steps": STEPS}]
    fields = {"phases": phases, "advancement_mode": "automatic"}
    go_back(start(of_run(1), **fields))
    with pytest.raises(AirflowFailException, match=r"takes only new rules\. Remove it in LaunchDarkly"):
        start(of_run(2), **fields)


def test_a_description_that_another_rule_has_is_named() -> None:
    go_back(start(of_run(1), phases=[{"steps": STEPS, "description": "Everybody"}]))
    with pytest.raises(AirflowFailException, match=r"phases\[0\].description is 'Everybody'.* Write another one"):
        start(of_run(2), phases=[{"steps": STEPS, "clauses": [TESTERS], "description": "Everybody"}])
