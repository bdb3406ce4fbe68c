"""Checks of the tables that LaunchDarkly writes into a warehouse: which are there, and how late. SELECT only."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, assert_never

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Key, Told, Words, say
from airflow_provider_launchdarkly.evidence.sql_cells import read_moment
from airflow_provider_launchdarkly.evidence.warehouse.config import AggregatesTable
from airflow_provider_launchdarkly.evidence.warehouse.definition import EventsTable, ExposuresTable
from airflow_provider_launchdarkly.evidence.warehouse.dialects import dialect_of
from airflow_provider_launchdarkly.evidence.warehouse.writing import Writer, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_launchdarkly.doctor.likeness import Likeness
    from airflow_provider_launchdarkly.evidence.sql_statement import Statement

EXPORT_SCHEMA: Final = "launchdarkly"
RESULTS_SCHEMA: Final = "launchdarkly_results"
_ONE_SCHEMA: Final = {"sqlite": "main"}
# Batches arrive about hourly; a table without a row for that long is no late one.
_LONGEST_LATENESS: Final = timedelta(days=8)
_LATE: Final = timedelta(hours=6)


class Trouble(StrEnum):
    """A database's complaint."""

    TABLE = "table"
    RIGHT = "right"
    OTHER = "other"


# SQLSTATE of PostgreSQL and others: https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES: Final = {"42P01": Trouble.TABLE, "3F000": Trouble.TABLE, "42S02": Trouble.TABLE, "42501": Trouble.RIGHT}
_SAID: Final = (
    (re.compile(r"permission denied|not authorized|insufficient priv|access denied", re.IGNORECASE), Trouble.RIGHT),
    (re.compile(r"no such table|does not exist|not found|unknown (table|database)", re.IGNORECASE), Trouble.TABLE),
)


def trouble_of(error: BaseException) -> Trouble:
    """Tell by a driver's error what is missing."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state in _STATES:
        return _STATES[state]
    return next((trouble for pattern, trouble in _SAID if pattern.search(str(error))), Trouble.OTHER)


@dataclass(slots=True)
class Warehouse:
    """A warehouse behind an Airflow connection.

    Attributes:
        conn_id: The Airflow connection.
        now: The time by LaunchDarkly's clock, if it was read.
        schema_given: Schema of the Data Export; None for the default.
        results_schema_given: Schema of the warehouse-native results; None for the default.
        dialect: The dialect; empty before the first answer.
        reached: Whether it answered.
        newest: Time of the newest exposure; None where none was found.
        columns: The columns that were found in each table, lower case. Only tables that can be read.
    """

    conn_id: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    schema_given: str | None = None
    results_schema_given: str | None = None
    dialect: str = ""
    reached: bool = False
    newest: datetime | None = None
    columns: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        """Schema of the Data Export."""
        return self.schema_given or _ONE_SCHEMA.get(self.dialect, EXPORT_SCHEMA)

    @property
    def results_schema(self) -> str:
        """Schema of the warehouse-native results."""
        return self.results_schema_given or _ONE_SCHEMA.get(self.dialect, RESULTS_SCHEMA)

    def query(self, write: Callable[[str], Statement]) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
        """Run a statement; see :func:`sensors._warehouse_query.query_tables`. Airflow's log of it is left out."""
        # Airflow's hooks log each statement to the standard output, which is the report's.
        with contextlib.redirect_stdout(io.StringIO()):
            from airflow_provider_launchdarkly.sensors._warehouse_query import query_tables

            return query_tables(self.conn_id, write)

    def select(self, columns: list[str], schema: str, table: str, where: Callable[[Writer], list[str]]) -> list[Any]:
        """Return the first row of a SELECT of expressions."""

        def write(dialect: str) -> Statement:
            writer = Writer(dialect_of(dialect))
            return writer.statement(select(columns, writer.table(schema, table), where=where(writer)))

        rows = self.query(write)[1]
        return list(rows[0]) if rows else []

    def has_export(self) -> bool:
        """Return whether the tables from which results are computed can be read."""
        return {"evaluation_events", "metric_events"} <= self.columns.keys()

    def has_results(self) -> bool:
        """Return whether the table of warehouse-native sums can be read."""
        return "computed_arm_aggregates" in self.columns


def check_connection(warehouse: Warehouse, _like: Likeness) -> Iterator[Finding]:
    """Reach the warehouse."""
    name = Key("connection", warehouse.conn_id)

    def write(dialect: str) -> Statement:
        known = dialect_of(dialect)
        warehouse.dialect = known.name
        return Writer(known).statement("SELECT 1 AS one")

    try:
        warehouse.query(write)
    except ConfigurationError as error:
        cure = say("name a connection of a database whose dialect is known, as the message says")
        yield Finding("warehouse", Status.MISSING, say("{error}", error=Told.of(error)), cure)
    except Exception as error:  # noqa: BLE001 - of whatever driver
        status, cure = _unreached(warehouse.conn_id, error)
        yield Finding("warehouse", status, say("connection {name}: {error}", name=name, error=Told.of(error)), cure)
    else:
        warehouse.reached = True
        yield Finding(
            "warehouse",
            Status.FINE,
            say("connection {name} answers, in the dialect {dialect}", name=name, dialect=warehouse.dialect),
        )


def _unreached(conn_id: str, error: Exception) -> tuple[Status, Words]:
    kind = type(error).__name__
    if kind == "AirflowNotFoundException":
        variable = Key("VARIABLE", f"AIRFLOW_CONN_{conn_id.upper()}")
        return Status.MISSING, say("set {variable} in the environment of this command", variable=variable)
    if kind == "AirflowException":
        return Status.MISSING, say("correct the connection's type, or install Airflow's provider package for it")
    cure = say("correct host, port, database, user and password of the connection, or open the way to it")
    return Status.FAILED, cure


def check_tables(warehouse: Warehouse, _like: Likeness) -> Iterator[Finding]:
    """Read the columns of each table that LaunchDarkly writes."""
    export = {
        "evaluation_events": _columns(ExposuresTable()),
        "metric_events": _columns(EventsTable()),
    }
    results = {"computed_arm_aggregates": _columns(AggregatesTable())}
    for check, schema, tables in (
        ("data export", warehouse.schema, export),
        ("native", warehouse.results_schema, results),
    ):
        for table, needed in tables.items():
            yield from _examined(warehouse, check, schema, table, needed)


def _columns(table: ExposuresTable | EventsTable | AggregatesTable) -> frozenset[str]:
    named = (getattr(table, column.name) for column in fields(table) if column.name != "table")
    return frozenset(name for name in named if name is not None)


def _examined(warehouse: Warehouse, check: str, schema: str, table: str, needed: frozenset[str]) -> Iterator[Finding]:
    try:
        columns = _read_columns(warehouse, schema, table)
    except Exception as error:  # noqa: BLE001 - of whatever driver
        # One of the two sources is enough: without the other one's tables nothing is missing.
        yield _unreadable(check, schema, table, error, needed=check == "data export" or not warehouse.has_export())
        return
    lacking = ", ".join(sorted(needed - columns))
    if lacking:
        others = len(columns - needed)
        yield Finding(
            check,
            Status.MISSING,
            say("table {table} lacks {lacking}; it has {others} others", table=table, lacking=lacking, others=others),
            say("name the columns as they are in the source's description, or make a view with these names"),
        )
        return
    warehouse.columns[table] = columns
    yield Finding(check, Status.FINE, say("table {table} is there, with every column that is needed", table=table))


def _read_columns(warehouse: Warehouse, schema: str, table: str) -> frozenset[str]:
    def write(dialect: str) -> Statement:
        writer = Writer(dialect_of(dialect))
        return writer.statement(select(["*"], writer.table(schema, table), where=["1 = 0"]))

    return frozenset(column.lower() for column in warehouse.query(write)[0])


def _unreadable(check: str, schema: str, table: str, error: Exception, *, needed: bool) -> Finding:
    told = Told.of(error)
    match trouble_of(error):
        case Trouble.TABLE:
            option = "--schema" if check == "data export" else "--results-schema"
            return Finding(
                check,
                Status.MISSING if needed else Status.UNKNOWN,
                say(
                    "no table {table} in schema {schema}: {error}",
                    table=table,
                    schema=Key("schema", schema),
                    error=told,
                ),
                say(
                    "name the schema with {option}; without such tables, set up the export in LaunchDarkly",
                    option=option,
                ),
            )
        case Trouble.RIGHT:
            return Finding(
                check,
                Status.MISSING,
                say("table {table} may not be read: {error}", table=table, error=told),
                say("grant the connection's user USAGE on the schema and SELECT on {table}", table=table),
            )
        case Trouble.OTHER:
            return Finding(
                check,
                Status.MISSING if isinstance(error, ConfigurationError) else Status.FAILED,
                say("table {table} cannot be read: {error}", table=table, error=told),
                say("follow the message; in a bug report paste the summary"),
            )
        case other:
            assert_never(other)


def check_lateness(warehouse: Warehouse, like: Likeness) -> Iterator[Finding]:
    """Tell how old the newest rows are, by LaunchDarkly's clock."""
    times = {"evaluation_events": ExposuresTable().at, "metric_events": EventsTable().at}
    latest = {}
    for table, column in times.items():
        if table in warehouse.columns:
            latest[table] = _latest(warehouse, warehouse.schema, table, column)
    warehouse.newest = latest.get("evaluation_events")
    for table, moment in latest.items():
        if moment is None:
            yield Finding(
                "lateness",
                Status.MISSING,
                say("table {table} has no row of the last {days} days", table=table, days=_LONGEST_LATENESS.days),
                say("look at the export in LaunchDarkly: it may be off, or write to another schema"),
            )
            continue
        age = warehouse.now - moment
        late = age > _LATE
        yield Finding(
            "lateness",
            Status.MISSING if late else Status.FINE,
            say("the newest row of {table} is {age} old", table=table, age=_rounded(age)),
            say(
                "give the policy a lag that covers it (lag: {hours}h), or let looks wait for their data (on_data)",
                hours=_hours(age),
            )
            if late
            else None,
        )
    known = [warehouse.now - moment for moment in latest.values() if moment is not None]
    lag = _transfer_lag(warehouse)
    if lag is None and known:
        # Rows of an hour come together: the newest of them are up to an hour older than the batch.
        lag = max(min(known) - timedelta(hours=1), timedelta())
    if lag is not None:
        like.warehouse["lag"] = f"PT{round(lag / timedelta(minutes=1))}M"


def _latest(warehouse: Warehouse, schema: str, table: str, column: str) -> datetime | None:
    since = warehouse.now - _LONGEST_LATENESS

    def recent(writer: Writer) -> list[str]:
        dialect = writer.dialect
        if dialect.moment is None:
            return [f"{writer.microseconds(column)} >= {writer.instant(since)}"]
        # The column as it is, which partitions know.
        return [f"{writer.name(column)} >= {dialect.moment.format(writer.bind(since.strftime('%Y-%m-%d %H:%M:%S')))}"]

    row = warehouse.select(
        [f"MAX({Writer(dialect_of(warehouse.dialect)).name(column)}) AS latest"], schema, table, recent
    )
    return read_moment(row[0]) if row and row[0] is not None else None


def _transfer_lag(warehouse: Warehouse) -> timedelta | None:
    """Return the time from the end of a batch to its arrival, where a table shows both."""
    try:
        columns = _read_columns(warehouse, warehouse.schema, "_transfer_status")
        if not {"transferred_through", "completed_at"} <= columns:
            return None
        writer = Writer(dialect_of(warehouse.dialect))
        names = [f"MAX({writer.name(column)}) AS {column}" for column in ("transferred_through", "completed_at")]
        through, completed = warehouse.select(names, warehouse.schema, "_transfer_status", lambda _: [])
        return max(read_moment(completed) - read_moment(through), timedelta())
    except Exception:  # noqa: BLE001 - the table is an extra: most warehouses have none
        return None


def _rounded(age: timedelta) -> str:
    minutes = max(0, round(age / timedelta(minutes=1)))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _hours(age: timedelta) -> int:
    return -(-age // timedelta(hours=1))


CHECKS: Final = {"warehouse": check_connection, "tables": check_tables, "lateness": check_lateness}
"""The checks of the tables, in their order. The first one is the way in."""
