"""Arguments of triggers as Airflow stores them: no constructor raises, and the event names the wrong ones."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

import airflow_provider_launchdarkly.triggers
from airflow_provider_launchdarkly.api.errors import ConfigurationError, VersionMismatchError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors.experiments import LaunchDarklyIterationStatusSensor
from airflow_provider_launchdarkly.sensors.flags import LaunchDarklyFlagStateSensor
from airflow_provider_launchdarkly.triggers import _base as polling
from airflow_provider_launchdarkly.triggers import _watcher as watcher
from airflow_provider_launchdarkly.triggers import question
from airflow_provider_launchdarkly.triggers._answer import AnswerTrigger
from airflow_provider_launchdarkly.triggers._watcher import WatcherTrigger
from airflow_provider_launchdarkly.triggers.approvals import (
    ApprovalTrigger,
    HandedOverTrigger,
    ReleaseHandedOverTrigger,
)
from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger, WatchedClockTrigger
from airflow_provider_launchdarkly.triggers.experiment_events import ExperimentEventTrigger
from airflow_provider_launchdarkly.triggers.experiments import DwellTrigger, IterationStatusTrigger, TrafficTrigger
from airflow_provider_launchdarkly.triggers.flags import FlagStateTrigger
from airflow_provider_launchdarkly.triggers.question import QuestionTrigger, ReminderTrigger
from airflow_provider_launchdarkly.triggers.release_events import ReleaseEventTrigger
from airflow_provider_launchdarkly.triggers.releases import ReleaseTrigger
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger
from support.triggerer import first_event, read_back, stored_by_deferral, stored_by_watcher

SHARED = {
    "launchdarkly_conn_id": "launchdarkly_default",
    "project_key": "demo",
    "environment_key": "production",
    "poll_interval": 60.0,
}
PLACE: dict[str, Any] = {"project_key": "demo", "environment_key": "production"}
PINNED = {**SHARED, "experiment_key": "bold", "iteration_id": "i1", "when_killed": "leave"}
POLICY = json.dumps(Policy(looks=timedelta(days=1)).to_json())

# Arguments of each trigger as its sensor, or its constructor in a DAG file, stores them.
RIGHT: dict[type[BaseTrigger], dict[str, Any]] = {
    ApprovalTrigger: {**SHARED, "flag_key": "f", "request_id": "a", "timeout_seconds": 86400.0},
    ClockTrigger: {**SHARED, "project_key": None, "until": "2026-12-04T09:00:00+00:00"},
    HandedOverTrigger: {
        **SHARED,
        "experiment_key": "bold",
        "iteration_id": "i1",
        "status": "stopped",
        "until": "2026-12-04T09:00:00+00:00",
    },
    ReleaseHandedOverTrigger: {
        **SHARED,
        "flag_key": "f",
        "design": '{"originalVariationId": "a", "targetVariationId": "b", "releasePlanKey": "careful"}',
        "since": "2026-12-03T09:00:00+00:00",
        "until": "2026-12-04T09:00:00+00:00",
    },
    DwellTrigger: {**PINNED, "dwell_seconds": 86400.0},
    IterationStatusTrigger: {**PINNED, "status": "stopped"},
    TrafficTrigger: {**PINNED, "units_per_treatment": 100, "metric_key": None},
    WatchedClockTrigger: {**PINNED, "policy": POLICY, "previous_seconds": 1.5, "until": "2026-12-04T09:00:00+00:00"},
    QuestionTrigger: {
        **PINNED,
        "policy": POLICY,
        "previous_seconds": None,
        "analysed_by_launchdarkly": False,
        "ti_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "options": ["Approve", "Reject"],
        "defaults": ["Reject"],
        "answer_until": "2026-12-04T09:00:00+00:00",
    },
    ReminderTrigger: {
        "ti_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "options": ["Approve", "Reject"],
        "defaults": ["Reject"],
        "answer_until": "2026-12-04T09:00:00+00:00",
        "asked_at": "2026-12-03T09:00:00+00:00",
        "remind_at": "2026-12-03T13:00:00+00:00",
    },
    ReleaseTrigger: {**SHARED, "flag_key": "f", "release_id": "r", "ends_on": ["completed"], "if_unmeasured": "end"},
    FlagStateTrigger: {**SHARED, "flag_key": "f", "on": True, "variation_json": '{"color": "red"}'},
    SignificanceTrigger: {
        **PINNED,
        "policy": POLICY,
        "previous_seconds": 1.5,
        "look_on_worker": True,
        "standing": '{"treatment_id": "t1", "look": 12, "metric": "clicks", "policy": "44136fa355b3678a"}',
    },
    ExperimentEventTrigger: {**SHARED, "experiment_key": "bold", "on": ["start", "stop"], "policy": POLICY},
    ReleaseEventTrigger: {**SHARED, "flag_key": ["f", "g"], "on": ["regressed", "stopped"]},
}
WATCHERS = [ExperimentEventTrigger, ReleaseEventTrigger]
TRIGGERS = sorted(RIGHT, key=lambda trigger: trigger.__name__)
STORAGES = {"deferral": stored_by_deferral, "watcher": stored_by_watcher}

# What Airflow 3.1.8, 3.2.2 and 3.3.2 hand a watcher's trigger back for nested and empty arguments.
HANDED_BACK: dict[str, Any] = {
    "3.1 list of mappings": [
        {
            "Encoding.VAR": {"__var": {"Encoding.VAR": {"a": 1}, "Encoding.TYPE": "dict"}, "__type": "dict"},
            "Encoding.TYPE": "dict",
        }
    ],
    "3.2 mapping": {
        "Encoding.VAR": {"looks": {"Encoding.VAR": {"spacing": "1d"}, "Encoding.TYPE": "dict"}},
        "Encoding.TYPE": "dict",
    },
    "3.2 empty mapping": {"Encoding.VAR": {}, "Encoding.TYPE": "dict"},
    "3.2 tuple": {"Encoding.VAR": ["a", "b"], "Encoding.TYPE": "tuple"},
    "3.3 list of mappings": [{"__var": {"a": 1}, "__type": "dict"}],
}

# Other values that no argument of any trigger takes.
WRONG: dict[str, Any] = {
    "list of mappings": [{"a": 1}],
    "nested mapping": {"a": {"b": [{"c": {}}]}},
    "infinite": float("inf"),
    "negative": -1,
    "empty text": "",
    "longer than dates reach": 1e14,
}


def path(trigger: type[BaseTrigger]) -> str:
    return f"{trigger.__module__}.{trigger.__qualname__}"


def required_of(trigger: type[BaseTrigger]) -> tuple[str, ...]:
    """Arguments that have to be there."""
    if trigger is ReminderTrigger:
        return ("ti_id", "options")
    if issubclass(trigger, WatcherTrigger):
        return trigger.subject[:1]
    return ("launchdarkly_conn_id", "poll_interval")


def arguments_of(trigger: type[BaseTrigger]) -> list[str]:
    return sorted(RIGHT[trigger])


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long triggers slept; the fifth time they sleep for ever."""
    seconds_slept: list[float] = []
    forever, sleep = asyncio.Event, asyncio.sleep

    async def sleeping(seconds: float) -> None:
        seconds_slept.append(seconds)
        await (forever().wait() if len(seconds_slept) > 4 else sleep(0))

    for module in (polling, watcher, question):
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleeping}))
    return seconds_slept


def message_of(trigger: type[BaseTrigger], payload: dict[str, Any]) -> str:
    """What the event says; checks its shape, and that the resumed task raises it."""
    if issubclass(trigger, WatcherTrigger):
        assert set(payload) == {"event", "project_key", "environment_key", *trigger.subject, "message"}
        assert (payload["event"], payload[trigger.subject[1]]) == ("error", None)
        assert "Correct the watcher in the DAG file" in payload["message"]
    else:
        assert (payload["status"], payload["error"]) == ("error", "VersionMismatchError")
        assert "Upgrade triggerers first; the task's retries wait for that" in payload["message"]
        sensor = LaunchDarklyIterationStatusSensor(task_id="t", experiment_key="e", iteration_id="i", status="running")
        with pytest.raises(VersionMismatchError) as raised:
            sensor.execute_complete({}, payload)
        assert str(raised.value) == payload["message"]
    return str(payload["message"])


def test_every_trigger_of_the_provider_is_tried_here() -> None:
    package = airflow_provider_launchdarkly.triggers
    found = {
        kind
        for module in pkgutil.iter_modules(package.__path__)
        for _, kind in inspect.getmembers(importlib.import_module(f"{package.__name__}.{module.name}"), inspect.isclass)
        if issubclass(kind, BaseTrigger) and kind.__module__.startswith(package.__name__)
    }
    # AnswerTrigger runs within another and is never stored.
    assert {kind for kind in found if not inspect.isabstract(kind)} == {*RIGHT, AnswerTrigger}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_right_arguments_come_back_as_they_were(trigger: Any, storage: str) -> None:
    classpath, given = trigger(**RIGHT[trigger]).serialize()
    assert all(is_flat(value) for value in given.values())
    handed_back = read_back(STORAGES[storage](classpath, given))
    assert handed_back == given
    again = trigger(**handed_back)
    assert again.serialize() == (classpath, given)
    again.check()


def is_flat(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, type(None))) or (
        isinstance(value, list) and all(isinstance(word, str) for word in value)
    )


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("wrong", [*WRONG, *HANDED_BACK])
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_no_wrong_value_ends_the_triggerer(trigger: Any, wrong: str, storage: str) -> None:
    value = {**WRONG, **HANDED_BACK}[wrong]
    stored = STORAGES[storage](path(trigger), dict.fromkeys(RIGHT[trigger], value))
    said = message_of(trigger, first_event(path(trigger), stored))
    assert f"{'options' if trigger is ReminderTrigger else 'poll_interval'} is " in said
    assert all(problem in said for problem in trigger(**read_back(stored)).problems())


@pytest.mark.parametrize("shape", HANDED_BACK)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_an_encoded_argument_is_named_with_value_and_cure(trigger: Any, shape: str) -> None:
    for name in arguments_of(trigger):
        built = trigger(**{**RIGHT[trigger], name: HANDED_BACK[shape]})
        built.trigger_id = 1
        built.serialize()
        (problem,) = built.problems()
        assert problem.startswith(f"{name} is ")
        assert "Airflow gave it back in its own encoding, so write it as JSON text" in problem
        assert "Encoding" in problem or "__var" in problem


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_arguments_of_a_newer_version_are_named_and_not_ignored(trigger: Any, storage: str) -> None:
    given = {**RIGHT[trigger], "confidence": {"level": 0.9}, "self": None}
    said = message_of(trigger, first_event(path(trigger), STORAGES[storage](path(trigger), given)))
    assert "confidence is unknown to this version of the provider (its value is {" in said
    assert "self is unknown" in said
    assert "upgrade the provider in the triggerer" in said


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_missing_arguments_are_named(trigger: Any, storage: str) -> None:
    said = message_of(trigger, first_event(path(trigger), STORAGES[storage](path(trigger), {})))
    for name in required_of(trigger):
        assert f"{name} is missing: pass it" in said


@pytest.mark.parametrize("trigger", [SignificanceTrigger, ExperimentEventTrigger])
def test_a_policy_that_an_earlier_version_stored_as_a_mapping_is_read(trigger: Any) -> None:
    trigger(**{**RIGHT[trigger], "policy": {"alpha": 0.01}}).check()


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_time_beyond_python_s_dates_is_named(trigger: Any) -> None:
    beyond = {float: 1e14, str: "9999-12-31T23:59:59-14:00"}
    for name, value in RIGHT[trigger].items():
        if name.endswith(("_seconds", "_interval", "until", "since", "_at")) and value is not None:
            (problem,) = trigger(**{**RIGHT[trigger], name: beyond[type(value)]}).problems()
            assert problem.startswith(f"{name} is {beyond[type(value)]!r}: write a ")


@pytest.mark.parametrize("bad", ["nonsense", "[]", '{"alpha": 2}', '{"Encoding.VAR": {}, "Encoding.TYPE": "dict"}', 7])
@pytest.mark.parametrize("trigger", [SignificanceTrigger, ExperimentEventTrigger])
def test_a_value_that_is_no_policy_is_named(trigger: Any, bad: Any) -> None:
    (problem,) = trigger(**{**RIGHT[trigger], "policy": bad}).problems()
    assert problem.startswith(f"policy is {bad!r}: ")


def test_an_error_is_not_fired_within_ten_seconds_of_the_deferral(slept: list[float]) -> None:
    first_event(path(ClockTrigger), stored_by_deferral(path(ClockTrigger), {}))
    assert slept == [polling.SECONDS_BEFORE_FIRST_POLL]


@pytest.mark.parametrize("trigger", WATCHERS)
def test_a_watcher_with_wrong_arguments_fires_once_and_goes_on_without_a_hot_loop(
    trigger: Any, slept: list[float]
) -> None:
    assert first_event(path(trigger), stored_by_watcher(path(trigger), {}))
    assert slept[0] == watcher.SECONDS_BEFORE_ERROR
    assert set(slept[1:]) == {watcher.LONGEST_PAUSE}


@pytest.mark.parametrize("kind", WATCHERS)
def test_a_watcher_continues_after_an_unexpected_error(
    kind: Any, slept: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    async def fail(*_: Any) -> None:
        raise KeyError("an unexpected error")

    monkeypatch.setattr(LaunchDarklyHook, "load_settings", fail)
    trigger = kind(**{**RIGHT[kind], kind.subject[0]: "one"})

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(trigger.run())), 0.2)

    asyncio.run(run())
    assert len(slept) == 5
    assert all(pause >= 0.9 * 60 for pause in slept[1:])
    assert "an unexpected error" in caplog.text + capsys.readouterr().out


def test_a_policy_with_python_s_own_values_is_stored_as_json_text() -> None:
    trigger = ExperimentEventTrigger(experiment_key="bold", policy={"max_duration": timedelta(days=28)})
    assert Policy.from_json(json.loads(trigger.serialize()[1]["policy"])).max_duration == timedelta(days=28)


def test_a_flag_s_variation_that_is_json_is_handed_over_as_text() -> None:
    sensor = LaunchDarklyFlagStateSensor(task_id="t", flag_key="f", variation={"color": ["red"]}, **PLACE)
    given = sensor.make_trigger().serialize()[1]
    assert (given["variation"], given["variation_json"]) == (None, '{"color": ["red"]}')


def test_a_sensor_names_a_wrong_argument_before_it_defers() -> None:
    sensor = LaunchDarklyIterationStatusSensor(
        task_id="t", experiment_key="e", iteration_id="", status="running", **PLACE
    )
    with pytest.raises(ConfigurationError, match="iteration_id is '': write text that is not empty"):
        sensor.make_trigger()


def test_a_wrong_configuration_is_named_and_breaks_no_import() -> None:
    script = (
        "from airflow_provider_launchdarkly.triggers import change_window, experiment_events, experiments, flags\n"
        "from airflow_provider_launchdarkly.triggers import significance\n"
        "print(experiment_events.ExperimentEventTrigger(experiment_key='e').problems())"
    )
    environment = os.environ | {"AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "often"}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "poll_interval is " in ran.stdout
    assert "often" in ran.stdout
