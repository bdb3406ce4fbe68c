"""Draw the measurements at each look of many experiments, from a seed and a known truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_launchdarkly.simulation.world import MetricTruth, World, expected_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


NONE = timedelta()


@dataclass(frozen=True, slots=True)
class MetricDraws:
    """One metric; its arrays have the axes experiment, look, treatment.

    Attributes:
        mean: Mean so far; 0 without units.
        variance: Variance per unit so far; 0 with fewer than two units.
        units: Units measured so far; None for every unit of the experiment.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    units: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Draws:
    """The measurements of many experiments.

    Attributes:
        moments: Time of each look after the start.
        exposed: Units in the experiment so far, in the axes experiment, look, treatment. A metric may be measured on a
            part of them: :meth:`units_of`.
        primary: The metric that decides.
        guardrails: The guardrails.
        signals: The signals.
        other_primaries: The further metrics that decide.
    """

    moments: tuple[timedelta, ...]
    exposed: NDArray[np.int64]
    primary: MetricDraws
    guardrails: tuple[MetricDraws, ...]
    signals: tuple[MetricDraws, ...]
    other_primaries: tuple[MetricDraws, ...] = ()

    @property
    def primaries(self) -> tuple[MetricDraws, ...]:
        """The metrics that decide."""
        return (self.primary, *self.other_primaries)

    def units_of(self, metric: MetricDraws) -> NDArray[np.int64]:
        """Return the units on which a metric is measured so far."""
        return self.exposed if metric.units is None else metric.units

    def at(self, looks: Sequence[int]) -> Draws:
        """Return the same experiments at these looks only, in this order; a look may be repeated."""
        chosen = list(looks)

        def part(metric: MetricDraws) -> MetricDraws:
            units = None if metric.units is None else metric.units[:, chosen]
            return MetricDraws(metric.mean[:, chosen], metric.variance[:, chosen], units)

        return Draws(
            moments=tuple(self.moments[look] for look in chosen),
            exposed=self.exposed[:, chosen],
            primary=part(self.primary),
            guardrails=tuple(part(metric) for metric in self.guardrails),
            signals=tuple(part(metric) for metric in self.signals),
            other_primaries=tuple(part(metric) for metric in self.other_primaries),
        )


def draw(
    world: World,
    moments: Sequence[timedelta],
    end: timedelta,
    experiments: int,
    random: np.random.Generator,
    *,
    burn_in: timedelta = NONE,
    maturity: timedelta = NONE,
) -> Draws:
    """Draw the measurements of many experiments.

    Args:
        world: The truth.
        moments: Time of each look after the start, rising.
        end: The plan's end, over which the traffic is spread.
        experiments: How many to simulate.
        random: Random generator; the same state gives the same draws.
        burn_in: Units that arrive within this time after the start do not count.
        maturity: Units that arrived within this time before a look do not count.

    Returns:
        The measurements.
    """
    first, *counted = expected_units(world, [burn_in, *(max(moment - maturity, burn_in) for moment in moments)], end)
    expected = np.diff(counted, prepend=first)
    shares = np.array(world.shares)
    # Poisson arrivals, each assigned by chance: independent Poisson numbers for each treatment.
    fresh = random.poisson(expected[None, :, None] * shares[None, None, :], (experiments, len(moments), len(shares)))
    return Draws(
        moments=tuple(moments),
        exposed=np.cumsum(fresh, axis=1),
        primary=_metric(world.primary, fresh, random),
        guardrails=tuple(_metric(truth, fresh, random) for truth in world.guardrails),
        signals=tuple(_metric(truth, fresh, random) for truth in world.signals),
        other_primaries=tuple(_metric(truth, fresh, random) for truth in world.other_primaries),
    )


def _metric(truth: MetricTruth, fresh: NDArray[np.int64], random: np.random.Generator) -> MetricDraws:
    means = truth.mean * (1.0 + np.array([0.0, *truth.lifts]))
    if truth.std_dev is None and not (means.min() >= 0.0 and means.max() <= 1.0):
        lift = max(truth.lifts, key=abs)
        raise ValueError(
            f"a rate of {truth.mean:g} cannot change by {100 * lift:+.3g} %, to {truth.mean * (1.0 + lift):g}: name a "
            "smaller effect, or more units a day, which find a smaller one"
        )
    if truth.measured:
        fresh = random.binomial(fresh, truth.measured)
    units = np.cumsum(fresh, axis=1)
    measured = units if truth.measured else None
    some = np.maximum(units, 1)
    if truth.std_dev is None:
        rate = np.cumsum(random.binomial(fresh, means), axis=1) / some
        return MetricDraws(rate, rate * (1.0 - rate), measured)
    # Sums and sums of squares of normal values, interval by interval: exact, without drawing the units themselves.
    deviation = truth.std_dev
    centred = np.sqrt(fresh) * deviation * random.standard_normal(fresh.shape)
    within = deviation**2 * np.where(fresh > 1, random.chisquare(np.maximum(fresh - 1, 1)), 0.0)
    squares = np.cumsum(within + centred**2 / np.maximum(fresh, 1), axis=1)
    sums = np.cumsum(centred, axis=1)
    variance = np.maximum(squares - sums**2 / some, 0.0) / np.maximum(units - 1, 1)
    return MetricDraws(np.where(units > 0, means + sums / some, 0.0), variance, measured)
