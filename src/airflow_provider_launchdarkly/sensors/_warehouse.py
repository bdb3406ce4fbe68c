"""Evidence from a SQL query on any Airflow connection with a ``DbApiHook``. For workers only: it blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateNotFound, meta

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.api.http.procedure import STRANGE_DATA
from airflow_provider_launchdarkly.evidence.source import AS_IT_IS_NOW
from airflow_provider_launchdarkly.evidence.sql_rows import evidence_from_sql
from airflow_provider_launchdarkly.evidence.sql_statement import (
    COHORTS,
    BindingError,
    missing_cohort,
    write_statement,
)
from airflow_provider_launchdarkly.sensors._warehouse_query import query_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext, Source
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults

    Query: TypeAlias = Callable[[LookContext], tuple[Sequence[str], Sequence[Sequence[Any]]]]


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
    wanted = {setting: name for setting, name in COHORTS.items() if getattr(policy, setting)}
    names = _names_in(environment, results)
    # Said at the first poll: the first look is further off than the maturity.
    for setting, name in wanted.items():
        if name not in names:
            raise BindingError(missing_cohort(setting, name))
    query = template_query(results, conn_id, environment, context)

    def evidence_from_warehouse(look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
        evidence = yield from evidence_from_sql(look_context, policy, query)
        if look_context.taken is None or "looked_at" in names:
            return evidence
        return evidence._replace(cautions=(*evidence.cautions, AS_IT_IS_NOW))

    return evidence_from_warehouse


def template_query(results: SqlResults, conn_id: str, environment: Environment, context: Context) -> Query:
    """Return the function that renders a query for a look, and runs it.

    Args:
        results: The query, or the path of its file.
        conn_id: The Airflow connection.
        environment: The DAG's Jinja environment.
        context: The task's context, for the template.
    """
    # A name that is misspelt in a query must not become an empty place in it.
    strict = environment.overlay(undefined=StrictUndefined)

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

    return query


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
