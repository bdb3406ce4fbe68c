"""Reminders of the question before a wave: nothing is under way then, so nothing is watched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers.question import ReminderTrigger
from support.heard import HEARD, PATH
from support.promotions import PromotionRunner, make_true
from support.waves import TARGETS, an_environment_for_each_target
from unit.rollout.test_wave_group import APPROVED, ASKED, endings, waves

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    """An emulator in which Bold does much good."""
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        make_true(server, 0.3)
        yield server


def test_people_are_reminded_of_the_question_before_a_wave(emulator: EmulatorServer) -> None:
    HEARD.clear()
    approval = {"timeout": "12h", "remind_after": "4h"}
    spec = {**waves(order=ASKED), "approval": approval, "notify": [{"through": PATH, "events": ["reminded"]}]}
    asked_at = datetime.now(UTC) - timedelta(hours=4)
    times = {"asked_at": asked_at, "remind_at": asked_at + timedelta(hours=4)}
    look = {"answer_until": None, **{name: time.isoformat() for name, time in times.items()}}
    waits: list[Any] = []

    def answer(task_id: str) -> Any:
        question: Any = done.dag.get_task(task_id)
        context = done._context(question)
        context["ti"].id = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
        context["ti"].task = question
        with pytest.raises(TaskDeferred) as deferred:
            question.execute_complete(context, {"status": "remind", "look": look})
        waits.append(deferred.value.trigger)
        return APPROVED

    done = PromotionRunner(
        rollout_dag(spec), wait=lambda _task: emulator.clock.advance(timedelta(days=1)), answer=answer
    )
    done.run()
    (text,) = HEARD
    HEARD.clear()
    assert text.startswith("Still open, reminder 1: Start wave 2 of 3, with 2 targets?")
    assert "ship, everyone gets Bold: berlin" in text
    assert "Reject: nothing further starts." in text
    (trigger,) = waits
    assert type(trigger) is ReminderTrigger
    assert datetime.fromisoformat(trigger.remind_at or "") == asked_at + timedelta(hours=8)
    assert endings(done) == {key: ["ship"] for key in TARGETS}


def test_a_question_before_a_wave_without_reminders_waits_as_airflows_own() -> None:
    task: Any = rollout_dag(waves(order=ASKED)).get_task("approve_wave_2")
    assert (task.remind_after, task.reminders) == (None, [])
