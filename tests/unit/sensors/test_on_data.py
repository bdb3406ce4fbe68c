"""The sensor with looks that wait for their data: it asks the warehouse or Airflow's asset events, on a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from airflow.sdk import DAG, Asset

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.evidence.arrival import DataArrival
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from support.failing import fails_at_once
from support.lone_polls import poll_alone
from support.warehouse import Warehouse
from unit.sensors.conftest import Underway

POLICY: dict[str, Any] = {"looks": "on_data", "min_duration": "1d", "max_duration": "7d", "futility": "off"}
TABLE = {"table": "loads", "column": "loaded_until"}


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def filled(warehouse: Warehouse, underway: Underway) -> Warehouse:
    ids = underway.treatments
    warehouse.execute("CREATE TABLE loads (loaded_until TEXT, iteration_id TEXT)")
    rates = {ids["Classic"]: 0.10, ids["Bold"]: 0.10}
    warehouse.fill(underway.iteration_id, underway.emulator.clock.now(), rates, people=100, days=10)
    return warehouse


class Waiting:
    """A sensor on data, and the means to let hours pass until it wakes, in a new process each time."""

    def __init__(self, underway: Underway, warehouse: Warehouse, folder: Path) -> None:
        self.underway, self.warehouse, self.folder = underway, warehouse, folder
        self.started = underway.emulator.clock.now()
        self.context: dict[str, Any] = {}
        self.pushed: list[Any] = []

    def sensor(self, **arguments: Any) -> Any:
        fields = {
            "policy": POLICY,
            "results": SqlResults("warehouse", self.warehouse.query),
            "record_path": str(self.folder),
            "arrival": TABLE,
        }
        return self.underway.sensor(**fields | arguments)

    def load(self, hours: float, iteration: str = "") -> None:
        """A batch arrives, with data up to so many hours after the start."""
        until = (self.started + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
        self.warehouse.execute("INSERT INTO loads VALUES (%s, %s)", [(until, iteration)])

    def at(self, hours: float) -> None:
        wanted = self.started + timedelta(hours=hours)
        now = self.underway.emulator.clock.now()
        self.underway.emulator.clock.advance(wanted - now)

    def poll(self, hours: float, **arguments: Any) -> dict[str, Any] | TaskDeferred:
        """Execute in a fresh process at a time after the start: its output, or its deferral."""
        self.at(hours)
        try:
            output: dict[str, Any] = self.sensor(**arguments).execute(self.context)
        except TaskDeferred as deferred:
            return deferred
        return output

    @property
    def record(self) -> list[dict[str, Any]]:
        found = list(self.folder.rglob("*.jsonl"))
        return list(chain.read(found[0].read_text(encoding="utf-8"))) if found else []

    @property
    def looks(self) -> list[int]:
        return [entry["verdict"]["look"] for entry in self.record]


@pytest.fixture
def waiting(underway: Underway, filled: Warehouse, tmp_path: Path) -> Waiting:
    return Waiting(underway, filled, tmp_path / "decisions")


def test_a_look_waits_for_its_data_and_is_that_of_its_time(waiting: Waiting) -> None:
    waiting.poll(24)
    waiting.load(23)
    waiting.poll(26)
    assert waiting.looks == []
    waiting.load(24)
    waiting.poll(29)
    (entry,) = waiting.record
    assert entry["verdict"]["look"] == 1
    assert entry["verdict"]["units"] == 200
    assert entry["verdict"]["elapsed_days"] == 1.0


def test_the_record_says_when_a_look_was_planned_when_it_was_taken_and_how_late(waiting: Waiting) -> None:
    waiting.load(24.5)
    waiting.poll(29)
    (entry,) = waiting.record
    assert datetime.fromisoformat(entry["at"]) - waiting.started == timedelta(hours=29)
    assert entry["evidence"]["elapsed_seconds"] == 24 * 3600
    assert entry["evidence"]["taken"] == {
        "at_seconds": 29 * 3600.0,
        "late_seconds": 5 * 3600.0,
        "arrived_seconds": 24.5 * 3600,
        "left_out": [],
    }
    assert "(taken 5 h after its time, when its data had arrived)" in entry["verdict"]["summary"]


def test_a_retry_or_a_clear_takes_no_look_twice(waiting: Waiting) -> None:
    waiting.load(24)
    waiting.poll(25)
    waiting.poll(26)
    waiting.poll(30)
    assert waiting.looks == [1]


def test_an_ending_on_record_is_judged_again_and_not_looked_at_again(waiting: Waiting) -> None:
    waiting.load(168)
    ended = waiting.poll(169)
    assert isinstance(ended, dict)
    assert ended["verdict"] == "inconclusive"
    waiting.warehouse.execute("DELETE FROM events")
    assert waiting.poll(175) == ended
    assert len(waiting.record) == 1


def test_an_iteration_that_someone_stops_ends_the_waiting_at_once(waiting: Waiting) -> None:
    waiting.load(168)
    waiting.poll(169)
    waiting.underway.stop()
    ended = waiting.poll(170)
    assert isinstance(ended, dict)
    assert ended["reason"] == "iteration_stopped"


def test_at_the_deadline_the_plan_ends_on_what_is_there_and_says_so(waiting: Waiting) -> None:
    assert isinstance(waiting.poll(179.9), TaskDeferred)
    ended = waiting.poll(180)
    assert isinstance(ended, dict)
    assert ended["look"] == 7
    assert any("not known to have arrived by the deadline" in caution for caution in ended["cautions"])


def test_the_trigger_asks_no_warehouse_and_wakes_the_worker_when_it_may_ask_again(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = waiting.underway.emulator

    async def minute(_: float) -> None:
        emulator.clock.advance("PT1M")

    poll_alone(monkeypatch, minute)
    deferred = waiting.poll(24, arrival={**TABLE, "ask_every": "40m"})
    assert isinstance(deferred, TaskDeferred)
    waiting.warehouse.execute("ALTER TABLE loads RENAME TO elsewhere")
    event = fired(deferred)
    minutes_later = {"previous_seconds": 86400.0 + 39 * 60, "ask_from_seconds": 86400.0 + 40 * 60}
    assert event == {"status": "look", "look": minutes_later}
    assert emulator.clock.now() - waiting.started == timedelta(hours=24, minutes=40)
    waiting.warehouse.execute("ALTER TABLE elsewhere RENAME TO loads")
    waiting.load(24)
    with pytest.raises(TaskDeferred) as again:
        waiting.sensor().execute_complete(waiting.context, event)
    assert waiting.looks == [1]
    assert again.value.trigger.serialize()[1]["taken_seconds"] == 86400.0


def fired(deferred: TaskDeferred) -> dict[str, Any]:
    async def first() -> Any:
        kind, arguments = type(deferred.trigger), deferred.trigger.serialize()[1]
        return await anext(kind(**arguments).run())

    payload: dict[str, Any] = asyncio.run(first()).payload
    return payload


@pytest.mark.parametrize(
    "arrival",
    [
        {"sql": "SELECT MAX(loaded_until) >= {{ looked_at.text }} FROM loads"},
        {"sql": "SELECT MAX(loaded_until) FROM loads"},
        {**TABLE, "lag": "2h"},
        {**TABLE, "iteration": "iteration_id"},
        {**TABLE, "partition": "1d"},
    ],
    ids=" ".join,
)
def test_arrival_may_be_a_condition_a_time_or_partitions(waiting: Waiting, arrival: dict[str, Any]) -> None:
    needed = {"lag": 26, "partition": 0}.get(next(reversed(arrival)), 24)
    waiting.load(needed - 1 if needed else 24, waiting.underway.iteration_id)
    waiting.load(200, "another iteration")
    if "iteration" not in arrival:
        waiting.warehouse.execute("DELETE FROM loads WHERE iteration_id = 'another iteration'")
    waiting.poll(25, arrival=arrival)
    assert waiting.looks == []
    waiting.load(needed, waiting.underway.iteration_id)
    waiting.poll(25.5, arrival=arrival)
    assert waiting.looks == [1]


def test_of_the_transfer_status_the_older_table_of_the_environment_counts(waiting: Waiting) -> None:
    waiting.warehouse.execute("CREATE TABLE _transfer_status (table_name TEXT, environment_id TEXT, through TEXT)")
    own = waiting.underway.hook.get_environment().id

    def transfer(hours: float, table: str, environment: str = own) -> None:
        row = (table, environment, str(waiting.started + timedelta(hours=hours)))
        waiting.warehouse.execute("INSERT INTO _transfer_status VALUES (%s, %s, %s)", [row])

    arrival = {"table": "main._transfer_status", "column": "through"}
    for hours, table, environment in (
        (24, "evaluation_events", own),
        (200, "metric_events", "test"),
        (200, "flags", own),
    ):
        transfer(hours, table, environment)
    waiting.poll(25, arrival=arrival)
    transfer(23, "METRIC_EVENTS")
    waiting.poll(25.5, arrival=arrival)
    assert waiting.looks == []
    transfer(24, "METRIC_EVENTS")
    waiting.poll(26, arrival=arrival)
    assert waiting.looks == [1]
    waiting.poll(49, arrival={**arrival, "of_table": None, "environment": None})
    assert waiting.looks == [1, 2]


@pytest.mark.parametrize("columns", [{}, {"of_table": None}, {"environment": "env"}], ids=str)
@pytest.mark.parametrize("table", ["_transfer_status", '"LD"."_TRANSFER_STATUS"'])
def test_the_columns_of_the_transfer_status_come_back_from_plain_json(table: str, columns: dict[str, Any]) -> None:
    found = DataArrival(table=table, column="through", **columns)
    assert DataArrival.read(found.model_dump(mode="json")) == found
    wanted = {"of_table": "table_name", "environment": "environment_id"} | columns
    assert (found.of_table, found.environment) == (wanted["of_table"], wanted["environment"])


@pytest.mark.parametrize(("whole", "taken"), [(False, []), (True, [1])])
def test_the_newest_partition_is_complete_once_a_later_one_has_begun(
    waiting: Waiting, whole: bool, taken: list[int]
) -> None:
    arrival = {**TABLE, "partition": {"length": "1d", "whole": whole}}
    waiting.load(0)
    waiting.load(0)  # a partition has many rows
    waiting.poll(25, arrival=arrival)
    assert waiting.looks == taken
    waiting.load(24)
    waiting.poll(25.5, arrival=arrival)
    assert waiting.looks == [1]


def test_a_partition_that_was_built_before_it_was_over_lacks_its_rest(
    waiting: Waiting, emit: Callable[..., Any]
) -> None:
    arrival = {"asset": "events", "partition": "1d"}
    emit(23, partition=str(waiting.started))
    waiting.poll(25, arrival=arrival)
    assert waiting.looks == []
    emit(24.5, partition=str(waiting.started))
    waiting.poll(25.5, arrival=arrival)
    assert waiting.looks == [1]


def test_the_latest_analysis_of_the_iteration_counts(waiting: Waiting) -> None:
    waiting.warehouse.execute(
        "CREATE TABLE computed_arm_aggregates (iteration_id TEXT, metric_version_id TEXT, arm_id TEXT, "
        "dimension_name TEXT, analyzed_at TEXT)"
    )
    own = waiting.underway.iteration_id

    def analyse(iteration: str, metric: str, *arms: str, dimension: str | None = None) -> None:
        at = str(waiting.started + timedelta(days=1))
        rows = [(iteration, metric, arm, dimension, at) for arm in arms]
        waiting.warehouse.execute("INSERT INTO computed_arm_aggregates VALUES (%s, %s, %s, %s, %s)", rows)

    analyse("another", "v1", "classic", "bold")
    analyse(own, "v1", "classic")
    analyse(own, "v1", "bold", dimension="country")
    waiting.poll(25, arrival="analyzed_at")
    analyse(own, "v2", "classic", "bold")
    waiting.poll(25.5, arrival="analyzed_at")
    assert waiting.looks == []
    analyse(own, "v1", "bold")
    waiting.poll(26, arrival="analyzed_at")
    assert waiting.looks == [1]


class Events(list[Any]):
    """The events of an asset, as Airflow gives them to a task."""

    def after(self, moment: str) -> Events:
        return Events(event for event in self if event.timestamp >= datetime.fromisoformat(moment))


@pytest.fixture
def emit(waiting: Waiting) -> Callable[..., Any]:
    """Emit an event of the asset `events` at an hour, and put all of them into the task's context."""
    emitted = Events()
    waiting.context = {
        "inlet_events": {Asset.ref(name="events"): emitted},
        "ti": SimpleNamespace(xcom_push=lambda **pushed: waiting.pushed.append(pushed)),
    }

    def add(hours: float, extra: Mapping[str, Any] | None = None, partition: str | None = None) -> Any:
        moment = waiting.started + timedelta(hours=hours)
        named = SimpleNamespace(name="events", uri="warehouse://events")
        event = SimpleNamespace(timestamp=moment, extra=extra, partition_key=partition, asset=named)
        emitted.append(event)
        return event

    return add


def covering(waiting: Waiting, hours: float) -> dict[str, str]:
    return {"covers_until": (waiting.started + timedelta(hours=hours)).isoformat()}


def test_an_event_of_an_asset_says_up_to_when_its_data_are_complete(waiting: Waiting, emit: Any) -> None:
    asset = {"asset": "events"}
    emit(24.5, covering(waiting, 23))
    waiting.poll(25, arrival=asset)
    assert waiting.looks == []
    emit(25.2, {"from_trigger": True, "payload": covering(waiting, 24)})
    waiting.poll(25.5, arrival=asset)
    assert waiting.looks == [1]


def test_or_the_time_by_which_they_lag_behind_it_is_a_setting(waiting: Waiting, emit: Any) -> None:
    asset = {"asset": "events", "lag": "1h"}
    emit(24.5)
    waiting.poll(25, arrival=asset)
    assert waiting.looks == []
    emit(25.0)
    waiting.poll(25.5, arrival=asset)
    assert waiting.looks == [1]


def test_partitions_count_up_to_the_first_that_is_missing(waiting: Waiting, emit: Any) -> None:
    asset = {"asset": "events", "partition": "1d"}
    first = waiting.started.date()
    emit(20, partition=str(first))
    emit(70, partition=str(first + timedelta(days=2)))
    waiting.poll(47, arrival=asset)  # the first day's partition ends 15 hours after the start
    assert [entry["evidence"]["taken"]["arrived_seconds"] for entry in waiting.record] == [None]
    emit(71, partition=str(first + timedelta(days=1)))
    waiting.poll(49, arrival=asset)
    assert [entry["evidence"]["taken"]["arrived_seconds"] for entry in waiting.record][1:] == [63 * 3600.0]


def test_a_run_takes_the_look_that_its_event_covers_and_no_other(waiting: Waiting, emit: Any) -> None:
    arrival, policy = {"asset": "events"}, {**POLICY, "looks": {"on_data": {"deadline": "72h"}}}
    event = emit(24.5, covering(waiting, 24))
    waiting.context["triggering_asset_events"] = {"events": [event]}
    emit(48.5, covering(waiting, 48))
    with pytest.raises(AirflowSkipException):
        waiting.poll(49, arrival=arrival, policy=policy, once=True)
    assert waiting.looks == [1]
    (found,) = (pushed["value"] for pushed in waiting.pushed if pushed["key"] == "return_value")
    assert (found["verdict"], found["look"]) == ("wait", 1)
    with pytest.raises(AirflowSkipException, match="waiting for the data of look 2 of 7"):
        waiting.poll(49, arrival=arrival, policy=policy, once=True)
    assert waiting.looks == [1]


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_run_whose_look_ends_it_returns_the_verdict_in_any_mode(waiting: Waiting, emit: Any, mode: str) -> None:
    emit(168.5, covering(waiting, 168))
    ended = waiting.poll(169, arrival={"asset": "events"}, once=True, deferrable=False, mode=mode)
    assert isinstance(ended, dict)
    assert ended["verdict"] == "inconclusive"


def test_the_asset_is_an_inlet_of_the_task(waiting: Waiting) -> None:
    assert Asset.ref(name="events") in waiting.sensor(arrival={"asset": "events"}).inlets
    assert Asset.ref(uri="s3://x/events") in waiting.sensor(arrival={"asset": "s3://x/events"}).inlets


def test_launchdarkly_s_results_are_those_of_the_moment_and_the_verdict_says_so(waiting: Waiting) -> None:
    waiting.load(168)
    ended = waiting.poll(170, results=None, arrival={**TABLE, "conn_id": "warehouse"})
    assert isinstance(ended, dict)
    assert any(caution.startswith("the numbers are those of the moment") for caution in ended["cautions"])


def test_so_does_a_query_that_leaves_nothing_out(waiting: Waiting) -> None:
    query = waiting.warehouse.query.replace("{{ looked_at.text }}", "'2100-01-01'")
    waiting.load(168)
    ended = waiting.poll(170, results=SqlResults("warehouse", query))
    assert isinstance(ended, dict)
    assert any(caution.startswith("the numbers are those of the moment") for caution in ended["cautions"])


def test_without_a_decision_record_nothing_says_which_looks_were_taken(waiting: Waiting) -> None:
    with fails_at_once(ConfigurationError, match=r"looks.on_data needs decision records.*set record_path"):
        waiting.sensor(record_path=None).execute({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arrival": None}, "arrival: is missing: looks.on_data waits for data"),
        ({"policy": {}}, "arrival: is only for looks that wait for data"),
        ({"policy": {}, "arrival": None, "once": True}, "once takes a look whose data have arrived"),
        ({"arrival": "yesterday"}, "arrival is 'yesterday': write DataArrival"),
        ({"arrival": {}}, "give exactly one of sql, table, asset, analyzed_at, not none"),
        ({"arrival": {**TABLE, "asset": "x"}}, "not table and asset"),
        ({"arrival": {"table": "loads"}}, "table and column belong together"),
        ({"arrival": {"asset": "x", "conn_id": "y"}}, "an asset's events need no conn_id"),
        ({"arrival": {"asset": "x", "iteration": "y"}}, "iteration 'y' is a column of table"),
        ({"arrival": {"asset": "x", "lag": "1h", "of_table": "y"}}, "of_table: is 'y', a column of table"),
        ({"arrival": {**TABLE, "of_table": "t", "partition": "1d"}}, "of_table: goes with times and not with"),
        ({"arrival": {**TABLE, "ask_every": "PT5S"}}, "ask_every: is PT5S: data do not come that often"),
        ({"arrival": {**TABLE, "partition": "PT1S"}}, "length is PT1S, below 1m"),
        ({"arrival": {**TABLE, "partition": {"length": "1d", "timezone": "Mars"}}}, "'Mars': write an IANA name"),
        (
            {"deferrable": False, "mode": "reschedule", "poke_interval": 60},
            "poke_interval 60 s is shorter than arrival.ask_every 15m",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_the_dag_is_read(
    waiting: Waiting, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        waiting.sensor(**arguments)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("arrival", "message"),
    [
        ({"sql": "SELECT 1, 2"}, "the query returned 1 rows of 2 columns; return one value"),
        ({"sql": "SELECT 'soon'"}, "'soon' is no ISO 8601 time"),
        ({"sql": "SELECT loaded_until FROM loads"}, "the query returned 2 rows of 1 columns"),
    ],
)
def test_a_query_that_tells_no_time_is_refused(waiting: Waiting, arrival: dict[str, Any], message: str) -> None:
    waiting.load(1)
    waiting.load(2)
    with fails_at_once(ConfigurationError, match=message):
        waiting.poll(25, arrival=arrival)


def test_an_event_that_tells_no_time_is_refused_with_the_cure(waiting: Waiting, emit: Any) -> None:
    emit(24)
    with fails_at_once(ConfigurationError, match="has no 'covers_until'.*or set lag"):
        waiting.poll(25, arrival={"asset": "events"})
    emit(24.1, partition="week 3")
    with fails_at_once(ConfigurationError, match="partition 'week 3' of asset 'events' is no time.*partition.format"):
        waiting.poll(25, arrival={"asset": "events", "partition": "7d"})


def test_a_query_may_be_a_file_of_the_dag(waiting: Waiting, tmp_path: Path) -> None:
    (tmp_path / "arrived.sql").write_text("SELECT MAX(loaded_until) FROM loads")
    waiting.load(24)
    waiting.at(25)
    with DAG("d", template_searchpath=[str(tmp_path)], schedule=None), pytest.raises(TaskDeferred):
        waiting.sensor(arrival={"sql": "arrived.sql"}).execute({})
    assert waiting.looks == [1]
