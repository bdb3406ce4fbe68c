"""Harm while a rollout asks a person or awaits its change window: it ends the waiting, and everyone is back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import DAG

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyRolloutNotifier
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers.question import QuestionTrigger
from support.heard import HEARD, PATH
from support.task_runner import TaskRunner
from unit.rollout.test_never import truth
from unit.rollout.test_task_group import (
    HALF,
    RAMP,
    TO_THE_END,
    approve,
    ended,
    rollout,
    run,
    served,
    shares_of_bold,
    step_of,
)

pytestmark = pytest.mark.usefixtures("connection")

STAGES = [RAMP[0], {**RAMP[2], "approval": True}]
WINDOW = {"timezone": "UTC", "hours": "09:00-16:00"}
# The worlds begin on the fifth; a stage of two days ends on the seventh, the one that ships on the twelfth.
SHUT = {"timezone": "UTC", "hours": "00:00-24:00", "blackout": ["2026-01-07/2026-01-08", "2026-01-12/2026-01-13"]}
ASKS: dict[str, tuple[str, dict[str, Any], float]] = {
    "before a stage": ("r.stage_2.approve", {"stages": STAGES}, 0.0),
    "before shipping": ("r.before_ship.approve", {"approval": {"before_ship": True}}, 0.3),
    "without a winner": ("r.extension.ask", {"endings": {"inconclusive": "ask"}, "policy": TO_THE_END}, 0.0),
}


def make_true(emulator: EmulatorServer, effect: float) -> None:
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth(effect, False)}))


def closed(kind: str = "rollback") -> dict[str, Any]:
    """What a question returns that harm has closed."""
    running = LaunchDarklyHook().get_experiment("button", expand=("treatments",)).running
    assert running is not None
    reason = "guardrail_harmed" if kind == "rollback" else "iteration_stopped"
    harm = {
        "project_key": "demo",
        "environment_key": "production",
        "experiment_key": "button",
        "iteration_id": running.id,
        "verdict": kind,
        "reason": reason,
        "summary": f"{kind}: {reason}",
        "elapsed_days": 3.0,
        "treatment_id": None,
        "treatment": None,
        "look": None,
    }
    return {"chosen_options": [], "params_input": {}, "responded_by_user": None, "ended_by": harm}


@pytest.mark.parametrize("window", [None, WINDOW], ids=["", "and a window"])
@pytest.mark.parametrize(("task", "settings", "effect"), ASKS.values(), ids=ASKS)
def test_harm_closes_the_question_and_everyone_is_back_at_once(
    emulator: EmulatorServer, task: str, settings: dict[str, Any], effect: float, window: dict[str, Any] | None
) -> None:
    make_true(emulator, effect)
    awaited: list[str] = []

    def wait(task_id: str) -> None:
        awaited.append(task_id)
        emulator.clock.advance(step_of(task_id))

    done = run(emulator, rollout(change_window=window, **settings), answer=lambda _: closed(), wait=wait)
    assert ended(done) == "rollback"
    assert done.output("r.rollback")["why"] == "rollback: guardrail_harmed"
    assert served() == "Classic"
    assert "**Guardrails are watched while this is open**" in done.bodies[task]
    assert task.replace("approve", "window") not in awaited
    assert len(shares_of_bold(emulator)) == 1
    (stopped,) = emulator.effects("iteration.stopped")
    assert stopped["winner"] is not None


@pytest.mark.parametrize(("task", "settings", "effect"), ASKS.values(), ids=ASKS)
def test_an_iteration_that_someone_stopped_closes_it_too_and_nothing_is_written(
    emulator: EmulatorServer, task: str, settings: dict[str, Any], effect: float
) -> None:
    make_true(emulator, effect)
    before: list[int] = []

    def answer(_task: str) -> dict[str, Any]:
        before.append(len(emulator.journal()))
        return closed("invalid")

    done = run(emulator, rollout(**settings), answer=answer)
    assert task in done.bodies
    assert ended(done) == "invalid"
    assert len(emulator.journal()) == before[0]


def in_the_window(emulator: EmulatorServer, spec: dict[str, Any], place: str) -> tuple[TaskRunner, list[str]]:
    """Run a rollout in whose world harm begins while it waits for its window."""
    waited: list[str] = []

    def wait(task_id: str) -> None:
        if task_id == f"r.{place}.window":
            waited.append(task_id)
            make_true(emulator, -0.6)
        emulator.clock.advance("PT20M" if task_id.endswith("window") else "P1D")

    return run(emulator, spec, wait=wait), waited


@pytest.mark.parametrize(
    ("place", "stages", "effect"),
    [("stage_2", [RAMP[0], RAMP[2]], 0.0), ("before_ship", HALF, 0.3)],
)
def test_harm_ends_the_wait_for_the_window(
    emulator: EmulatorServer, place: str, stages: list[dict[str, Any]], effect: float
) -> None:
    make_true(emulator, effect)
    done, waited = in_the_window(emulator, rollout(stages=stages, change_window=SHUT), place)
    assert waited
    assert done.output(f"r.{place}.window")["opened"] is None
    assert done.output(f"r.{place}.window")["ended_by"]["verdict"] == "rollback"
    assert ended(done) == "rollback"
    assert served() == "Classic"
    assert "failed" not in done.states.values()


def test_without_the_setting_the_window_is_awaited_and_harm_found_after_it(emulator: EmulatorServer) -> None:
    make_true(emulator, 0.3)
    spec = rollout(change_window=SHUT, watch_while_waiting=False)
    done, waited = in_the_window(emulator, spec, "before_ship")
    assert len(waited) > 10
    assert done.output("r.before_ship.window")["opened"]
    assert ended(done) == "rollback"


def test_without_the_setting_the_question_says_nothing_of_it(emulator: EmulatorServer) -> None:
    spec = rollout(approval={"before_ship": True}, watch_while_waiting=False)
    done = run(emulator, spec, answer=lambda _: approve())
    assert ended(done) == "ship"
    assert "Guardrails are watched" not in done.bodies["r.before_ship.approve"]


def test_before_the_first_stage_nothing_is_watched(emulator: EmulatorServer) -> None:
    stages = [{**HALF[0], "approval": True}]
    done = run(emulator, rollout(stages=stages, change_window=WINDOW), answer=lambda _: approve())
    assert ended(done) == "ship"
    assert "Guardrails are watched" not in done.bodies["r.approve"]


def test_what_is_shipped_stays_so_if_the_question_before_is_cleared(emulator: EmulatorServer) -> None:
    """A cleared question is asked about an iteration that is over, which closes it as one that someone stopped."""
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(approval={"before_ship": True}), group_id="r")
    answers: list[dict[str, Any]] = []

    def answer(_task: str) -> dict[str, Any]:
        answers.append(answers[0] if answers else closed("invalid"))
        return approve() if len(answers) == 1 else answers[0]

    done = TaskRunner(dag, wait=lambda task: emulator.clock.advance(step_of(task)), answer=answer).run()
    assert ended(done) == "ship"
    before = len(emulator.journal())
    for task in ("before_ship.approve", "verdict", "ship"):
        assert done.again(f"r.{task}") == "success"
    assert done.output("r.verdict")["confirmation"]["why"] == "it is shipped already"
    assert len(emulator.journal()) == before
    assert served() == "Bold"


@pytest.mark.parametrize(("task", "settings", "effect"), ASKS.values(), ids=ASKS)
def test_a_clear_after_harm_changes_nothing(
    emulator: EmulatorServer, task: str, settings: dict[str, Any], effect: float
) -> None:
    make_true(emulator, effect)
    done = run(emulator, rollout(**settings), answer=lambda _: closed())
    before, first = len(emulator.journal()), done.output("r.verdict")
    assert task in done.bodies
    for name in [*(["r.stage_2.start"] if "stages" in settings else []), "r.verdict", "r.rollback"]:
        assert done.again(name) == ("skipped" if name.endswith("start") else "success")
    assert done.output("r.verdict") == first
    assert done.output("r.rollback")["stopped"]["changed"] is False
    assert len(emulator.journal()) == before


TI = SimpleNamespace(id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"), map_index=-1)


def test_switching_it_off_lets_an_open_question_stay_open(emulator: EmulatorServer) -> None:
    """The DAG file changed while a person was asked; the trigger of before has fired for a look."""
    made: dict[bool, Any] = {}
    for watch in (True, False):
        with DAG("rollout", schedule=None) as dag:
            experiment_rollout(rollout(stages=STAGES, watch_while_waiting=watch), group_id="r")
        made[watch] = dag.get_task("r.stage_2.approve")
    outputs = run(emulator, rollout(stages=STAGES), answer=lambda _: {**approve(), "chosen_options": ["Reject"]}).xcoms
    pulled = SimpleNamespace(**vars(TI), xcom_pull=lambda *, task_ids, **_: outputs.get((task_ids, "return_value")))
    context: Any = {"ti": pulled, "task_instance": pulled}
    look = {"previous_seconds": 172_800.0, "elapsed_seconds": 172_860.0, "answer_until": "2026-03-09T09:00:00+00:00"}
    deferred: dict[bool, Any] = {}
    for watch, task in made.items():
        with pytest.raises(TaskDeferred) as found:
            task.execute_complete(context, {"status": "look", "look": look})
        deferred[watch] = found.value.trigger
    assert isinstance(deferred[True], QuestionTrigger)
    assert isinstance(deferred[False], HITLTrigger)
    assert deferred[False].timeout_datetime.isoformat() == look["answer_until"]
    answered = {**approve(), "responded_at": deferred[False].timeout_datetime}
    assert made[False].execute_complete(context, answered)["chosen_options"] == ["Approve"]


@pytest.mark.parametrize(("task", "settings", "effect"), ASKS.values(), ids=ASKS)
def test_harm_is_told_once_and_says_that_the_question_is_closed(
    emulator: EmulatorServer, task: str, settings: dict[str, Any], effect: float
) -> None:
    make_true(emulator, effect)
    spec = rollout(change_window=WINDOW, notify=[{"through": PATH, "events": ["harm"]}], **settings)
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(spec, group_id="r")
    done = TaskRunner(dag, wait=lambda name: emulator.clock.advance(step_of(name)), answer=lambda _: closed()).run()
    HEARD.clear()
    for name in [name for name, state in done.states.items() if state == "success"]:
        task_told: Any = dag.get_task(name)
        for callback in task_told.on_success_callback or ():
            assert isinstance(callback, LaunchDarklyRolloutNotifier)
            assert callback.event in {Event.HARM, Event.DRIFT}
            ti = SimpleNamespace(
                dag_id="rollout",
                run_id="run",
                task_id=name,
                map_index=-1,
                task=task_told,
                xcom_pull=lambda *, task_ids, **_: done.output(task_ids),
            )
            callback.notify({"ti": ti})  # type: ignore[typeddict-item]
    (text,) = HEARD
    assert text.startswith("rollback: guardrail_harmed · button")
    asking: Any = dag.get_task(task)
    subject = asking.subject
    assert f"The question “{subject}” is closed. The rollout stops the experiment" in text


@pytest.mark.parametrize("extended", [False, True])
def test_the_policy_is_that_of_the_stage_that_runs(emulator: EmulatorServer, extended: bool) -> None:
    """Before shipping, that of the last stage; after an extension, of the longer one."""
    endings = {"inconclusive": "extend", "extension": "21d"}
    if extended:
        make_true(emulator, 0.0)
    spec = rollout(approval={"before_ship": True}, endings=endings, policy=TO_THE_END)
    policies: list[Any] = []

    def answer(task_id: str) -> dict[str, Any]:
        return approve()

    def wait(task_id: str) -> None:
        emulator.clock.advance("P1D")
        if extended and task_id == "r.extension.watch":
            make_true(emulator, 0.3)

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(spec, group_id="r")
    asking: Any = dag.get_task("r.before_ship.approve")
    original = type(asking).watched

    def watched(self: Any, context: Any) -> Any:
        found = original(self, context)
        policies.append(found.policy)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(asking), "watched", watched)
        done = TaskRunner(dag, wait=wait, answer=answer).run()
    assert ended(done) == "ship"
    assert done.output("r.verdict")["extended"] is extended
    expected = Rollout.from_json(spec).policy_of(0, extended=extended)
    assert policies == [expected.to_json()]


def test_the_window_of_a_rollout_is_a_change_window() -> None:
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(stages=STAGES, change_window=WINDOW), group_id="r")
    windows = [task for task in dag.tasks if isinstance(task, LaunchDarklyChangeWindowSensor)]
    assert [task.task_id for task in windows] == ["r.stage_1.window", "r.stage_2.window", "r.before_ship.window"]
    callbacks = [bool(task.on_success_callback) for task in windows]
    assert callbacks == [False, False, False]  # nobody is to be told
