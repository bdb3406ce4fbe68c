"""The sensor and its trigger: poll once, defer, and return a verdict or an error, by the same check in every mode."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ResultsUnavailableError,
    ServerError,
    VersionMismatchError,
)
from airflow_provider_launchdarkly.config.lines import lines_of
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateExperimentOperator
from airflow_provider_launchdarkly.operators.iterations import LaunchDarklyStartIterationOperator
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers import _circuit
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger
from support.counted import count_in
from support.failing import fails_at_once
from support.fresh_process import forget_answers
from support.lone_polls import poll_alone
from support.virtual_time import run_in_virtual_time

KEY = "bold-checkout-button"
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="rollout", task_id="wait", run_id="run-1")}


@pytest.fixture
def iteration(connection: str) -> str:
    """A running iteration; returns its id."""
    return begin()


def begin() -> str:
    created = LaunchDarklyCreateExperimentOperator(
        task_id="create",
        experiment_key=KEY,
        name="Button",
        hypothesis="Bold is better.",
        flag_key="checkout-button",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
    ).execute(CONTEXT)
    start = LaunchDarklyStartIterationOperator(
        task_id="start", experiment_key=KEY, iteration_id=created["iteration_id"], turn_flag_on=True
    )
    started: str = start.execute(CONTEXT)["iteration_id"]
    return started


def sensor(iteration: str, **changes: Any) -> LaunchDarklyWaitForSignificanceSensor:
    fields: dict[str, Any] = {"experiment_key": KEY, "iteration_id": iteration, "policy": Policy()} | changes
    return LaunchDarklyWaitForSignificanceSensor(task_id="wait", **fields)


def deferred(iteration: str, **changes: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferral:
        sensor(iteration, **changes).execute(CONTEXT)
    return deferral.value


class Sleeps:
    """Sleep that takes no time, and turns the emulator's clock by a day each time."""

    def __init__(self, emulator: EmulatorServer) -> None:
        self.emulator = emulator
        self.delays: list[float] = []

    async def __call__(self, delay: float) -> None:
        self.delays.append(delay)
        if len(self.delays) > 60:
            raise AssertionError("the trigger never ended")
        self.emulator.clock.advance("P1D")


@pytest.fixture
def sleeps(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    slept = Sleeps(emulator)
    # Only the trigger's own sleep: the event loop and the client keep theirs.
    poll_alone(monkeypatch, slept)
    monkeypatch.setattr(_circuit, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(_circuit, "LONGEST_PAUSE", 0.01)
    return slept


def events(trigger: SignificanceTrigger) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect())


def test_it_looks_once_and_defers(emulator: EmulatorServer, iteration: str) -> None:
    before = len(emulator.requests())
    deferral = deferred(iteration)
    assert [line.operation for line in emulator.requests()[before:]] == ["get_experiment"]
    assert isinstance(deferral.trigger, SignificanceTrigger)
    assert deferral.method_name == "execute_complete"


def test_a_verdict_that_stands_already_is_returned_without_deferring(emulator: EmulatorServer, iteration: str) -> None:
    emulator.clock.advance("P28D")
    assert sensor(iteration).execute(CONTEXT)["verdict"] in {"ship", "inconclusive"}


def test_the_trigger_is_plain_json_without_a_secret_and_rebuilds_itself(
    emulator: EmulatorServer, iteration: str
) -> None:
    trigger = deferred(iteration).trigger
    path, arguments = trigger.serialize()
    assert path == "airflow_provider_launchdarkly.triggers.significance.SignificanceTrigger"
    assert json.loads(json.dumps(arguments)) == arguments
    assert emulator.token not in json.dumps(arguments)
    assert type(trigger)(**arguments).serialize() == (path, arguments)


def test_the_trigger_looks_day_by_day_and_fires_once(sleeps: Sleeps, iteration: str) -> None:
    (event,) = events(deferred(iteration).trigger)
    assert event["status"] == "verdict"
    assert event["verdict"]["verdict"] == "ship"
    assert event["verdict"]["look"] == len(sleeps.delays)


def test_the_trigger_sleeps_first_and_never_less_than_ten_seconds(sleeps: Sleeps, iteration: str) -> None:
    events(deferred(iteration, poke_interval=1).trigger)
    assert sleeps.delays[0] == 10
    assert all(0.9 <= delay <= 1 for delay in sleeps.delays[1:])


def test_a_long_poke_interval_is_kept_after_a_first_poll_within_it(sleeps: Sleeps, iteration: str) -> None:
    events(deferred(iteration, poke_interval=600).trigger)
    assert 10 <= sleeps.delays[0] <= 600
    assert set(sleeps.delays[1:]) == {600}


def test_the_deferred_path_and_poke_give_the_same_verdict(
    emulator: EmulatorServer, sleeps: Sleeps, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (event,) = events(deferred(iteration).trigger)
    by_trigger = sensor(iteration).execute_complete(CONTEXT, event)
    emulator.reset()
    monkeypatch.setattr("time.sleep", lambda _: emulator.clock.advance("P1D"))
    by_poke = sensor(begin(), deferrable=False, mode="poke", poke_interval=60).execute(CONTEXT)
    assert {**by_poke, "record": None} == {**by_trigger, "record": None}


def looks_and_verdicts(counts: Counter[str]) -> dict[str, int]:
    names = {name.removeprefix("launchdarkly."): number for name, number in counts.items()}
    return {name: number for name, number in names.items() if name == "looks" or name.startswith("verdicts.")}


@pytest.mark.parametrize(
    ("max_duration", "kind"), [("28d", "ship"), ("2d", "inconclusive")], ids=["a winner", "no winner"]
)
def test_each_look_and_the_verdict_that_ends_the_wait_are_counted_once(
    emulator: EmulatorServer,
    sleeps: Sleeps,
    iteration: str,
    monkeypatch: pytest.MonkeyPatch,
    max_duration: str,
    kind: str,
) -> None:
    policy = {"max_duration": max_duration, "min_duration": "1d", "min_units_per_treatment": 10}
    counts, _ = count_in(monkeypatch)
    (event,) = events(deferred(iteration, policy=policy).trigger)
    looks = {"looks": event["verdict"]["look"]}
    assert looks["looks"] > 1
    assert looks_and_verdicts(counts) == looks, "the wait has not ended for the task yet"
    sensor(iteration, policy=policy).execute_complete(CONTEXT, event)
    assert looks_and_verdicts(counts) == looks | {f"verdicts.{kind}": 1}
    counts.clear()
    emulator.reset()
    monkeypatch.setattr("time.sleep", lambda _: emulator.clock.advance("P1D"))
    sensor(begin(), policy=policy, deferrable=False, mode="poke", poke_interval=60).execute(CONTEXT)
    assert looks_and_verdicts(counts) == looks | {f"verdicts.{kind}": 1}
    assert counts["launchdarkly.polls"] == looks["looks"] + 1


def test_a_wait_that_ends_without_a_look_counts_its_verdict_alone(
    sleeps: Sleeps, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, _ = count_in(monkeypatch)
    trigger = deferred(iteration).trigger
    LaunchDarklyHook().stop_iteration(KEY, iteration, winner="baseline", reason="by hand")
    (event,) = events(trigger)
    sensor(iteration).execute_complete(CONTEXT, event)
    assert looks_and_verdicts(counts) == {"verdicts.invalid": 1}


def test_the_log_says_once_what_limits_the_verdict(
    sleeps: Sleeps, iteration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (event,) = events(deferred(iteration).trigger)
    caution = lines_of(f"Caution: {event['verdict']['cautions'][0]}")[0]
    assert capsys.readouterr().out.count(caution) == 1
    sensor(iteration).execute_complete(CONTEXT, event)
    assert capsys.readouterr().out.count(caution) == 1


def test_a_trigger_that_is_restarted_in_mid_interval_adds_no_look(
    emulator: EmulatorServer, sleeps: Sleeps, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.clock.advance("P3DT11H")

    async def nothing(delay: float) -> None:
        sleeps.delays.append(delay)
        if len(sleeps.delays) > 3:
            raise KeyboardInterrupt

    poll_alone(monkeypatch, nothing)
    before = len(emulator.requests())
    with pytest.raises(KeyboardInterrupt):
        events(deferred(iteration).trigger)
    assert {line.operation for line in emulator.requests()[before:]} == {"get_experiment"}


def test_someone_elses_stop_ends_the_waiting_at_once(sleeps: Sleeps, iteration: str) -> None:
    trigger = deferred(iteration).trigger
    LaunchDarklyHook().stop_iteration(KEY, iteration, winner="baseline", reason="by hand")
    (event,) = events(trigger)
    assert (event["verdict"]["verdict"], event["verdict"]["reason"]) == ("invalid", "iteration_stopped")
    assert len(sleeps.delays) == 1


def test_transient_errors_are_waited_out(emulator: EmulatorServer, sleeps: Sleeps, iteration: str) -> None:
    trigger = deferred(iteration).trigger
    emulator.fault("get_experiment", "status", status=503, times=3)
    (event,) = events(trigger)
    assert event["status"] == "verdict"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 401}, "AuthenticationError"),
        ({"status": 404}, "NotFoundError"),
        ({"status": 403}, "PermissionDeniedError"),
    ],
)
def test_an_error_that_waiting_cannot_cure_ends_the_waiting(
    emulator: EmulatorServer, sleeps: Sleeps, iteration: str, fault: dict[str, Any], error: str
) -> None:
    trigger = deferred(iteration).trigger
    forget_answers()
    emulator.fault("get_experiment", "status", **fault)
    (event,) = events(trigger)
    assert (event["status"], event["error"]) == ("error", error)
    assert emulator.token not in event["message"]


def test_results_that_are_gone_end_the_waiting_with_their_own_error(
    emulator: EmulatorServer, sleeps: Sleeps, iteration: str
) -> None:
    trigger = deferred(iteration).trigger
    emulator.switch(results="gone")
    (event,) = events(trigger)
    with fails_at_once(ResultsUnavailableError, match=r"18\.0\.0"):
        sensor(iteration).execute_complete(CONTEXT, event)


def test_a_server_that_stays_down_ends_the_waiting_after_the_tolerated_hour(
    sleeps: Sleeps, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = deferred(iteration).trigger

    async def down(*_: Any, **__: Any) -> None:
        raise ServerError("503")

    async def collect() -> tuple[list[dict[str, Any]], float]:
        return [event.payload async for event in trigger.run()], asyncio.get_running_loop().time()

    monkeypatch.setattr(_circuit, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(_circuit, "LONGEST_PAUSE", 60.0)
    monkeypatch.setattr("airflow_provider_launchdarkly.hooks.launchdarkly.LaunchDarklyHook.arun", down)
    (event,), seconds = run_in_virtual_time(collect())
    assert event["error"] == "ServerError"
    assert 3600 <= seconds <= 3661


def test_the_error_of_the_trigger_is_raised_on_the_worker_where_retries_apply(iteration: str) -> None:
    event = {"status": "error", "error": "AuthenticationError", "message": "401"}
    with fails_at_once(AuthenticationError, match="401"):
        sensor(iteration).execute_complete(CONTEXT, event)


@pytest.mark.parametrize(
    "event", [None, {}, {"status": "done"}, {"status": "verdict"}, {"status": "verdict", "verdict": {}}]
)
def test_an_unknown_event_is_an_error(iteration: str, event: dict[str, Any] | None) -> None:
    with pytest.raises(VersionMismatchError, match="takes for neither a verdict nor an error"):
        sensor(iteration).execute_complete(CONTEXT, event)


def test_an_error_that_a_newer_triggerer_names_is_tried_again(iteration: str) -> None:
    event = {"status": "error", "error": "os", "message": "what"}
    with pytest.raises(VersionMismatchError, match="os: what"):
        sensor(iteration).execute_complete(CONTEXT, event)


def test_reschedule_mode_judges_each_poke_as_a_fresh_process(emulator: EmulatorServer, iteration: str) -> None:
    emulator.clock.advance("P1DT1H")
    poke = sensor(iteration, deferrable=False, mode="reschedule", poke_interval=3600).poke(CONTEXT)
    assert not poke.is_done
    assert any(line.operation == "get_experiment_results" for line in emulator.requests())


def test_the_backstop_is_the_shorter_of_the_two_timeouts(iteration: str) -> None:
    assert deferred(iteration).timeout == timedelta(days=366)
    assert deferred(iteration, timeout=60).timeout == timedelta(seconds=60)
    assert deferred(iteration, execution_timeout=timedelta(hours=1)).timeout == timedelta(hours=1)


def test_the_poll_interval_comes_from_the_configuration(iteration: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", "17")
    assert sensor(iteration).poke_interval == 17


@pytest.mark.parametrize(
    "policy", [{"alpha": 2}, {"min_duration": "9d", "max_duration": "8d"}, {"alhpa": 0.05}, {"looks": "soon"}]
)
def test_an_impossible_policy_is_refused_when_the_dag_file_is_parsed(policy: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError):
        sensor("i", policy=policy)


def test_a_policy_may_be_a_mapping_with_templates(iteration: str) -> None:
    task = sensor(iteration, policy={"alpha": "{{ params.alpha }}"})
    task.policy = {"alpha": 0.01}
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(CONTEXT)
    assert deferral.value.trigger.serialize()[1]["policy"] == '{"alpha": 0.01}'


def test_soft_fail_does_not_turn_an_error_into_a_skip(emulator: EmulatorServer, iteration: str) -> None:
    emulator.fault("get_experiment", "status", status=401)
    with fails_at_once(AuthenticationError):
        sensor(iteration, soft_fail=True, deferrable=False).execute(CONTEXT)
