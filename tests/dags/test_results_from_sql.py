"""The example with results from a warehouse, through `dag.test()`: SQLite, filled for four weeks to come."""

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

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.lone_polls import poll_alone
from support.warehouse import CONNECTION

DAYS = 28
PEOPLE_A_DAY = 250


@pytest.fixture
def days_fly(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger's sleeps take no time; each turns the emulator's clock by a day."""

    async def sleep(_: float) -> None:
        emulator.clock.advance("P1D")

    poll_alone(monkeypatch, sleep)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "decisions"
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", f"file://{folder}")
    return folder


@pytest.fixture
def fill(emulator: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fill the warehouse: so many people convert in each variation, and each order is worth about so much."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "sqlite", "host": str(path)}))

    def write(rates: dict[str, float], amounts: dict[str, float]) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE exposures (user_id, experiment_key, variation, exposed_at)")
            connection.execute("CREATE TABLE orders (user_id, ordered_at, amount)")
            for variation, rate in rates.items():
                people = list(shoppers(variation, rate, amounts[variation], emulator.clock.now()))
                connection.executemany("INSERT INTO exposures VALUES (?, ?, ?, ?)", [seen for seen, _ in people])
                connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [order for _, order in people if order])
            connection.commit()

    return write


def shoppers(variation: str, rate: float, amount: float, start: datetime) -> Any:
    chance = random.Random(5)
    for number in range(DAYS * PEOPLE_A_DAY):
        seen = start + timedelta(days=(number + 0.5) / PEOPLE_A_DAY)
        user = f"{variation}-{number}"
        ordered = (user, text(seen + timedelta(minutes=9)), chance.gauss(amount, amount / 4))
        yield (user, "bold-checkout-button", variation, text(seen)), ordered if chance.random() < rate else None


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def xcom(run: Any, task_id: str, key: str) -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    rows = XComModel.get_many(run_id=run.run_id, key=key, task_ids=task_id, dag_ids=run.dag_id)
    with create_session() as session:
        return XComModel.deserialize_value(session.scalars(rows).first())


@pytest.mark.usefixtures("connection", "days_fly")
def test_it_ships_on_the_warehouse_s_numbers_and_leaves_a_record(
    emulator: EmulatorServer, load_dag: Callable[[str], Any], fill: Callable[..., None], records: Path
) -> None:
    emulator.switch(results="gone")
    fill({"Classic": 0.10, "Bold": 0.14}, {"Classic": 40.0, "Bold": 40.0})
    run = load_dag("results_from_sql").test()
    assert run.state == "success"
    assert (xcom(run, "wait", "verdict"), xcom(run, "wait", "treatment")) == ("ship", "Bold")
    assert len(emulator.effects("iteration.stopped")) == 1
    record = xcom(run, "wait", "record")
    assert record["entries"] == xcom(run, "wait", "look")
    (path,) = records.rglob("*.jsonl")
    assert main(["replay", str(path), "--head", record["head"]]) == 0


@pytest.mark.usefixtures("connection", "days_fly", "records")
def test_revenue_that_falls_rolls_back_although_more_people_convert(
    emulator: EmulatorServer, load_dag: Callable[[str], Any], fill: Callable[..., None]
) -> None:
    fill({"Classic": 0.10, "Bold": 0.12}, {"Classic": 40.0, "Bold": 20.0})
    run = load_dag("results_from_sql").test()
    assert run.state == "success"
    assert (xcom(run, "wait", "verdict"), xcom(run, "wait", "reason")) == ("rollback", "guardrail_harmed")
    assert xcom(run, "wait", "harmed") == ["revenue-per-user: Bold"]
