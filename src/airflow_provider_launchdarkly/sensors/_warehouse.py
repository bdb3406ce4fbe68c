"""Evidence from a SQL query on any Airflow connection with a ``DbApiHook``. For workers only: it blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from jinja2 import StrictUndefined

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.evidence.sql_rows import evidence_from_sql
from airflow_provider_launchdarkly.evidence.sql_statement import Statement, write_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext, Source


def warehouse_source(sql: str, conn_id: str, environment: Environment, context: Context) -> Source:
    """Return the source of evidence that runs a query at each look.

    Args:
        sql: The query's template, or the name of a file that ends in ``.sql``.
        conn_id: The Airflow connection of the warehouse.
        environment: The DAG's Jinja environment.
        context: The task's context, for the template.
    """
    # A name that is misspelt in a query must not become an empty place in it.
    strict = environment.overlay(undefined=StrictUndefined)

    def query(look_context: LookContext) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        template = strict.get_template(sql) if sql.endswith(".sql") else strict.from_string(sql)
        return query_warehouse(
            conn_id, lambda placeholder: write_statement(template, look_context, placeholder, context)
        )

    def evidence_from_warehouse(look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
        return evidence_from_sql(look_context, policy, query)

    return evidence_from_warehouse


def query_warehouse(conn_id: str, write: Callable[[str], Statement]) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
    """Run one query.

    Args:
        conn_id: The Airflow connection.
        write: Writes the query for the driver's placeholder, ``%s`` or ``?``.

    Returns:
        Column names and rows.

    Raises:
        ConfigurationError: The connection's hook is no ``DbApiHook``, or the query is no SELECT.
    """
    from airflow.providers.common.sql.hooks.handlers import fetch_all_handler
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    hook = BaseHook.get_connection(conn_id).get_hook()
    if not isinstance(hook, DbApiHook):
        raise ConfigurationError(
            f"connection {conn_id!r} has a {type(hook).__name__}, which is no DbApiHook: results need a SQL database"
        )
    statement = write(hook.placeholder)
    # A driver leaves percent signs alone only if it gets no parameters at all.
    rows = hook.run(statement.sql, parameters=statement.parameters or None, handler=fetch_all_handler)
    description = hook.last_description
    if rows is None or not description:
        raise ConfigurationError(f"the results query on connection {conn_id!r} returns no rows: write a SELECT")
    return tuple(str(column[0]) for column in description), list(rows)
