"""LaunchDarkly's API takes no approval request for experiments: a person starts and stops there, and the task waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklySaveAndStartIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from support.lone_polls import poll_alone
from support.reviewers import finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer
    from support.scene import Scene

ASKED: dict[str, Any] = {"reviewers": ["grace@example.com"], "approval_timeout": "1d"}


@pytest.fixture(autouse=True)
def demanding(scene: Scene, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of an experiment needs an approval, and six hours pass between two polls."""
    emulator.switch(experiment_approvals="everywhere")

    async def turn(_: float) -> None:
        emulator.clock.advance("PT6H")

    poll_alone(monkeypatch, turn)


@pytest.fixture
def draft(scene: Scene, emulator: EmulatorServer) -> str:
    """An iteration that has not started, on a flag that is on."""
    emulator.switch(experiment_approvals="never")
    scene.stop()
    made = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.turn_flag("checkout-button", on=True)
    emulator.switch(experiment_approvals="everywhere")
    return made


def in_launchdarkly(emulator: EmulatorServer, act: Callable[[], object]) -> Callable[[], None]:
    """Return what a person does in LaunchDarkly's UI, once, with an approval there."""

    def done() -> None:
        emulator.switch(experiment_approvals="never")
        act()
        emulator.switch(experiment_approvals="everywhere")

    return done


def stop(scene: Scene, context: Any, meanwhile: Callable[[], object], **fields: Any) -> Any:
    given = {"experiment_key": "bold", "iteration_id": scene.iteration_id, "winner": "Bold", **ASKED, **fields}
    return finish(lambda: LaunchDarklyStopIterationOperator(task_id="task", **given), context, meanwhile)


def start(draft: str, context: Any, meanwhile: Callable[[], object], **fields: Any) -> Any:
    given = {"experiment_key": "bold", "iteration_id": draft, **ASKED, **fields}
    return finish(lambda: LaunchDarklyStartIterationOperator(task_id="task", **given), context, meanwhile)


def test_a_stop_that_a_person_makes_is_confirmed(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    by_hand = in_launchdarkly(
        emulator, lambda: scene.hook.stop_iteration("bold", scene.iteration_id, winner="Bold", reason="approved")
    )
    output = stop(scene, context, by_hand)
    assert (output["status"], output["winning_treatment"], output["changed"]) == ("stopped", "Bold", False)
    assert len(emulator.effects("iteration.stopped")) == 1


def test_a_stop_with_another_winner_is_not_taken_for_the_task_s(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    by_hand = in_launchdarkly(
        emulator, lambda: scene.hook.stop_iteration("bold", scene.iteration_id, winner="baseline", reason="no")
    )
    with pytest.raises(AirflowFailException, match=r"IterationStoppedError.*not with 'Bold'"):
        stop(scene, context, by_hand)


@pytest.mark.parametrize("if_running", ["adopt", "refuse"])
def test_a_start_that_a_person_makes_is_the_task_s(
    scene: Scene, draft: str, emulator: EmulatorServer, context: Any, if_running: str
) -> None:
    context["ti"].try_number = 1
    by_hand = in_launchdarkly(emulator, lambda: scene.hook.start_iteration("bold", draft))
    output = start(draft, context, by_hand, if_running=if_running)
    assert (output["status"], output["changed"]) == ("running", False)


def test_once_no_approval_is_demanded_the_task_makes_the_change(
    scene: Scene, emulator: EmulatorServer, context: Any
) -> None:
    output = stop(scene, context, lambda: emulator.switch(experiment_approvals="never"))
    assert (output["status"], output["changed"]) == ("stopped", True)


def test_nobody_in_time_fails_by_name_and_changes_nothing(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    said = r"ApprovalTimedOutError.*is not stopped at .*Nothing was changed by this task. Reviewers were grace@"
    with pytest.raises(AirflowFailException, match=said):
        stop(scene, context, lambda: None)
    assert emulator.effects("iteration.stopped") == []


def test_a_wait_that_is_resumed_early_goes_on_to_the_same_end(scene: Scene, context: Any) -> None:
    def operator() -> LaunchDarklyStopIterationOperator:
        fields = {"experiment_key": "bold", "iteration_id": scene.iteration_id, "winner": "Bold", **ASKED}
        return LaunchDarklyStopIterationOperator(task_id="task", **fields)

    with pytest.raises(TaskDeferred) as first:
        operator().execute(context)
    until = first.value.trigger.serialize()[1]["until"]
    event = {"status": "finding", "finding": {"iteration_id": scene.iteration_id, "until": until}}
    with pytest.raises(TaskDeferred) as again:
        operator().execute_complete(context, event)
    assert again.value.trigger.serialize()[1] == first.value.trigger.serialize()[1]


def test_without_reviewers_and_for_other_changes_the_task_fails_as_before(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"^ApprovalRequiredError"):
        stop(scene, context, lambda: pytest.fail("it waits"), reviewers=None)
    changes = {"hypothesis": "Bolder."}
    fields: dict[str, Any] = {"experiment_key": "bold", "iteration_id": scene.iteration_id, "changes": changes}
    with pytest.raises(AirflowFailException, match=r"^ApprovalRequiredError"):
        LaunchDarklySaveAndStartIterationOperator(task_id="task", **fields).execute(context)


def test_the_log_says_what_to_do_in_launchdarkly(
    scene: Scene, context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TaskDeferred):
        LaunchDarklyStopIterationOperator(
            task_id="task", experiment_key="bold", iteration_id=scene.iteration_id, winner="Bold", **ASKED
        ).execute(context)
    logged = capsys.readouterr().out
    assert "Request and apply it in LaunchDarkly" in logged
    assert "grace@example.com" in logged
