"""The shapes that real effects may have: normal, or one-sided and decaying; with what an estimate says under each.

The logarithm of an estimate's density under a shape, relative to no effect at all, and the effect's posterior as
pieces of normal distributions. Both are closed forms: shape and noise are normal, cut off at 0 at most.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import tail

_ROOT_2PI = math.sqrt(2.0 * math.pi)
_NOTHING = -math.inf


class Estimate(NamedTuple):
    """An effect as measured when the experiment stopped.

    Attributes:
        effect: Relative lift in the good direction; 0.05 is 5 % better than the baseline.
        error: Its standard error on the same scale, above 0.
        margin: Share of the baseline that may be lost (non-inferiority): to ship is wrong at or below ``-margin``.
    """

    effect: float
    error: float
    margin: float = 0.0


class Piece(NamedTuple):
    """A part of a posterior: a normal distribution, or the half of one beyond 0.

    Attributes:
        weight: Its share of the posterior.
        centre: Mean of the normal distribution, before it is cut off.
        spread: Its standard deviation, above 0.
        side: 1 for values above 0 only, -1 for values below 0 only, 0 for all.
    """

    weight: float
    centre: float
    spread: float
    side: int

    def moments(self) -> tuple[float, float]:
        """Return mean and variance."""
        if self.side == 0:
            return self.centre, self.spread * self.spread
        start = self.side * self.centre / self.spread
        inside = tail(-start)
        if inside == 0.0:
            return 0.0, 0.0
        # Johnson, Kotz & Balakrishnan (1994), Continuous Univariate Distributions 1, section 13.10.1.
        ratio = math.exp(-0.5 * start * start) / (_ROOT_2PI * inside)
        mean = self.spread * (start + ratio)
        return self.side * mean, self.spread**2 * max(1.0 - ratio * (ratio + start), 0.0)

    def at_most(self, value: float) -> float:
        """Return the probability of a value up to this one."""
        if self.side == 0:
            return tail((self.centre - value) / self.spread)
        if self.side * value <= 0.0:
            return 0.0 if self.side > 0 else 1.0
        start, distance = self.side * self.centre / self.spread, self.side * value - self.side * self.centre
        inside = tail(-start)
        beyond = min(tail(distance / self.spread) / inside, 1.0) if inside > 0.0 else 0.0
        return 1.0 - beyond if self.side > 0 else beyond


class Normal(NamedTuple):
    """Real effects are normal around a centre."""

    centre: float
    spread: float

    def log_ratio(self, estimate: Estimate) -> float:
        """Return the logarithm of the estimate's density under this shape over that under no effect."""
        noise = estimate.error * estimate.error
        variance = noise + self.spread * self.spread
        distance = estimate.effect - self.centre
        squares = estimate.effect * estimate.effect / noise - distance * distance / variance
        return 0.5 * (math.log(noise / variance) + squares)

    def posterior(self, estimate: Estimate) -> tuple[Piece, ...]:
        """Return the effect's posterior if this shape is the right one."""
        noise, variance = estimate.error * estimate.error, self.spread * self.spread
        centre = (estimate.effect * variance + self.centre * noise) / (noise + variance)
        return (Piece(1.0, centre, self.spread * estimate.error / math.sqrt(noise + variance), 0),)


class Halves(NamedTuple):
    """Real effects decay from 0 like a normal distribution, with a share of good ones that need not be a half."""

    good: float
    spread: float

    def log_ratio(self, estimate: Estimate) -> float:
        """Return the logarithm of the estimate's density under this shape over that under no effect."""
        both = self._halves(estimate)
        highest = max(both)
        return highest + math.log(math.fsum(math.exp(part - highest) for part in both))

    def posterior(self, estimate: Estimate) -> tuple[Piece, ...]:
        """Return the effect's posterior if this shape is the right one."""
        noise, variance = estimate.error * estimate.error, self.spread * self.spread
        centre = estimate.effect * variance / (noise + variance)
        spread = self.spread * estimate.error / math.sqrt(noise + variance)
        both, all_in = self._halves(estimate), self.log_ratio(estimate)
        return tuple(
            Piece(math.exp(part - all_in), centre, spread, side)
            for part, side in zip(both, (1, -1), strict=True)
            if part > _NOTHING
        )

    def _halves(self, estimate: Estimate) -> tuple[float, float]:
        """Return the logarithms of the good and of the bad half of the density, over that under no effect."""
        noise = estimate.error * estimate.error
        variance = noise + self.spread * self.spread
        squares = estimate.effect * estimate.effect * (1.0 / noise - 1.0 / variance)
        whole = 0.5 * (math.log(noise / variance) + squares)
        slope = estimate.effect * self.spread / (estimate.error * math.sqrt(variance))
        good, bad = (
            whole + math.log(2.0 * share * inside)
            if (inside := tail(-side * slope)) > 0.0 and share > 0.0
            else _NOTHING
            for side, share in ((1, self.good), (-1, 1.0 - self.good))
        )
        # Far on the wrong side of a shape without that side, the density is 0 to machine precision.
        return (good, bad) if max(good, bad) > _NOTHING else (-700.0, _NOTHING) if self.good else (_NOTHING, -700.0)


Shape = Normal | Halves
