"""Serialize results by flag variation, in the form of experiments before 2023.

The shape is that of client 17.1.0 (`ExperimentResults`), the last one published with this route; its fields have no
descriptions. The results are those of the latest iteration on the flag that measures the metric. The p-values follow
the text of the old interface, each variation against the baseline: Pearson's chi-square for conversions, and a
two-tailed test of two means (the normal approximation of Welch's t) for numbers.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import (
    ground_truth_of,
    simulated_iteration,
    simulated_metric,
)
from airflow_provider_launchdarkly.emulator.serializers.links import link
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds, to_milliseconds

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.emulator.population.types import TreatmentStatistics
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON, Flag
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration, Metric
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_DAY = timedelta(days=1)
_Z95 = 1.959963984540054
_MOST_DAYS = 366
_ENOUGH_PEOPLE = 100


def results(
    transaction: Transaction,
    environment_key: str,
    flag: Flag,
    metric: Metric,
    *,
    since: int | None,
    until: int | None,
    path: str,
) -> dict[str, JSON]:
    """Return `ExperimentResults`: totals, statistics and daily entries from `since` to `until` (epoch milliseconds)."""
    experiment, iteration = _latest(transaction, environment_key, flag, metric)
    times = _measurement_times(transaction, iteration, since, until)
    measured = [_measure(transaction, experiment, iteration, metric, at) for at in times]
    by_arm = [_by_variation(flag, iteration, treatments) for treatments in measured]
    baseline = next(i for i, t in enumerate(_in_order(flag, iteration)) if t.baseline)
    p_values = [_p_value(metric, arm, by_arm[-1][baseline]) for arm in by_arm[-1]]
    tested = [p for i, p in enumerate(p_values) if i != baseline]
    best = max(range(len(by_arm[-1])), key=lambda i: _signed_rate(metric, by_arm[-1][i]))
    representation: dict[str, JSON] = {
        "_links": {"self": link(path)},
        "metadata": [{"key": v.value} for v in flag.variations if v.id in _arms(iteration)],
        "totals": [
            _total(arm, by_arm[-1][baseline], p_value) for arm, p_value in zip(by_arm[-1], p_values, strict=True)
        ],
        "series": [
            {"Time": to_milliseconds(at), "VariationData": [_slice(*pair) for pair in zip(before, after, strict=True)]}
            for at, before, after in zip(times[1:], by_arm, by_arm[1:], strict=False)
        ],
        "stats": {
            "pValue": min(tested, default=1.0),
            "chi2": max((_chi_square(arm, by_arm[-1][baseline]) for arm in by_arm[-1]), default=0.0),
            "winningVariationIdx": best,
            "minSampleSizeMet": min(arm.exposed for arm in by_arm[-1]) >= _ENOUGH_PEOPLE,
        },
        "granularity": "day",
        "metricSeen": _metric_seen(by_arm[-1]),
    }
    return representation


def _latest(transaction: Transaction, environment_key: str, flag: Flag, metric: Metric) -> tuple[Experiment, Iteration]:
    found = [
        (experiment, iteration)
        for experiment in transaction.experiments(environment_key)
        for iteration in experiment.iterations
        if iteration.flag.flag_key == flag.key
        and iteration.started_at is not None
        and any(use.key == metric.key and not use.is_group for use in iteration.metrics)
    ]
    if not found:
        raise not_found(f"flag {flag.key!r} has no experiment with the metric {metric.key!r}")
    return max(found, key=lambda pair: pair[1].started_at or 0)


def _measurement_times(
    transaction: Transaction, iteration: Iteration, since: int | None, until: int | None
) -> list[datetime]:
    """Return the start, the end of each full day after it, and the end, within `since` and `until`."""
    now = transaction.now if transaction.results_as_of is None else transaction.results_as_of
    started = iteration.started_at or now
    ends = [moment for moment in (now, until, iteration.ended_at) if moment is not None]
    first = from_milliseconds(max(started, since or 0))
    last = max(first, from_milliseconds(min(ends)))
    days = [first + day * _DAY for day in range(min(_MOST_DAYS, (last - first) // _DAY) + 1)]
    return days if days[-1] == last else [*days, last]


def _measure(
    transaction: Transaction, experiment: Experiment, iteration: Iteration, metric: Metric, at: datetime
) -> tuple[TreatmentStatistics, ...]:
    simulated = simulated_iteration(transaction, experiment, iteration)
    return metric_statistics(
        ground_truth_of(transaction, iteration), transaction.world.seed, simulated, simulated_metric(metric), at
    ).treatments


def _arms(iteration: Iteration) -> set[str]:
    return {treatment.parameters[0].variation_id for treatment in iteration.treatments}


def _in_order(flag: Flag, iteration: Iteration) -> list[Any]:
    return sorted(iteration.treatments, key=lambda t: flag.index_of(t.parameters[0].variation_id) or 0)


def _by_variation(
    flag: Flag, iteration: Iteration, measured: tuple[TreatmentStatistics, ...]
) -> list[TreatmentStatistics]:
    by_id = {statistics.treatment_id: statistics for statistics in measured}
    return [by_id[treatment.id] for treatment in _in_order(flag, iteration)]


def _rate(arm: TreatmentStatistics) -> float:
    return arm.sum / arm.units if arm.units else 0.0


def _signed_rate(metric: Metric, arm: TreatmentStatistics) -> float:
    return _rate(arm) if metric.higher_is_better else -_rate(arm)


def _variance(arm: TreatmentStatistics) -> float:
    if arm.units < 2:
        return 0.0
    return max(0.0, arm.sum_of_squares - arm.units * _rate(arm) ** 2) / (arm.units - 1)


def _interval(arm: TreatmentStatistics) -> dict[str, float]:
    half = _Z95 * math.sqrt(_variance(arm) / arm.units) if arm.units else 0.0
    return {"upper": _rate(arm) + half, "lower": _rate(arm) - half}


def _total(arm: TreatmentStatistics, baseline: TreatmentStatistics, p_value: float) -> dict[str, JSON]:
    improvement = _rate(arm) / _rate(baseline) - 1 if _rate(baseline) else 0.0
    return {
        "cumulativeValue": float(arm.sum),
        "cumulativeCount": arm.units,
        "cumulativeImpressionCount": arm.exposed,
        "cumulativeConversionRate": _rate(arm),
        "cumulativeConfidenceInterval": _interval(arm),
        "pValue": p_value,
        "improvement": improvement,
        "minSampleSize": _ENOUGH_PEOPLE,
    }


def _slice(before: TreatmentStatistics, after: TreatmentStatistics) -> dict[str, JSON]:
    count = after.units - before.units
    rate = (after.sum - before.sum) / count if count else 0.0
    half = _Z95 * math.sqrt(_variance(after) / count) if count else 0.0
    return {
        "value": float(after.sum - before.sum),
        "count": count,
        "cumulativeValue": float(after.sum),
        "cumulativeCount": after.units,
        "conversionRate": rate,
        "cumulativeConversionRate": _rate(after),
        "confidenceInterval": {"upper": rate + half, "lower": rate - half},
        "cumulativeConfidenceInterval": _interval(after),
    }


def _chi_square(arm: TreatmentStatistics, baseline: TreatmentStatistics) -> float:
    """Return Pearson's chi-square of an arm's conversions against the baseline's, with one degree of freedom."""
    total, converted = arm.units + baseline.units, arm.sum + baseline.sum
    if arm is baseline or not arm.units or not baseline.units or not 0 < converted < total:
        return 0.0
    pooled = converted / total
    spread = pooled * (1 - pooled) * (1 / arm.units + 1 / baseline.units)
    return float((_rate(arm) - _rate(baseline)) ** 2 / spread)


def _p_value(metric: Metric, arm: TreatmentStatistics, baseline: TreatmentStatistics) -> float:
    if arm is baseline:
        return 1.0
    if not metric.is_numeric:
        return math.erfc(math.sqrt(_chi_square(arm, baseline) / 2))
    if min(arm.units, baseline.units) < 2:
        return 1.0
    spread = _variance(arm) / arm.units + _variance(baseline) / baseline.units
    return math.erfc(abs(_rate(arm) - _rate(baseline)) / math.sqrt(2 * spread)) if spread else 1.0


def _metric_seen(arms: list[TreatmentStatistics]) -> dict[str, JSON]:
    times = [arm.last_event_at for arm in arms if arm.last_event_at is not None]
    return {"ever": True, "timestamp": int(max(times).timestamp())} if times else {"ever": False}
