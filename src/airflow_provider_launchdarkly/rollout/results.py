"""The source of a rollout's results: what it cannot do, and the metrics that only it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.decision.suitability import (
    UndecidableExperimentError,
    require_source_of_mature_units,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.results_config import Results
    from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings

# The classes of the sources are imported where one is there: most rollouts have none.


def _read(value: Any) -> Results | None:
    if value is None:
        return None
    from airflow_provider_launchdarkly.evidence.results_config import read_results

    return read_results(value)


def _plain(value: Results | None) -> dict[str, Any] | None:
    return None if value is None else dict(value.to_json())


class _Description:
    """The JSON schema of a description."""

    def __get_pydantic_json_schema__(self, _schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        from pydantic import TypeAdapter

        from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
        from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults, WarehouseNativeResults

        for model in (DataExportResults, WarehouseNativeResults):
            model.model_rebuild()
        described: TypeAdapter[Any] = TypeAdapter(DataExportResults | WarehouseNativeResults | SqlResults | None)
        return handler(described.core_schema)


if TYPE_CHECKING:
    ResultsField = Results | None
else:
    ResultsField = Annotated[
        dict[str, Any],
        PlainValidator(_read),
        PlainSerializer(_plain, return_type=dict[str, Any] | None),
        _Description(),
    ]
    """A description of results in a model: it is read by its field ``source``."""


def are_computed(results: Results | None) -> bool:
    """Return whether numbers are computed from single events, and not by LaunchDarkly."""
    if results is None:
        return False
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
    from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults

    return isinstance(results, DataExportResults | SqlResults)


def own_metrics(results: Results | None) -> Mapping[str, MetricSettings]:
    """Return the metrics that the source has and LaunchDarkly has not, by key."""
    if results is None:
        return {}
    from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults

    if isinstance(results, DataExportResults) and not isinstance(results.metrics, str):
        return results.metrics
    return {}


def check_results(results: Results | None, policy: Policy) -> None:
    """Refuse a source that a rollout cannot use, or that cannot do what the policy asks.

    Raises:
        FieldError: Its message names the cure.
    """
    metrics = getattr(results, "metrics", None)
    if isinstance(metrics, str):
        raise FieldError(
            ("results", "metrics"),
            f"is the path {metrics!r}: in Python, a rollout takes the metrics themselves: metrics=read_metrics(path)",
        )
    if are_computed(results):
        return
    try:
        require_source_of_mature_units(policy, native=results is not None)
    except UndecidableExperimentError as error:
        raise FieldError(("policy", *error.path), str(error)) from None


def describe_results(results: Results | None) -> str:
    """Return where results come from, in a line."""
    if results is None:
        return "LaunchDarkly's results endpoints"
    from airflow_provider_launchdarkly.evidence.results_config import source_name
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults

    schema = "" if isinstance(results, SqlResults) else f", schema {results.schema_name}"
    own = own_metrics(results)
    metrics = f", with metrics of its own: {', '.join(own)}" if own else ""
    return f"{source_name(results)} on connection {results.conn_id}{schema}{metrics}"
