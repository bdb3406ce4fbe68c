"""LaunchDarkly's Data Export tables for tests, in SQLite, PostgreSQL and DuckDB, filled with raw rows."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support import warehouse as databases
from support.raw_rows import Event, Exposure
from support.warehouse import Warehouse

COLUMNS = {
    "evaluation_events": Exposure._fields,
    "metric_events": Event._fields,
}


def engines() -> list[str]:
    """The databases that take part: those of the tests on SQL, and DuckDB where it is installed; in CI it must be."""
    needed = bool(os.environ.get("CI")) or find_spec("duckdb") is not None
    return [*databases.backends(), *(["duckdb"] if needed else [])]


@contextmanager
def open_export(kind: str, folder: Path, *, moment: str | None = None) -> Iterator[Warehouse]:
    """Make a database with empty export tables, and drop it again.

    Args:
        kind: ``sqlite``, ``postgres`` or ``duckdb``.
        folder: Where files go.
        moment: Type of `received_time`; None takes the kind's usual one.
    """
    opened = {"sqlite": databases._sqlite, "postgres": databases._postgres, "duckdb": _duckdb}[kind]
    with opened(folder) as warehouse:
        time = moment or {"sqlite": "TEXT", "postgres": "TIMESTAMPTZ", "duckdb": "TIMESTAMP"}[kind]
        types = {"received_time": time, "event_value": "DOUBLE PRECISION"}
        for table, columns in COLUMNS.items():
            described = ", ".join(f"{name} {types.get(name, 'TEXT')}" for name in columns)
            warehouse.execute(f"CREATE TABLE {table} ({described})")
        yield warehouse


@contextmanager
def _duckdb(folder: Path) -> Iterator[Warehouse]:
    import duckdb

    path = folder / "warehouse.duckdb"
    yield Warehouse("duckdb", "", "", lambda: duckdb.connect(str(path)))


def load(warehouse: Warehouse, folder: Path, exposures: Iterable[Exposure], events: Iterable[Event]) -> None:
    """Add rows to the tables, and the indexes that a look's statement may use."""
    for table, rows in (("evaluation_events", exposures), ("metric_events", events)):
        _load(warehouse, folder, table, rows)
    if warehouse.kind != "duckdb":
        warehouse.execute("CREATE INDEX IF NOT EXISTS of_iteration ON evaluation_events (experiment_iteration_id)")
        warehouse.execute("CREATE INDEX IF NOT EXISTS of_unit ON metric_events (context_key, event_key)")


def _load(warehouse: Warehouse, folder: Path, table: str, rows: Iterable[Exposure] | Iterable[Event]) -> None:
    cells = (tuple(map(written, row)) for row in rows)
    with closing(warehouse.connect()) as connection:
        if warehouse.kind == "sqlite":
            places = ", ".join("?" for _ in COLUMNS[table])
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", cells)
            connection.commit()
            return
        path = _as_csv(folder / f"{table}.csv", cells)
        if warehouse.kind == "postgres":
            with path.open() as file:
                connection.cursor().copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", file)
            connection.commit()
        else:
            connection.execute(f"COPY {table} FROM '{path}' (FORMAT csv, HEADER false, DELIMITER ',', QUOTE '\"')")
        path.unlink()


def _as_csv(path: Path, rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def written(cell: Any) -> Any:
    """Return a cell as text where it is a time: UTC, to the microsecond."""
    return cell.isoformat(" ", "microseconds").removesuffix("+00:00") if isinstance(cell, datetime) else cell
