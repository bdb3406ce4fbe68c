"""What a statement over the Data Export tables must come to, computed unit by unit in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from airflow_provider_launchdarkly.evidence.warehouse.definition import Aggregation, Cap, ExportLook, MetricDefinition
from support.export_tables import Event, Exposure


class Expected(NamedTuple):
    """A metric in one treatment."""

    units: int
    mean: float | None
    std_dev: float | None


class Value(NamedTuple):
    """A unit's value, None if it has none, and whether it comes from events."""

    value: Fraction | None
    has_events: bool


class Units(NamedTuple):
    """The units of an iteration: the first exposure and the treatment of each, and the number that saw several."""

    first: dict[str, tuple[datetime, str]]
    crossovers: int


def units_of(look: ExportLook, exposures: Sequence[Exposure]) -> Units:
    """Find each unit's first exposure by the look."""
    seen: dict[str, list[tuple[datetime, str]]] = {}
    for row in exposures:
        ended = look.ended_at is not None and row.at >= look.ended_at
        named = (row.iteration, row.kind, row.flag) == (look.iteration_id, look.unit_kind, look.flag_key)
        in_environment = look.environment_id in (None, row.environment)
        if named and in_environment and look.started_at <= row.at <= look.looked_at and not ended:
            seen.setdefault(row.unit, []).append((row.at, look.treatments.get(row.variation, "")))
    first, crossovers = {}, 0
    for unit, rows in seen.items():
        at = min(rows)[0]
        treatments = {treatment for _, treatment in rows}
        if treatments == {""} or not look.exposed_after <= at <= look.exposed_before:
            continue
        if len(treatments) > 1:
            crossovers += 1
        else:
            first[unit] = (at, treatments.pop())
    return Units(first, crossovers)


class Reference:
    """Computes metrics over raw rows."""

    def __init__(self, look: ExportLook, exposures: Sequence[Exposure], events: Sequence[Event]) -> None:
        self.look = look
        self.units = units_of(look, exposures)
        self._events: dict[str, list[Event]] = {}
        for event in events:
            ended = look.ended_at is not None and event.at >= look.ended_at
            in_environment = look.environment_id in (None, event.environment)
            if event.kind == look.unit_kind and in_environment and event.at <= look.looked_at and not ended:
                self._events.setdefault(event.unit, []).append(event)

    def of(self, metric: MetricDefinition, treatment: str) -> Expected:
        """Return a metric's units, mean and standard deviation in a treatment."""
        values = self.values(metric)
        first = {unit: value for unit, value in values.items() if value is not None}
        if metric.denominator is not None:
            second = self.values(metric.denominator)
            pairs = {unit: (value, second[unit]) for unit, value in first.items() if second.get(unit) is not None}
            return _ratio([pair for unit, pair in pairs.items() if self._treatment(unit) == treatment])
        if metric.covariate is not None:
            first = self._adjusted(metric, first)
        own = [value for unit, value in first.items() if self._treatment(unit) == treatment]
        return _plain(own) if metric.percentile is None else _percentile(own, metric.percentile)

    def values(self, metric: MetricDefinition) -> dict[str, Fraction | None]:
        """Return the value of each unit whose window is complete, cut off at the metric's percentiles."""
        start, end = metric.window or (timedelta(), None)
        found = {}
        for unit, (first, _) in self.units.first.items():
            if end is None or first + end <= min(self.look.looked_at, self.look.ended_at or self.look.looked_at):
                found[unit] = self._value(metric, unit, first + start, None if end is None else first + end)
        return _capped(metric.cap, found)

    def _value(self, metric: MetricDefinition, unit: str, since: datetime, until: datetime | None) -> Value:
        numeric = metric.aggregation in (Aggregation.SUM, Aggregation.AVERAGE)
        events = [
            event for event in self._events.get(unit, []) if event.at >= since and (until is None or event.at < until)
        ]
        for number, step in enumerate(metric.events[:-1], 1):
            taken = min((event.at for event in events if event.key == step), default=None)
            again = metric.events[number] in metric.events[:number]
            events = [
                event
                for event in events
                if taken is not None and (event.at > taken or (event.at == taken and not again))
            ]
        last = metric.events[-1]
        events = [event for event in events if event.key == last and not (numeric and event.value is None)]
        if metric.aggregation is Aggregation.OCCURRENCE:
            return Value(Fraction(bool(events)), bool(events))
        if not events:
            return Value(None if metric.missing is None else Fraction(metric.missing), False)
        if metric.aggregation is Aggregation.COUNT:
            return Value(Fraction(len(events)), True)
        total = sum((Fraction(event.value) for event in events if event.value is not None), Fraction())
        return Value(total / len(events) if metric.aggregation is Aggregation.AVERAGE else total, True)

    def _adjusted(self, metric: MetricDefinition, values: dict[str, Fraction]) -> dict[str, Fraction]:
        """CUPED, by the covariate of each unit; theta from the deviations within the treatments."""
        assert metric.covariate is not None
        raw = {}
        for unit in values:
            first, _ = self.units.first[unit]
            raw[unit] = self._value(metric, unit, first - metric.covariate, first)
        past = _capped(metric.cap, raw)
        known = [value for value in past.values() if value is not None]
        mean = sum(known, Fraction()) / len(known) if known else Fraction()
        filled = {unit: mean if value is None else value for unit, value in past.items()}
        products = variation = Fraction()
        for treatment in set(self.look.treatments.values()):
            units = [unit for unit in values if self._treatment(unit) == treatment]
            if units:
                x = [filled[unit] for unit in units]
                y = [values[unit] for unit in units]
                products += _products(x, y)
                variation += _products(x, x)
        theta = products / variation if variation else Fraction()
        centre = sum(filled.values(), Fraction()) / len(filled)
        return {unit: value - theta * (filled[unit] - centre) for unit, value in values.items()}

    def _treatment(self, unit: str) -> str:
        return self.units.first[unit][1]


def _products(x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction:
    x_mean, y_mean = sum(x, Fraction()) / len(x), sum(y, Fraction()) / len(y)
    return sum(((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)), Fraction())


def _capped(cap: Cap | None, values: dict[str, Value]) -> dict[str, Fraction | None]:
    """Cut values off at percentiles of those of all treatments."""
    if cap is None:
        return {unit: each.value for unit, each in values.items()}
    of = sorted(
        each.value for each in values.values() if each.value is not None and (each.has_events or cap.with_imputed)
    )
    high = None if cap.upper is None or not of else _at(of, cap.upper)
    low = None if cap.lower is None or not of else of[min(int(len(of) * Fraction(str(cap.lower)) / 100), len(of) - 1)]

    def cut(each: Value) -> Fraction | None:
        if each.value is None or not (each.has_events or cap.with_imputed):
            return each.value
        if low is not None and each.value < low:
            return low
        return high if high is not None and each.value > high else each.value

    return {unit: cut(each) for unit, each in values.items()}


def _at(ordered: Sequence[Fraction], percentile: float) -> Fraction:
    return ordered[max(math.ceil(len(ordered) * Fraction(str(percentile)) / 100), 1) - 1]


def _percentile(values: Sequence[Fraction], percentile: float) -> Expected:
    """A percentile with the standard error that two order statistics give."""
    ordered, share = sorted(values), percentile / 100
    half = 1.959963984540054 * math.sqrt(len(values) * share * (1 - share))
    low, high = math.floor(len(values) * share - half), math.ceil(len(values) * share + half)
    if low < 1 or high > len(ordered) or ordered[low - 1] == ordered[high - 1]:
        return Expected(0, None, None)
    error = (ordered[high - 1] - ordered[low - 1]) / (2 * 1.959963984540054)
    return Expected(len(values), float(_at(ordered, percentile)), float(error) * math.sqrt(len(values)))


def _plain(values: Sequence[Fraction]) -> Expected:
    if not values:
        return Expected(0, None, None)
    mean, one = sum(values, Fraction()) / len(values), len(values) == 1
    return Expected(len(values), float(mean), None if one else math.sqrt(_products(values, values) / (len(values) - 1)))


def _ratio(pairs: Sequence[tuple[Fraction, Fraction | None]]) -> Expected:
    x, y = [first for first, _ in pairs], [second for _, second in pairs if second is not None]
    ratio, mean = sum(x, Fraction()) / sum(y, Fraction()), sum(y, Fraction()) / len(y)
    variance = _products(x, x) - 2 * ratio * _products(x, y) + ratio**2 * _products(y, y)
    return Expected(len(x), float(ratio), math.sqrt(variance / mean**2 / (len(x) - 1)))
