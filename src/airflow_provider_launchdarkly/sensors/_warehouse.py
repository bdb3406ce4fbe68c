"""Runs a query for results on any Airflow connection with a ``DbApiHook``. For workers only: it blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_launchdarkly.api.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_launchdarkly.evidence.sql_statement import Statement


# Connection types of warehouses whose hooks cannot bind the iteration's values as they are, and why.
_NOT_SUPPORTED = {
    "databricks": "its hook, DatabricksHook, runs jobs and is no DbApiHook",
    "gcpbigquery": "its hook, BigQueryHook, takes legacy SQL by default and named parameters only",
    "google_cloud_platform": "its hook, GoogleBaseHook, is no DbApiHook, and BigQueryHook takes named parameters only",
}


def query_warehouse(conn_id: str, write: Callable[[str], Statement]) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
    """Run one query.

    Args:
        conn_id: The Airflow connection.
        write: Writes the query for the driver's placeholder, ``%s`` or ``?``.

    Returns:
        Column names and rows.

    Raises:
        ConfigurationError: The connection's hook is no ``DbApiHook`` with positional parameters, or the query returns
            no rows at all.
    """
    from airflow.providers.common.sql.hooks.handlers import fetch_all_handler
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    connection = BaseHook.get_connection(conn_id)
    if (problem := _NOT_SUPPORTED.get(connection.conn_type or "")) is not None:
        raise ConfigurationError(
            f"connection {conn_id!r} is of type {connection.conn_type!r}, which cannot be queried for results: "
            f"{problem}; let a task copy the rows of the results into a database that can, such as PostgreSQL"
        )
    hook = connection.get_hook()  # type: ignore[no-untyped-call]
    if not isinstance(hook, DbApiHook):
        raise ConfigurationError(
            f"connection {conn_id!r} has a {type(hook).__name__}, which is no DbApiHook: results need a SQL database"
        )
    statement = write(hook.placeholder)
    # A driver leaves percent signs alone only where it gets no parameters at all.
    rows = hook.run(statement.sql, parameters=statement.parameters or None, handler=fetch_all_handler)
    description = hook.last_description
    if rows is None or not description:
        raise ConfigurationError(f"the results query on connection {conn_id!r} returns no rows: it is no SELECT")
    return tuple(str(column[0]) for column in description), list(rows)
