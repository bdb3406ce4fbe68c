"""Evidence from LaunchDarkly's results endpoints.

A number that LaunchDarkly does not give is derived from those it gives; if that is impossible, an error names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ConfigurationError, UnexpectedResponseError
from airflow_provider_launchdarkly.api.models import MeasuredResults
from airflow_provider_launchdarkly.api.reads.results import measured_results
from airflow_provider_launchdarkly.decision.evidence import Evidence, MetricEvidence
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.splits import measured_units
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_mean
from airflow_provider_launchdarkly.evidence.launchdarkly_estimates import check_rates, estimates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import MeasuredTreatment, Metric, MetricGroupResults
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext


def evidence_from_results(look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
    """Read the results of the metrics that the policy judges; in a look for harm, only those whose turn it is.

    Args:
        look_context: The iteration and the time of the look.
        policy: Names the metrics; without a primary one, the iteration's primary metric is judged.

    Returns:
        The evidence. The direction of each metric comes from its ``successCriteria``, unless the policy sets it. A
        metric group is measured by its last metric: the end of a funnel.

    Raises:
        MetricNotMeasuredError: The iteration does not measure a metric of the policy.
        ConfigurationError: A metric of the policy is analysed by a percentile.
        ResultsUnavailableError: LaunchDarkly does not serve results any more.
        UnexpectedResponseError: A number is missing that cannot be derived; the message names it.
        LaunchDarklyError: As the calls raise.
    """
    primary = look_context.primary_metric(policy)
    keys = (primary, *(part.metric for part in policy.parts[1:] if part.metric))
    read, exposures = [], None
    for key in look_context.harm_of or keys:
        part = yield from _read_metric(look_context, key, traffic=key == primary)
        read.append(part)
        exposures = part.results if key == primary else exposures
    found = Evidence(
        elapsed=look_context.elapsed,
        treatments=look_context.treatments(None),
        metrics=tuple(part.evidence for part in read),
        primary_metric=primary,
        started_at=look_context.started_at,
        cautions=tuple(_cautions(read)),
    )
    counted = exposures is not None and all(result.traffic is not None for result in exposures.total)
    if exposures is None or (look_context.only_harm and not counted):
        return found
    latest_event = exposures.metric_seen.timestamp if exposures.metric_seen else None
    return found._replace(
        treatments=look_context.treatments({result.treatment_id: _exposed(result, read) for result in exposures.total}),
        probability_of_mismatch=exposures.probability_of_mismatch,
        unchanged_for=look_context.unchanged_since(latest_event),
    )


class _MetricRead(NamedTuple):
    """A metric as read.

    Attributes:
        evidence: Its measurements.
        results: Its results, as LaunchDarkly gives them.
        caution: A sentence on the covariate that LaunchDarkly used, or None.
        windowed: Whether only units whose measurement window is over count.
    """

    evidence: MetricEvidence
    results: MeasuredResults
    caution: str | None
    windowed: bool


def _cautions(read: Sequence[_MetricRead]) -> Iterator[str]:
    # LaunchDarkly docs, "Metric windows": only completed windows count. Every other metric is open-ended.
    open_ended = [metric.evidence.key for metric in read if not metric.windowed]
    if open_ended:
        yield (
            f"only what has happened so far was judged on {', '.join(open_ended)}: LaunchDarkly's results count each "
            "unit from its exposure on, so a treatment that only acts sooner looks better for a while"
        )
    for metric in read:
        if metric.caution:
            yield metric.caution


def _read_metric(look_context: LookContext, key: str, *, traffic: bool) -> Procedure[_MetricRead]:
    env, iteration = look_context.target.environment, look_context.iteration
    measured = iteration.measured_metric(key)
    response = yield from measured_results(
        env, look_context.target.experiment_key, key, iteration.id, is_group=measured.is_group, traffic=traffic
    )
    metric_key, results = _last_of(key, response.value)
    metric: Metric | None = look_context.definitions.get(metric_key) if look_context.only_harm else None
    if metric is None:
        metric = (yield endpoints.get_metric(env.project_key, metric_key)).value
        look_context.definitions[metric_key] = metric
    try:
        require_mean(metric_key, metric.analysis_type, metric.percentile_value)
    except UndecidableExperimentError as error:
        raise ConfigurationError(str(error)) from None
    check_rates(metric, results.total)
    found = estimates(key, results.total)
    direction = Direction.of_success_criteria(metric.success_criteria)
    evidence = MetricEvidence(key=key, measurements=found.measurements, direction=direction)
    return _MetricRead(evidence, results, found.caution, metric.window_end_offset is not None)


def _last_of(key: str, results: MeasuredResults | MetricGroupResults) -> tuple[str, MeasuredResults]:
    """Return a metric's key and results; for a group those of its last metric."""
    if isinstance(results, MeasuredResults):
        return key, results
    if not results.metrics:
        raise UnexpectedResponseError(f"the results of metric group {key!r} hold no metric")
    return results.metrics[-1].metric.key, results.metrics[-1].results


def _exposed(result: MeasuredTreatment, read: Sequence[_MetricRead]) -> int:
    """Return the exposed units; the most that any metric measures where LaunchDarkly does not count exposures."""
    if result.traffic is not None:
        return result.traffic
    return max(measured_units(metric.evidence, result.treatment_id) for metric in read)
