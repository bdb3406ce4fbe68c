"""Releases by operator: one for each run, in percent and durations, with what to do when it fails."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import FlagPost
from airflow_provider_launchdarkly.operators.releases import (
    LaunchDarklyGetReleaseOperator,
    LaunchDarklyStartReleaseOperator,
    LaunchDarklyStopReleaseOperator,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.testing import EmulatorServer

FLAG = "checkout-button"
STEPS = [{"percent": 10, "duration": "1d"}, {"percent": "37.5", "duration": "12h"}]
FORWARD = "roll_forward_all_phases"
BACK = "roll_back_all_phases_and_remove_pending_phases"


@pytest.fixture(autouse=True)
def turned_on(hook: LaunchDarklyHook) -> None:
    hook.turn_flag(FLAG, on=True)


def of_run(number: int, **more: Any) -> Any:
    return {"ti": SimpleNamespace(dag_id="ship", task_id="start", run_id=f"run-{number}", try_number=1), **more}


def starting(**fields: Any) -> LaunchDarklyStartReleaseOperator:
    given = {"flag_key": FLAG, "original": "Classic", "target": "Bold", "phases": [{"steps": STEPS}]}
    return LaunchDarklyStartReleaseOperator(task_id="start", **(given | fields))


def start(context: Any, **fields: Any) -> Any:
    output = starting(**fields).execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def test_percents_and_durations_become_launchdarklys_own(hook: LaunchDarklyHook, emulator: EmulatorServer) -> None:
    output = start(of_run(1), guardrails=["checkout-conversion", {"metric": "page-load-ms", "auto_rollback": False}])

    release = hook.get_release(FLAG, output["release_id"])
    assert [(step.allocation, step.duration_millis) for step in release.phases[0].steps] == [
        (10_000, 86_400_000),
        (37_500, 43_200_000),
    ]
    assert {metric.metric_key: metric.auto_rollback for metric in release.metrics} == {
        "checkout-conversion": True,
        "page-load-ms": False,
    }
    assert (output["status"], output["kind"], output["changed"]) == ("in_progress", "guarded", True)
    assert output["metrics"] == {"checkout-conversion": "no_data", "page-load-ms": "no_data"}
    [clause] = hook.get_flag(FLAG).environments["production"].rules[0].clauses
    assert (clause.attribute, list(clause.values), clause.context_kind) == ("kind", ["user"], "user")
    [entry] = [entry for entry in emulator.journal() if entry.operation == "start_environment_release"]
    assert entry.body["comment"] == "Airflow: ship.start, run run-1"


def test_a_run_starts_one_release_even_after_its_end(emulator: EmulatorServer) -> None:
    first = start(of_run(1), cleanup_behavior="remove_rules_and_update_default_rule")
    emulator.clock.advance("P2D")

    again = start(of_run(1), cleanup_behavior="remove_rules_and_update_default_rule")
    other = start(of_run(2), cleanup_behavior="remove_rules_and_update_default_rule")

    assert (again["release_id"], again["changed"], again["status"]) == (first["release_id"], False, "completed")
    assert (other["release_id"] != first["release_id"], other["changed"]) == (True, True)
    assert len(emulator.effects("release.started")) == 2


def test_a_description_of_the_authors_own_joins_no_two_runs(emulator: EmulatorServer) -> None:
    fields = {
        "phases": [{"steps": STEPS, "description": "Everybody"}],
        "cleanup_behavior": "remove_rules_and_update_default_rule",
    }
    first = start(of_run(1), **fields)
    emulator.clock.advance("P2D")

    assert start(of_run(2), **fields)["release_id"] != first["release_id"]


def test_another_runs_active_release_fails_the_task_at_once(emulator: EmulatorServer) -> None:
    first = start(of_run(1))

    with pytest.raises(AirflowFailException, match=first["release_id"]):
        start(of_run(2))

    assert len(emulator.effects("release.started")) == 1


@pytest.mark.parametrize(("tries", "adopts"), [(1, False), (2, True)])
def test_on_an_existing_rule_a_retry_adopts_what_its_run_started(
    hook: LaunchDarklyHook, emulator: EmulatorServer, tries: int, adopts: bool
) -> None:
    start(of_run(0))
    rule_id = hook.get_flag(FLAG).environments["production"].rules[0].id
    emulator.clock.advance("P2D")
    on_rule = {"phases": [{"rule_id": rule_id, "steps": STEPS}]}
    begun = SimpleNamespace(start_date=emulator.clock.now())
    first = start(of_run(1, dag_run=begun), **on_rule)
    emulator.clock.advance("P2D")
    context = of_run(1, dag_run=begun)
    context["ti"].try_number = tries

    again = start(context, **on_rule)

    assert (again["release_id"] == first["release_id"]) is adopts
    later = of_run(2, dag_run=SimpleNamespace(start_date=emulator.clock.now() + timedelta(hours=1)))
    later["ti"].try_number = 2
    if adopts:
        assert start(later, **on_rule)["changed"] is True


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"phases": None}, "give one of the two"),
        ({"phases": [{"steps": [{"percent": 10}]}]}, r'steps\[0\] is .* write {"percent": 10, "duration": "1d"}'),
        ({"phases": [{"steps": [{"percent": 0.0001, "duration": "1d"}]}]}, "percent is 0.0001"),
        ({"phases": [{"steps": [{"percent": 10, "duration": "soon"}]}]}, "duration is 'soon'"),
        ({"guardrails": [{"key": "sales"}]}, "metric and auto_rollback"),
        ({"release_plan_key": "careful"}, "leave out phases"),
    ],
)
def test_a_wrong_release_is_refused_when_the_file_is_parsed(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        starting(**fields)


def test_a_stop_is_safe_to_repeat_and_does_not_turn_an_end_round(emulator: EmulatorServer) -> None:
    release_id = start(of_run(1))["release_id"]

    def stop(resolution: str) -> Any:
        operator = LaunchDarklyStopReleaseOperator(
            task_id="stop", flag_key=FLAG, release_id=release_id, resolution=resolution
        )
        return operator.execute(of_run(1))

    first, again = stop(BACK), stop(BACK)
    assert (first["status"], first["reason"]) == ("reverted", "reverted_manual")
    assert (first["changed"], again["changed"]) == (True, False)
    assert len(emulator.effects("release.stopped")) == 1
    with pytest.raises(AirflowFailException, match="reverted_manual"):
        stop(FORWARD)


def test_an_unknown_resolution_is_refused_when_the_file_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match="roll_forward_all_phases"):
        LaunchDarklyStopReleaseOperator(task_id="stop", flag_key=FLAG, release_id="r", resolution="back")


def test_the_newest_release_is_read_unless_one_is_named(emulator: EmulatorServer) -> None:
    with pytest.raises(AirflowFailException, match="no release"):
        LaunchDarklyGetReleaseOperator(task_id="get", flag_key=FLAG).execute(of_run(1))
    first = start(of_run(1), cleanup_behavior="remove_rules_and_update_default_rule")
    emulator.clock.advance("P2D")
    second = start(of_run(2))

    newest = LaunchDarklyGetReleaseOperator(task_id="get", flag_key=FLAG).execute(of_run(3))
    named = LaunchDarklyGetReleaseOperator(task_id="get", flag_key=FLAG, release_id=first["release_id"])

    assert newest["release_id"] == second["release_id"]
    assert named.execute(of_run(3))["status"] == "completed"


@pytest.mark.parametrize("values", [(False, True), (0, 2.5), ("", "bold"), ({"colours": ["red"]}, [None, 1])])
def test_the_output_has_the_values_of_both_variations_as_plain_json(hook: LaunchDarklyHook, values: Any) -> None:
    original, target = values
    post = FlagPost.checked({"key": "prices", "name": "Prices", "variations": [{"value": value} for value in values]})
    ids = [variation.id for variation in hook.create_flag(post).value.variations]
    hook.turn_flag("prices", on=True)

    output = start(of_run(1), flag_key="prices", original=ids[0], target=ids[1])

    assert (output["original_variation_id"], output["original_variation_value"]) == (ids[0], original)
    assert (output["target_variation_id"], output["target_variation_value"]) == (ids[1], target)


def test_failing_health_checks_fail_the_task_with_their_cure() -> None:
    with pytest.raises(AirflowFailException, match="send the metric's event"):
        start(of_run(1), guardrails=["search-click-through"])
