"""The demo's warehouse: a database of its own in PostgreSQL if one answers on this machine, else a SQLite file."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST, USER = "127.0.0.1", "postgres"


@dataclass(frozen=True)
class DemoWarehouse:
    """A warehouse.

    Attributes:
        url: What the emulator writes into.
        told: What it is, for people.
        environment: Airflow's connection `warehouse` to it, and the schema of its tables.
    """

    url: str
    told: str
    environment: dict[str, str]


@contextmanager
def open_warehouse(folder: Path) -> Iterator[DemoWarehouse]:
    """Make an empty warehouse, and drop it again."""
    name = f"launchdarkly_demo_{secrets.token_hex(4)}"
    if not _administer(f"CREATE DATABASE {name}"):
        path = folder / "warehouse.db"
        yield _described(f"sqlite:///{path}", f"SQLite, {path}", {"conn_type": "sqlite", "host": str(path)}, "main")
        return
    try:
        connection = {"conn_type": "postgres", "host": HOST, "login": USER, "schema": name}
        url = f"postgresql://{USER}@{HOST}/{name}"
        yield _described(url, f"PostgreSQL, {url}", connection, "launchdarkly")
    finally:
        _administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _described(url: str, told: str, connection: dict[str, str], schema: str) -> DemoWarehouse:
    environment = {"AIRFLOW_CONN_WAREHOUSE": json.dumps(connection), "AIRFLOW_VAR_LAUNCHDARKLY_SCHEMA": schema}
    return DemoWarehouse(url, told, environment)


def _administer(statement: str) -> bool:
    """Run a statement in PostgreSQL, and return whether one is there that lets us."""
    try:
        import psycopg

        with psycopg.connect(host=HOST, user=USER, dbname="postgres", connect_timeout=2, autocommit=True) as connection:
            connection.execute(statement.encode())
    except (ImportError, psycopg.Error):
        return False
    return True
