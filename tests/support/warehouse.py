"""A warehouse for tests: exposures and events of single people, in SQLite and, where there is one, PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CONNECTION = "AIRFLOW_CONN_WAREHOUSE"
POSTGRES = ("127.0.0.1", 5432)


def backends() -> list[str]:
    """The databases that tests run on, decided when they are collected.

    PostgreSQL takes part where it answers; in CI, or with LAUNCHDARKLY_TEST_POSTGRES set, it must.
    """
    required = os.environ.get("CI") == "true" or bool(os.environ.get("LAUNCHDARKLY_TEST_POSTGRES"))
    return ["sqlite", "postgres"] if required or _postgres_answers() else ["sqlite"]


def _postgres_answers() -> bool:
    if find_spec("psycopg2") is None:
        return False
    try:
        socket.create_connection(POSTGRES, timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class Warehouse:
    """An empty database with the two tables, and an Airflow connection to it.

    Attributes:
        kind: ``sqlite`` or ``postgres``.
        connection: As JSON, for ``AIRFLOW_CONN_WAREHOUSE``.
        moment: What a template writes after a moment's name: SQLite keeps text.
    """

    kind: str
    connection: str
    moment: str
    connect: Callable[[], Any]

    @property
    def query(self) -> str:
        """Units and conversions of one metric since the iteration's start."""
        return f"""
            SELECT 'checkout-conversion' AS metric,
                   exposures.treatment_id,
                   COUNT(*) AS units,
                   COUNT(events.unit_id) AS conversions,
                   MAX(events.happened_at) AS latest_event_at
            FROM exposures
            LEFT JOIN events ON events.unit_id = exposures.unit_id
                            AND events.happened_at <= {{{{ looked_at{self.moment} }}}}
            WHERE exposures.iteration_id = {{{{ iteration_id }}}}
              AND exposures.treatment_id IN {{{{ treatment_ids }}}}
              AND exposures.exposed_at >= {{{{ exposed_after{self.moment} }}}}
              AND exposures.exposed_at <= {{{{ exposed_before{self.moment} }}}}
            GROUP BY exposures.treatment_id
        """

    def execute(self, sql: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            if self.kind == "postgres":
                from psycopg2.extras import execute_batch

                execute_batch(cursor, sql, rows, page_size=1000)
            else:
                cursor.executemany(sql.replace("%s", "?"), rows)
            connection.commit()

    def fill(
        self, iteration_id: str, started_at: datetime, rates: Mapping[str, float], *, people: int = 300, days: int = 28
    ) -> None:
        """Let so many people a day come to each treatment, and convert at its rate."""
        chance = random.Random(3)
        exposures: list[tuple[Any, ...]] = []
        events: list[tuple[Any, ...]] = []
        for treatment_id, rate in rates.items():
            for number in range(people * days):
                unit = f"{treatment_id}-{number}"
                moment = started_at + timedelta(days=days) * (number + 0.5) / (people * days)
                exposures.append((unit, iteration_id, treatment_id, self._moment(moment)))
                if chance.random() < rate:
                    events.append((unit, self._moment(moment + timedelta(minutes=5))))
        self.execute("INSERT INTO exposures VALUES (%s, %s, %s, %s)", exposures)
        self.execute("INSERT INTO events VALUES (%s, %s)", events)

    def _moment(self, moment: datetime) -> Any:
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if self.kind == "sqlite" else moment


@contextmanager
def open_warehouse(kind: str, folder: Path) -> Iterator[Warehouse]:
    """Make a warehouse of its own and drop it again."""
    with {"sqlite": _sqlite, "postgres": _postgres}[kind](folder) as warehouse:
        moment = "TEXT" if kind == "sqlite" else "TIMESTAMPTZ"
        warehouse.execute(
            "CREATE TABLE exposures (unit_id TEXT PRIMARY KEY, iteration_id TEXT, treatment_id TEXT, "
            f"exposed_at {moment})"
        )
        warehouse.execute(f"CREATE TABLE events (unit_id TEXT, happened_at {moment})")
        yield warehouse


@contextmanager
def _sqlite(folder: Path) -> Iterator[Warehouse]:
    path = folder / "warehouse.db"
    connection = json.dumps({"conn_type": "sqlite", "host": str(path)})
    yield Warehouse("sqlite", connection, ".text", lambda: sqlite3.connect(path))


@contextmanager
def _postgres(_: Path) -> Iterator[Warehouse]:
    import psycopg2

    host, port = POSTGRES
    name = f"launchdarkly_test_{uuid.uuid4().hex}"

    def connect(database: str = name) -> Any:
        return psycopg2.connect(host=host, port=port, user="postgres", dbname=database)

    def administer(statement: str) -> None:
        with closing(connect("postgres")) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    administer(f"CREATE DATABASE {name}")
    try:
        described = {"conn_type": "postgres", "host": host, "port": port, "login": "postgres", "schema": name}
        yield Warehouse("postgres", json.dumps(described), "", connect)
    finally:
        administer(f"DROP DATABASE {name} WITH (FORCE)")
