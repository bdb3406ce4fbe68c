"""Evidence from LaunchDarkly's results endpoints.

A number that LaunchDarkly does not give is derived from those it gives; if that is impossible, an error names it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import UnexpectedResponseError
from airflow_provider_launchdarkly.api.models import MetricResults
from airflow_provider_launchdarkly.api.reads.results import metric_results
from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence
from airflow_provider_launchdarkly.decision.policy_parts import Direction

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Iteration, MetricGroupResults, TreatmentResult
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext


def evidence_from_results(look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
    """Read the results of the metrics that the policy judges.

    Args:
        look_context: The iteration and the time of the look.
        policy: Names the metrics; without a primary one, the iteration's primary metric is judged.

    Returns:
        The evidence. The direction of each metric comes from its ``successCriteria``, unless the policy sets it. A
        metric group is measured by its last metric: the end of a funnel.

    Raises:
        MetricNotMeasuredError: The iteration does not measure a metric of the policy.
        ResultsUnavailableError: LaunchDarkly does not serve results any more.
        UnexpectedResponseError: A number is missing that cannot be derived; the message names it.
        LaunchDarklyError: As the calls raise.
    """
    env, experiment_key, iteration = (
        look_context.target.environment,
        look_context.target.experiment_key,
        look_context.iteration,
    )
    primary = look_context.primary_metric(policy)
    metric, results = yield from _read_metric(env, experiment_key, iteration, primary, traffic=True)
    metrics = [metric]
    for key in (*(part.metric for part in policy.guardrails), *(part.metric for part in policy.signals)):
        metric, _ = yield from _read_metric(env, experiment_key, iteration, key, traffic=False)
        metrics.append(metric)
    exposed = {result.treatment_id: _exposed(result) for result in results.total}
    latest_event = results.metric_seen.timestamp if results.metric_seen else None
    return Evidence(
        elapsed=look_context.elapsed,
        treatments=look_context.treatments(exposed),
        metrics=tuple(metrics),
        primary_metric=primary,
        started_at=look_context.started_at,
        probability_of_mismatch=results.probability_of_mismatch,
        unchanged_for=look_context.unchanged_since(latest_event),
    )


def _read_metric(
    env: EnvironmentRef, experiment_key: str, iteration: Iteration, key: str, *, traffic: bool
) -> Procedure[tuple[MetricEvidence, MetricResults]]:
    measured = iteration.measured_metric(key)
    response = yield from metric_results(
        env, experiment_key, key, iteration.id, is_group=measured.is_group, traffic=traffic
    )
    metric_key, results = _last_of(key, response.value)
    metric = (yield endpoints.get_metric(env.project_key, metric_key)).value
    evidence = MetricEvidence(
        key=key,
        measurements=tuple(_measurement(key, result) for result in results.total),
        direction=Direction.of_success_criteria(metric.success_criteria),
    )
    return evidence, results


def _last_of(key: str, results: MetricResults | MetricGroupResults) -> tuple[str, MetricResults]:
    """Return a metric's key and results; for a group those of its last metric."""
    if isinstance(results, MetricResults):
        return key, results
    if not results.metrics:
        raise UnexpectedResponseError(f"the results of metric group {key!r} hold no metric")
    return results.metrics[-1].metric.key, results.metrics[-1].results


def _exposed(result: TreatmentResult) -> int:
    """Return the exposed units; the measured ones where LaunchDarkly does not count exposures."""
    return result.traffic if result.traffic is not None else result.units or 0


def _measurement(key: str, result: TreatmentResult) -> Measurement:
    units = result.units or 0
    if not units:
        return Measurement(result.treatment_id, 0, None, None, result.p_best)
    mean, std_dev = result.data_mean, result.data_std_dev
    if mean is None or std_dev is None:
        mean, std_dev = _from_distribution(result, units)
    if mean is None or std_dev is None:
        raise UnexpectedResponseError(
            f"the results of metric {key!r} have {units} units for treatment {result.treatment_name!r}, but neither "
            "dataMean and dataStdDev nor a distribution of a known kind"
        )
    return Measurement(result.treatment_id, units, mean, std_dev, result.p_best)


def _from_distribution(result: TreatmentResult, units: int) -> tuple[float | None, float | None]:
    """Derive mean and standard deviation per unit from the posterior of the mean.

    The posterior's deviation is that of the mean, so a unit's is larger by the square root of the number of units. The
    prior stays in: with many units it is negligible, with few it only shrinks the difference.
    """
    if result.distribution is None:
        return None, None
    parameters = result.distribution.parameters
    kind = result.distribution.kind
    if kind == "normal":
        mu, sigma = parameters.get("mu"), parameters.get("sigma")
        if mu is not None and sigma is not None and sigma >= 0:
            return mu, sigma * math.sqrt(units)
    if kind == "beta":
        alpha, beta = parameters.get("alpha"), parameters.get("beta")
        if alpha is not None and beta is not None and alpha > 0 and beta > 0:
            rate = alpha / (alpha + beta)
            return rate, math.sqrt(rate * (1.0 - rate))
    return None, None
