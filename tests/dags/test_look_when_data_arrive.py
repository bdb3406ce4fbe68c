"""The example whose looks wait for dbt, through `dag.test()`: the build's asset wakes the look that its data cover."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.warehouse import CONNECTION
from unit.sensors.conftest import begin

PEOPLE_A_DAY = 400
KEY = "bold-checkout-button"

pytestmark = pytest.mark.usefixtures("connection")


class Pipeline:
    """The raw tables of a shop, and both DAGs of the example.

    Args:
        emulator: Where the experiment runs.
        path: The warehouse.
        records: Folder of the decision records.
        load_dag: Loads a DAG of the examples.
    """

    def __init__(self, emulator: EmulatorServer, path: Path, records: Path, load_dag: Callable[[str], Any]) -> None:
        self.emulator, self.path, self.records, self.load_dag = emulator, path, records, load_dag
        self.started = emulator.clock.now()
        begin(emulator)
        self.execute("CREATE TABLE exposures (user_id, variation, exposed_at)")
        self.execute("CREATE TABLE orders (user_id, ordered_at)")
        self.execute("CREATE TABLE loads (loaded_until)")

    def execute(self, sql: str, rows: Any = ((),)) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executemany(sql, rows)
            connection.commit()

    def text(self, moment: datetime) -> str:
        return moment.strftime("%Y-%m-%d %H:%M:%S")

    def load(self, days: float, *, since: float = 0.0) -> None:
        """A batch brings everything that happened from one day on up to another."""
        chance = random.Random(int(100 * since))
        exposures, orders = [], []
        for variation, rate in {"Classic": 0.10, "Bold": 0.16}.items():
            for number in range(int(since * PEOPLE_A_DAY), int(days * PEOPLE_A_DAY)):
                seen = self.started + timedelta(days=(number + 0.5) / PEOPLE_A_DAY)
                user = f"{variation}-{number}"
                exposures.append((user, variation, self.text(seen)))
                orders += [(user, self.text(seen))] if chance.random() < rate else []
        self.execute("INSERT INTO exposures VALUES (?, ?, ?)", exposures)
        self.execute("INSERT INTO orders VALUES (?, ?)", orders)
        self.execute("INSERT INTO loads VALUES (?)", [(self.text(self.started + timedelta(days=days)),)])

    def at(self, days: float) -> None:
        self.emulator.clock.advance(self.started + timedelta(days=days) - self.emulator.clock.now())

    def build(self) -> None:
        assert self.load_dag("build_orders").test().state == "success"

    def look(self) -> dict[str, str]:
        """Run the DAG that the asset wakes; return the state of each task."""
        run = self.load_dag("look_when_data_arrive").test()
        assert run.state == "success"
        return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}

    @property
    def record(self) -> list[dict[str, Any]]:
        found = list(self.records.rglob("*.jsonl"))
        return list(chain.read(found[0].read_text(encoding="utf-8"))) if found else []


@pytest.fixture
def pipeline(
    emulator: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_dag: Callable[[str], Any]
) -> Pipeline:
    path, records = tmp_path / "warehouse.db", tmp_path / "decisions"
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "sqlite", "host": str(path)}))
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", f"file://{records}")
    return Pipeline(emulator, path, records, load_dag)


def test_dbt_s_asset_wakes_each_look_once_and_the_last_one_ships(pipeline: Pipeline, emulator: EmulatorServer) -> None:
    emulator.switch(results="gone")
    pipeline.at(1.1)
    pipeline.load(0.9)
    pipeline.build()
    assert pipeline.look()["look"] == "skipped"
    assert pipeline.record == []

    pipeline.at(1.3)
    pipeline.load(1.25, since=0.9)
    pipeline.build()
    assert pipeline.look() == {"find": "success", "is_running": "success", "look": "skipped", "stop": "skipped"}
    (entry,) = pipeline.record
    assert (entry["verdict"]["look"], entry["verdict"]["units"]) == (1, 2 * PEOPLE_A_DAY)
    assert entry["evidence"]["taken"]["arrived_seconds"] == 1.25 * 86400
    pipeline.look()
    assert len(pipeline.record) == 1

    pipeline.at(14.2)
    pipeline.load(14.1, since=1.25)
    pipeline.build()
    assert set(pipeline.look().values()) == {"success"}
    assert pipeline.record[-1]["verdict"]["verdict"] == "ship"
    assert pipeline.record[-1]["verdict"]["look"] == 14
    experiment = LaunchDarklyHook().get_experiment(KEY)
    assert experiment.running is None
    assert pipeline.look()["look"] == "skipped"
