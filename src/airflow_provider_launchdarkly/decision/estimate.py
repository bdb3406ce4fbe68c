"""Estimates of an effect at the stop, which allow for having looked, and stopped, at a good moment.

All values are on one scale: the z value that an effect would be expected to give at the stop. The measured z value is
the usual estimate. It is too large where a treatment ships, since it shipped because it was large (the winner's curse).

* The median-unbiased estimate and its interval order outcomes stage by stage: an earlier crossing is the stronger
  evidence, then the larger z value. They are the effects at which what was seen, or stronger evidence, has a
  probability of a half, and of 2.5 and 97.5 % (Tsiatis, Rosner & Mehta 1984, Biometrics 40; Jennison & Turnbull 2000,
  "Group Sequential Methods with Applications to Clinical Trials", section 8.4). Over all stops, the interval covers
  the truth in 95 %.
* Among those that ship, that estimate is still too large, because those that did not ship are left out. The
  bias-adjusted estimate takes away the mean excess of a measured effect among experiments that ship, as it is at the
  median-unbiased estimate: Whitehead (1986), Biometrika 73, with the bias given the crossing (Fan, DeMets & Lan 2004,
  Journal of Biopharmaceutical Statistics 14), in one step.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import Crossings, quantile
from airflow_provider_launchdarkly.decision.verdict import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_launchdarkly.decision.boundaries import Boundary
    from airflow_provider_launchdarkly.decision.effects import Effect

# Two-sided confidence of the interval.
LEVEL = 0.95
# An effect as large as the measured one would have crossed before with all but this probability: then the earlier looks
# cannot have been taken on such data, since they were missed or the data came late.
IMPOSSIBLE = 1e-3
_TOLERANCE = 1e-5
# Probabilities closer than this to 0 or 1 are no further from a half.
_LEAST = 1e-15


class Path(NamedTuple):
    """The looks of a plan around a stop.

    Attributes:
        fractions: Information of each look, as a share of that at the stop; rising.
        bounds: The z value to reach at each look, for the side on which it stopped.
        stop: Index of the look at which it stopped; its fraction is 1.
    """

    fractions: tuple[float, ...]
    bounds: tuple[float, ...]
    stop: int

    @classmethod
    def of(
        cls, boundary: Boundary, share: float, needed: float, taken: Sequence[tuple[float, float]] | None = None
    ) -> Path:
        """Return the path of a plan that stopped when a share of it was over.

        Args:
            boundary: The plan's boundary.
            share: Share of the plan that was over at the stop, above 0.
            needed: The z value to reach at the stop.
            taken: Information and bound of each look before the stop, if it was measured; None takes the plan's.
        """
        shares = (0.0, *boundary.shares)
        before, after = [], []
        for number, bound in enumerate(boundary.z, start=1):
            # The look that took place now is one of the plan's: the nearest one is left out.
            room = (shares[number] - shares[number - 1]) / 2.0
            if shares[number] <= share - room:
                before.append((shares[number] / share, bound))
            elif shares[number] >= share + room:
                after.append((shares[number] / share, bound))
        before = before if taken is None else list(taken)
        looks = [*before, (1.0, needed), *after]
        return cls(tuple(fraction for fraction, _ in looks), tuple(bound for _, bound in looks), len(before))


class StopEstimate(NamedTuple):
    """Estimates at the stop, each as the z value that the effect is expected to give there.

    Attributes:
        bias_adjusted: The estimate without the mean excess among experiments that cross; it means nothing for one that
            did not cross.
        median_unbiased: The estimate that is too high as often as too low.
        lower: Lower end of the interval of `LEVEL`.
        upper: Upper end.
    """

    bias_adjusted: float
    median_unbiased: float
    lower: float
    upper: float

    def mirrored(self) -> StopEstimate:
        """Return the same with the opposite sign."""
        return StopEstimate(-self.bias_adjusted, -self.median_unbiased, -self.upper, -self.lower)


def estimate(path: Path, z: float) -> StopEstimate:
    """Return the estimates for a stop with a given z value.

    Args:
        path: The looks, with the boundary at which it stopped, or would have.
        z: The z value at the stop, positive towards that boundary.

    If an effect as large as the measured one would have crossed before, but for one time in a thousand, the looks
    before the stop do not count: they were not taken on such data.
    """
    crossings, stop = crossings_of(path), path.stop
    before = math.fsum(crossings.probability_beyond(look, path.bounds[look], z) for look in range(stop))
    if 1.0 - before < IMPOSSIBLE:
        return estimate(Path(path.fractions[stop:], path.bounds[stop:], 0), z)

    def stronger(drift: float) -> float:
        """Return the probability of what was seen, or of stronger evidence."""
        return math.fsum(
            crossings.probability_beyond(look, z if look == stop else path.bounds[look], drift)
            for look in range(stop + 1)
        )

    tail = (1.0 - LEVEL) / 2.0
    median = _solve(stronger, 0.5, z)
    lower, upper = _solve(stronger, tail, median - 2.0), _solve(stronger, 1.0 - tail, median + 2.0)
    return StopEstimate(z - excess(crossings, path, median), median, lower, upper)


def estimate_lift(found: Effect, path: Path, z: float, *, harm: bool, crossed: bool) -> Estimate | None:
    """Return the estimates as lifts of a treatment over the baseline; None if the baseline's mean may be 0.

    A lift corresponds to an expected z value by the test that also gives the intervals (:meth:`.Effect.lift_at`), so
    this interval and the repeated one agree on what a lift of so many standard errors is.

    Args:
        found: The effect.
        path: The looks, with the boundary at which it stopped, or would have.
        z: The z value at the stop, positive towards that boundary.
        harm: Whether that boundary is on the side of harm.
        crossed: Whether it was crossed, so that the estimate is adjusted for that.
    """
    at_stop = estimate(path, z)
    better, at_stop = (-z, at_stop.mirrored()) if harm else (z, at_stop)

    def lift(expected: float) -> float | None:
        return found.lift_at(better - expected)

    ends = lift(at_stop.lower), lift(at_stop.upper)
    lower, upper = ends if found.sign > 0 else (ends[1], ends[0])
    median = lift(at_stop.median_unbiased)
    adjusted = lift(at_stop.bias_adjusted) if crossed else None
    return None if median is None else Estimate(adjusted, median, lower, upper, LEVEL)


def excess(crossings: Crossings, path: Path, drift: float) -> float:
    """Return the mean of the measured effect among the experiments that ever cross, less the true one.

    Args:
        crossings: The crossing probabilities of the path.
        path: The looks.
        drift: The true effect.
    """
    ever = seen = 0.0
    for look, (fraction, bound) in enumerate(zip(path.fractions, path.bounds, strict=True)):
        probability, place = crossings.beyond(look, bound, drift)
        ever += probability
        seen += place / fraction
    # An effect at which nothing ever crosses has no such mean.
    return seen / ever - drift if ever > 1e-12 else 0.0


@lru_cache(maxsize=64)
def crossings_of(path: Path) -> Crossings:
    """Return the crossing probabilities of a path. Each process computes those of a path once."""
    return Crossings(path.fractions, path.bounds)


def _solve(rising: Callable[[float], float], wanted: float, start: float) -> float:
    """Return where a rising probability has a value, by secants; every third step halves the bracket if there is one.

    On the scale of z values the probability is nearly a straight line of slope 1: for a single look it is one.
    """
    target, low, high = quantile(wanted), -math.inf, math.inf
    at, slope, before = start, 1.0, None
    for turn in range(1, 200):
        off = target - quantile(min(max(rising(at), _LEAST), 1.0 - _LEAST))
        low, high = (low, at) if off > 0.0 else (at, high)
        if before is not None and at != before[0]:
            slope = min(max((off - before[1]) / (at - before[0]), 0.1), 2.0)
        before = at, off
        following = at - off / slope
        if abs(following - at) < _TOLERANCE or high - low < _TOLERANCE:
            return following
        if math.isfinite(high - low) and (turn % 3 == 0 or not low < following < high):
            following = (low + high) / 2.0
        at = following
    return at
