"""Runs one query on an Airflow connection, whatever its driver takes. For workers only: it blocks."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.evidence.warehouse.driver_errors import warehouse_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_launchdarkly.evidence.sql_statement import Statement

    Rows: TypeAlias = tuple[tuple[str, ...], Sequence[Sequence[Any]]]

# The dialect of a connection type, where it is not the type's own name.
_DIALECTS = {"postgres": "postgresql", "google_cloud_platform": "bigquery", "gcpbigquery": "bigquery"}


@dataclass(frozen=True, slots=True)
class _Database:
    """A connection that can be queried.

    Attributes:
        placeholder: The driver's placeholder, ``%s`` or ``?``.
        run: Runs a statement and returns the description of its columns, None if it is no SELECT, and its rows.
    """

    placeholder: str
    run: Callable[[Statement], tuple[Any, Any]]


def dialect_of_connection(conn_id: str) -> str:
    """Return the dialect that a connection's database has, a name of :data:`.dialects.DIALECTS` if it is known."""
    conn_type = BaseHook.get_connection(conn_id).conn_type or ""
    return _DIALECTS.get(conn_type, conn_type)


def query_tables(conn_id: str, write: Callable[[str], Statement]) -> Rows:
    """Run one statement on LaunchDarkly's tables.

    Args:
        conn_id: The Airflow connection.
        write: Writes the statement in a dialect, a name of :data:`.dialects.DIALECTS`.

    Returns:
        Column names and rows.

    Raises:
        ConfigurationError: The connection's database has no such dialect, or as for :func:`query_warehouse`.
        WarehouseError: As for :func:`query_warehouse`.
    """
    dialect = dialect_of_connection(conn_id)
    return query_warehouse(conn_id, lambda _: write(dialect))


def query_warehouse(conn_id: str, write: Callable[[str], Statement]) -> Rows:
    """Run one query.

    Args:
        conn_id: The Airflow connection.
        write: Writes the query for the driver's placeholder, ``%s`` or ``?``.

    Returns:
        Column names and rows.

    Raises:
        ConfigurationError: The connection's hook is no ``DbApiHook``, or the query is no SELECT.
        WarehouseError: The database has no such schema, table or column, grants no right to it, or holds values of
            another type in it.
    """
    database = _database(conn_id)
    statement = write(database.placeholder)
    try:
        description, rows = database.run(statement)
    except Exception as error:
        if (explained := warehouse_error(conn_id, error)) is not None:
            raise explained from error
        raise
    if rows is None or not description:
        raise ConfigurationError(f"the results query on connection {conn_id!r} returns no rows: write a SELECT")
    return tuple(str(column[0]) for column in description), list(rows)


def _database(conn_id: str) -> _Database:
    connection = BaseHook.get_connection(conn_id)
    if connection.conn_type in ("google_cloud_platform", "gcpbigquery"):
        with _provider(conn_id, "google"):
            return _bigquery(conn_id)
    if connection.conn_type == "databricks":
        with _provider(conn_id, "databricks"):
            return _databricks(conn_id, connection.extra_dejson.get("session_configuration") or {})
    return _of_hook(conn_id, connection.get_hook())


@contextmanager
def _provider(conn_id: str, name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"connection {conn_id!r} needs the package apache-airflow-providers-{name}, which cannot be imported here: "
            f"{error}; install it on the workers"
        ) from error


def _of_hook(conn_id: str, hook: Any, placeholder: str | None = None) -> _Database:
    from airflow.providers.common.sql.hooks.handlers import fetch_all_handler
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    if not isinstance(hook, DbApiHook):
        raise ConfigurationError(
            f"connection {conn_id!r} has a {type(hook).__name__}, which is no DbApiHook: results need a SQL database"
        )

    def run(statement: Statement) -> tuple[Any, Any]:
        # It is one statement: some hooks split it, by a parser that refuses more than 10,000 words and signs. And a
        # driver leaves percent signs alone only if it gets no parameters at all.
        rows = hook.run(
            statement.sql,
            parameters=statement.parameters or None,
            handler=fetch_all_handler,
            split_statements=False,
        )
        return hook.last_description, rows

    return _Database(placeholder or hook.placeholder, run)


def _databricks(conn_id: str, session: dict[str, str]) -> _Database:
    """Query a Databricks SQL warehouse: the hook of the connection's type runs jobs, and binds in another way."""
    from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook

    # A timestamp without a zone is read in the session's.
    hook = DatabricksSqlHook(databricks_conn_id=conn_id, session_configuration={**session, "TIMEZONE": "UTC"})
    # What its connector binds on the server. With %s it would paste the values into the text.
    return _of_hook(conn_id, hook, placeholder="?")


def _bigquery(conn_id: str) -> _Database:
    """Query BigQuery through Google's own driver: the cursor of Airflow's hook pastes the values into the text."""
    from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
    from google.cloud.bigquery import dbapi

    hook = BigQueryHook(gcp_conn_id=conn_id, use_legacy_sql=False)

    def run(statement: Statement) -> tuple[Any, Any]:
        client = hook.get_client(project_id=hook.project_id, location=hook.location)
        with closing(client), closing(dbapi.connect(client=client, prefer_bqstorage_client=False)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement.sql, statement.parameters or None)
            return cursor.description, cursor.fetchall() if cursor.description else None

    return _Database("%s", run)
