"""LaunchDarkly's Data Export tables in DuckDB, SQLite and PostgreSQL, with rows that a test gives."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_provider_launchdarkly.evidence.sql_statement import Statement
from support.warehouse import POSTGRES

SCHEMA = "launchdarkly"


class Exposure(NamedTuple):
    """A row of ``evaluation_events``."""

    unit: str
    variation: str
    at: datetime
    iteration: str = "it-1"
    kind: str = "user"
    flag: str = "bold-checkout-button"
    environment: str = "env-1"
    attributes: str = "{}"


class Event(NamedTuple):
    """A row of ``metric_events``."""

    unit: str
    key: str
    at: datetime
    value: float | None = None
    kind: str = "user"
    environment: str = "env-1"
    id: str | None = None


@dataclass
class ExportTables:
    """A database with both tables.

    Attributes:
        dialect: Its dialect.
        schema: The schema of the tables; empty in SQLite.
        connection: An open connection.
    """

    dialect: str
    schema: str
    connection: Any

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a statement with the dialect's placeholders; returns a cursor."""
        cursor = self.connection.cursor()
        cursor.execute(sql, parameters or None) if self.dialect == "postgresql" else cursor.execute(sql, parameters)
        return cursor

    def fill(self, exposures: Sequence[Exposure] = (), events: Sequence[Event] = ()) -> None:
        """Add rows."""
        self._insert(
            "evaluation_events",
            [
                (
                    *(str(uuid.uuid4()), row.flag, row.unit, row.kind, row.attributes, row.variation, row.iteration),
                    *(self._moment(row.at), row.environment),
                )
                for row in exposures
            ],
        )
        self._insert(
            "metric_events",
            [
                (
                    *(row.id or str(uuid.uuid4()), row.key, row.unit, row.kind, row.value),
                    *(self._moment(row.at), row.environment),
                )
                for row in events
            ],
        )

    def rows(self, statement: Statement) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a statement and return column names and rows."""
        cursor = self.execute(statement.sql, statement.parameters)
        return [column[0] for column in cursor.description], [tuple(row) for row in cursor.fetchall()]

    def table(self, name: str) -> str:
        """Return a table's name with its schema."""
        return f"{self.schema}.{name}" if self.schema else name

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        places = "(" + ", ".join(["%s" if self.dialect == "postgresql" else "?"] * len(rows[0])) + ")"
        for start in range(0, len(rows), 500):
            some = rows[start : start + 500]
            values = ", ".join([places] * len(some))
            self.execute(f"INSERT INTO {self.table(table)} VALUES {values}", [cell for row in some for cell in row])
        self.connection.commit()

    def _moment(self, at: datetime) -> Any:
        return at.astimezone(UTC).isoformat(sep=" ") if self.dialect == "sqlite" else at.astimezone(UTC)


def _make(tables: ExportTables, text: str, times: tuple[str, str]) -> ExportTables:
    """Make both tables, the two with different types of times: users' tables and LaunchDarkly's may differ."""
    if tables.schema:
        tables.execute(f"CREATE SCHEMA {tables.schema}")
    tables.execute(
        f"CREATE TABLE {tables.table('evaluation_events')} (event_id {text}, flag_key {text}, context_key {text}, "
        f"context_kind {text}, context_attributes {text}, variation_id {text}, experiment_iteration_id {text}, "
        f"received_time {times[0]}, environment_id {text})"
    )
    tables.execute(
        f"CREATE TABLE {tables.table('metric_events')} (export_key {text}, event_key {text}, context_key {text}, "
        f"context_kind {text}, event_value DOUBLE PRECISION, received_time {times[1]}, environment_id {text})"
    )
    tables.connection.commit()
    return tables


@contextmanager
def open_export_tables(kind: str) -> Iterator[ExportTables]:
    """Make a database of its own with empty tables, and drop it again.

    Args:
        kind: ``sqlite``, ``duckdb`` or ``postgres``.
    """
    with {"sqlite": _sqlite, "duckdb": _duckdb, "postgres": _postgres}[kind]() as tables:
        yield tables


@contextmanager
def _sqlite() -> Iterator[ExportTables]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield _make(ExportTables("sqlite", "", connection), "TEXT", ("TEXT", "TEXT"))


@contextmanager
def _duckdb() -> Iterator[ExportTables]:
    import duckdb

    with closing(duckdb.connect(":memory:")) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        yield _make(ExportTables("duckdb", SCHEMA, connection), "VARCHAR", ("TIMESTAMPTZ", "TIMESTAMPTZ"))


@contextmanager
def _postgres() -> Iterator[ExportTables]:
    import psycopg2

    host, port = POSTGRES
    name = f"launchdarkly_export_{uuid.uuid4().hex}"
    with closing(psycopg2.connect(host=host, port=port, user="postgres", dbname="postgres")) as administrator:
        administrator.autocommit = True
        administrator.cursor().execute(f"CREATE DATABASE {name}")
        try:
            options = {"dbname": name, "options": "-c timezone=America/New_York"}
            with closing(psycopg2.connect(host=host, port=port, user="postgres", **options)) as connection:
                yield _make(ExportTables("postgresql", SCHEMA, connection), "TEXT", ("TIMESTAMPTZ", "TIMESTAMPTZ"))
        finally:
            administrator.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
