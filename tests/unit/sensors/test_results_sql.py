"""The command `results-sql`: the statement of a look, which the database runs as it is printed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.cli.main import main
from support.launchdarkly_tables import LaunchDarklyTables
from support.warehouse import Warehouse
from unit.sensors.conftest import KEY, Underway
from unit.sensors.test_past_looks import RATES, results_file

pytestmark = pytest.mark.parametrize("database", ["sqlite"])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["results-sql", KEY, *arguments]) == 0
    return capsys.readouterr().out


@pytest.fixture
def file(warehouse: Warehouse, underway: Underway, tmp_path: Path) -> Path:
    tables = LaunchDarklyTables(warehouse, underway.emulator, underway.iteration_id, underway.emulator.clock.now())
    tables.create()
    tables.fill("checkout-conversion", RATES)
    underway.emulator.clock.advance("P5D")
    return results_file(tmp_path, tables)


def test_the_inlined_statement_runs_as_it_is_printed(
    warehouse: Warehouse, underway: Underway, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "--results", str(file), "--inline")
    assert underway.iteration_id in text.splitlines()[0]
    with closing(sqlite3.connect(json.loads(warehouse.connection)["host"])) as connection:
        cursor = connection.execute(text)
        rows: list[dict[str, Any]] = [
            dict(zip((column[0] for column in cursor.description), row, strict=True)) for row in cursor
        ]
    assert {row["metric"] for row in rows} == {"checkout-conversion"}
    assert len(rows) == 2
    assert all(row["units"] > 100 and row["sum"] > 0 for row in rows)


def test_parameters_are_comments_and_the_dialect_a_choice(
    underway: Underway, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "--results", str(file), "--dialect", "snowflake", "--at", "2026-01-06T09:00:00")
    assert "as of 2026-01-06 09:00:00 UTC\n-- snowflake\n" in text
    assert f": '{underway.iteration_id}'\n" in text
    assert "DATE_PART(epoch_microsecond" in text
    assert text.count("%s") == text.count("\n-- ") - 2


def test_the_statement_on_launchdarkly_s_sums_runs_as_it_is_printed(
    warehouse: Warehouse, underway: Underway, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = LaunchDarklyTables(warehouse, underway.emulator, underway.iteration_id, underway.emulator.clock.now())
    arms = {"arm-1": (100, 10), "arm-2": (90, 12)}
    tables.analyse("v1", arms, underway.emulator.clock.now())
    file.write_text("results: {source: warehouse_native, conn_id: warehouse, schema: main}")
    text = printed(capsys, "--results", str(file), "--inline")
    assert underway.iteration_id in text.splitlines()[0]
    with closing(sqlite3.connect(json.loads(warehouse.connection)["host"])) as connection:
        rows = connection.execute(text).fetchall()
    assert sorted(row[:4] for row in rows) == [("v1", arm, *counts) for arm, counts in arms.items()]
    assert f": '{underway.iteration_id}'\n" in printed(capsys, "--results", str(file))


def test_other_sources_have_no_statement_of_ours(
    underway: Underway, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('results: {conn_id: warehouse, sql: "SELECT 1"}')
    assert main(["results-sql", KEY, "--results", str(file)]) == 1
    assert (
        "prints the statement of source data_export or warehouse_native; that of source sql is"
        in capsys.readouterr().err
    )
