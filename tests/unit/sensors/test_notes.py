"""What a task leaves in XCom for the pages: without a record path, on a worker and in the triggerer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.sdk import DAG
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.notes import WINDOW, key_of
from support.lone_polls import poll_alone
from unit.sensors.conftest import KEY, Underway

NOTE = key_of("demo", "production", KEY)


class Keeper:
    """A task instance that keeps what it is given."""

    def __init__(self, task_id: str = "wait") -> None:
        self.kept: dict[tuple[str, str], Any] = {}
        self.dag_id, self.task_id, self.run_id, self.map_index, self.try_number = "dag", task_id, "run", -1, 1

    def xcom_push(self, key: str, value: Any) -> None:
        self.kept[self.task_id, key] = value

    def xcom_pull(self, *, task_ids: str, key: str, **_: Any) -> Any:
        return self.kept.get((task_ids, key))

    @property
    def context(self) -> Any:
        return {"ti": self, "dag": DAG("dag", tags=["web"], default_args={"owner": "growth"}), "run_id": "run"}

    @property
    def note(self) -> Any:
        return self.kept[self.task_id, NOTE]


def defer(sensor: Any, context: Any, event: Any = None) -> Any:
    """Let the sensor poll and defer; returns its trigger."""
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute_complete(context, event) if event else sensor.execute(context)
    return deferred.value.trigger


def test_before_the_first_look_a_note_says_what_is_waited_for(underway: Underway) -> None:
    ti = Keeper()
    defer(underway.sensor(), ti.context)
    note = ti.note
    assert note["kind"] == "watch"
    assert (note["project"], note["environment"], note["experiment"]) == ("demo", "production", KEY)
    assert note["tags"] == ["web"]
    assert note["latest"]["verdict"] == "wait"
    assert note["latest"]["next_look_days"] == 1
    assert note["policy"]["alpha"] == 0.05
    assert note["looks"] == []


def test_the_triggerer_adds_each_look_that_it_takes(underway: Underway, monkeypatch: pytest.MonkeyPatch) -> None:
    ti = Keeper()
    sensor = underway.sensor(policy={"looks": "1d", "min_duration": "3d", "max_duration": "3d"})
    trigger = defer(sensor, ti.context)
    assert not trigger.look_on_worker
    trigger.task_instance = ti
    calls = []

    def get_one(*, key: str, task_id: str, **_: Any) -> Any:
        calls.append("get")
        return ti.kept.get((task_id, key))

    def put(*, key: str, value: Any, task_id: str, **_: Any) -> None:
        calls.append("set")
        ti.kept[task_id, key] = value

    monkeypatch.setattr(XCom, "get_one", get_one)
    monkeypatch.setattr(XCom, "set", put)

    async def sleep(_: float) -> None:
        underway.emulator.clock.advance("PT12H")

    poll_alone(monkeypatch, sleep)

    async def first_event() -> Any:
        return (await anext(trigger.run())).payload

    payload = asyncio.run(first_event())
    assert payload["status"] == "verdict"
    assert calls == ["get", "set"] * 2  # two looks that end nothing, among six polls
    assert [look["look"] for look in ti.note["looks"]] == [1, 2]
    (primary, *_) = ti.note["looks"][0]["metrics"]
    assert primary["role"] == "primary"
    assert primary["comparisons"][0]["treatment"] == "Bold"
    assert {arm["name"]: arm["percent"] for arm in ti.note["treatments"]} == {"Classic": 50.0, "Bold": 50.0}
    output = sensor.execute_complete(ti.context, payload)
    assert [look["look"] for look in ti.note["looks"]] == [1, 2, 3]
    assert ti.note["latest"]["verdict"] == output["verdict"]


def test_a_note_that_a_repeat_writes_is_the_same(underway: Underway, tmp_path: Any) -> None:
    underway.emulator.clock.advance("P1DT1M")
    ti = Keeper()
    arguments = {"policy": {"looks": "1d"}, "record_path": str(tmp_path)}
    for _ in range(2):
        defer(underway.sensor(**arguments), ti.context)
    assert len(ti.note["looks"]) == 1
    assert ti.note["record"]["entries"] == 1


def test_a_failed_wait_says_why(underway: Underway) -> None:
    ti = Keeper()
    sensor = underway.sensor()
    defer(sensor, ti.context)
    event = {"status": "error", "error": "AuthenticationError", "message": "the token is refused"}
    with pytest.raises(AirflowFailException):
        sensor.execute_complete(ti.context, event)
    assert ti.note["trouble"]["message"].endswith("the token is refused")
    assert ti.note["policy"]


def test_start_and_stop_leave_notes_too(underway: Underway) -> None:
    start, stop = Keeper("start"), Keeper("stop")
    where: dict[str, Any] = {"experiment_key": KEY, "iteration_id": underway.iteration_id}
    LaunchDarklyStartIterationOperator(task_id="start", **where).execute(start.context)
    assert start.note["kind"] == "start"
    assert [arm["name"] for arm in start.note["treatments"]] == ["Classic", "Bold"]
    verdict = {"verdict": "inconclusive", "summary": "no winner", "experiment_key": KEY, **where}
    LaunchDarklyStopIterationOperator(task_id="stop", **where, winner=verdict).execute(stop.context)
    assert stop.note["ending"] == "inconclusive"
    assert stop.note["winner"] == "Classic"


def test_a_context_without_xcom_leaves_none(underway: Underway) -> None:
    trigger = defer(underway.sensor(), {"ti": SimpleNamespace(dag_id="dag", task_id="wait", run_id="run")})
    assert trigger.iteration_id == underway.iteration_id


def test_what_stands_on_a_note_has_no_token(underway: Underway) -> None:
    ti = Keeper()
    defer(underway.sensor(), ti.context)
    token = underway.hook.get_connection(underway.hook.launchdarkly_conn_id).password
    assert token
    assert token not in str(ti.kept)


def test_time_of_a_look_is_that_of_launchdarkly(underway: Underway) -> None:
    ti = Keeper()
    defer(underway.sensor(), ti.context)
    started = ti.note["started_at"]
    underway.emulator.clock.advance(timedelta(hours=3))
    defer(underway.sensor(), ti.context)
    assert ti.note["started_at"][:16] == started[:16]


class Store:
    """What Airflow 3.3 keeps for a task through its tries."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        assert retention >= timedelta(days=90), "a plan may be long"
        self.kept[key] = value


@pytest.mark.parametrize("kept_by", ["task state", "record"])
def test_a_retry_keeps_the_looks_of_the_tries_before(underway: Underway, tmp_path: Any, kept_by: str) -> None:
    state = {"task_state_store": Store()} if kept_by == "task state" else {}
    record = {"record_path": str(tmp_path)} if kept_by == "record" else {}
    arguments = {"policy": {"looks": "1d"}, **record}
    taken = []
    for _ in range(3):
        underway.emulator.clock.advance("P1DT1M")
        ti = Keeper()  # Airflow deletes the XComs of the try before
        defer(underway.sensor(**arguments), {**ti.context, **state})
        taken.append([look["look"] for look in ti.note["looks"]])
    assert taken == [[1], [1, 2], [1, 2, 3]]


def test_looks_at_another_iteration_are_not_kept(underway: Underway) -> None:
    store = Store()
    underway.emulator.clock.advance("P1DT1M")
    defer(underway.sensor(policy={"looks": "1d"}), {**Keeper().context, "task_state_store": store})
    store.kept["launchdarkly_note"]["note"]["iteration"] = "another"
    ti = Keeper()
    underway.emulator.clock.advance("P1D")
    defer(underway.sensor(policy={"looks": "1d"}), {**ti.context, "task_state_store": store})
    assert [look["look"] for look in ti.note["looks"]] == [2]


def test_a_broken_record_is_told_on_the_note_with_its_line(underway: Underway, tmp_path: Any) -> None:
    arguments = {"policy": {"looks": "1d"}, "record_path": str(tmp_path)}
    underway.emulator.clock.advance("P1DT1M")
    ti = Keeper()
    defer(underway.sensor(**arguments), ti.context)
    assert ti.note["record"]["checked_at"]
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_text(file.read_text().replace('"seq":1', '"seq":7'))
    with pytest.raises(BrokenRecordError):
        underway.sensor(**arguments).execute(ti.context)
    assert "line 1: " in ti.note["record"]["trouble"]
    assert "line 1: " in ti.note["trouble"]["message"]


def test_a_task_that_waits_for_its_window_says_when_it_opens(connection: str, emulator: EmulatorServer) -> None:
    emulator.clock.set("2026-03-02T20:00:00Z")
    ti = Keeper("window")
    defer(LaunchDarklyChangeWindowSensor(task_id="window", window={"hours": ["09:00-10:00"]}), ti.context)
    assert ti.kept["window", WINDOW] == {"opens_at": "2026-03-03T09:00:00+00:00"}
