"""What the raw rows of an experiment say, computed from the documented definitions with plain Python and numpy.

It shares no arithmetic and no SQL with the product: rows are looked at one by one, and means and deviations are
numpy's, over the units' own values. Only the types that ask the question and carry the answer are the product's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np

from airflow_provider_launchdarkly.decision.evidence import Measurement
from airflow_provider_launchdarkly.evidence.warehouse.definition import Aggregation, Cap, ExportLook, MetricDefinition
from support.raw_rows import BOT, Event, RawExperiment

HUNDRED = Fraction(100)

Rows: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Answer:
    """What is to be found at a look.

    Attributes:
        exposed: Units exposed to each treatment.
        measured: Each metric's measurements, by treatment.
        latest: Time of the latest event that counts, for each metric.
        crossovers: Units left out since they saw several variations.
        without_events: Exposed units without an event, for each metric.
    """

    exposed: dict[str, int]
    measured: dict[str, dict[str, Measurement]]
    latest: dict[str, datetime | None]
    crossovers: int
    without_events: dict[str, int]


@dataclass(frozen=True)
class Unit:
    """A unit that counts: its treatment, and the time of its first exposure."""

    key: str
    treatment: str
    first: datetime


def answer(experiment: RawExperiment) -> Answer:
    """Return what an experiment's rows say."""
    look = experiment.look
    units, crossovers = exposed_units(experiment)
    events: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for row in experiment.events:
        if row.context_kind == look.unit_kind and look.environment_id in (None, row.environment_id):
            events[row.context_key, row.event_key].append(row)
    seen = {metric.key: Values(look, events, metric) for metric in experiment.metrics}
    return Answer(
        {treatment: sum(unit.treatment == treatment for unit in units) for treatment in look.treatments.values()},
        {metric.key: _measured(experiment, units, events, metric) for metric in experiment.metrics},
        {key: max((at for unit in units for at in values.times(unit)), default=None) for key, values in seen.items()},
        crossovers,
        {key: sum(not values.times(unit) for unit in units) for key, values in seen.items()},
    )


def exposed_units(experiment: RawExperiment) -> tuple[list[Unit], int]:
    """Return the units that count, and how many are left out since they saw several variations."""
    look = experiment.look
    firsts: dict[str, datetime] = {}
    variations: dict[str, set[str]] = defaultdict(set)
    for row in experiment.exposures:
        if (
            row.experiment_iteration_id == look.iteration_id
            and row.flag_key == look.flag_key
            and row.context_kind == look.unit_kind
            and look.environment_id in (None, row.environment_id)
            and look.started_at <= row.received_time <= look.looked_at
            and (look.ended_at is None or row.received_time < look.ended_at)
            and not (experiment.where and row.context_attributes == BOT)
        ):
            firsts[row.context_key] = min(row.received_time, firsts.get(row.context_key, row.received_time))
            variations[row.context_key].add(row.variation_id)
    in_time = {key for key, first in firsts.items() if look.exposed_after <= first <= look.exposed_before}
    crossed = {key for key in in_time if len(variations[key]) > 1}
    units = []
    for key in sorted(in_time - crossed):
        (variation,) = variations[key]
        if variation in look.treatments:
            units.append(Unit(key, look.treatments[variation], firsts[key]))
    return units, len(crossed)


class Values:
    """The values of units on one metric: its events, aggregated, before anything is cut off."""

    def __init__(
        self, look: ExportLook, events: Mapping[tuple[str, str], Sequence[Event]], metric: MetricDefinition
    ) -> None:
        self._look, self._events, self._metric = look, events, metric
        self._needs_value = metric.aggregation in (Aggregation.SUM, Aggregation.AVERAGE)

    def is_complete(self, unit: Unit) -> bool:
        """Return whether the unit's window is over; without a window it counts at once."""
        if self._metric.window is None:
            return True
        until = self._look.looked_at if self._look.ended_at is None else min(self._look.looked_at, self._look.ended_at)
        return unit.first + self._metric.window[1] <= until

    def counted(self, unit: Unit, key: str, *, valueless: bool = False) -> list[Event]:
        """Return the unit's events of one key that count, in the order of time; all of them, or those with a value."""
        look, window = self._look, self._metric.window
        return sorted(
            (
                row
                for row in self._events.get((unit.key, key), ())
                if unit.first <= row.received_time <= look.looked_at
                and (look.ended_at is None or row.received_time < look.ended_at)
                and (window is None or unit.first + window[0] <= row.received_time < unit.first + window[1])
                and (valueless or not self._needs_value or row.event_value is not None)
            ),
            key=lambda row: row.received_time,
        )

    def times(self, unit: Unit) -> list[datetime]:
        """Return the times of all events that count."""
        if not self.is_complete(unit) or (self._metric.missing is None and self.own(unit) is None):
            return []
        return [row.received_time for key in self._metric.events for row in self.counted(unit, key, valueless=True)]

    def own(self, unit: Unit) -> float | None:
        """Return the value that the unit's events give; None without an event."""
        if len(self._metric.events) > 1:
            return 1.0 if self._went_through(unit) else None
        return self._aggregated(self.counted(unit, self._metric.events[0]))

    def before(self, unit: Unit, time: timedelta) -> float | None:
        """Return the value from the time before the unit's first exposure; None without an event."""
        rows = [
            row
            for row in self._events.get((unit.key, self._metric.events[0]), ())
            if unit.first - time <= row.received_time < unit.first
            and not (self._needs_value and row.event_value is None)
        ]
        return self._aggregated(rows)

    def _went_through(self, unit: Unit) -> bool:
        """Return whether the unit has all steps in their order, taking each as early as it can."""
        reached = unit.first
        for key in self._metric.events:
            times = [row.received_time for row in self.counted(unit, key) if row.received_time >= reached]
            if not times:
                return False
            reached = times[0]
        return True

    def _aggregated(self, rows: Sequence[Event]) -> float | None:
        if not rows:
            return None
        values = [row.event_value for row in rows if row.event_value is not None]
        match self._metric.aggregation:
            case Aggregation.OCCURRENCE:
                return 1.0
            case Aggregation.COUNT:
                return float(len(rows))
            case Aggregation.SUM:
                return float(np.sum(values))
            case Aggregation.AVERAGE:
                return float(np.mean(values))


def cut_off(values: Mapping[str, float | None], missing: float | None, cap: Cap | None) -> dict[str, float | None]:
    """Return the units' values after imputing and winsorising.

    LaunchDarkly's example (docs, "Metric winsorization"): of 5, 120, 135, 140, 145, 150, 155, 160, 170, 950 the lowest
    10 % become 120, and the highest 10 % become 170.
    """
    imputed = {key: missing if value is None else value for key, value in values.items()}
    if cap is None:
        return imputed
    counted = imputed if cap.with_imputed else values
    pool = sorted(value for value in counted.values() if value is not None)
    if not pool:
        return imputed
    lowest, highest = -np.inf, np.inf
    if cap.lower is not None:
        lowest = pool[min(int(Fraction(str(cap.lower)) * len(pool) / HUNDRED), len(pool) - 1)]
    if cap.upper is not None:
        highest = pool[max(-int(-Fraction(str(cap.upper)) * len(pool) // HUNDRED), 1) - 1]
    cut = {key: None if value is None else float(min(max(value, lowest), highest)) for key, value in counted.items()}
    return {key: imputed[key] if value is None else value for key, value in cut.items()}


def _measured(
    experiment: RawExperiment,
    units: Sequence[Unit],
    events: Mapping[tuple[str, str], Sequence[Event]],
    metric: MetricDefinition,
) -> dict[str, Measurement]:
    """Return one metric's measurement in each treatment."""
    look, values = experiment.look, Values(experiment.look, events, metric)
    below = None if metric.denominator is None else Values(look, events, metric.denominator)
    ripe = [unit for unit in units if values.is_complete(unit) and (below is None or below.is_complete(unit))]
    found = {unit.key: values.own(unit) for unit in ripe}
    second: dict[str, float | None] = {}
    if below is not None and metric.denominator is not None:
        second = {unit.key: below.own(unit) for unit in ripe}
        if metric.denominator.missing is None:
            ripe = [unit for unit in ripe if second[unit.key] is not None]
    if metric.missing is None:
        ripe = [unit for unit in ripe if found[unit.key] is not None]
    found = cut_off({unit.key: found[unit.key] for unit in ripe}, metric.missing, metric.cap)
    if metric.denominator is not None:
        own = {unit.key: second[unit.key] for unit in ripe}
        second = cut_off(own, metric.denominator.missing, metric.denominator.cap)
    elif metric.covariate is not None:
        past = {unit.key: values.before(unit, metric.covariate) for unit in ripe}
        second = cut_off(past, metric.missing, metric.cap)
        known = [value for value in second.values() if value is not None]
        # Without a past, and without a value for units without events: the mean of those with one.
        usual = float(np.mean(known)) if known else 0.0
        second = {key: usual if value is None else value for key, value in second.items()}
    columns = {
        treatment: np.array(
            [(found[unit.key], second.get(unit.key, 0.0)) for unit in ripe if unit.treatment == treatment], dtype=float
        ).reshape(-1, 2)
        for treatment in look.treatments.values()
    }
    match metric:
        case MetricDefinition(percentile=float(percentile)):
            return {key: _percentile(key, np.sort(rows[:, 0]), percentile / 100) for key, rows in columns.items()}
        case MetricDefinition(denominator=None, covariate=None):
            return {key: _plain(key, rows[:, 0]) for key, rows in columns.items()}
        case MetricDefinition(denominator=None):
            return _adjusted(columns)
        case _:
            return {key: _ratio(key, rows) for key, rows in columns.items()}


def _plain(treatment: str, values: Rows) -> Measurement:
    if not len(values):
        return Measurement(treatment, 0, None, None)
    if len(values) == 1 or np.ptp(values) == 0.0:  # numpy's mean of equal numbers may be off by a rounding
        return Measurement(treatment, len(values), float(values[0]), 0.0 if len(values) > 1 else None)
    return Measurement(treatment, len(values), float(np.mean(values)), float(np.std(values, ddof=1)))


def _adjusted(columns: Mapping[str, Rows]) -> dict[str, Measurement]:
    """CUPED, with one theta for all treatments from the deviations within each."""
    within = [rows - rows.mean(axis=0) for rows in columns.values() if len(rows)]
    if not within:
        return {key: _plain(key, rows[:, 0]) for key, rows in columns.items()}
    deviations = np.concatenate(within)
    variation = float(np.sum(deviations[:, 1] ** 2))
    theta = float(np.sum(deviations[:, 0] * deviations[:, 1])) / variation if variation > 0 else 0.0
    overall = float(np.mean(np.concatenate(list(columns.values()))[:, 1]))
    return {key: _plain(key, rows[:, 0] - theta * (rows[:, 1] - overall)) for key, rows in columns.items()}


def _ratio(treatment: str, rows: Rows) -> Measurement:
    """The ratio of means, with the delta method's deviation."""
    if not rows[:, 1].any():
        return Measurement(treatment, 0, None, None)
    mean = float(np.mean(rows[:, 1]))
    value = float(np.mean(rows[:, 0])) / mean
    residuals = rows[:, 0] - value * rows[:, 1]
    deviation = float(np.std(residuals, ddof=1)) / abs(mean) if len(rows) > 1 else None
    return Measurement(treatment, len(rows), value, deviation)


def _percentile(treatment: str, values: Rows, share: float) -> Measurement:
    """The value at place n p of n, rounded up.

    Its standard error is the width of the 95 % interval between two order statistics over twice 1.96 (Deng, Knoblich &
    Lu 2018, "Applying the delta method in metric analytics", KDD, section 4). Without both there is no number.
    """
    count, quantile = len(values), NormalDist().inv_cdf(0.975)
    half = quantile * math.sqrt(count * share * (1 - share))
    low, high = math.floor(count * share - half), math.ceil(count * share + half)
    if low < 1 or high > count or values[low - 1] == values[high - 1]:
        return Measurement(treatment, 0, None, None)
    error = float(values[high - 1] - values[low - 1]) / (2 * quantile)
    place = math.ceil(Fraction(str(share)) * count)
    return Measurement(treatment, count, float(values[place - 1]), error * math.sqrt(count))
