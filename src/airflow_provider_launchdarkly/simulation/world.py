"""The true effects and the traffic of a simulated experiment, as plain data without randomness."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

import numpy as np

from airflow_provider_launchdarkly.decision.allocation import Allocation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from numpy.typing import NDArray

# Traffic of each day of the week, in parts of a Monday's; the iteration starts on a Monday.
_WEEK = (1.0, 1.0, 1.0, 1.0, 0.9, 0.5, 0.4)
_STEPS_PER_DAY = 24


class Arrivals(StrEnum):
    """The patterns of traffic over the plan."""

    EVEN = "even"
    WEEKDAYS = "weekdays"
    """Half on Saturdays and less on Sundays."""
    GROWING = "growing"
    """Threefold at the end, in a straight line."""
    SURGING = "surging"
    """Threefold at the end, by the same factor each day."""
    GROWING_TENFOLD = "growing-tenfold"
    """Tenfold at the end, in a straight line."""
    SURGING_TENFOLD = "surging-tenfold"
    """Tenfold at the end, by the same factor each day."""
    SHRINKING = "shrinking"
    """A third at the end, in a straight line."""
    DYING = "dying"
    """A hundredth at the end, by the same factor each day."""
    PRESS_DAY = "press-day"
    """Ten times as many on one day, three quarters into the plan."""
    LOST_DAY = "lost-day"
    """None on the day in the middle."""


@dataclass(frozen=True, slots=True)
class MetricTruth:
    """The true distribution of a metric.

    Attributes:
        mean: The baseline's mean.
        std_dev: Standard deviation per unit; None for a conversion metric, whose mean is its rate.
        lifts: True relative lift of each treatment but the baseline.
        measured: Share of its units on which the metric is measured, the baseline's first; empty for all of them.
    """

    mean: float
    std_dev: float | None = None
    lifts: tuple[float, ...] = (0.0,)
    measured: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """A simulated experiment.

    Attributes:
        primary: The metric that decides.
        other_primaries: One for each further primary metric of the policy, in its order.
        guardrails: One for each guardrail of the policy, in its order.
        signals: One for each signal of the policy, in its order.
        units_per_day: Mean number of units that arrive in a day, over all treatments.
        arrivals: Pattern of their arrival over the plan.
        planned_shares: Allocated shares of the treatments, the baseline first; only their ratios matter.
        true_shares: Shares that the treatments get; empty for those planned.
    """

    primary: MetricTruth
    units_per_day: float
    guardrails: tuple[MetricTruth, ...] = ()
    signals: tuple[MetricTruth, ...] = ()
    other_primaries: tuple[MetricTruth, ...] = ()
    arrivals: Arrivals = Arrivals.EVEN
    planned_shares: tuple[float, ...] = (0.5, 0.5)
    true_shares: tuple[float, ...] = field(default=())

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares that the treatments get, summing to 1."""
        shares = self.true_shares or self.planned_shares
        return tuple(share / sum(shares) for share in shares)

    @property
    def treatments(self) -> int:
        """Number of treatments, with the baseline."""
        return len(self.planned_shares)

    @property
    def allocation(self) -> Allocation:
        """The planned shares as an allocation."""
        return Allocation.of_shares(self.planned_shares)

    def without_effect(self) -> World:
        """Return the same world without any effect."""
        return self.with_lifts((0.0,) * (self.treatments - 1))

    def with_lifts(self, lifts: tuple[float, ...]) -> World:
        """Return the same world with these lifts of the primary metric, and no other effect."""
        none = (0.0,) * (self.treatments - 1)
        return replace(
            self,
            primary=replace(self.primary, lifts=lifts),
            other_primaries=tuple(replace(truth, lifts=none) for truth in self.other_primaries),
            guardrails=tuple(replace(truth, lifts=none) for truth in self.guardrails),
            signals=tuple(replace(truth, lifts=none) for truth in self.signals),
        )


def expected_units(world: World, moments: Sequence[timedelta], end: timedelta) -> NDArray[np.float64]:
    """Return the expected units in the experiment at each time.

    Args:
        world: The world.
        moments: Times after the start.
        end: The plan's end: growing and shrinking traffic are spread so that the total is that of even traffic.

    Returns:
        Shape (moments,).
    """
    days = end.total_seconds() / 86400.0
    steps = np.arange(0.0, days, 1.0 / _STEPS_PER_DAY)
    rates = _rate(world.arrivals, steps, days)
    total = np.concatenate([[0.0], np.cumsum(rates) / _STEPS_PER_DAY])
    if world.arrivals is not Arrivals.LOST_DAY:
        total *= days / total[-1]
    at = np.array([moment.total_seconds() / 86400.0 for moment in moments])
    ends = np.append(steps, days)
    beyond = np.maximum(at - days, 0.0) * rates[-1]
    units: NDArray[np.float64] = world.units_per_day * (np.interp(at, ends, total) + beyond)
    return units


def _rate(arrivals: Arrivals, days: NDArray[np.float64], end: float) -> NDArray[np.float64]:
    share, whole = days / end, days.astype(np.int64)
    match arrivals:
        case Arrivals.EVEN:
            rates = np.ones_like(days)
        case Arrivals.WEEKDAYS:
            rates = np.take(_WEEK, whole % 7)
        case Arrivals.GROWING:
            rates = 1.0 + 2.0 * share
        case Arrivals.SURGING:
            rates = 3.0**share
        case Arrivals.GROWING_TENFOLD:
            rates = 1.0 + 9.0 * share
        case Arrivals.SURGING_TENFOLD:
            rates = 10.0**share
        case Arrivals.SHRINKING:
            rates = 3.0 - 2.0 * share
        case Arrivals.DYING:
            rates = 0.01**share
        case Arrivals.PRESS_DAY:
            rates = np.where(whole == int(0.75 * end), 10.0, 1.0)
        case Arrivals.LOST_DAY:
            rates = np.where(whole == int(end / 2), 0.0, 1.0)
        case unknown:
            assert_never(unknown)
    return np.asarray(rates, dtype=np.float64)
