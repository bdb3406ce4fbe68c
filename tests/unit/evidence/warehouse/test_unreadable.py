"""SQLite's columns hold anything: what is no time or no number ends the look, and is no number by accident."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.evidence.warehouse.definition import ExposuresTable
from airflow_provider_launchdarkly.evidence.warehouse.driver_errors import warehouse_error
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from support.export_tables import Event, ExportTables, Exposure, open_export_tables
from support.look_contexts import STARTED_AT
from unit.evidence.warehouse.test_statement import LOOK, PLAIN

HOUR = timedelta(hours=1)
REVENUE = next(metric for metric in PLAIN if metric.aggregation == "sum" and metric.missing is not None)


@pytest.fixture
def tables() -> Iterator[ExportTables]:
    """One unit with one event of 5."""
    with open_export_tables("sqlite") as opened:
        opened.fill(
            [Exposure("anna", "v-classic", STARTED_AT + HOUR)],
            [Event("anna", REVENUE.events[0], STARTED_AT + 2 * HOUR, 5.0)],
        )
        yield opened


def total(tables: ExportTables) -> Any:
    columns, rows = tables.rows(write_statement([REVENUE], LOOK, ExposuresTable(), "", "sqlite"))
    row = dict(zip(columns, rows[0], strict=True))
    return row["sum"] + row["units"] * row["shift"]


@pytest.mark.parametrize(
    ("table", "column", "value", "kind"),
    [
        ("metric_events", "event_value", "abc", "number"),
        ("metric_events", "event_value", "12 EUR", "number"),
        ("metric_events", "event_value", "", "number"),
        ("metric_events", "received_time", "2026/01/05 09:00:00", "time"),
        ("metric_events", "received_time", "2026-01-05 09:00:00 UTC", "time"),
        ("evaluation_events", "received_time", "1767603600", "time"),
        ("evaluation_events", "received_time", "2461046.5", "time"),
        ("evaluation_events", "received_time", "now", "time"),
        ("evaluation_events", "received_time", "2026-13-05 09:00:00", "time"),
    ],
)
def test_what_cannot_be_read_is_named_with_column_value_and_cure(
    tables: ExportTables, table: str, column: str, value: str, kind: str
) -> None:
    tables.execute(f"UPDATE {table} SET {column} = ?", (value,))
    with pytest.raises(sqlite3.OperationalError) as raised:
        total(tables)
    said = str(warehouse_error("warehouse", raised.value))
    assert f"column {column} holds {value}, which is no {kind}" in said
    assert "Cure: times are text of ISO 8601" in said


@pytest.mark.parametrize("value", ["5", " 5.0 ", "0.5e1", 5])
def test_a_number_in_text_is_read(tables: ExportTables, value: Any) -> None:
    tables.execute("UPDATE metric_events SET event_value = ?", (value,))
    assert total(tables) == 5


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S.25+00:00"])
def test_each_form_of_iso_8601_is_read(tables: ExportTables, form: str) -> None:
    at = (STARTED_AT + 2 * HOUR).strftime(form)
    tables.execute("UPDATE metric_events SET received_time = ?", (at,))
    assert total(tables) == 5
