"""Evidence computed from the tables of LaunchDarkly's Data Export.

The caller hands in a function that writes and runs the statement of a look. It may block: this runs on a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ConfigurationError, StateError
from airflow_provider_launchdarkly.api.http.paging import collect
from airflow_provider_launchdarkly.api.reads.metrics import find_metric
from airflow_provider_launchdarkly.config.durations import describe_span
from airflow_provider_launchdarkly.evidence.sql_rows import evidence_from_rows
from airflow_provider_launchdarkly.evidence.warehouse.absence import NoExposuresError
from airflow_provider_launchdarkly.evidence.warehouse.definition import ExportLook, MetricDefinition
from airflow_provider_launchdarkly.evidence.warehouse.iteration import (
    open_ended_caution,
    pinned_metric,
    variations_of,
)
from airflow_provider_launchdarkly.evidence.warehouse.launchdarkly_metrics import define_funnel, define_metric
from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import define

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Environment, Iteration, Metric
    from airflow_provider_launchdarkly.api.models.experiments import MeasuredMetric
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext
    from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults
    from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings

# LaunchDarkly REST docs, Create experiment: `randomizationUnit` is `user` if it is not given.
DEFAULT_UNIT = "user"


class Export(NamedTuple):
    """A look's question to the tables.

    Attributes:
        metrics: The metrics.
        look: The iteration and the time.
    """

    metrics: tuple[MetricDefinition, ...]
    look: ExportLook


class DataExportSource:
    """A source of evidence: the metrics of a policy, computed by one statement at each look.

    Args:
        results: The description.
        metrics: The metrics that LaunchDarkly does not have, by key.
        query: Runs the statement of a look; returns column names and rows.
    """

    def __init__(
        self,
        results: DataExportResults,
        metrics: Mapping[str, MetricSettings],
        query: Callable[[Export], tuple[Sequence[str], Iterable[Sequence[Any]]]],
    ) -> None:
        self._results = results
        self._metrics = metrics
        self._query = query
        self._environment_id = results.environment_id

    def __call__(self, look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
        """Compute the evidence of a look.

        Raises:
            UncomputableMetricError: A metric of the policy cannot be computed from its events.
            ConfigurationError: There is no such metric.
            NoExposuresError: The export has no exposure of the iteration, and the policy's time for that is over.
            SqlResultsError: The rows cannot be the iteration's results.
            LaunchDarklyError: As the calls raise.
        """
        export = yield from self.export(look_context, policy)
        columns, rows = self._query(export)
        found = list(rows)
        if not found and look_context.elapsed >= policy.lag + policy.missing.grace:
            raise NoExposuresError(_nothing_found(self._results, export.look, look_context))
        directions = {metric.key: metric.direction for metric in export.metrics}
        evidence = evidence_from_rows(look_context, policy, columns, found, directions)
        open_ended = [] if policy.maturity else [metric.key for metric in export.metrics if metric.window is None]
        return evidence._replace(cautions=(open_ended_caution(open_ended),) if open_ended else ())

    def export(self, look_context: LookContext, policy: Policy) -> Procedure[Export]:
        """Return what the look asks of the tables.

        Args:
            look_context: The iteration and the time of the look.
            policy: Names the metrics; without a primary one, the iteration's primary metric is judged.
        """
        judged = (look_context.primary_metric(policy), *(part.metric for part in policy.parts if part.metric))
        metrics = []
        for key in dict.fromkeys(judged):
            definition = yield from self._define(look_context, key)
            metrics.append(definition)
        columns = [self._results.exposures.environment, *(metric.events_table.environment for metric in metrics)]
        environment_id = (yield from self._read_environment_id(look_context)) if any(columns) else None
        return Export(tuple(metrics), _look(look_context, environment_id))

    def _define(self, look_context: LookContext, key: str) -> Procedure[MetricDefinition]:
        settings = self._metrics.get(key)
        parts = (key,) if settings is None else (settings.numerator, settings.denominator)
        theirs = {}
        for part in parts:
            if part is not None and part not in self._metrics:
                theirs[part] = yield from self._of_launchdarkly(look_context, part)
        results = self._results
        return define(
            key, self._metrics, theirs.__getitem__, events=results.events, cuped=results.cuped, cap=results.cap
        )

    def _of_launchdarkly(self, look_context: LookContext, key: str) -> Procedure[MetricDefinition]:
        iteration, results = look_context.iteration, self._results
        measured = next((metric for metric in iteration.measured if metric.key == key), None)
        if measured is None:
            metric = yield from self._unmeasured(look_context, key)
            return define_metric(metric, events=results.events, cuped=results.cuped, cap=results.cap)
        _require_unit(measured, iteration)
        steps = measured.metrics if iteration.measured_metric(key).is_group else (measured,)
        metrics = []
        for step in steps:
            metric = yield from pinned_metric(look_context, step)
            metrics.append(metric)
        if len(metrics) == 1 or measured.kind != "funnel":
            # Results of a group are those of its last metric, as LaunchDarkly's own are.
            return define_metric(
                metrics[-1],
                events=results.events,
                cuped=results.cuped,
                cap=results.cap,
                key=key,
                version_id=steps[-1].version_id,
            )
        return define_funnel(key, metrics, events=results.events, version_id=steps[-1].version_id)

    def _unmeasured(self, look_context: LookContext, key: str) -> Procedure[Metric]:
        try:
            found = yield from find_metric(look_context.target.environment.project_key, key, is_group=False)
        except ConfigurationError as error:
            near = f", and `metrics` of the results has {', '.join(self._metrics)}" if self._metrics else ""
            raise ConfigurationError(f"{error}{near}") from None
        return found  # type: ignore[return-value]  # it is a metric, as asked

    def _read_environment_id(self, look_context: LookContext) -> Procedure[str]:
        """Return the environment's client-side id, which LaunchDarkly's API shows as its ``_id``."""
        if self._environment_id is None:
            project_key, environment_key = look_context.target.environment
            environments: Sequence[Environment] = yield from collect(endpoints.list_environments(project_key))
            found = next((each.id for each in environments if each.key == environment_key and each.id), None)
            if found is None:
                raise StateError(
                    f"LaunchDarkly does not show the client-side id of environment {environment_key!r}, by which the "
                    "rows of the tables are told apart: set environment_id in the results"
                )
            self._environment_id = found
        return self._environment_id


def _require_unit(measured: MeasuredMetric, iteration: Iteration) -> None:
    unit = iteration.randomization_unit or DEFAULT_UNIT
    if measured.analysis_unit not in (None, "", unit):
        raise ConfigurationError(
            f"metric {measured.key!r} is analysed by {measured.analysis_unit!r}, and the iteration is randomized by "
            f"{unit!r}: only units that were randomized can be computed. Define the metric under `metrics` of the "
            "results, over a table with a row for each event of such a unit"
        )


def _look(look_context: LookContext, environment_id: str | None) -> ExportLook:
    iteration = look_context.iteration
    flag_key, treatments = variations_of(iteration)
    return ExportLook(
        iteration_id=iteration.id,
        flag_key=flag_key,
        unit_kind=iteration.randomization_unit or DEFAULT_UNIT,
        treatments=treatments,
        started_at=look_context.started_at,
        looked_at=look_context.at,
        exposed_after=look_context.exposed_after,
        exposed_before=look_context.exposed_before,
        ended_at=iteration.ended_at,
        environment_id=environment_id,
    )


def _nothing_found(results: DataExportResults, look: ExportLook, look_context: LookContext) -> str:
    table = f"{results.schema_name}.{results.exposures.table}"
    filters = f", and which meets where {results.where!r}" if results.where else ""
    return (
        f"{table} has no exposure of iteration {look.iteration_id!r} by context kind {look.unit_kind!r} on flag "
        f"{look.flag_key!r} in environment {look.environment_id!r}{filters}, {describe_span(look_context.elapsed)} "
        "after its start. Either no batch has arrived since, or the table is another environment's: look at the export "
        "in LaunchDarkly, and at conn_id, schema, exposures, environment_id and where of the results"
    )
