"""What earlier looks measured reaches the boundary, from the record or from the task's state, also after a clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyJudgeOperator
from airflow_provider_launchdarkly.sensors import _history
from airflow_provider_launchdarkly.sensors._history import KEPT_FOR, KEY, StoredLooks
from unit.sensors.conftest import ENV, Fire, Underway
from unit.sensors.conftest import KEY as EXPERIMENT

UNKNOWN = "no earlier look is known"


class Store:
    """What Airflow 3.3 keeps for a task instance."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.kept_for: Any = None
        self.broken = False

    def get(self, key: str, default: Any = None) -> Any:
        self._check()
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._check()
        self.values[key] = value
        self.kept_for = retention

    def _check(self) -> None:
        if self.broken:
            from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
            from airflow.sdk.execution_time.comms import ErrorResponse

            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))


@pytest.fixture
def store() -> Store:
    return Store()


def look(underway: Underway, context: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Take the look that is due, in a fresh process."""
    sensor = underway.sensor(deferrable=False, **arguments)
    task_context: Any = {"ti": None, **context}
    return dict(sensor._poll(task_context).output)


def looks(underway: Underway, days: int, context: dict[str, Any], **arguments: Any) -> list[dict[str, Any]]:
    found = []
    for _ in range(days):
        underway.emulator.clock.advance("P1D")
        found.append(look(underway, context, **arguments))
    return found


def bars(verdict: dict[str, Any]) -> list[Any]:
    return [(bar["success"], bar["harm"]) for metric in verdict["metrics"] for bar in metric["comparisons"]]


def boundary(verdict: dict[str, Any]) -> float:
    value: float = verdict["metrics"][0]["comparisons"][0]["harm"]["boundary"]
    return value


def entries(folder: Path, underway: Underway) -> tuple[dict[str, Any], ...]:
    (path,) = folder.rglob(f"{underway.iteration_id}.jsonl")
    return chain.read(path.read_text(encoding="utf-8"))


def test_each_entry_of_the_record_holds_the_looks_before_it(underway: Underway, tmp_path: Path) -> None:
    verdicts = looks(underway, 4, {}, record_path=str(tmp_path))
    found = [entry["evidence"]["earlier"] for entry in entries(tmp_path, underway)]
    assert [[look["elapsed_seconds"] / 86400 for look in earlier] for earlier in found] == [[], [1], [1, 2], [1, 2, 3]]
    measured = entries(tmp_path, underway)[0]["evidence"]["metrics"][0]["measurements"][0]
    kept = found[-1][0]["metrics"]["checkout-conversion"][measured["treatment_id"]]
    assert kept == pytest.approx([measured["units"], measured["mean"], measured["std_dev"]], rel=1e-6)
    assert not any(UNKNOWN in caution for verdict in verdicts for caution in verdict["cautions"])


def test_record_and_task_state_give_the_same_boundaries(underway: Underway, store: Store, tmp_path: Path) -> None:
    for _ in range(5):
        underway.emulator.clock.advance("P1D")
        recorded = look(underway, {}, record_path=str(tmp_path))
        stored = look(underway, {"task_state_store": store})
        assert bars(stored) == bars(recorded)
    assert [look["elapsed_seconds"] / 86400 for look in store.values[KEY]["looks"]] == [1, 2, 3, 4, 5]
    assert store.kept_for == KEPT_FOR


def test_a_look_after_a_clear_has_the_same_boundary(underway: Underway, store: Store) -> None:
    context = {"task_state_store": store}
    first = looks(underway, 5, context)[-1]
    underway.emulator.clock.advance("PT1M")
    again = look(underway, context)
    assert again["look"] == first["look"] == 5
    assert bars(again)[0][1]["boundary"] == pytest.approx(bars(first)[0][1]["boundary"], abs=0.01)
    assert len(store.values[KEY]["looks"]) == 6
    # The look taken twice counts once for the next one, as it was measured the first time.
    underway.emulator.clock.advance("P1D")
    assert look(underway, context)["look"] == 6


def test_without_record_and_state_the_verdict_says_so(underway: Underway) -> None:
    first, second = looks(underway, 2, {})
    assert not any(UNKNOWN in caution for caution in first["cautions"])
    assert any(UNKNOWN in caution for caution in second["cautions"])


def test_growing_knowledge_lowers_the_boundary(underway: Underway, store: Store) -> None:
    known = looks(underway, 9, {"task_state_store": store})[-1]
    assert boundary(known) < boundary(look(underway, {}))


def test_by_time_no_history_is_kept(underway: Underway, store: Store) -> None:
    looks(underway, 2, {"task_state_store": store}, policy={"clock": "time"})
    assert KEY not in store.values


def test_a_worker_takes_the_looks_that_the_state_keeps(underway: Underway, fire: Fire, store: Store) -> None:
    context: Any = {"task_state_store": store}
    deferred = None
    try:
        underway.sensor().execute(context)
    except TaskDeferred as error:
        deferred = error
    assert deferred is not None
    event = fire(deferred)
    assert event["status"] == "look"
    with pytest.raises(TaskDeferred):
        underway.sensor().execute_complete(context, event)
    assert len(store.values[KEY]["looks"]) == 1


def test_a_state_that_cannot_be_read_or_written_stops_nothing(underway: Underway, store: Store) -> None:
    store.broken = True
    first, second = looks(underway, 2, {"task_state_store": store})
    assert (first["look"], second["look"]) == (1, 2)
    assert any(UNKNOWN in caution for caution in second["cautions"])


def test_the_looks_of_another_iteration_are_forgotten(store: Store) -> None:
    store.values[KEY] = {"target": {"iteration_id": "another"}, "looks": [{"elapsed_seconds": 86400.0, "metrics": {}}]}
    assert StoredLooks(Target(ENV, EXPERIMENT, "it-1"), store, print)() == ()


def test_a_state_that_somebody_edited_is_no_history(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    target = Target(ENV, EXPERIMENT, "it-1")
    store.values[KEY] = {"target": target.to_json(), "looks": [{"elapsed_seconds": "soon"}]}
    assert StoredLooks(target, store, print)() == ()
    assert "launchdarkly_looks" in capsys.readouterr().out


def test_judging_again_rests_on_the_record(underway: Underway, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "experiment_key": EXPERIMENT,
        "iteration_id": underway.iteration_id,
        "task_id": "judge",
    }
    recorded = looks(underway, 9, {}, record_path=str(tmp_path))[-1]
    judged = LaunchDarklyJudgeOperator(**arguments, record_path=str(tmp_path)).execute({})
    assert bars(judged) == bars(recorded)
    without = LaunchDarklyJudgeOperator(**arguments).execute({})
    assert boundary(without) > boundary(judged)


def test_nothing_keeps_looks_without_record_and_state() -> None:
    assert _history.looks_of(Target(ENV, EXPERIMENT, "it-1"), None, {}, print) is None
