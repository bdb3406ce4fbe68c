"""The ground truth of a simulated experiment: its traffic, its metrics, the effects of its variations, and its defects.

`people` draws the people from it, and `metric_results` computes LaunchDarkly's results of their statistics.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_launchdarkly.emulator.fields import Fields, number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.emulator.population.types import SimulatedArm

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MOST_PEOPLE_A_DAY = 1e9
"""The limit of growth, beyond which double precision no longer counts single people."""
_MOST_CELLS = 64
_LONGEST_DELAY_DAYS = 90


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a variation: baseline times (1 + ``relative``), plus ``absolute`` in the metric's unit."""

    relative: float = 0.0
    absolute: float = 0.0

    def change(self, baseline: float) -> float:
        """Return what the effect adds to ``baseline``."""
        return baseline * self.relative + self.absolute


NO_EFFECT = Effect()


@dataclass(frozen=True, slots=True)
class MetricTruth:
    """The ground truth of a metric.

    Attributes:
        kind: ``conversion`` or ``numeric``.
        baseline: The rate (0 to 1) or mean of people whose variation has no effect.
        deviation: Numeric only, the standard deviation.
        effects: The effects by variation.
        half_life_days: The days in which an effect loses half of its passing part; None if effects do not fade.
        lasting: The share of an effect that does not fade, 0 to 1.
        drift: The relative change of the baseline per day, the same for every variation.
        delays: The shares of the events that arrive 0, 1, 2, … days after they happen; they add up to 1.
        lost: By variation, the share of its events that never arrive.
        event_share: Numeric only, the share of the people who have a value.
        correlation: Numeric only, the correlation with the same person's value before the experiment (for CUPED).
        after: The metric whose event comes first; the rate is that of the people who had this event.
    """

    kind: Literal["conversion", "numeric"]
    baseline: float
    deviation: float = 0.0
    effects: Mapping[str, Effect] = field(default_factory=dict)
    half_life_days: float | None = None
    lasting: float = 0.0
    drift: float = 0.0
    delays: tuple[float, ...] = (1.0,)
    lost: Mapping[str, float] = field(default_factory=dict)
    event_share: float = 1.0
    correlation: float = 0.0
    after: str | None = None

    def level(self, variation: str, day: int, effect: Effect | None = None) -> float:
        """Return the true rate or mean of the people who arrive on ``day``, at noon of that day.

        Args:
            variation: The variation that the people get.
            day: Whole days since the iteration's start.
            effect: The effect that replaces the variation's, in a slice by attribute.
        """
        age = day + 0.5
        baseline = self.baseline * max(0.0, 1 + self.drift * age)
        strength = 1.0
        if self.half_life_days is not None:
            strength = self.lasting + (1 - self.lasting) * 2 ** (-age / self.half_life_days)
        level = baseline + strength * (effect or self.effects.get(variation, NO_EFFECT)).change(baseline)
        return min(1.0, max(0.0, level)) if self.kind == "conversion" else level

    def arriving(self, variation: str) -> float:
        """Return the share of a variation's events that arrive, 0 to 1."""
        return 1 - self.lost.get(variation, 0.0)


NO_EVENTS = MetricTruth("conversion", 0.0)


@dataclass(frozen=True, slots=True)
class SliceTruth:
    """A value of an attribute: its ``share`` of the people, and its effects by metric and variation."""

    share: float
    effects: Mapping[str, Mapping[str, Effect]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """The people with the same value of every attribute: their (attribute, value) ``labels``, share and effects."""

    labels: tuple[tuple[str, str], ...]
    share: float
    effects: Mapping[str, Mapping[str, Effect]]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The ground truth of an experiment. It is compared by identity, since it holds the people drawn from it.

    Attributes:
        people_per_day: The expected number of different people on the first day.
        growth: The relative change of that number per day, compounding.
        weekdays: Factors for Monday to Sunday (UTC).
        no_traffic_from_day: The days after the start from which no people arrive; None for never.
        split: The true share of each variation, which replaces the requested shares (a sample ratio mismatch).
        attributes: The slices by attribute and value.
        metrics: The metrics by key.
        other_conversion: The truth of each conversion metric that ``metrics`` does not name; None if it has no events.
        other_numeric: The truth of each numeric metric that ``metrics`` does not name; None if it has no events.
        source: The data from which this was read.
        drawn: The populations drawn from it. `population_cache` keeps them here, so they live as long as this object.
    """

    people_per_day: float
    growth: float = 0.0
    weekdays: tuple[float, ...] = (1.0,) * 7
    no_traffic_from_day: float | None = None
    split: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, SliceTruth]] = field(default_factory=dict)
    metrics: Mapping[str, MetricTruth] = field(default_factory=dict)
    other_conversion: MetricTruth | None = None
    other_numeric: MetricTruth | None = None
    source: Mapping[str, Any] = field(default_factory=dict, repr=False)
    drawn: OrderedDict[tuple[object, ...], Any] = field(default_factory=OrderedDict, repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], path: str = "truth") -> GroundTruth:
        """Read a ground truth from plain JSON or YAML data.

        Args:
            data: ``people_per_day`` (required), ``growth``, ``weekdays`` {day name: factor}, ``no_traffic_from_day``,
                ``split`` {variation: share}, ``attributes`` {attribute: {value: {share, effects}}}, ``other_metrics``
                {baseline_rate, baseline_mean, standard_deviation} for the metrics without an entry, and ``metrics``
                {key: {baseline_rate | baseline_mean and standard_deviation, effects, novelty, drift, late_events,
                lost_events, event_share, covariate_correlation, after}}. A variation is named by its name in the
                flag, or by its JSON value as text.
            path: The name of the data in error messages.

        Raises:
            ValueError: A field is unknown, missing or wrong. The message names its path, the value and the cure.
        """
        return replace(_read_truth(Fields(data, path)), source=data)

    def metric(self, key: str, *, is_numeric: bool) -> MetricTruth | None:
        """Return the truth of a metric, that of all others of its kind if it is not named, or None."""
        return self.metrics.get(key) or (self.other_numeric if is_numeric else self.other_conversion)

    def attribute_values(self, attribute: str) -> tuple[str, ...]:
        """Return the values of an attribute; none for an unknown attribute."""
        return tuple(self.attributes.get(attribute, ()))

    def cells(self) -> list[Cell]:
        """Return every combination of attribute values, or a single cell with all people if there are no attributes."""
        cells = []
        for combination in product(*([(name, *item) for item in by.items()] for name, by in self.attributes.items())):
            effects: dict[str, Mapping[str, Effect]] = {}
            for _, _, truth in combination:
                effects.update(truth.effects)
            share = math.prod(truth.share for _, _, truth in combination)
            cells.append(Cell(tuple((name, value) for name, value, _ in combination), share, effects))
        return cells

    def people_by_hour(self, started_at: datetime, day: int) -> list[float]:
        """Return the expected number of people in each of the 24 hours of an iteration's day, 0 being the first."""
        # In logarithms, since (1 + growth) ** day overflows on a clock turned far ahead.
        grown = min(day * math.log1p(self.growth), 700.0)
        a_day = min(self.people_per_day * math.exp(grown), _MOST_PEOPLE_A_DAY)
        start = started_at.astimezone(UTC)
        first = start.weekday() + day
        today, tomorrow = self.weekdays[first % 7], self.weekdays[(first + 1) % 7]
        midnight = 24 - start.hour
        hours = [a_day / 24 * (today if hour < midnight else tomorrow) for hour in range(24)]
        if self.no_traffic_from_day is None:
            return hours
        last = self.no_traffic_from_day * 24 - day * 24
        return [people if hour < last else 0.0 for hour, people in enumerate(hours)]

    def shares(self, arms: tuple[SimulatedArm, ...]) -> list[float]:
        """Return each arm's true share of the people. An arm that is not in ``split`` keeps the requested share."""
        asked = sum(arm.share for arm in arms)
        weights = [self.split.get(arm.variation, arm.share) for arm in arms]
        total = sum(weights)
        return [weight / total * min(asked, 1.0) if total else 0.0 for weight in weights]


def _read_truth(fields: Fields) -> GroundTruth:
    growth = fields.number("growth", 0.0, low=-0.5, high=0.5)
    no_traffic = fields.number("no_traffic_from_day", low=0) if "no_traffic_from_day" in fields else None
    other_conversion, other_numeric = _read_others(fields.child("other_metrics"))
    truth = GroundTruth(
        other_conversion=other_conversion,
        other_numeric=other_numeric,
        people_per_day=fields.number("people_per_day", low=0, high=_MOST_PEOPLE_A_DAY),
        growth=growth,
        weekdays=_read_weekdays(fields.child("weekdays")),
        no_traffic_from_day=no_traffic,
        split=_read_shares(fields.child("split")),
        attributes=_read_attributes(fields.child("attributes")),
        metrics={
            key: _read_metric(Fields(value, f"{fields.path}.metrics.{key}"))
            for key, value in fields.child("metrics").entries()
        },
    )
    fields.finish()
    _check_order(fields.path, truth)
    _check_slices(fields.path, truth)
    return truth


def _read_weekdays(fields: Fields) -> tuple[float, ...]:
    factors = tuple(fields.number(day, 1.0, low=0, high=1000) for day in _WEEKDAYS)
    fields.finish()
    return factors


def _read_shares(fields: Fields) -> dict[str, float]:
    shares = {name: number(value, f"{fields.path}.{name}", low=0, high=1) for name, value in fields.entries()}
    _check_whole(fields.path, shares)
    return shares


def _check_whole(path: str, shares: Mapping[str, float]) -> None:
    if shares and not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise ValueError(f"{path}: {dict(shares)!r} adds up to {sum(shares.values()):g}; write shares that add up to 1")


def _read_effects(fields: Fields) -> dict[str, Effect]:
    effects = {}
    for variation, value in fields.entries():
        inner = Fields(value, f"{fields.path}.{variation}")
        effects[variation] = Effect(inner.number("relative", 0.0, low=-1), inner.number("absolute", 0.0))
        inner.finish()
    return effects


def _read_attributes(fields: Fields) -> dict[str, dict[str, SliceTruth]]:
    attributes: dict[str, dict[str, SliceTruth]] = {}
    for name, values in fields.entries():
        attributes[name] = {}
        for value, data in Fields(values, f"{fields.path}.{name}").entries():
            inner = Fields(data, f"{fields.path}.{name}.{value}")
            share = inner.number("share", low=0, high=1)
            by_metric = inner.child("effects")
            effects = {key: _read_effects(Fields(each, f"{by_metric.path}.{key}")) for key, each in by_metric.entries()}
            inner.finish()
            attributes[name][value] = SliceTruth(share, effects)
        if not attributes[name]:
            raise ValueError(
                f"{fields.path}.{name}: has no values; give {{value: {{share: …}}}} or leave the attribute out"
            )
        _check_whole(f"{fields.path}.{name}", {value: truth.share for value, truth in attributes[name].items()})
    return attributes


def _read_others(fields: Fields) -> tuple[MetricTruth | None, MetricTruth | None]:
    conversion = numeric = None
    if "baseline_rate" in fields:
        conversion = MetricTruth("conversion", fields.number("baseline_rate", low=0, high=1))
    if "baseline_mean" in fields:
        deviation = fields.number("standard_deviation", low=0, above=True)
        numeric = MetricTruth("numeric", fields.number("baseline_mean"), deviation)
        _check_level(fields.path, numeric)
    fields.finish()
    return conversion, numeric


def _read_metric(fields: Fields) -> MetricTruth:
    if ("baseline_rate" in fields) == ("baseline_mean" in fields):
        raise ValueError(
            f"{fields.path}: give either baseline_rate (conversion) or baseline_mean and standard_deviation (number)"
        )
    numeric = "baseline_mean" in fields
    novelty = fields.child("novelty")
    half_life = novelty.number("half_life_days", low=0, above=True) if "half_life_days" in novelty else None
    lasting = novelty.number("lasting", 0.0, low=0, high=1) if half_life is not None else 0.0
    novelty.finish()
    lost = fields.child("lost_events")
    metric = MetricTruth(
        kind="numeric" if numeric else "conversion",
        baseline=fields.number("baseline_mean") if numeric else fields.number("baseline_rate", low=0, high=1),
        deviation=fields.number("standard_deviation", low=0, above=True) if numeric else 0.0,
        effects=_read_effects(fields.child("effects")),
        half_life_days=half_life,
        lasting=lasting,
        drift=fields.number("drift", 0.0, low=-1, high=1),
        delays=_read_delays(fields.child("late_events")),
        lost={name: number(value, f"{lost.path}.{name}", low=0, high=1) for name, value in lost.entries()},
        event_share=fields.number("event_share", 1.0, low=0, high=1) if numeric else 1.0,
        correlation=fields.number("covariate_correlation", 0.0, low=-0.999, high=0.999) if numeric else 0.0,
        after=None if numeric else fields.text("after"),
    )
    fields.finish()
    _check_level(fields.path, metric)
    return metric


def _check_level(path: str, metric: MetricTruth) -> None:
    if metric.kind == "numeric":
        if metric.deviation < 1e-5 * abs(metric.baseline):
            raise ValueError(
                f"{path}.standard_deviation: {metric.deviation!r} is below a 100,000th of the mean {metric.baseline!r},"
                " which sums of squares cannot resolve; give a larger one, or measure from a nearer zero"
            )
        return
    for variation, effect in metric.effects.items():
        rate = metric.baseline + effect.change(metric.baseline)
        if not 0 <= rate <= 1:
            raise ValueError(
                f"{path}.effects.{variation}: makes the rate {rate:g}; give an effect that keeps it from 0 to 1"
            )


def _read_delays(fields: Fields) -> tuple[float, ...]:
    by_day: dict[int, float] = {}
    for name, value in fields.entries():
        if not name.isdecimal() or not 1 <= int(name) <= _LONGEST_DELAY_DAYS:
            raise ValueError(
                f"{fields.path}: {name!r} is not a number of days, 1 to {_LONGEST_DELAY_DAYS}; write {{days: share}}"
            )
        by_day[int(name)] = number(value, f"{fields.path}.{name}", low=0, high=1)
    late = math.fsum(by_day.values())
    if late > 1 + 1e-9:
        raise ValueError(f"{fields.path}: the shares add up to {late:g}; at most 1 of all events can be late")
    delays = [0.0] * (max(by_day, default=0) + 1)
    for days, share in by_day.items():
        delays[days] = share
    delays[0] = max(0.0, 1 - late)
    return tuple(delays)


def _check_order(where: str, truth: GroundTruth) -> None:
    for key, metric in truth.metrics.items():
        path, before = [key], metric.after
        while before is not None:
            earlier = truth.metrics.get(before)
            if earlier is None or earlier.kind != "conversion" or before in path:
                what = f"{before!r} is not another conversion metric that comes before it"
                raise ValueError(f"{where}.metrics.{path[-1]}.after: {what}")
            path.append(before)
            before = earlier.after


def _check_slices(where: str, truth: GroundTruth) -> None:
    cells = math.prod(len(values) for values in truth.attributes.values())
    if cells > _MOST_CELLS:
        raise ValueError(
            f"{where}.attributes: {cells} combinations of values; "
            f"name fewer attributes or values, at most {_MOST_CELLS}"
        )
    changed_by: dict[str, str] = {}
    for attribute, values in truth.attributes.items():
        for value, slice_truth in values.items():
            for key in slice_truth.effects:
                path = f"{where}.attributes.{attribute}.{value}.effects.{key}"
                if key not in truth.metrics:
                    raise ValueError(f"{path}: no such metric; metrics known: {', '.join(truth.metrics) or 'none'}")
                if changed_by.setdefault(key, attribute) != attribute:
                    raise ValueError(
                        f"{path}: {changed_by[key]!r} already changes this metric's effects; let one attribute do it"
                    )
