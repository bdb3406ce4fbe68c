"""Operators on iterations: outputs, and repeats that write nothing twice and end nothing by accident."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyUpdateExperimentOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklySaveAndStartIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.experiment_tasks import Store, count, create, create_iteration, start, stop, task_context
from support.scene import Scene

pytestmark = pytest.mark.usefixtures("connection")

QUARTER = [
    {"variation": "Classic", "allocation_percent": 75, "baseline": True},
    {"variation": "Bold", "allocation_percent": 25},
]


def save_and_start(context: Any, **fields: Any) -> Any:
    operator = LaunchDarklySaveAndStartIterationOperator(task_id="task", experiment_key="bold", **fields)
    output = operator.execute(context)
    assert json.loads(json.dumps(output)) == output
    return output


def refusing(iteration_id: str, given: Any) -> Any:
    operator = LaunchDarklyStartIterationOperator(
        task_id="start", experiment_key="button", iteration_id=iteration_id, turn_flag_on=True, if_running="refuse"
    )
    return operator.execute(given)


def test_the_whole_path_returns_plain_json(emulator: EmulatorServer) -> None:
    created = create()
    started = start(created["iteration_id"])
    stopped = stop(created["iteration_id"], "Bold")
    for output in (created, started, stopped):
        assert json.loads(json.dumps(output)) == output
        assert output["experiment_key"] == "button"
        assert output["iteration_id"] == created["iteration_id"]
        assert output["changed"] is True
    assert [created["status"], started["status"], stopped["status"]] == ["not_started", "running", "stopped"]
    assert [treatment["name"] for treatment in created["treatments"]] == ["Classic", "Bold"]
    assert (stopped["winning_treatment"], stopped["variation"], stopped["rule_id"]) == ("Bold", "bold", "fallthrough")


def test_a_repeated_task_writes_nothing(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    assert create()["changed"] is False
    start(iteration)
    assert start(iteration)["changed"] is False
    stop(iteration, "baseline")
    assert stop(iteration, "Classic")["changed"] is False
    for kind in ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped"):
        assert count(emulator, kind) == 1


def test_a_draft_is_adopted_by_a_repeated_create_iteration(emulator: EmulatorServer) -> None:
    first = create()
    start(first["iteration_id"])
    stop(first["iteration_id"], "baseline")
    second = create_iteration()
    again = create_iteration()
    assert second["iteration_id"] == again["iteration_id"] != first["iteration_id"]
    assert (second["changed"], again["changed"]) == (True, False)
    assert count(emulator, "iteration.created") == 2


def test_a_cleared_create_iteration_returns_the_iteration_it_created_even_if_that_was_started(
    emulator: EmulatorServer,
) -> None:
    first = create()
    start(first["iteration_id"])
    stop(first["iteration_id"], "baseline")
    store = Store()
    second = create_iteration(store)
    start(second["iteration_id"])
    again = create_iteration(store)
    assert (again["iteration_id"], again["changed"]) == (second["iteration_id"], False)
    assert count(emulator, "iteration.created") == 2


def test_a_flag_that_is_off_starts_nothing_unless_asked_to_turn_it_on(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    with pytest.raises(AirflowFailException, match=r"FlagOffError.*turn_flag_on"):
        start(iteration, turn_flag_on=False)
    assert count(emulator, "iteration.started") == 0


def test_a_rule_owned_by_another_running_experiment_is_an_error_that_names_it() -> None:
    start(create()["iteration_id"])
    rival = create(experiment_key="rival")
    with pytest.raises(AirflowFailException, match=r"RuleOwnedError.*'?button"):
        start(rival["iteration_id"], experiment_key="rival")


@pytest.mark.parametrize("store", [Store(), None], ids=["3.3", "before 3.3"])
def test_a_second_run_refuses_an_iteration_that_another_run_started(
    emulator: EmulatorServer, store: Store | None
) -> None:
    iteration = create()["iteration_id"]
    assert refusing(iteration, task_context(Store()))["changed"]
    with pytest.raises(AirflowFailException, match=r"AlreadyRunningError.*another run has it.*if_running='adopt'"):
        refusing(iteration, task_context(store))
    assert count(emulator, "iteration.started") == 1


def test_a_run_that_refused_refuses_again_when_it_is_cleared(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    refusing(iteration, task_context(Store()))
    second = Store()
    for number in (1, 2):
        with pytest.raises(AirflowFailException, match="another run has it"):
            refusing(iteration, task_context(second, try_number=number))


def test_a_try_that_failed_before_its_write_does_not_count_as_a_start(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    second = Store()
    emulator.fault("get_experiment", "status", status=401)
    with pytest.raises(AirflowFailException, match="401"):
        refusing(iteration, task_context(second))
    refusing(iteration, task_context(Store()))
    with pytest.raises(AirflowFailException, match="another run has it"):
        refusing(iteration, task_context(second, try_number=2))


def test_the_run_that_started_the_iteration_does_not_refuse_it_on_a_repeat(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    store = Store()
    refusing(iteration, task_context(store))
    assert not refusing(iteration, task_context(store, try_number=2))["changed"]
    # Before 3.3 nothing outlives a try, so a later try takes what runs for its own.
    assert not refusing(iteration, task_context(try_number=2))["changed"]
    assert count(emulator, "iteration.started") == 1


def test_if_running_is_one_of_two_words() -> None:
    with pytest.raises(ConfigurationError, match="if_running is 'wait': write one of adopt, refuse"):
        LaunchDarklyStartIterationOperator(task_id="s", experiment_key="e", iteration_id="i", if_running="wait")


def test_stopping_logs_first_what_everyone_will_be_served(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    stopped_when_said: list[int] = []
    said: list[str] = []

    class Log:
        def warning(self, *_: object) -> None:
            """Airflow says that the task runs outside of its runner."""

        def info(self, message: str, *values: object) -> None:
            said.append(message % values)
            stopped_when_said.append(count(emulator, "iteration.stopped"))

    monkeypatch.setattr(LaunchDarklyStopIterationOperator, "log", Log())
    stop(iteration, "baseline")
    first = " ".join(" ".join(said[:2]).split())
    assert "flag checkout-button" in first
    assert "will serve variation 'Classic'" in first
    assert stopped_when_said[0] == 0
    assert count(emulator, "iteration.stopped") == 1


def test_an_invalid_verdict_stops_nothing_and_fails_without_retry(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    verdict = {"verdict": "invalid", "reason": "mismatch", "summary": "53/47", "experiment_key": "button"}
    with pytest.raises(AirflowFailException, match="invalid"):
        stop(iteration, verdict | {"iteration_id": iteration})
    assert count(emulator, "iteration.stopped") == 0


def test_stopping_with_another_winner_than_before_is_an_error() -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    stop(iteration, "baseline")
    with pytest.raises(AirflowFailException, match=r"IterationStoppedError.*'Classic'.*'Bold'"):
        stop(iteration, "Bold")


def test_the_verdicts_summary_becomes_launchdarklys_reason(emulator: EmulatorServer) -> None:
    iteration = create()["iteration_id"]
    start(iteration)
    verdict = {"verdict": "inconclusive", "summary": "nothing after 28 days", "experiment_key": "button"}
    assert stop(iteration, verdict | {"iteration_id": iteration})["winning_reason"] == "nothing after 28 days"


def test_an_unknown_experiment_is_an_error_that_names_it() -> None:
    with pytest.raises(AirflowFailException, match="no-such-experiment"):
        start("i-1", experiment_key="no-such-experiment")


def test_save_and_start_ships_nothing_and_a_repeat_creates_nothing(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    fields = {"iteration_id": scene.iteration_id, "changes": {"treatments": QUARTER}}
    first = save_and_start(context, **fields)
    again = save_and_start(context, **fields)
    assert first["iteration_id"] == again["iteration_id"] != scene.iteration_id
    assert (first["changed"], again["changed"], first["status"]) == (True, False, "running")
    assert [treatment["allocation_percent"] for treatment in first["treatments"]] == ["75", "25"]
    assert len(emulator.effects("iteration.created")) == len(emulator.effects("iteration.started")) == 2
    (stopped,) = emulator.effects("iteration.stopped")
    assert not stopped.get("winner")


def test_a_late_repeat_does_not_end_a_later_iteration(scene: Scene, context: Any) -> None:
    first = save_and_start(
        context,
        iteration_id=scene.iteration_id,
        changes={"treatments": QUARTER},
    )
    save_and_start(
        context,
        iteration_id=first["iteration_id"],
        changes={"hypothesis": "More."},
    )
    with pytest.raises(AirflowFailException, match=r"Iteration\w+Error"):
        save_and_start(
            context,
            iteration_id=scene.iteration_id,
            changes={"hypothesis": "Bold is better."},
        )


def test_after_a_stop_with_a_winner_save_and_start_fails(scene: Scene, context: Any) -> None:
    scene.stop()
    with pytest.raises(AirflowFailException, match="IterationStoppedError"):
        save_and_start(context, iteration_id=scene.iteration_id)


NOTHING_TO_COMPARE = [
    {"variation": "Classic", "allocation_percent": 0, "baseline": True},
    {"variation": "Bold", "allocation_percent": 100},
]


@pytest.mark.parametrize("operator", [LaunchDarklySaveAndStartIterationOperator, LaunchDarklyUpdateExperimentOperator])
@pytest.mark.parametrize(
    "treatments",
    [
        NOTHING_TO_COMPARE,
        {"operation": "update", "value": NOTHING_TO_COMPARE},
        [{"name": "A", "baseline": True, "allocationPercent": "100"}, {"name": "B", "allocationPercent": "0"}],
    ],
)
def test_changes_that_leave_nothing_to_compare_are_refused_when_the_file_is_parsed(
    operator: Any, treatments: Any
) -> None:
    arguments = {"iteration_id": "i"} if operator is LaunchDarklySaveAndStartIterationOperator else {}
    with pytest.raises(ConfigurationError, match="Stopping with"):
        operator(task_id="task", experiment_key="bold", changes={"treatments": treatments}, **arguments)


def test_templated_changes_that_leave_nothing_to_compare_are_refused_when_the_task_runs(
    scene: Scene, context: Any
) -> None:
    operator = LaunchDarklySaveAndStartIterationOperator(
        task_id="task",
        experiment_key="bold",
        iteration_id="i",
        changes="{{ params.changes }}",  # type: ignore[arg-type]
    )
    operator.changes = {"treatments": NOTHING_TO_COMPARE}
    before = len(scene.emulator.requests())
    with pytest.raises(AirflowFailException, match="the baseline 'Classic' has no share"):
        operator.execute(context)
    assert len(scene.emulator.requests()) == before
