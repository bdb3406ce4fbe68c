"""The source of evidence that a task's description of results names. For workers only: all but LaunchDarkly's block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from jinja2 import FileSystemLoader, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results
from airflow_provider_launchdarkly.evidence.results_config import read_results
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults, WarehouseNativeResults
from airflow_provider_launchdarkly.evidence.warehouse.data_export import DataExportSource
from airflow_provider_launchdarkly.evidence.warehouse.metric_files import parse_metrics, read_metrics
from airflow_provider_launchdarkly.evidence.warehouse.native import WarehouseNativeSource, write_aggregates_statement
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from airflow_provider_launchdarkly.sensors._warehouse import warehouse_source
from airflow_provider_launchdarkly.sensors._warehouse_query import query_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.results_config import Results
    from airflow_provider_launchdarkly.evidence.source import LookContext, Source
    from airflow_provider_launchdarkly.evidence.warehouse.data_export import Export
    from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings


class Task(Protocol):
    """The task, as far as a source needs it."""

    def render_template(self, content: Any, context: Context) -> Any:
        """Render a template."""

    def get_template_env(self) -> Environment:
        """Return the DAG's Jinja environment."""


def source_of(results: Mapping[str, Any] | None, task: Task, context: Context, policy: Policy) -> Source:
    """Return the source of evidence.

    Connection, schema and environment id are templates.

    Args:
        results: The description as plain JSON; None for LaunchDarkly's results endpoints.
        task: The task that takes the look.
        context: Its context.
        policy: What is decided.

    Raises:
        ValueError: The description is wrong.
        ConfigurationError: A file that it names cannot be read.
    """
    if results is None:
        return evidence_from_results
    described = read_results(results)

    def rendered(text: str | None) -> str | None:
        return None if text is None else task.render_template(text, context)

    if isinstance(described, SqlResults):
        conn_id = str(rendered(described.conn_id))
        return warehouse_source(described, conn_id, task.get_template_env(), context, policy)
    changes = {"conn_id": rendered(described.conn_id), "schema_name": rendered(described.schema_name)}
    if isinstance(described, DataExportResults):
        changes["environment_id"] = rendered(described.environment_id)
        return export_source(described.model_copy(update=changes), task.get_template_env())
    return native_source(described.model_copy(update=changes))


def source_outside_tasks(results: Results, folder: Path, policy: Policy) -> Source:
    """Return the source of evidence for a command: nothing is rendered but a query, without a task's context.

    Args:
        results: The description.
        folder: The folder in which the files of queries are.
        policy: What is decided.

    Raises:
        BindingError: As for :func:`warehouse_source`.
    """
    if isinstance(results, DataExportResults):
        return export_source(results)
    if isinstance(results, WarehouseNativeResults):
        return native_source(results)
    queries = SandboxedEnvironment(loader=FileSystemLoader(folder))
    return warehouse_source(results, results.conn_id, queries, cast("Context", {}), policy)


def export_source(results: DataExportResults, environment: Environment | None = None) -> DataExportSource:
    """Return the source that computes results from the tables of the Data Export.

    Args:
        results: The description, rendered.
        environment: The DAG's Jinja environment, which finds a file of metrics as it finds templates.
    """

    def query(export: Export) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        return query_tables(
            results.conn_id,
            lambda dialect: write_statement(
                export.metrics,
                export.look,
                results.exposures,
                results.schema_name,
                dialect,
                where=results.where,
            ),
        )

    return DataExportSource(results, _metrics(results, environment), query)


def native_source(results: WarehouseNativeResults) -> WarehouseNativeSource:
    """Return the source that reads LaunchDarkly's sums in the warehouse.

    Args:
        results: The description, rendered.
    """

    def query(look_context: LookContext) -> Iterable[Sequence[Any]]:
        return query_tables(
            results.conn_id, lambda dialect: write_aggregates_statement(results, look_context, dialect)
        )[1]

    return WarehouseNativeSource(results, query)


def _metrics(results: DataExportResults, environment: Environment | None) -> Mapping[str, MetricSettings]:
    """Return the user's metrics, from the file that the description names or from itself."""
    path = results.metrics
    if not isinstance(path, str):
        return path
    if environment is None or environment.loader is None or Path(path).is_absolute():
        return read_metrics(path)
    try:
        text, _, _ = environment.loader.get_source(environment, path)
    except TemplateNotFound:
        raise ConfigurationError(
            f"results.metrics: the DAG's folder and its template_searchpath have no file {path!r}"
        ) from None
    return parse_metrics(text, source=path)
