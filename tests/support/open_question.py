"""A question to a person that stays open, in one process: its trigger's sleeps turn the emulator's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_launchdarkly.triggers import question
from support.lone_polls import poll_alone

if TYPE_CHECKING:
    import pytest

    from airflow_provider_launchdarkly.testing import EmulatorServer

APPROVED: dict[str, Any] = {
    "chosen_options": ["Approve"],
    "params_input": {},
    "responded_at": datetime(2026, 3, 2, tzinfo=UTC),
    "responded_by_user": {"id": "1", "name": "grace"},
}
REJECTED = {**APPROVED, "chosen_options": ["Reject"]}
NOBODY: dict[str, Any] = {**REJECTED, "responded_by_user": None}
"""What Airflow answers when the time is over."""


class OpenQuestion:
    """Stands for Airflow's part of a question: the answer comes after a while, by the emulator's clock.

    Args:
        emulator: LaunchDarkly.
        monkeypatch: Replaces the parts.

    Attributes:
        answer_after: How long a person thinks.
        answer: What they answer then.
        on_asked: Called with the id of the task instance each time that a question is asked.
        asked: What was asked, as Airflow's database has it.
    """

    def __init__(self, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
        from airflow.providers.standard.operators import hitl
        from airflow.providers.standard.triggers.hitl import HITLTrigger

        self.answer_after = timedelta(days=30)
        self.answer: dict[str, Any] = APPROVED
        self.on_asked: Callable[[], None] = lambda: None
        self.asked: list[dict[str, Any]] = []
        self._since = emulator.clock.now()
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            emulator.clock.advance(timedelta(seconds=seconds))
            await real(0)

        def ask(**fields: Any) -> None:
            self.asked.append(fields)
            self._since = emulator.clock.now()
            self.on_asked()

        async def run(trigger: Any) -> AsyncIterator[TriggerEvent]:
            while emulator.clock.now() - self._since < self.answer_after:
                await real(0.001)
            yield TriggerEvent(self.answer)

        poll_alone(monkeypatch, sleep)
        monkeypatch.setattr(question, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
        monkeypatch.setattr(hitl, "upsert_hitl_detail", ask)
        monkeypatch.setattr(HITLTrigger, "run", run)
