"""How the databases run the statement of a look: none compares each unit with each event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_launchdarkly.evidence.warehouse.definition import ExposuresTable
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from support.export_tables import ExportTables
from unit.evidence.warehouse.test_statement import FUNNEL, LOOK, PLAIN, people

EXPOSURES, EVENTS = {"evaluation_events"}, {"metric_events"}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan of PostgreSQL, from the top."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def tables_of(plan: dict[str, Any]) -> set[str]:
    return {node["Relation Name"] for node in nodes(plan) if "Relation Name" in node}


def joins(tables: ExportTables) -> list[str]:
    """How the database joins units with events."""
    written = write_statement([*PLAIN, FUNNEL], LOOK, ExposuresTable(), tables.schema, tables.dialect)
    explain = {"postgresql": "EXPLAIN (FORMAT JSON)", "sqlite": "EXPLAIN QUERY PLAN", "duckdb": "EXPLAIN (FORMAT JSON)"}
    rows = tables.execute(f"{explain[tables.dialect]} {written.sql}", written.parameters).fetchall()
    if tables.dialect == "sqlite":
        return [row[-1] for row in rows if "LEFT-JOIN" in row[-1]]
    if tables.dialect == "duckdb":
        return re.findall(r"[A-Z_]+_JOIN", rows[0][-1])
    return [
        node["Node Type"]
        for node in nodes(rows[0][0][0]["Plan"])
        if [tables_of(part) for part in node.get("Plans", ())] in ([EXPOSURES, EVENTS], [EVENTS, EXPOSURES])
    ]


@pytest.mark.parametrize("counted", [False, True], ids=["no-statistics", "statistics"])
def test_units_meet_their_events_by_a_hash_an_order_or_an_index(tables: ExportTables, counted: bool) -> None:
    exposures, events = people()
    tables.fill(exposures, events)
    if counted:
        tables.execute("ANALYZE")
    found = joins(tables)
    # DuckDB counts the events' different ids apart, and joins the two counts.
    assert len(found) == (2 if tables.dialect == "duckdb" else 1)
    right = ("Hash Join", "Merge Join", "HASH_JOIN", "SEARCH e USING AUTOMATIC")
    assert all(join.startswith(right) for join in found), found
