"""The shapes that real effects may have: normal, or one-sided and decaying; with what an estimate says under each.

The logarithm of an estimate's density under a shape, relative to no effect at all, and the effect's posterior as
pieces of normal distributions, cut off at 0 at most. Both are closed forms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import tail

_ROOT_2PI = math.sqrt(2.0 * math.pi)


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


class Decay(NamedTuple):
    """Real effects are exponential on either side of 0, with a share of good ones that need not be a half.

    Johnstone & Silverman (2005), "Empirical Bayes selection of wavelet thresholds", Annals of Statistics 33, section
    2.3, with its two sides apart.
    """

    good: float
    mean: float

    def log_ratio(self, estimate: Estimate) -> float:
        """Return the logarithm of the estimate's density under this shape over that under no effect."""
        sides = self._sides(estimate)
        highest = max(sides.values())
        return highest + math.log(math.fsum(math.exp(part - highest) for part in sides.values()))

    def posterior(self, estimate: Estimate) -> tuple[Piece, ...]:
        """Return the effect's posterior if this shape is the right one."""
        sides, pull = self._sides(estimate), estimate.error * estimate.error / self.mean
        all_in = self.log_ratio(estimate)
        return tuple(
            Piece(math.exp(part - all_in), estimate.effect - side * pull, estimate.error, side)
            for side, part in sides.items()
        )

    def _sides(self, estimate: Estimate) -> dict[int, float]:
        """Return the logarithm of each side's part of the density, over that under no effect."""
        shares = {1: self.good, -1: 1.0 - self.good}
        scale = estimate.error * _ROOT_2PI / self.mean
        return {
            side: math.log(share * scale)
            + _log_mills(side * estimate.effect / estimate.error - estimate.error / self.mean)
            for side, share in shares.items()
            if share > 0.0
        }


def _log_mills(u: float) -> float:
    """Return the logarithm of P(Z < u) exp(u^2 / 2), for u down to minus infinity."""
    if u > -12.0:
        return 0.5 * u * u + math.log(tail(-u))
    square = u * u
    return -math.log(-u * _ROOT_2PI) + math.log1p(-1.0 / square + 3.0 / (square * square))


Shape = Normal | Decay
