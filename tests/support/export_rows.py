"""Read what the emulator wrote into a warehouse, and compute a metric from the rows by hand, as an analyst would."""

from __future__ import annotations

import os
import socket
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

POSTGRES = ("127.0.0.1", 5432)


def kinds() -> list[str]:
    """The databases that tests write to. PostgreSQL takes part where it answers; in CI it must."""
    try:
        socket.create_connection(POSTGRES, timeout=1).close()
    except OSError:
        return ["sqlite", "postgresql"] if os.environ.get("CI") == "true" else ["sqlite"]
    return ["sqlite", "postgresql"]


@dataclass(frozen=True)
class Place:
    """An empty database for an emulator's warehouse."""

    url: str
    schema: str
    results_schema: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement in which `{export}` and `{results}` stand before tables."""
        filled = sql.format(export=self.schema, results=self.results_schema)
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                return connection.execute(filled).fetchall()
        import psycopg

        with psycopg.connect(self.url) as connection:
            return connection.execute(filled.encode()).fetchall()

    def connection(self) -> dict[str, Any]:
        """Return an Airflow connection to the database, in the JSON form of `AIRFLOW_CONN_…`."""
        if self.url.startswith("sqlite"):
            return {"conn_type": "sqlite", "host": self.url.removeprefix("sqlite:///")}
        host, port = POSTGRES
        name = self.url.rpartition("/")[2]
        return {"conn_type": "postgres", "host": host, "port": port, "login": "postgres", "schema": name}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables, in an order of their own."""
        export = ("evaluation_events", "metric_events", "experiment_iterations", "flag_variations", "_transfer_status")
        results = ("computed_arm_aggregates", "computed_events_last_seen")
        found = {table: self.rows(f"SELECT * FROM {{export}}{table}") for table in export}
        found |= {table: self.rows(f"SELECT * FROM {{results}}{table}") for table in results}
        return {table: sorted(rows, key=repr) for table, rows in found.items()}


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """Make a database and drop it again."""
    if kind == "sqlite":
        yield Place(f"sqlite:///{folder / 'warehouse.db'}", "", "")
        return
    import psycopg

    host, port = POSTGRES
    name = f"launchdarkly_rows_{uuid.uuid4().hex}"
    with psycopg.connect(f"postgresql://postgres@{host}:{port}/postgres", autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield Place(f"postgresql://postgres@{host}:{port}/{name}", "launchdarkly.", "launchdarkly_results.")
        finally:
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@dataclass(frozen=True)
class Arm:
    """What the rows say of a metric in one variation."""

    exposed: int
    responders: int
    sum: float
    sum_of_squares: float
    covariate: tuple[float, float, float]


def measure(
    where: Place,
    iteration_id: str,
    steps: Sequence[str],
    *,
    numeric: bool = False,
    aggregation: str = "average",
    look: datetime | None = None,
    covariate: timedelta = timedelta(days=28),
    kind: str = "user",
) -> dict[str, Arm]:
    """Compute a metric by variation: people by their first exposure, without those who saw two variations.

    Args:
        where: The database.
        iteration_id: The iteration.
        steps: The event of a metric, or those of a funnel up to the step that is measured.
        numeric: Whether the events have values.
        aggregation: ``average`` or ``sum`` of a person's events.
        look: The time of the look; None for all rows.
        covariate: The time before the first exposure that the covariate is from.
        kind: The randomization unit.
    """
    seen: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    sql = "SELECT context_key, variation_id, received_time FROM {export}evaluation_events"
    conditions = f"experiment_iteration_id = '{iteration_id}' AND context_kind = '{kind}'"
    for key, variation, at in where.rows(f"{sql} WHERE {conditions}"):
        if look is None or moment(at) <= look:
            seen[key].append((moment(at), variation))
    people = {key: min(found) for key, found in seen.items() if len({variation for _, variation in found}) == 1}
    events: dict[str, dict[str, list[tuple[datetime, float | None]]]] = {step: defaultdict(list) for step in steps}
    sql = "SELECT event_key, context_key, event_value, received_time FROM {export}metric_events"
    for step, key, value, at in where.rows(f"{sql} WHERE context_kind = '{kind}'"):
        if step in events and key in people and (look is None or moment(at) <= look):
            events[step][key].append((moment(at), value))
    values: dict[str, list[tuple[float, float]]] = defaultdict(list)
    exposed: dict[str, int] = defaultdict(int)
    for key, (first, variation) in people.items():
        exposed[variation] += 1
        found = _value([events[step][key] for step in steps], first, numeric, aggregation)
        if found is not None:
            since = first - covariate
            before = [v for at, v in events[steps[-1]][key] if since <= at < first and v is not None]
            values[variation].append((found, _together(before, aggregation) if before else 0.0))
    return {
        variation: Arm(
            count,
            len(values[variation]),
            sum(y for y, _ in values[variation]),
            sum(y * y for y, _ in values[variation]),
            (
                sum(x for _, x in values[variation]),
                sum(x * x for _, x in values[variation]),
                sum(x * y for y, x in values[variation]),
            ),
        )
        for variation, count in exposed.items()
    }


def _value(
    steps: list[list[tuple[datetime, float | None]]], first: datetime, numeric: bool, aggregation: str
) -> float | None:
    since = first
    for found in steps[:-1]:
        later = [at for at, _ in found if at >= since]
        if not later:
            return None
        since = min(later)
    last = [value for at, value in steps[-1] if at >= since]
    if not numeric:
        return 1.0 if last else None
    numbers = [value for value in last if value is not None]
    return _together(numbers, aggregation) if numbers else None


def _together(values: list[float], aggregation: str) -> float:
    return sum(values) if aggregation == "sum" else sum(values) / len(values)


def moment(text: Any) -> datetime:
    """Return a time of a row, which SQLite keeps as text."""
    return text if isinstance(text, datetime) else datetime.fromisoformat(text).replace(tzinfo=UTC)
