"""`on_kill`: a person who ends the task does nothing to the experiment, unless the DAG asks for it."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.hooks import unbroken
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.triggers.approvals import (
    ApprovalTrigger,
    HandedOverTrigger,
    ReleaseHandedOverTrigger,
)
from airflow_provider_launchdarkly.triggers.releases import ReleaseTrigger
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger
from support.scene import Scene

pytestmark = pytest.mark.usefixtures("connection")
KEY = "bold"
TASK = SimpleNamespace(dag_id="ramp", task_id="wait", run_id="run-1", map_index=-1)


@pytest.fixture
def iteration(emulator: EmulatorServer) -> str:
    """The experiment `bold` runs."""
    return Scene(LaunchDarklyHook(), emulator).iteration_id


def kill(
    monkeypatch: pytest.MonkeyPatch, iteration: str, state: str | None, *, cancels: int = 0, **arguments: Any
) -> dict[str, Any]:
    """End the trigger as Airflow does, the task being in a state; returns what Airflow was asked.

    Airflow 3.3.2 goes on cancelling while `on_kill` runs: `cancels` says how often.
    """
    asked: dict[str, Any] = {}

    def get_task_states(**what: Any) -> dict[str, dict[str, str]]:
        asked.update(what)
        return {"run-1": {"wait": state}} if state else {}

    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", staticmethod(get_task_states)
    )
    trigger = SignificanceTrigger(
        launchdarkly_conn_id="launchdarkly_default",
        project_key="demo",
        environment_key="production",
        poll_interval=60,
        experiment_key=KEY,
        iteration_id=iteration,
        policy="{}",
        **arguments,
    )
    # Airflow's own to set: an attribute before 3.3, a property since.
    given = property(lambda _self: TASK, lambda _self, _value: None)
    monkeypatch.setattr(SignificanceTrigger, "task_instance", given, raising=False)
    path, rebuilt = trigger.serialize()
    assert path.endswith("SignificanceTrigger")

    async def end() -> None:
        ending = asyncio.create_task(SignificanceTrigger(**rebuilt).on_kill())
        for _ in range(cancels):
            await asyncio.sleep(0)
            ending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ending
        await asyncio.gather(*unbroken._UNDER_WAY)

    asyncio.run(end())
    return asked


def test_a_task_marked_failed_stops_the_iteration_on_the_baseline(
    emulator: EmulatorServer, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = kill(monkeypatch, iteration, "failed", when_killed="rollback")
    assert asked == {"dag_id": "ramp", "task_ids": ["wait"], "run_ids": ["run-1"], "map_index": -1}
    (stopped,) = emulator.effects("iteration.stopped")
    assert stopped["iteration"] == iteration
    found = LaunchDarklyHook().get_experiment(KEY, expand=("previousIterations", "treatments")).iteration(iteration)
    assert found is not None
    assert found.baseline is not None
    assert found.winning_treatment_id == found.baseline.id
    assert found.winning_reason == "ramp.wait, run run-1, was marked failed while it waited"


def test_airflow_s_further_cancels_do_not_interrupt_the_stop(
    emulator: EmulatorServer, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(monkeypatch, iteration, "failed", cancels=3, when_killed="rollback")
    assert len(emulator.effects("iteration.stopped")) == 1


def test_a_stop_that_fails_is_logged(
    emulator: EmulatorServer,
    iteration: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: Any,
) -> None:
    emulator.fault("get_experiment", "status", status=401)
    kill(monkeypatch, iteration, "failed", when_killed="rollback")
    assert emulator.effects("iteration.stopped") == []
    assert "Not stopped, the experiment runs on: AuthenticationError" in caplog.text + capsys.readouterr().out


@pytest.mark.parametrize("state", ["deferred", "running", "queued", "success", None])
def test_nothing_is_stopped_unless_the_task_was_marked_failed(
    emulator: EmulatorServer, iteration: str, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    kill(monkeypatch, iteration, state, when_killed="rollback")
    assert emulator.effects("iteration.stopped") == []


def test_by_default_the_experiment_runs_on(
    emulator: EmulatorServer, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kill(monkeypatch, iteration, "failed") == {}
    assert emulator.effects("iteration.stopped") == []


def test_an_ending_that_comes_twice_stops_once(
    emulator: EmulatorServer, iteration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        kill(monkeypatch, iteration, "failed", when_killed="rollback")
    assert len(emulator.effects("iteration.stopped")) == 1


def sensor(**arguments: Any) -> LaunchDarklyWaitForSignificanceSensor:
    return LaunchDarklyWaitForSignificanceSensor(task_id="wait", experiment_key=KEY, iteration_id="i", **arguments)


PLACE: dict[str, Any] = {
    "launchdarkly_conn_id": "launchdarkly_default",
    "project_key": "demo",
    "environment_key": "production",
    "poll_interval": 60,
}
UNTIL = {"until": "2026-12-04T09:00:00+00:00"}
AWAITED = [
    ApprovalTrigger(**PLACE, flag_key="checkout-button", request_id="r-1", timeout_seconds=60),
    HandedOverTrigger(**PLACE, **UNTIL, experiment_key=KEY, iteration_id="i-1", status="stopped"),
    ReleaseHandedOverTrigger(**PLACE, **UNTIL, flag_key="checkout-button", design="{}", since=UNTIL["until"]),
    ReleaseTrigger(**PLACE, flag_key="checkout-button", release_id="rel-1", ends_on=["completed"]),
]


@pytest.mark.skipif(not hasattr(BaseTrigger, "on_kill"), reason="Airflow 3.3 and later end triggers so")
@pytest.mark.parametrize("trigger", AWAITED, ids=lambda trigger: type(trigger).__name__)
def test_whoever_is_killed_while_launchdarkly_is_awaited_leaves_request_experiment_and_release_alone(
    monkeypatch: pytest.MonkeyPatch, emulator: EmulatorServer, iteration: str, trigger: Any
) -> None:
    """LaunchDarkly would refuse the stop as well, where it demands an approval; and a release goes on there."""
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
        staticmethod(lambda **_: {"run-1": {"wait": "failed"}}),
    )
    given = property(lambda _self: TASK, lambda _self, _value: None)
    monkeypatch.setattr(type(trigger), "task_instance", given, raising=False)
    before = len(emulator.effects())
    asyncio.run(trigger.on_kill())
    assert len(emulator.effects()) == before
    running = LaunchDarklyHook().get_experiment(KEY).running
    assert running is not None
    assert running.id == iteration


def test_rollback_needs_airflow_3_3() -> None:
    if hasattr(BaseTrigger, "on_kill"):
        trigger = sensor(on_kill="rollback").make_trigger()
        assert trigger.serialize()[1]["when_killed"] == "rollback"
    else:
        with pytest.raises(ConfigurationError, match=r"needs Airflow 3\.3"):
            sensor(on_kill="rollback")


def test_rollback_needs_a_deferrable_sensor() -> None:
    with pytest.raises(ConfigurationError, match="deferrable=True"):
        sensor(on_kill="rollback", deferrable=False)


def test_on_kill_is_one_of_two_words() -> None:
    with pytest.raises(ConfigurationError, match="on_kill is 'stop': write leave or rollback"):
        sensor(on_kill="stop")


def test_airflows_own_method_of_that_name_is_left_alone() -> None:
    sensor().on_kill()
