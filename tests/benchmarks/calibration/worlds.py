"""Worlds in which experiments really run: their measurements at each look, for many experiments at once.

Each function returns a `Drawing`: it draws the measurements of so many experiments from a random generator. Arrivals
are Poisson, so the treatments are independent. What is drawn are the counts or sums of each interval between looks, or
of each day's arrivals; they are exact and correlated over the looks as in reality, without drawing single people. Only
heavy tails are drawn person by person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World, expected_units

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Drawing = Callable[[np.random.Generator, int], Draws]

# One rate, or one for each treatment, or an array in the axes look, treatment.
Rates = float | Sequence[float] | Floats

EVEN_SPLIT = (0.5, 0.5)


@dataclass(frozen=True)
class Traffic:
    """Who arrives, and when it is looked.

    Attributes:
        shares: Allocated shares of the treatments, the baseline first, summing to 1.
        units_per_day: Mean number of units a day, over all treatments.
        days: Length of the plan.
        arrivals: The pattern.
        population_days: For people who return: the days in which 63 % of them have come; the others come ever more
            slowly. It replaces the pattern.
        late: Share of a day by which each daily look is late.
        press: A day, from 0, and how many times as many come on it.
        beyond: Days after the plan's end that are drawn too, with a look each.
    """

    shares: tuple[float, ...] = EVEN_SPLIT
    units_per_day: float = 2_000.0
    days: int = 28
    arrivals: Arrivals = Arrivals.EVEN
    population_days: float | None = None
    late: float = 0.0
    press: tuple[int, float] | None = None
    beyond: int = 0

    @property
    def moments(self) -> tuple[timedelta, ...]:
        """The times of the looks: daily."""
        return tuple(timedelta(days=day + self.late) for day in range(1, self.days + self.beyond + 1))

    @property
    def expected(self) -> Floats:
        """Expected new units between the looks, over all treatments."""
        if self.population_days is not None:
            come = -np.expm1(-np.arange(self.days + 1) / self.population_days)
            return np.asarray(np.diff(come) / come[-1] * self.units_per_day * self.days)
        world = World(MetricTruth(0.1), self.units_per_day, arrivals=self.arrivals)
        units = np.diff(expected_units(world, self.moments, timedelta(days=self.days)), prepend=0.0)
        if self.press is not None:
            total = units.sum()
            units[self.press[0]] *= self.press[1]
            units *= total / units.sum()
        return np.asarray(units)

    def arrive(self, random: np.random.Generator, experiments: int) -> Integers:
        """Draw the new units in the axes experiment, look, treatment."""
        expected = self.expected[:, None] * np.array(self.shares)
        return random.poisson(expected, (experiments, *expected.shape))

    def to(self, *shares: float) -> Traffic:
        """The same traffic, split otherwise."""
        return replace(self, shares=shares)


def conversions(
    traffic: Traffic, rates: Rates, *, guardrails: int = 0, guardrail_rates: Rates | None = None
) -> Drawing:
    """A 0/1 metric, and as many independent ones as guardrails.

    Args:
        traffic: Who arrives.
        rates: Of the primary metric.
        guardrails: Number of guardrails.
        guardrail_rates: Theirs; those of the primary metric by default.
    """

    def drawn(random: np.random.Generator, experiments: int) -> Draws:
        fresh = traffic.arrive(random, experiments)
        others = rates if guardrail_rates is None else guardrail_rates
        metrics = [binary(fresh, random.binomial(fresh, np.asarray(each))) for each in (rates, *(others,) * guardrails)]
        return Draws(traffic.moments, np.cumsum(fresh, axis=1), metrics[0], tuple(metrics[1:]), ())

    return drawn


def bad_sessions(
    traffic: Traffic, *, guardrails: int, share: float = 0.01, good: float = 0.0005, bad: float = 0.5
) -> Drawing:
    """Guardrails that go wrong together: some sessions are bad, and each guardrail fails in half of those.

    With the defaults each guardrail has a rate of 0.55 %, and any two have a correlation of 0.45. The primary metric
    has a rate of 10 %.
    """

    def drawn(random: np.random.Generator, experiments: int) -> Draws:
        fresh = traffic.arrive(random, experiments)
        unlucky = random.binomial(fresh, share)
        failed = tuple(
            binary(fresh, random.binomial(unlucky, bad) + random.binomial(fresh - unlucky, good))
            for _ in range(guardrails)
        )
        return Draws(traffic.moments, np.cumsum(fresh, axis=1), binary(fresh, random.binomial(fresh, 0.1)), failed, ())

    return drawn


def delayed(traffic: Traffic, rate: float, delays: Sequence[float], *, window: int = 0) -> Drawing:
    """A 0/1 metric whose 1s come late, by an exponential delay.

    Args:
        traffic: Who arrives; looked at daily.
        rate: The rate in the end.
        delays: Mean delay in each treatment, in days.
        window: Days that a unit must have been in to count, and within which it must convert; 0 counts all units as
            they are.
    """

    def drawn(random: np.random.Generator, experiments: int) -> Draws:
        days = traffic.days
        fresh = np.zeros((experiments, days, len(delays)), dtype=np.int64)
        ones = np.zeros_like(fresh)
        for treatment, delay in enumerate(delays):
            # A unit that arrives within a day has been in for half a day, on average, at the day's end.
            ages = np.maximum(np.arange(days + 1) - 0.5, 0.0)
            come = rate * -np.expm1(-ages / delay)
            expected = traffic.expected * traffic.shares[treatment]
            for day in range(days):
                # Poisson arrivals, divided by the day on which they convert, are independent Poisson numbers.
                last = min(window, days - day) if window else days - day
                chances = np.diff(come[: last + 1])
                converted = random.poisson(expected[day] * chances, (experiments, last))
                others = random.poisson(expected[day] * (1.0 - chances.sum()), experiments)
                counted = day + window
                if window:
                    if counted < days:
                        fresh[:, counted, treatment] += converted.sum(axis=1) + others
                        ones[:, counted, treatment] += converted.sum(axis=1)
                else:
                    fresh[:, day, treatment] += converted.sum(axis=1) + others
                    ones[:, day:, treatment] += converted
        return Draws(traffic.moments, np.cumsum(fresh, axis=1), binary(fresh, ones), (), ())

    return drawn


def windowed(drawing: Drawing, days: int) -> Drawing:
    """The same world, in which a unit counts only from so many days after its arrival."""

    def late(values: NDArray[np.generic]) -> NDArray[np.generic]:
        moved = np.zeros_like(values)
        moved[:, days:] = values[:, :-days]
        return moved

    def metric(drawn: MetricDraws) -> MetricDraws:
        return MetricDraws(np.asarray(late(drawn.mean)), np.asarray(late(drawn.variance)))

    def drawn(random: np.random.Generator, experiments: int) -> Draws:
        draws = drawing(random, experiments)
        guardrails = tuple(metric(each) for each in draws.guardrails)
        return Draws(draws.moments, np.asarray(late(draws.exposed)), metric(draws.primary), guardrails, ())

    return drawn


# Events a day of a unit, and the share of the units that have so many.
Levels = Mapping[float, float]
# Units differ a lot, so what they do tomorrow is what they did today.
OWN_RATES: Levels = {0.0: 0.5, 1.0: 0.3, 3.0: 0.15, 10.0: 0.05}
# Every unit is alike and events are rare, so each day is news: information grows like the square of the time.
RARE_EVENTS: Levels = {0.05: 1.0}


def events(traffic: Traffic, levels: Levels) -> Drawing:
    """An open-ended metric: each unit has events at a rate of its own, from its arrival to the end.

    It is LaunchDarkly's default for a numeric metric: what a unit is worth grows as long as it is in.
    """

    def drawn(random: np.random.Generator, experiments: int) -> Draws:
        rates = np.array(list(levels))
        expected = traffic.expected[:, None] * np.array(traffic.shares)
        shape = (experiments, *expected.shape, len(rates))
        people = random.poisson(expected[..., None] * np.array(list(levels.values())), shape)
        fresh = people.sum(axis=3)
        first, second = people @ rates, people @ rates**2
        # A unit that arrives within a day is in for half of it.
        in_today = np.cumsum(first, axis=1) - first / 2.0
        sums = np.cumsum(random.poisson(in_today), axis=1)
        days = np.arange(traffic.days)
        ages = np.maximum(days[:, None] - days[None, :] + 0.5, 0.0) * (days[:, None] >= days[None, :])
        # Given the ages and rates, the squares of Poisson numbers, up to their own small noise.
        squares = np.einsum("ka,eat->ekt", ages**2, second, optimize=True) + sums
        return Draws(
            traffic.moments, np.cumsum(fresh, axis=1), _moments(np.cumsum(fresh, axis=1), sums, squares), (), ()
        )

    return drawn


@dataclass(frozen=True)
class Values:
    """A distribution of values that is drawn person by person.

    Attributes:
        draw: Draws so many values.
        buyers: Share of the people who have a value; the others have 0.
        units_per_day: Mean number of units a day, over all treatments. Fewer people are the harder case.
    """

    draw: Callable[[np.random.Generator, int], Floats]
    buyers: float = 1.0
    units_per_day: float = 400.0


def lognormal(sigma: float) -> Callable[[np.random.Generator, int], Floats]:
    """Lognormal values; sigma 1 has a standard deviation of 1.3 means, sigma 2 of 7.3."""
    return lambda random, count: np.exp(np.float32(sigma) * random.standard_normal(count, dtype=np.float32)).astype(
        np.float64
    )


def pareto(shape: float) -> Callable[[np.random.Generator, int], Floats]:
    """Pareto values from 1 up. Below a shape of 3 their third moment is infinite."""
    return lambda random, count: np.exp(random.standard_exponential(count) / shape)


# Looks of experiments whose people are in memory together.
_TOGETHER = 14_000


def revenue(
    values: Values, splits: Sequence[Sequence[float]], looks_per_day: int = 1
) -> Callable[[np.random.Generator, int], list[Draws]]:
    """The same people, split in several ways: one `Draws` for each split, over 28 days of looks."""
    looks = 28 * looks_per_day
    moments = tuple(timedelta(days=1) * look / looks_per_day for look in range(1, looks + 1))
    size = max(_TOGETHER // looks, 1)

    def drawn(random: np.random.Generator, experiments: int) -> list[Draws]:
        sizes = [min(size, experiments - done) for done in range(0, experiments, size)]
        parts = [_people(values, splits, random, (together, looks)) for together in sizes]
        found = []
        for several in zip(*parts, strict=True):
            units, sums, squares = (np.cumsum(np.concatenate(each), axis=1) for each in zip(*several, strict=True))
            found.append(Draws(moments, units, _moments(units, sums, squares), (), ()))
        return found

    return drawn


def _people(
    values: Values, splits: Sequence[Sequence[float]], random: np.random.Generator, shape: tuple[int, int]
) -> list[tuple[Integers, Floats, Floats]]:
    """Draw every person: for each split the new units, their sums and their sums of squares."""
    arriving = values.units_per_day * 28 / shape[1]
    buyers = random.poisson(values.buyers * arriving, shape)
    others = random.poisson((1.0 - values.buyers) * arriving, shape)
    drawn = values.draw(random, int(buyers.sum()))
    totals = [np.concatenate([[0.0], np.cumsum(part)]) for part in (drawn, drawn * drawn)]
    ends = np.cumsum(buyers).reshape(shape)
    found = []
    for split in splits:
        treated, rest = random.binomial(buyers, split[1]), random.binomial(others, split[1])
        middle = ends - buyers + treated
        units = np.stack([buyers - treated + others - rest, treated + rest], axis=2)
        sums, squares = (
            np.stack([total[ends] - total[middle], total[middle] - total[ends - buyers]], axis=2) for total in totals
        )
        found.append((units, sums, squares))
    return found


def binary(fresh: Integers, ones: Integers) -> MetricDraws:
    """The moments of a 0/1 metric, from new units and new 1s."""
    units = np.cumsum(fresh, axis=1)
    rate = np.cumsum(ones, axis=1) / np.maximum(units, 1)
    return MetricDraws(rate, rate * (1.0 - rate))


def _moments(units: Integers, sums: Floats, squares: Floats) -> MetricDraws:
    mean = sums / np.maximum(units, 1)
    spread = np.maximum(squares - units * mean**2, 0.0)
    return MetricDraws(mean, spread / np.maximum(units - 1, 1))
