"""Compute LaunchDarkly's results of a metric from its statistics, as plain JSON.

The shape is that of client 17.2.0 (`ExperimentBayesianResultsRep`), the last one published with these routes. Fields
that cannot be computed yet are omitted, and every number is finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.emulator.population.posteriors import (
    Beta,
    Normal,
    Posterior,
    credible_interval,
    probabilities_to_be_best,
    probability_of_mismatch,
    relative_difference,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_launchdarkly.emulator.population.types import (
        MetricStatistics,
        SimulatedIteration,
        SimulatedMetric,
        TreatmentStatistics,
    )

JSON = dict[str, Any]

PRIOR_ALPHA = 1.0
PRIOR_BETA = 1.0
"""The prior of conversion rates is the uniform distribution, worth two people."""
PRIOR_UNITS = 1.0
"""The prior of means is normal around the mean of all treatments, worth one unit (Kass & Wasserman 1995, "A Reference
Bayesian Test for Nested Hypotheses", JASA 90: the unit information prior)."""


class GroupMember(NamedTuple):
    """A metric of a group, with its JSON (`MetricInGroupRep`) and its statistics."""

    representation: Mapping[str, Any]
    metric: SimulatedMetric
    statistics: MetricStatistics


@dataclass(frozen=True, slots=True)
class _Sample:
    """A treatment's mean and standard deviation, and their adjustment by CUPED."""

    mean: float
    deviation: float
    correlation: float | None = None
    deviation_ratio: float | None = None
    imbalance: float | None = None
    reduction: float | None = None
    adjusted_mean: float | None = None

    @property
    def best_mean(self) -> float:
        return self.mean if self.adjusted_mean is None else self.adjusted_mean

    @property
    def best_variance(self) -> float:
        return self.deviation**2 * (1 - (self.reduction or 0.0))


def serialize_metric_results(
    statistics: MetricStatistics,
    iteration: SimulatedIteration,
    metric: SimulatedMetric,
    *,
    slices: Mapping[tuple[str, str], MetricStatistics] | None = None,
    expand_traffic: bool = False,
    links: Mapping[str, Any] | None = None,
) -> JSON:
    """Return `ExperimentBayesianResultsRep` for one metric.

    Args:
        statistics: The statistics of all people.
        iteration: The iteration, with its arms in the order of the statistics and their requested shares.
        metric: The metric.
        slices: Observations of the people with one (attribute, value) each.
        expand_traffic: Whether to add ``traffic``, the people exposed to each treatment (``expand=traffic``).
        links: The value of ``_links``.

    Returns:
        Plain JSON. ``results`` holds the total first, an entry without ``attribute``, then the slices.
        ``treatmentResults`` repeats the total unless there are slices by several attributes ("Only populated when
        response does not contain results sliced by multiple attributes", REST docs, Get experiment results).
    """
    total = _treatment_results(statistics, iteration, metric, expand_traffic=expand_traffic)
    results: list[JSON] = [{"treatmentResults": total}]
    for (attribute, value), sliced in (slices or {}).items():
        of_slice = _treatment_results(sliced, iteration, metric, expand_traffic=expand_traffic)
        results.append({"attribute": attribute, "attributeValue": value, "treatmentResults": of_slice})
    representation: JSON = {"_links": dict(links or {})}
    if len({attribute for attribute, _ in slices or ()}) <= 1:
        representation["treatmentResults"] = total
    representation["metricSeen"] = _metric_seen(statistics)
    mismatch = _mismatch(statistics, iteration)
    if mismatch is not None:
        representation["probabilityOfMismatch"] = mismatch
    representation["results"] = results
    return representation


def serialize_group_results(
    members: Iterable[GroupMember],
    iteration: SimulatedIteration,
    *,
    expand_traffic: bool = False,
    links: Mapping[str, Any] | None = None,
) -> JSON:
    """Return `MetricGroupResultsRep`: the results of each metric of the group, in the group's order.

    The rate of a funnel's step is out of all exposed people; `SimulatedMetric.preceding` names the steps before it.

    Args:
        members: The group's metrics in their order.
        iteration: As for `serialize_metric_results`.
        expand_traffic: As for `serialize_metric_results`.
        links: The value of ``_links``, in the group's results and in each metric's.
    """
    return {
        "_links": dict(links or {}),
        "metrics": [
            {
                "metric": dict(member.representation),
                "results": serialize_metric_results(
                    member.statistics, iteration, member.metric, expand_traffic=expand_traffic, links=links
                ),
            }
            for member in members
        ],
    }


def shares_by_probability(statistics: MetricStatistics, metric: SimulatedMetric) -> list[float] | None:
    """Return each treatment's probability to be best, which becomes its share in a bandit; None without data."""
    computed = _compute(statistics, metric.is_numeric, metric.higher_is_better)
    probabilities = [representation.get("pBest") for representation in computed]
    return None if None in probabilities else [float(p) for p in probabilities if p is not None]


def _mismatch(statistics: MetricStatistics, iteration: SimulatedIteration) -> float | None:
    """Return the probability of a sample ratio mismatch, or None for a bandit, whose shares change."""
    if iteration.bandit is not None:
        return None
    return probability_of_mismatch(
        [treatment.exposed for treatment in statistics.treatments], [arm.share for arm in iteration.arms]
    )


def _metric_seen(statistics: MetricStatistics) -> JSON:
    """Return the time of the last event in epoch seconds, as in the published example."""
    seen = [treatment.last_event_at for treatment in statistics.treatments if treatment.last_event_at is not None]
    return {"ever": True, "timestamp": int(max(seen).timestamp())} if seen else {"ever": False}


def _treatment_results(
    statistics: MetricStatistics, iteration: SimulatedIteration, metric: SimulatedMetric, *, expand_traffic: bool
) -> list[JSON]:
    computed = _compute(statistics, metric.is_numeric, metric.higher_is_better)
    representations = []
    for arm, treatment, inferred in zip(iteration.arms, statistics.treatments, computed, strict=True):
        representation: JSON = {"treatmentId": arm.treatment_id, "treatmentName": arm.name, "units": treatment.units}
        if expand_traffic:
            representation["traffic"] = treatment.exposed
        if treatment.units:
            representation["eventValuesSum"] = float(treatment.sum)
        # A deep copy, since the cached computation serves later requests too.
        representations.append(representation | {name: _copied(value) for name, value in inferred.items()})
    return representations


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


@lru_cache(maxsize=512)
def _compute(statistics: MetricStatistics, is_numeric: bool, higher_is_better: bool) -> tuple[JSON, ...]:
    """Return the inferred fields of each treatment. They are cached, since many requests fall into the same hour."""
    samples = _samples(statistics.treatments, is_numeric=is_numeric)
    units = [treatment.units for treatment in statistics.treatments]
    known = [(count, sample) for count, sample in zip(units, samples, strict=True) if sample is not None]
    prior = sum(n * s.best_mean for n, s in known) / sum(n for n, _ in known) if known else 0.0
    posteriors = [
        _posterior(treatment, sample, prior, is_numeric=is_numeric)
        for treatment, sample in zip(statistics.treatments, samples, strict=True)
    ]
    inferred = [
        _describe(sample, posterior, count, prior)
        for count, sample, posterior in zip(units, samples, posteriors, strict=True)
    ]
    # A treatment without data (an allocation of 0 % is legal) is left out of the comparison.
    compared = [
        (representation, posterior) for representation, posterior in zip(inferred, posteriors, strict=True) if posterior
    ]
    if len(compared) > 1:
        best = probabilities_to_be_best([posterior for _, posterior in compared], higher_is_better=higher_is_better)
        for (representation, _), probability in zip(compared, best, strict=True):
            representation["pBest"] = probability
    for index, representation in enumerate(inferred):
        differences = _relative_differences(index, statistics, samples, posteriors)
        if differences:
            representation["relativeDifferences"] = differences
    return tuple(inferred)


def _samples(treatments: tuple[TreatmentStatistics, ...], *, is_numeric: bool) -> list[_Sample | None]:
    samples = [_plain_sample(treatment, is_numeric=is_numeric) for treatment in treatments]
    if not is_numeric or any(treatment.covariate is None for treatment in treatments):
        return samples
    return _adjusted(treatments, samples)


def _plain_sample(treatment: TreatmentStatistics, *, is_numeric: bool) -> _Sample | None:
    n = treatment.units
    if not n:
        return None
    mean = treatment.sum / n
    if not is_numeric:
        return _Sample(mean, math.sqrt(mean * (1 - mean)))
    spread = max(0.0, treatment.sum_of_squares - n * mean * mean)
    return _Sample(mean, math.sqrt(spread / (n - 1)) if n > 1 else 0.0)


def _adjusted(treatments: tuple[TreatmentStatistics, ...], samples: list[_Sample | None]) -> list[_Sample | None]:
    """Adjust means and variances for the covariate.

    CUPED (Deng, Xu, Kohavi & Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing
    Pre-Experiment Data", WSDM 2013): y - theta (x - mean of all x), theta = cov(x, y) / var(x) pooled within arms.
    """
    within: list[tuple[float, float, float]] = []
    for treatment in treatments:
        n, moments = treatment.units, treatment.covariate
        if n < 3 or moments is None:
            return samples
        xx = moments.sum_of_squares - moments.sum * moments.sum / n
        xy = moments.sum_of_products - moments.sum * treatment.sum / n
        yy = treatment.sum_of_squares - treatment.sum * treatment.sum / n
        within.append((xx, xy, yy))
    if min(min(xx, yy) for xx, _, yy in within) <= 0:
        return samples
    theta = sum(xy for _, xy, _ in within) / sum(xx for xx, _, _ in within)
    x_means = [t.covariate.sum / t.units for t in treatments if t.covariate is not None]
    x_mean = sum(x * t.units for x, t in zip(x_means, treatments, strict=True)) / sum(t.units for t in treatments)
    return [
        sample
        and _Sample(
            mean=sample.mean,
            deviation=sample.deviation,
            correlation=max(-1.0, min(1.0, xy / math.sqrt(xx * yy))),
            deviation_ratio=math.sqrt(yy / xx),
            imbalance=own - x_mean,
            reduction=(2 * theta * xy - theta * theta * xx) / yy,
            adjusted_mean=sample.mean - theta * (own - x_mean),
        )
        for sample, (xx, xy, yy), own in zip(samples, within, x_means, strict=True)
    ]


def _posterior(
    treatment: TreatmentStatistics, sample: _Sample | None, prior_mean: float, *, is_numeric: bool
) -> Posterior | None:
    """Return the posterior of the treatment's mean, or None if the data has no variance."""
    if sample is None:
        return None
    if not is_numeric:
        return Beta(PRIOR_ALPHA + treatment.sum, PRIOR_BETA + treatment.units - treatment.sum)
    if not sample.deviation:
        return None
    weight = treatment.units / (treatment.units + PRIOR_UNITS)
    mean = weight * sample.best_mean + (1 - weight) * prior_mean
    return Normal(mean, math.sqrt(sample.best_variance / (treatment.units + PRIOR_UNITS)))


def _describe(sample: _Sample | None, posterior: Posterior | None, units: int, prior_mean: float) -> JSON:
    if sample is None:
        return {}
    representation: JSON = {"dataMean": sample.mean, "dataStdDev": sample.deviation}
    diagnostics = {
        "correlation": sample.correlation,
        "standardDeviationRatio": sample.deviation_ratio,
        "covariateImbalance": sample.imbalance,
        "varianceReduction": sample.reduction,
    }
    representation |= {name: value for name, value in diagnostics.items() if value is not None}
    if posterior is None:
        return representation
    lower, upper = credible_interval(posterior)
    representation |= {"mean": posterior.mean, "credibleInterval": {"lower": lower, "upper": upper}}
    if isinstance(posterior, Beta):
        prior_units = PRIOR_ALPHA + PRIOR_BETA
        return representation | {
            "distribution": {"kind": "beta", "parameters": {"alpha": posterior.alpha, "beta": posterior.beta}},
            "model": "bayesianBeta",
            "bayesianBeta": {
                "priorAlpha": PRIOR_ALPHA,
                "priorBeta": PRIOR_BETA,
                "priorMean": PRIOR_ALPHA / prior_units,
                "dataWeight": units / (units + prior_units),
            },
        }
    return representation | {
        "distribution": {"kind": "normal", "parameters": {"mu": posterior.mu, "sigma": posterior.sigma}},
        "model": "bayesianNormal",
        "bayesianNormal": {"priorMean": prior_mean, "dataWeight": units / (units + PRIOR_UNITS)},
    }


def _relative_differences(
    index: int, statistics: MetricStatistics, samples: list[_Sample | None], posteriors: list[Posterior | None]
) -> list[JSON]:
    own = posteriors[index]
    differences = []
    for other, reference in enumerate(posteriors):
        if other == index or own is None or reference is None:
            continue
        estimate = relative_difference(own.mean, own.deviation**2, reference.mean, reference.deviation**2)
        if estimate is None:
            continue
        difference: JSON = {
            "fromTreatmentId": statistics.treatments[other].treatment_id,
            "lower": estimate.lower,
            "upper": estimate.upper,
            "variance": estimate.variance,
        }
        reduced = _reduction_of_difference(own, reference, samples[index], samples[other])
        if reduced is not None:
            difference["varianceReduction"] = reduced
        differences.append(difference)
    return differences


def _reduction_of_difference(
    own: Posterior, reference: Posterior, sample: _Sample | None, of_reference: _Sample | None
) -> float | None:
    """Return the share of a difference's variance that the covariate removes."""
    if sample is None or of_reference is None or sample.reduction is None or of_reference.reduction is None:
        return None
    with_it = own.deviation**2 + reference.deviation**2
    without = own.deviation**2 / (1 - sample.reduction) + reference.deviation**2 / (1 - of_reference.reduction)
    return 1 - with_it / without
