"""No trigger ends without saying why: a connection that Airflow loses is an outage, any other error is an event."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.checks.result import CheckResult
from airflow_provider_launchdarkly.hooks import clients, launchdarkly
from airflow_provider_launchdarkly.sensors._base import error_of
from airflow_provider_launchdarkly.triggers import question
from airflow_provider_launchdarkly.triggers._base import PollingTrigger
from airflow_provider_launchdarkly.triggers.experiment_events import ExperimentEventTrigger
from airflow_provider_launchdarkly.triggers.question import QuestionTrigger, ReminderTrigger
from support.virtual_time import run_in_virtual_time
from unit.triggers.test_arguments import RIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
ENDING = sorted(
    (each for each in RIGHT if issubclass(each, PollingTrigger) and each is not QuestionTrigger),
    key=lambda each: each.__name__,
)
GOING_ON = [QuestionTrigger, ExperimentEventTrigger]
FAILURES = {
    "not found": AirflowNotFoundException("The conn_id `launchdarkly_default` isn't defined"),
    "any other": RuntimeError("the password is api-secret"),
    "edited": ConfigurationError("extra.region is 'mars'"),
    "never answers": None,
}


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a trigger has read LaunchDarkly, which always lets it wait on."""
    times: list[float] = []

    class Client:
        def __init__(self, **_: Any) -> None: ...

        async def run(self, procedure: Any, *, retry: bool) -> Any:
            procedure.close()
            await asyncio.sleep(0.1)
            times.append(now())
            return CheckResult(False, "wait", {}, is_news=False)

    async def no_answer(_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(clients, "AsyncLaunchDarklyClient", Client)
    monkeypatch.setattr(clients, "time", SimpleNamespace(monotonic=now))
    monkeypatch.setattr(question.ReminderTrigger, "_answer", no_answer)
    return times


def look_up(monkeypatch: pytest.MonkeyPatch, fails: Callable[[float], Exception | bool | None]) -> None:
    """Let Airflow's look-up of the connection fail with what `fails` returns; True never answers, None finds it."""

    async def connection(_: str) -> Any:
        match fails(now()):
            case True:
                await asyncio.Event().wait()
            case Exception() as error:
                raise error
        empty = {"host": "", "extra": "", "login": "", "schema": "", "port": None}
        return SimpleNamespace(conn_id="launchdarkly_default", password="api-token", **empty)

    monkeypatch.setattr(launchdarkly, "get_async_connection", connection)


def events(trigger: Any, seconds: float) -> list[tuple[float, dict[str, Any]]]:
    """What a trigger fires within a time, and when; fails if it raises."""

    async def run() -> list[tuple[float, dict[str, Any]]]:
        fired: list[tuple[float, dict[str, Any]]] = []

        async def collect() -> None:
            fired.extend([(now(), event.payload) async for event in trigger.run()])

        task = asyncio.create_task(collect())
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return fired

    return run_in_virtual_time(run())


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", [*ENDING, QuestionTrigger])
def test_a_connection_that_was_found_before_and_now_is_not_is_an_outage(
    kind: Any, failure: str, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    since, until = 900.0, 2700.0
    look_up(monkeypatch, lambda at: (FAILURES[failure] or True) if since <= at < until else None)
    assert events(kind(**RIGHT[kind]), 2 * HOUR) == []
    assert any(at < since for at in polled)
    assert any(until < at < until + 200 for at in polled), "it goes on within minutes"


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ENDING)
def test_such_an_outage_is_tolerated_no_longer_than_others(
    kind: Any, failure: str, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up(monkeypatch, lambda at: (FAILURES[failure] or True) if at >= 900.0 else None)
    ((at, event),) = events(kind(**RIGHT[kind]), 3 * HOUR)
    assert event["error"] == "ConnectionUnavailableError"
    assert 900 + HOUR < at < 900 + HOUR + 500
    assert "connection 'launchdarkly_default' cannot be read" in event["message"]
    assert "api-secret" not in event["message"]
    assert type(error_of(event["error"], event["message"])).retryable
    assert polled


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ENDING)
def test_a_connection_that_was_never_found_fails_at_once_with_its_name(
    kind: Any, failure: str, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up(monkeypatch, lambda _: FAILURES[failure] or True)
    ((at, event),) = events(kind(**RIGHT[kind]), HOUR)
    assert event["status"] == "error"
    assert event["error"] == ("ConfigurationError" if failure == "edited" else "ConnectionUnavailableError")
    assert at < 120, "with its first poll"
    assert not polled


@pytest.mark.parametrize("kind", GOING_ON)
def test_a_question_and_a_watcher_outlive_a_connection_that_was_never_found(
    kind: Any, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up(monkeypatch, lambda at: FAILURES["not found"] if at < HOUR else None)
    assert events(kind(**RIGHT[kind]), 3 * HOUR) == []
    assert any(at > HOUR for at in polled)


@pytest.mark.parametrize("error", [OverflowError("date value out of range"), KeyError("a bug")])
@pytest.mark.parametrize("kind", ENDING)
def test_an_error_that_is_not_launchdarkly_s_ends_the_waiting_with_an_event(
    kind: Any, error: Exception, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(launchdarkly.LaunchDarklyHook, "arun", fail)
    ((_, event),) = events(kind(**RIGHT[kind]), HOUR)
    assert (event["status"], event["error"]) == ("error", "WaitingFailedError")
    assert f"{type(error).__name__}: {error}" in event["message"]
    assert type(error_of(event["error"], event["message"])).retryable
    assert not polled


@pytest.mark.parametrize("kind", [ReminderTrigger, QuestionTrigger])
def test_a_question_that_is_gone_ends_the_waiting_with_an_event(
    kind: Any, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: Any) -> None:
        raise RuntimeError("no such question")

    look_up(monkeypatch, lambda _: None)
    monkeypatch.setattr(question.ReminderTrigger, "_answer", gone)
    ((_, event),) = events(kind(**RIGHT[kind]), HOUR)
    assert (event["status"], event["error"]) == ("error", "WaitingFailedError")
    assert "RuntimeError: no such question" in event["message"]
    assert not polled


@pytest.mark.parametrize("written", ["1h", "", "-5", "nan", "inf"])
@pytest.mark.parametrize("kind", ENDING)
def test_a_wrong_tolerance_is_named_with_its_cure(
    kind: Any, written: str, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__OUTAGE_TOLERANCE", written)
    look_up(monkeypatch, lambda _: None)
    ((_, event),) = events(kind(**RIGHT[kind]), HOUR)
    assert event["error"] == "ConfigurationError"
    assert f"[launchdarkly] outage_tolerance is {written!r}" in event["message"]
    assert "write seconds, a number from 0" in event["message"]
    assert not polled


@pytest.mark.parametrize("kind", GOING_ON)
def test_a_wrong_tolerance_ends_no_question_and_no_watcher(
    kind: Any, polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__OUTAGE_TOLERANCE", "1h")
    look_up(monkeypatch, lambda _: None)
    assert events(kind(**RIGHT[kind]), HOUR) == []
    assert not polled


def test_callers_that_wait_for_a_look_up_share_its_failure(
    polled: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def fails(at: float) -> bool:
        asked.append(at)
        return True

    look_up(monkeypatch, fails)

    async def run() -> list[Any]:
        hooks = [launchdarkly.LaunchDarklyHook() for _ in range(20)]
        return await asyncio.gather(*(hook.aget_conn() for hook in hooks), return_exceptions=True)

    found = run_in_virtual_time(run())
    assert {type(each).__name__ for each in found} == {"ConnectionUnavailableError"}
    assert len(asked) == 1
    assert not polled
