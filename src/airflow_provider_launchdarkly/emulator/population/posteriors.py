"""Posterior distributions of a treatment's mean, their intervals, and the probabilities to be best.

Numerical integration computes them, so the same data gives the same digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_NODES = 6
_REACH = (0.0, 1.25, 2.5, 4.0, 6.0, 8.5, 14.0, 40.0)
"""Panel edges in standard deviations from the mean. Only a skewed beta needs the far ones."""


@dataclass(frozen=True)
class Normal:
    """A normal posterior of mean ``mu`` and standard deviation ``sigma`` > 0."""

    mu: float
    sigma: float

    @property
    def mean(self) -> float:
        """The posterior mean."""
        return self.mu

    @property
    def deviation(self) -> float:
        """The posterior standard deviation."""
        return self.sigma

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends beyond which the mass is negligible."""
        return self.mu - 8.5 * self.sigma, self.mu + 8.5 * self.sigma

    def density(self, x: float) -> float:
        """Return the density at ``x`` up to a constant factor."""
        z = (x - self.mu) / self.sigma
        return math.exp(-0.5 * z * z)


@dataclass(frozen=True)
class Beta:
    """A beta posterior with ``alpha`` and ``beta`` >= 1, which a flat prior guarantees."""

    alpha: float
    beta: float

    @property
    def mean(self) -> float:
        """The posterior mean."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def deviation(self) -> float:
        """The posterior standard deviation."""
        mean = self.mean
        return math.sqrt(mean * (1 - mean) / (self.alpha + self.beta + 1))

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends beyond which the mass is negligible."""
        reach = _REACH[-1] * self.deviation
        return max(0.0, self.mean - reach), min(1.0, self.mean + reach)

    @cached_property
    def _log_peak(self) -> float:
        freedom = self.alpha + self.beta - 2
        peak = (self.alpha - 1) / freedom if freedom else 0.5
        return self._log_weight(peak)

    def _log_weight(self, x: float) -> float:
        # x ** 0 is 1 at the ends too; elsewhere the ends have no density.
        below = (self.alpha - 1) * math.log(x) if x > 0 else (0.0 if self.alpha == 1 else -math.inf)
        above = (self.beta - 1) * math.log1p(-x) if x < 1 else (0.0 if self.beta == 1 else -math.inf)
        return below + above

    def density(self, x: float) -> float:
        """Return the density at ``x`` up to a constant factor."""
        return math.exp(self._log_weight(x) - self._log_peak)


Posterior = Normal | Beta


class _Rule(NamedTuple):
    """Gauss-Legendre nodes and weights on -1..1, and for each node the weights that integrate from -1 up to it."""

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    up_to: tuple[tuple[float, ...], ...]


def _legendre(x: float, degree: int) -> list[float]:
    """Return P_0(x) … P_degree(x) (DLMF 18.9.1)."""
    values = [1.0, x]
    for n in range(1, degree):
        values.append(((2 * n + 1) * x * values[n] - n * values[n - 1]) / (n + 1))
    return values


@lru_cache(maxsize=1)
def _rule() -> _Rule:
    """Compute the rule once: roots of P_n by Newton's method, weights by DLMF 3.5.25.

    The weights up to a node integrate the interpolating polynomial, expanded in Legendre polynomials, by
    the integral of P_n from -1 to x = (P_{n+1}(x) - P_{n-1}(x)) / (2n + 1) (DLMF 18.17.1 with 18.9.1).
    """
    nodes, weights = [], []
    for index in range(_NODES):
        x = -math.cos(math.pi * (index + 0.75) / (_NODES + 0.5))
        for _ in range(6):
            p = _legendre(x, _NODES)
            slope = _NODES * (x * p[_NODES] - p[_NODES - 1]) / (x * x - 1)
            x -= p[_NODES] / slope
        nodes.append(x)
        weights.append(2 / ((1 - x * x) * slope * slope))
    at = [_legendre(x, _NODES) for x in nodes]
    up_to = tuple(
        tuple(
            w / 2 * (x + 1 + sum(known[n] * (p[n + 1] - p[n - 1]) for n in range(1, _NODES)))
            for w, known in zip(weights, at, strict=True)
        )
        for x, p in zip(nodes, at, strict=True)
    )
    return _Rule(tuple(nodes), tuple(weights), up_to)


def _edges(posteriors: Sequence[Posterior]) -> list[float]:
    """Return panel edges at the scale of each posterior, over the range that any of them covers."""
    low = min(posterior.bounds[0] for posterior in posteriors)
    high = max(posterior.bounds[1] for posterior in posteriors)
    narrowest = min(posterior.deviation for posterior in posteriors)
    wanted = sorted(
        edge
        for posterior in posteriors
        for reach in _REACH
        for edge in (posterior.mean - reach * posterior.deviation, posterior.mean + reach * posterior.deviation)
        if low < edge < high
    )
    edges = [low]
    for edge in wanted:
        if edge - edges[-1] > 0.5 * narrowest:
            edges.append(edge)
    return [*edges, high]


def probabilities_to_be_best(posteriors: Sequence[Posterior], *, higher_is_better: bool) -> list[float]:
    """Return each treatment's probability that its true mean is the best.

    P(i is best) = integral of f_i(x) times the product over j != i of F_j(x) (of 1 - F_j(x) if lower is better), by
    composite Gauss-Legendre quadrature; the F_j come from the same nodes. The probabilities add up to 1.

    Args:
        posteriors: Independent posteriors, at least one.
        higher_is_better: Whether the largest mean is the best, or else the smallest.
    """
    rule, edges = _rule(), _edges(posteriors)
    panels = [(left, (right - left) / 2) for left, right in pairwise(edges)]
    density = [[[p.density(left + half * (1 + x)) for x in rule.nodes] for left, half in panels] for p in posteriors]
    masses = [[half * _dot(rule.weights, at) for (_, half), at in zip(panels, arm, strict=True)] for arm in density]
    totals = [math.fsum(mass) for mass in masses]
    below = [0.0] * len(posteriors)
    best = [0.0] * len(posteriors)
    for panel, (_, half) in enumerate(panels):
        for node, (weight, up_to) in enumerate(zip(rule.weights, rule.up_to, strict=True)):
            beaten = []
            for arm, total in enumerate(totals):
                share = (below[arm] + half * _dot(up_to, density[arm][panel])) / total
                beaten.append(share if higher_is_better else 1 - share)
            for arm, total in enumerate(totals):
                others = math.prod(beaten[:arm]) * math.prod(beaten[arm + 1 :])
                best[arm] += half * weight * density[arm][panel][node] / total * others
        below = [before + mass[panel] for before, mass in zip(below, masses, strict=True)]
    best = [max(0.0, probability) for probability in best]
    whole = math.fsum(best)
    return [probability / whole for probability in best]


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(map(float.__mul__, weights, values))


def credible_interval(posterior: Posterior, level: float = 0.9) -> tuple[float, float]:
    """Return the equal-tailed interval with the share ``level`` of the posterior."""
    tail = (1 - level) / 2
    return quantile(posterior, tail), quantile(posterior, 1 - tail)


def quantile(posterior: Posterior, probability: float) -> float:
    """Return the quantile of a ``probability`` between 0 and 1, to about seven digits."""
    rule, edges = _rule(), _edges([posterior])

    def mass(left: float, right: float) -> float:
        half = (right - left) / 2
        return half * _dot(rule.weights, [posterior.density(left + half * (1 + x)) for x in rule.nodes])

    masses = [mass(left, right) for left, right in pairwise(edges)]
    wanted = probability * math.fsum(masses)
    panel = 0
    while wanted > masses[panel] and panel < len(masses) - 1:
        wanted -= masses[panel]
        panel += 1
    left, right = edges[panel], edges[panel + 1]
    start, x = left, (left + right) / 2
    for _ in range(60):
        excess = mass(start, x) - wanted
        left, right = (left, x) if excess > 0 else (x, right)
        slope = posterior.density(x)
        step = x - excess / slope if slope else left
        following = step if left < step < right else (left + right) / 2
        if abs(following - x) <= 1e-13 * (right - left + abs(x)):
            break
        x = following
    return x


class RatioEstimate(NamedTuple):
    """A relative difference: its ``value`` (0.1 is 10 % more), ``variance`` and equal-tailed 90 % bounds."""

    value: float
    variance: float
    lower: float
    upper: float


_Z_90 = 1.6448536269514722
"""The standard normal's 95 % quantile."""


def relative_difference(mean: float, variance: float, from_mean: float, from_variance: float) -> RatioEstimate | None:
    """Return (mean - from_mean) / |from_mean| of two independent means, or None if the reference may be 0.

    By the delta method (Deng, Knoblich & Lu, "Applying the Delta Method in Metric Analytics", KDD 2018):
    variance = (v + v0 (m / m0)²) / m0².
    """
    if from_mean * from_mean <= _Z_90 * _Z_90 * from_variance:
        return None
    value = (mean - from_mean) / abs(from_mean)
    spread = (variance + from_variance * (mean / from_mean) ** 2) / (from_mean * from_mean)
    reach = _Z_90 * math.sqrt(spread)
    return RatioEstimate(value, spread, value - reach, value + reach)


_CONCENTRATION = 10_000.0
"""The concentration of the alternative's shares around the requested ones: about half a point at an even split."""


def probability_of_mismatch(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Return the posterior probability of a sample ratio mismatch, from 0 to 1.

    It uses the Bayes factor of a Dirichlet-multinomial centred on the requested shares against the multinomial with
    exactly those shares, at prior odds of 1 (Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data",
    arXiv 2011.03567). With the right split the factor ever exceeds 1 / a with probability at most a, so daily use is
    valid.

    Args:
        counts: The people by treatment.
        shares: The requested shares, 0 where no people are expected.

    Returns:
        The probability, or None without people or with fewer than two treatments that expect any.
    """
    total = sum(shares)
    arms = [(count, share / total) for count, share in zip(counts, shares, strict=True) if share > 0]
    people = sum(count for count, _ in arms)
    if sum(counts) > people:
        return 1.0
    if not people or len(arms) < 2:
        return None
    log_factor = math.lgamma(_CONCENTRATION) - math.lgamma(_CONCENTRATION + people)
    for count, share in arms:
        prior = _CONCENTRATION * share
        log_factor += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return 1 / (1 + math.exp(-log_factor)) if log_factor > -700 else 0.0
