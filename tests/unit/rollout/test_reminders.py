"""Reminders of an open question: at multiples of a time, each once, whatever is restarted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import DAG, exceptions
from airflow.triggers.base import TriggerEvent

from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers import question
from airflow_provider_launchdarkly.triggers.question import QuestionTrigger, ReminderTrigger
from unit.rollout.test_task_group import RAMP, approve, rollout, run

pytestmark = pytest.mark.usefixtures("connection")

# How Airflow waits for an answer from 3.3 on.
TaskAwaitingInput: Any = getattr(exceptions, "TaskAwaitingInput", None)
STAGES = [RAMP[0], {**RAMP[2], "approval": True}]
TI_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
HOUR = timedelta(hours=1)


class Reminders:
    """Remembers which reminders the task gives when it is called."""

    def __init__(self, *, fails: bool = False) -> None:
        self.numbers: list[int] = []
        self.fails = fails

    def __call__(self, context: Any) -> None:
        self.numbers.append(context["task"].reminded)
        if self.fails:
            raise RuntimeError("the service is away")


@pytest.fixture
def asking(emulator: EmulatorServer) -> tuple[Any, Any]:
    """The task that asks before the second stage, after the first, and its context."""
    spec = rollout(stages=STAGES, approval={"timeout": "12h", "remind_after": "4h"})
    outputs = run(emulator, spec, answer=lambda _: {**approve(), "chosen_options": ["Reject"]}).xcoms
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(spec, group_id="r")
    task = dag.get_task("r.stage_2.approve")
    pulled = SimpleNamespace(
        id=TI_ID, map_index=-1, xcom_pull=lambda *, task_ids, **_: outputs.get((task_ids, "return_value"))
    )
    return task, {"ti": pulled, "task_instance": pulled, "task": task}


def due(asked: timedelta, number: int) -> dict[str, Any]:
    """The trigger's event: a question that was asked so long ago, at whose reminder it fired."""
    asked_at = datetime.now(UTC) - asked
    times = {
        "asked_at": asked_at,
        "remind_at": asked_at + number * 4 * HOUR,
        "answer_until": asked_at + 12 * HOUR,
    }
    look = {"previous_seconds": 172_800.0, **{name: time.isoformat() for name, time in times.items()}}
    return {"status": "remind", "look": look}


def reminded(asking: tuple[Any, Any], event: dict[str, Any], *, fails: bool = False) -> tuple[list[int], Any]:
    """Give the task an event; return the reminders that it told, and the trigger that waits then."""
    task, context = asking
    reminders = Reminders(fails=fails)
    task.reminders = [reminders]
    with pytest.raises(TaskDeferred) as deferred:
        task.execute_complete(context, event)
    return reminders.numbers, deferred.value.trigger


def after(trigger: ReminderTrigger) -> timedelta:
    assert trigger.asked_at
    assert trigger.remind_at
    return datetime.fromisoformat(trigger.remind_at) - datetime.fromisoformat(trigger.asked_at)


def test_a_reminder_is_followed_by_the_next_multiple(asking: tuple[Any, Any]) -> None:
    told, trigger = reminded(asking, due(4 * HOUR, 1))
    assert told == [1]
    assert after(trigger) == 8 * HOUR


def test_multiples_that_nobody_could_tell_are_left_out(asking: tuple[Any, Any]) -> None:
    """The triggerer was away from the third hour to the ninth."""
    told, trigger = reminded(asking, due(9 * HOUR, 1))
    assert told == [1]
    assert trigger.remind_at is None  # the next one would be when no answer counts any more


def test_a_trigger_that_fires_a_little_early_does_not_repeat_it(asking: tuple[Any, Any]) -> None:
    told, trigger = reminded(asking, due(4 * HOUR - timedelta(seconds=2), 1))
    assert told == [1]
    assert after(trigger) == 8 * HOUR


def test_a_message_that_fails_keeps_the_question_open(asking: tuple[Any, Any]) -> None:
    told, trigger = reminded(asking, due(4 * HOUR, 1), fails=True)
    assert told == [1]
    assert isinstance(trigger, QuestionTrigger)


def test_a_look_for_harm_keeps_the_time_of_the_next_reminder(asking: tuple[Any, Any]) -> None:
    event = due(5 * HOUR, 2)
    event = {"status": "look", "look": {**event["look"], "elapsed_seconds": 172_860.0}}
    told, trigger = reminded(asking, event)
    assert told == []
    assert after(trigger) == 8 * HOUR


def test_switching_reminders_off_lets_an_open_question_stay_open(asking: tuple[Any, Any]) -> None:
    task, _context = asking
    task.remind_after = None
    told, trigger = reminded(asking, due(4 * HOUR, 1))
    assert told == []
    assert isinstance(trigger, QuestionTrigger)  # the guardrails are watched on
    assert trigger.remind_at is None


@pytest.fixture
def asking_first(emulator: EmulatorServer) -> tuple[Any, Any]:
    """The task that asks before the first stage, and its context. Nothing runs then."""
    stages = [{**RAMP[0], "approval": True}, RAMP[2]]
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(stages=stages, approval={"timeout": "12h", "remind_after": "4h"}), group_id="r")
    task = dag.get_task("r.stage_1.approve")
    ti = SimpleNamespace(id=TI_ID, map_index=-1, xcom_pull=lambda **_: None)
    return task, {"ti": ti, "task_instance": ti, "task": task}


def asks(monkeypatch: pytest.MonkeyPatch, *, answer_until: datetime | None) -> None:
    """Let Airflow's operator ask as it does on 3.1 and 3.2, in a trigger."""

    def execute(task: Any, context: Any) -> None:
        trigger = HITLTrigger(
            ti_id=context["ti"].id, options=["Approve"], params={}, multiple=False, timeout_datetime=answer_until
        )
        raise TaskDeferred(trigger=trigger, method_name="execute_complete")

    monkeypatch.setattr(HITLOperator, "execute", execute)


def test_a_question_before_the_first_stage_reminds_too(
    asking_first: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, context = asking_first
    until = datetime.now(UTC) + 12 * HOUR
    asks(monkeypatch, answer_until=until)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    first = deferred.value.trigger
    assert type(first) is ReminderTrigger
    assert (after(first), first.answer_until) == (4 * HOUR, until.isoformat())

    told, second = reminded(asking_first, due(4 * HOUR, 1))
    assert told == [1]
    assert type(second) is ReminderTrigger
    assert after(second) == 8 * HOUR
    assert next(answer.text for answer in task.offered).startswith("Approve: ")


def test_after_the_last_reminder_a_question_that_watches_nothing_waits_as_airflows_own(
    asking_first: tuple[Any, Any],
) -> None:
    told, trigger = reminded(asking_first, due(8 * HOUR, 2))
    assert told == [2]
    assert type(trigger) is HITLTrigger


def test_without_reminders_a_question_that_watches_nothing_waits_as_airflows_own(
    asking_first: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, context = asking_first
    task.remind_after = None
    asks(monkeypatch, answer_until=None)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert type(deferred.value.trigger) is HITLTrigger


@pytest.mark.skipif(TaskAwaitingInput is None, reason="Airflow before 3.3 waits in a trigger")
def test_a_question_that_airflow_itself_would_await_is_reminded_of_until_its_time_is_over(
    asking_first: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, context = asking_first

    def execute(task: Any, context: Any) -> None:
        raise TaskAwaitingInput(method_name="execute_complete", kwargs={}, timeout=timedelta(hours=12))

    monkeypatch.setattr(HITLOperator, "execute", execute)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    left = datetime.fromisoformat(deferred.value.trigger.answer_until) - datetime.now(UTC)
    assert abs(left - 12 * HOUR) < timedelta(minutes=1)


def test_an_answer_ends_the_reminding_and_is_returned_as_airflows_own(asking_first: tuple[Any, Any]) -> None:
    task, context = asking_first
    person = {"id": "1", "name": "grace"}
    answer = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": person}
    output = task.execute_complete(context, {**answer, "responded_at": datetime.now(UTC), "timedout": False})
    assert output["chosen_options"] == ["Approve"]
    assert output["responded_by_user"] == person


def test_where_nothing_is_watched_on_purpose_people_are_reminded_all_the_same(asking: tuple[Any, Any]) -> None:
    task, _context = asking
    task.rollout = Rollout.from_json({**task.rollout, "watch_while_waiting": False}).to_json()
    told, trigger = reminded(asking, due(4 * HOUR, 1))
    assert told == [1]
    assert type(trigger) is ReminderTrigger


@pytest.mark.parametrize("first_comes", ["answer", "reminder"])
def test_the_trigger_fires_with_what_comes_first(first_comes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: Any) -> Any:
        await (asyncio.Event().wait() if first_comes == "reminder" else asyncio.sleep(0))
        return TriggerEvent({"chosen_options": ["Approve"]})

    monkeypatch.setattr(ReminderTrigger, "_answer", answer)
    monkeypatch.setattr(question, "SECONDS_BEFORE_FIRST_POLL", 0.0)
    remind_at = datetime.now(UTC) + (HOUR if first_comes == "answer" else timedelta())
    times = {"asked_at": (remind_at - 4 * HOUR).isoformat(), "remind_at": remind_at.isoformat()}
    trigger = ReminderTrigger(ti_id=str(TI_ID), options=["Approve"], **times)

    async def first() -> Any:
        return (await anext(aiter(trigger.run()))).payload

    fired = asyncio.run(asyncio.wait_for(first(), 30))
    if first_comes == "answer":
        assert fired == {"chosen_options": ["Approve"]}
    else:
        assert fired == {"status": "remind", "look": {"answer_until": None, **times}}


def test_a_trigger_that_is_started_again_fires_for_the_same_reminder(
    asking: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _told, trigger = reminded(asking, due(4 * HOUR, 1))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def never(self: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(question, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    monkeypatch.setattr(QuestionTrigger, "_look_due", never)
    monkeypatch.setattr(QuestionTrigger, "_answer", never)
    _path, arguments = trigger.serialize()

    async def first() -> Any:
        return (await anext(aiter(QuestionTrigger(**arguments).run()))).payload

    once, again = asyncio.run(first()), asyncio.run(first())
    assert once == again
    assert once["status"] == "remind"
    assert once["look"]["remind_at"] == trigger.remind_at
    assert all(abs(seconds - 4 * 3600) < 60 for seconds in slept)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"approval": {"remind_after": "3d"}}, "remind_after is 3d, not from 1m to below 3d"),
        ({"approval": {"remind_after": "PT10S"}}, "remind_after is PT10S, not from 1m to below 3d"),
    ],
)
def test_what_cannot_be_reminded_of_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSettingError, match=said):
        Rollout.from_json(rollout(**settings))
