"""The winner: only a `ship` verdict about this very iteration names a treatment."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.operators._winner import BASELINE, Winner, WinnerError, choose_winner
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyStopIterationOperator

VERDICT = {
    "verdict": "ship",
    "reason": "significant",
    "summary": "Bold wins",
    "treatment_id": "t-bold",
    "experiment_key": "button",
    "iteration_id": "i-1",
}


def choose(winner: object) -> Winner:
    return choose_winner(winner, experiment_key="button", iteration_id="i-1")


def test_a_ship_verdict_names_its_treatment() -> None:
    assert choose(VERDICT) == Winner("t-bold", "Bold wins")


@pytest.mark.parametrize("kind", ["rollback", "inconclusive"])
def test_rollback_and_inconclusive_name_the_baseline_even_with_a_treatment(kind: str) -> None:
    assert choose(VERDICT | {"verdict": kind}).treatment == BASELINE


@pytest.mark.parametrize("kind", ["invalid", "wait", "shipped", "", None])
def test_a_verdict_that_ends_nothing_names_no_winner(kind: str | None) -> None:
    with pytest.raises(WinnerError, match=r"[Nn]othing was stopped"):
        choose(VERDICT | {"verdict": kind})


@pytest.mark.parametrize("field", ["experiment_key", "iteration_id"])
@pytest.mark.parametrize("kind", ["ship", "rollback", "inconclusive"])
def test_a_verdict_about_another_iteration_names_no_winner(field: str, kind: str) -> None:
    with pytest.raises(WinnerError, match=f"{field} 'another'"):
        choose(VERDICT | {"verdict": kind, field: "another"})


def test_a_ship_verdict_without_a_treatment_names_no_winner() -> None:
    with pytest.raises(WinnerError, match="treatment_id"):
        choose(VERDICT | {"treatment_id": None})


@pytest.mark.parametrize("treatment", ["t-bold", "Bold", " Bold ", "baseline"])
def test_a_treatment_may_be_named_directly(treatment: str) -> None:
    assert choose(treatment) == Winner(treatment.strip())


@pytest.mark.parametrize("winner", [None, "", "  ", 3, [], {}, {"kind": "ship"}])
def test_there_is_no_default_winner(winner: object) -> None:
    with pytest.raises(WinnerError, match="name a treatment"):
        choose(winner)


def test_a_verdict_that_a_template_turned_into_text_is_refused_with_the_cure() -> None:
    with pytest.raises(WinnerError, match=r"winner=wait\.output"):
        choose(str(VERDICT))


def stop(winner: object, experiment_key: str = "button", iteration_id: str = "i-1") -> object:
    return LaunchDarklyStopIterationOperator(
        task_id="stop", experiment_key=experiment_key, iteration_id=iteration_id, winner=winner
    )


@pytest.mark.parametrize(
    ("winner", "message"),
    [
        (None, "winner is None: name a treatment"),
        (" ", "winner is ' ': name a treatment"),
        ({"treatment": "Bold"}, r"winner is \{'treatment': 'Bold'\}: name a treatment"),
        ({"verdict": "ship", "treatment_id": "t"}, "winner has experiment_key None"),
        (VERDICT | {"iteration_id": 3}, "winner has iteration_id 3"),
        (VERDICT | {"iteration_id": "i-2"}, "is about iteration_id 'i-2'"),
        (VERDICT | {"treatment_id": None}, "names no treatment_id"),
        (VERDICT | {"verdict": "wait"}, "the verdict is 'wait'"),
        (VERDICT | {"verdict": "invalid"}, "the verdict is invalid"),
    ],
)
def test_a_winner_that_stops_nothing_is_refused_when_the_file_is_parsed(winner: object, message: str) -> None:
    with pytest.raises(WinnerError, match=message):
        stop(winner)


@pytest.mark.parametrize(
    ("winner", "fields"),
    [
        (VERDICT, {}),
        ("Bold", {}),
        ("{{ params.winner }}", {}),
        (VERDICT | {"treatment_id": "{{ params.id }}"}, {}),
        (VERDICT | {"iteration_id": "i-2"}, {"iteration_id": "{{ params.iteration }}"}),
    ],
)
def test_what_only_a_run_knows_of_a_winner_is_left_to_it(winner: object, fields: dict[str, str]) -> None:
    stop(winner, **fields)
