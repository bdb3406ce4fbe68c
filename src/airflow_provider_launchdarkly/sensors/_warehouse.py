"""Evidence from a SQL query on any Airflow connection with a ``DbApiHook``. For workers only: it blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from jinja2 import StrictUndefined, TemplateNotFound, meta

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.api.http.procedure import STRANGE_DATA
from airflow_provider_launchdarkly.evidence.sql_rows import evidence_from_sql
from airflow_provider_launchdarkly.evidence.sql_statement import (
    COHORTS,
    BindingError,
    Statement,
    missing_cohort,
    write_statement,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext, Source
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults


def warehouse_source(
    results: SqlResults, conn_id: str, environment: Environment, context: Context, policy: Policy
) -> Source:
    """Return the source of evidence that runs a query at each look.

    Args:
        results: The query, or the path of its file.
        conn_id: The Airflow connection of the warehouse.
        environment: The DAG's Jinja environment.
        context: The task's context, for the template.
        policy: What is decided. Units that it leaves out must be left out by the query.

    Raises:
        BindingError: The policy leaves units out, and the query does not name the value by which it could.
    """
    # A name that is misspelt in a query must not become an empty place in it.
    strict = environment.overlay(undefined=StrictUndefined)
    wanted = {setting: name for setting, name in COHORTS.items() if getattr(policy, setting)}
    # Said at the first poll: the first look is further off than the maturity.
    for setting, name in wanted.items():
        if name not in _names_in(strict, results):
            raise BindingError(missing_cohort(setting, name))

    def query(look_context: LookContext) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        path = results.path
        try:
            template = strict.get_template(path) if path else strict.from_string(results.sql)
        except TemplateNotFound:
            raise ConfigurationError(
                f"results: the DAG's folder and its template_searchpath have no file {path!r}; sql is taken for a path "
                "since it is one line without blanks that ends in .sql"
            ) from None
        try:
            return query_warehouse(
                conn_id, lambda placeholder: write_statement(template, look_context, placeholder, context)
            )
        except LaunchDarklyError:
            raise
        except STRANGE_DATA as error:  # of the query, and not of a response of LaunchDarkly's
            raise ConfigurationError(
                f"results: the query on connection {conn_id!r} cannot be run: {type(error).__name__}: {error}"
            ) from error

    def evidence_from_warehouse(look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
        return evidence_from_sql(look_context, policy, query)

    return evidence_from_warehouse


def _names_in(environment: Environment, results: SqlResults) -> set[str]:
    """Return the names that a query's template, and the templates which it includes, take from the context."""
    names: set[str] = set()
    unread, known = [results.path], {results.path}
    while unread:
        path = unread.pop()
        try:
            loader = environment.loader
            text = results.sql if path is None else loader.get_source(environment, path)[0] if loader else ""
        except TemplateNotFound:
            continue  # said when the template is loaded
        tree = environment.parse(text)
        names |= meta.find_undeclared_variables(tree)
        found = set(meta.find_referenced_templates(tree)) - known - {None}
        known |= found
        unread.extend(found)
    return names


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
        ConfigurationError: The connection's hook is no ``DbApiHook`` with positional parameters, or the query is no
            SELECT.
    """
    from airflow.providers.common.sql.hooks.handlers import fetch_all_handler
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    connection = BaseHook.get_connection(conn_id)
    if (problem := _NOT_SUPPORTED.get(connection.conn_type or "")) is not None:
        raise ConfigurationError(
            f"connection {conn_id!r} is of type {connection.conn_type!r}, which cannot be queried for results: "
            f"{problem}; let a task copy the rows of the results into a database that can, such as PostgreSQL"
        )
    hook = connection.get_hook()
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
