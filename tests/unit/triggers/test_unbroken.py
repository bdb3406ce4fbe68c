"""A trigger that is cancelled reads the reply to what it asked Airflow: else Airflow 3.1 ends the triggerer."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers import hitl
from asgiref.sync import async_to_sync

import airflow_provider_launchdarkly
from airflow_provider_launchdarkly.hooks import launchdarkly
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.hooks.unbroken import unbroken
from airflow_provider_launchdarkly.triggers import _notes, question
from airflow_provider_launchdarkly.triggers._answer import AnswerTrigger
from airflow_provider_launchdarkly.triggers.question import QuestionTrigger

SOURCE = Path(airflow_provider_launchdarkly.__file__).parent


class Supervisor:
    """Stands for Airflow's end of the socket: it replies when the test lets it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reply = asyncio.Event()
        self.read = asyncio.Event()

    async def aask(self) -> None:
        self.asked.set()
        await self.reply.wait()
        self.read.set()

    def ask(self) -> None:
        """Ask from a thread, as Airflow 3.1 does it: the exchange itself happens on the event loop."""
        async_to_sync(self.aask)()


async def cancel_while_asking(work: Callable[[], Awaitable[Any]], supervisor: Supervisor) -> None:
    """Cancel the work before the reply has come; fail if the reply is not read then."""
    task = asyncio.ensure_future(work())
    await asyncio.wait_for(supervisor.asked.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    supervisor.reply.set()
    await asyncio.wait_for(supervisor.read.wait(), 10)


def reads_the_reply(work: Callable[[], Awaitable[Any]], supervisor: Supervisor) -> bool:
    asyncio.run(cancel_while_asking(work, supervisor))
    return supervisor.read.is_set()


def test_a_connection_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor()

    async def get_async_connection(conn_id: str) -> None:
        await supervisor.aask()

    monkeypatch.setattr(launchdarkly, "get_async_connection", get_async_connection)
    assert reads_the_reply(LaunchDarklyHook("of-its-own").aget_conn, supervisor)


def test_a_look_is_noted_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor()
    monkeypatch.setattr(_notes, "_add_look", lambda ti, found: supervisor.ask())
    assert reads_the_reply(lambda: _notes.add_look(None, {}, print), supervisor)


@pytest.mark.parametrize("over", [False, True], ids=["open", "time over"])
def test_an_answer_is_asked_for_to_its_end(monkeypatch: pytest.MonkeyPatch, over: bool) -> None:
    supervisor = Supervisor()

    def reply(**_: Any) -> Any:
        supervisor.ask()
        return SimpleNamespace(response_received=False, chosen_options=None, responded_by_user=None, responded_at=None)

    monkeypatch.setattr(hitl, "get_hitl_detail_content_detail", reply)
    monkeypatch.setattr(hitl, "update_hitl_detail_response", reply)
    monkeypatch.setattr(question, "SECONDS_BEFORE_FIRST_POLL", 0)
    trigger = QuestionTrigger(
        launchdarkly_conn_id="launchdarkly_default",
        project_key="p",
        environment_key="e",
        experiment_key="x",
        iteration_id="i",
        poll_interval=60.0,
        ti_id="00000000-0000-0000-0000-000000000001",
        options=["Approve", "Reject"],
        defaults=["Reject"],
        answer_until="2020-01-01T00:00:00+00:00" if over else None,
    )
    assert reads_the_reply(trigger._answer, supervisor)


def test_the_answer_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: Any) -> str:
        return "the answer"

    monkeypatch.setattr(hitl.HITLTrigger, "_handle_response", answer)

    async def first() -> Any:
        asking = AnswerTrigger(ti_id="1", options=["Approve"], params={}, timeout_datetime=None)  # type: ignore[arg-type]
        return await anext(aiter(asking.run()))

    assert asyncio.run(first()) == "the answer"


def test_an_error_of_the_call_is_the_callers() -> None:
    async def fail() -> None:
        raise OSError("the supervisor is gone")

    async def call() -> None:
        await unbroken(fail())

    with pytest.raises(OSError, match="supervisor is gone"):
        asyncio.run(call())


def calls_of(path: Path) -> list[str]:
    """The calls that ask Airflow and are not the argument of `unbroken(…)`, as file and line."""
    tree = ast.parse(path.read_text())
    kept = {
        inner
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "unbroken"
        for inner in ast.walk(call)
    }
    asking = {"sync_to_async", "get_async_connection"}
    return [
        f"{path.name}:{call.lineno}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in asking and call not in kept
    ]


def test_nothing_else_asks_airflow_from_a_triggerer() -> None:
    found = [each for path in sorted(SOURCE.rglob("*.py")) for each in calls_of(path)]
    # The work of `on_kill` is unbroken as a whole.
    assert [each.split(":")[0] for each in found] == ["_iteration.py"]
