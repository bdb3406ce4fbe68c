"""The two databases that rows are written to: SQLite, which Python brings, and PostgreSQL by psycopg."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from typing_extensions import override

from airflow_provider_launchdarkly.emulator.warehouse.tables import METRIC_EVENTS, TABLES, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType
    from typing import IO

    from airflow_provider_launchdarkly.emulator.warehouse.tables import Cell, Row, Table

EXPORT_SCHEMA = "launchdarkly"
RESULTS_SCHEMA = "launchdarkly_results"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY_SECONDS = 30.0


class WarehouseError(ValueError):
    """The warehouse cannot be opened or written to. The message names it and the cure."""


class Database(ABC):
    """A database with the warehouse's tables. It connects on first use, and again after `close` or a lost connection.

    One emulator at a time writes to it, which a lock ensures.

    Args:
        name: Its URL without a password, for messages.
    """

    column_types: dict[Kind, str]

    def __init__(self, name: str) -> None:
        self.name = name
        self._connection: Any = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Database]:
        """Write all that is written within it, or nothing.

        Raises:
            WarehouseError: The database cannot be reached or written to, or another emulator writes to it.
        """
        try:
            if self._connection is None:
                self._open()
            yield self
            self._connection.commit()
        except self._errors() as error:
            self.close()
            raise WarehouseError(f"cannot write to the warehouse {self.name}: {_told(error)}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and release the lock. What is not committed is undone. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors()):
                connection.close()

    def _open(self) -> None:
        self._connection = self._connect()
        for statement in self._preparations():
            self.execute(statement)
        for table in TABLES:
            columns = [f"{name} {self.column_types[kind]}" for name, kind in table.columns.items()]
            key = [f"PRIMARY KEY ({', '.join(table.key)})"] if table.key else []
            self.execute(f"CREATE TABLE IF NOT EXISTS {self.table(table)} ({', '.join([*columns, *key])})")
        # Without it, SQLite joins exposures and events by comparing each with each.
        events = f"{self.table(METRIC_EVENTS)} (context_key, event_key)"
        self.execute(f"CREATE INDEX IF NOT EXISTS metric_events_by_unit ON {events}")
        self._connection.commit()

    def delete(self, table: Table, condition: str, values: Sequence[Cell]) -> None:
        """Delete rows by a condition with ``?`` for each of the values."""
        self.execute(f"DELETE FROM {self.table(table)} WHERE {condition}", values)  # noqa: S608 - our own tables

    def select(self, table: Table, columns: str, condition: str, values: Sequence[Cell] = ()) -> list[tuple[Any, ...]]:
        """Return rows by a condition with ``?`` for each of the values."""
        return self.execute(f"SELECT {columns} FROM {self.table(table)} WHERE {condition}", values)  # noqa: S608 - our own tables

    @abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """Return the driver's errors."""

    @abstractmethod
    def _connect(self) -> Any:
        """Connect and take the lock."""

    @abstractmethod
    def _preparations(self) -> list[str]:
        """Return the statements to run before the tables are made."""

    @abstractmethod
    def table(self, table: Table) -> str:
        """Return a table's name with its schema."""

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Cell] = ()) -> list[tuple[Any, ...]]:
        """Run a statement with ``?`` for each of the values, and return its rows."""

    @abstractmethod
    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        """Insert rows, with times in epoch milliseconds."""


class SqliteDatabase(Database):
    """A SQLite file. All tables are in its main schema; times are texts such as `2026-01-05 09:00:00.000`, in UTC."""

    column_types = {"text": "TEXT", "json": "TEXT", "time": "TEXT", "number": "REAL", "integer": "INTEGER"}  # noqa: RUF012 - a constant

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}")
        self._path = path
        self._lock: IO[bytes] | None = None

    @override
    def _errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error, OSError)

    @override
    def _connect(self) -> Any:
        if not self._path.parent.is_dir():
            raise WarehouseError(f"--warehouse: there is no folder {str(self._path.parent)!r}; make it first")
        lock_path = self._path.with_name(f"{self._path.name}.emulator")
        self._lock = lock_path.open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise _taken(self.name, "file") from None
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            connection.close()
            self._lock.close()
            raise
        return connection

    @override
    def close(self) -> None:
        super().close()
        if self._lock is not None:
            self._lock.close()

    @override
    def _preparations(self) -> list[str]:
        return []

    @override
    def table(self, table: Table) -> str:
        return table.name

    @override
    def execute(self, statement: str, values: Sequence[Cell] = ()) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(statement, values).fetchall()
        return found

    @override
    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * len(table.columns))
        self._connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", _with_times(table, rows, _as_text))  # noqa: S608 - our own tables


class PostgresDatabase(Database):
    """A PostgreSQL database, with a schema for Data Export and one for the results dataset.

    The URL may name them: `?schema=…&results_schema=…`.
    """

    column_types = {  # noqa: RUF012 - a constant
        "text": 'TEXT COLLATE "C"',
        "json": "JSONB",
        "time": "TIMESTAMPTZ",
        "number": "DOUBLE PRECISION",
        "integer": "BIGINT",
    }

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        self._schema = query.pop("schema", EXPORT_SCHEMA)
        self._results_schema = query.pop("results_schema", RESULTS_SCHEMA)
        self._url = urlunsplit(parts._replace(query=urlencode(query)))
        super().__init__(_without_password(url))
        try:
            import psycopg
        except ImportError:
            raise WarehouseError(
                "--warehouse postgresql://…: needs psycopg, which the extra `emulator` does not bring; "
                "pip install 'psycopg[binary]', or use sqlite:///FILE"
            ) from None
        self._psycopg: ModuleType = psycopg

    @override
    def _errors(self) -> tuple[type[Exception], ...]:
        return (self._psycopg.Error,)

    @override
    def _connect(self) -> Any:
        connection = self._psycopg.connect(self._url, connect_timeout=10)
        lock = f"launchdarkly-emulator {self._schema}"
        (free,) = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (lock,)).fetchone()
        if not free:
            connection.close()
            raise _taken(self.name, "schema (?schema=…&results_schema=…)")
        return connection

    @override
    def _preparations(self) -> list[str]:
        schemas = (self._schema, self._results_schema)
        known = {name for (name,) in self.execute("SELECT nspname FROM pg_namespace")}
        return [f"CREATE SCHEMA {_quoted(schema)}" for schema in dict.fromkeys(schemas) if schema not in known]

    @override
    def table(self, table: Table) -> str:
        return f"{_quoted(self._results_schema if table.of_results else self._schema)}.{_quoted(table.name)}"

    @override
    def execute(self, statement: str, values: Sequence[Cell] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(statement.replace("%", "%%").replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    @override
    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        columns = ", ".join(table.columns)
        with self._connection.cursor().copy(f"COPY {self.table(table)} ({columns}) FROM STDIN") as copy:
            lines: list[str] = []
            for row in _with_times(table, rows, _as_zoned_text):
                lines.append("\t".join(map(_copied, row)))
                if len(lines) == 1000:
                    copy.write("\n".join(lines) + "\n")
                    lines.clear()
            if lines:
                copy.write("\n".join(lines) + "\n")


def open_database(url: str) -> Database:
    """Return the database of a URL, without connecting to it.

    Args:
        url: `sqlite:///FILE` or `postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE`.

    Raises:
        WarehouseError: The URL is no such URL, or psycopg is missing.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite" and separator and len(rest) > 1 and rest.startswith("/") and not rest.endswith("/"):
        return SqliteDatabase(Path(rest[1:]))
    if scheme in ("postgresql", "postgres") and separator and rest:
        return PostgresDatabase(url)
    raise WarehouseError(
        f"--warehouse: {_without_password(url)!r} is not a URL that the emulator can write to; "
        "use sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    )


def _taken(name: str, place: str) -> WarehouseError:
    return WarehouseError(f"another emulator writes to the warehouse {name}; end it, or give this one another {place}")


def _told(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return url
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
    except ValueError:
        return url.partition("://")[0] + "://…"


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _with_times(table: Table, rows: Iterable[Row], as_text: Any) -> Iterable[Row]:
    places = [place for place, kind in enumerate(table.columns.values()) if kind == "time"]
    if len(places) == 1:
        (only,) = places
        return ((*row[:only], as_text(row[only]), *row[only + 1 :]) for row in rows)
    return (tuple(as_text(cell) if place in places else cell for place, cell in enumerate(row)) for row in rows)


def _as_text(milliseconds: Cell) -> str | None:
    if milliseconds is None:
        return None
    return (_EPOCH + timedelta(milliseconds=float(milliseconds))).isoformat(" ", "milliseconds")[:23]


def _as_zoned_text(milliseconds: Cell) -> str | None:
    text = _as_text(milliseconds)
    return None if text is None else f"{text}+00"


def _copied(cell: Cell) -> str:
    if cell is None:
        return "\\N"
    if isinstance(cell, str):
        if "\\" in cell or "\n" in cell or "\t" in cell or "\r" in cell:
            return cell.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
        return cell
    return repr(cell)
