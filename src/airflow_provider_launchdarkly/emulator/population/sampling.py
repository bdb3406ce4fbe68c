"""Draw random numbers at a cost that does not grow with the number of people.

The draws are exact: counts of people (Poisson, binomial, hypergeometric) and sufficient statistics of their values.
Each generator is seeded by a key alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Stadlober (1990), "The ratio of uniforms approach for generating discrete random variates", J. Comput. Appl. Math. 31:
# these two make the hat cover every Poisson, binomial and hypergeometric distribution.
_HAT_SLOPE = 2 * math.sqrt(2 / math.e)
_HAT_OFFSET = 3 - 2 * math.sqrt(3 / math.e)
_SMALL = 12
"""Below this mean, or number of draws from an urn, an enumeration of the outcomes is exact and as fast."""


def generator(*key: str | int) -> Random:
    """Return a generator that depends on ``key`` alone, on every machine and in every process."""
    digest = blake2b(repr(key).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest))  # noqa: S311 - simulated people, not secrets


def _ratio_of_uniforms(
    rng: Random, log_weight: Callable[[int], float], *, mean: float, variance: float, highest: int, mode: int
) -> int:
    """Draw an integer in ``0..highest`` whose probability is proportional to ``exp(log_weight(k))``.

    Stadlober (1990): k = floor(a + s (v - 1/2) / u), taken when u² <= p(k) / p(mode).
    """
    centre = mean + 0.5
    scale = _HAT_SLOPE * math.sqrt(variance + 0.5) + _HAT_OFFSET
    at_mode = log_weight(mode)
    uniform = rng.random
    while True:
        u = 1.0 - uniform()
        x = centre + scale * (uniform() - 0.5) / u
        if not 0.0 <= x < highest + 1:
            continue
        k = int(x)
        if 2.0 * math.log(u) <= log_weight(k) - at_mode:
            return k


def poisson(rng: Random, mean: float) -> int:
    """Draw from the Poisson distribution with a ``mean`` >= 0."""
    if mean < _SMALL:
        return _by_inversion(rng, math.exp(-mean), lambda k: mean / (k + 1))
    log_mean = math.log(mean)
    # The mass beyond mean + 20 standard deviations + 40 is below 1e-60.
    highest = int(mean + 20 * math.sqrt(mean)) + 40
    return _ratio_of_uniforms(
        rng,
        lambda k: k * log_mean - math.lgamma(k + 1),
        mean=mean,
        variance=mean,
        highest=highest,
        mode=int(mean),
    )


def binomial(rng: Random, trials: int, chance: float) -> int:
    """Draw the number of successes in ``trials`` >= 0 with the probability ``chance``, 0 to 1."""
    if trials <= 0 or chance <= 0:
        return 0
    if chance > 0.5:
        return trials - binomial(rng, trials, 1 - chance)
    mean = trials * chance
    odds = chance / (1 - chance)
    if mean < _SMALL:
        none = math.exp(trials * math.log1p(-chance))
        return _by_inversion(rng, none, lambda k: (trials - k) / (k + 1) * odds)
    log_odds, lgamma = math.log(odds), math.lgamma
    return _ratio_of_uniforms(
        rng,
        lambda k: k * log_odds - lgamma(k + 1) - lgamma(trials - k + 1),
        mean=mean,
        variance=mean * (1 - chance),
        highest=trials,
        mode=int((trials + 1) * chance),
    )


def hypergeometric(rng: Random, marked: int, unmarked: int, drawn: int) -> int:
    """Draw the number of ``marked`` people among ``drawn`` people, without replacement."""
    total = marked + unmarked
    # Three symmetries lead to the case where neither the marked nor the drawn are more than half.
    if drawn > total - drawn:
        return marked - hypergeometric(rng, marked, unmarked, total - drawn)
    if marked > unmarked:
        return drawn - hypergeometric(rng, unmarked, marked, drawn)
    if min(drawn, marked) < _SMALL:
        return _from_urn(rng, max(drawn, marked), total, min(drawn, marked))
    share = marked / total
    mean = drawn * share
    variance = mean * (1 - share) * (total - drawn) / (total - 1)
    lgamma, spare = math.lgamma, unmarked - drawn + 1
    return _ratio_of_uniforms(
        rng,
        lambda k: -(lgamma(k + 1) + lgamma(marked - k + 1) + lgamma(drawn - k + 1) + lgamma(spare + k)),
        mean=mean,
        variance=variance,
        highest=min(drawn, marked),
        mode=int((drawn + 1) * (marked + 1) / (total + 2)),
    )


def _by_inversion(rng: Random, none: float, ratio: Callable[[int], float]) -> int:
    """Draw from a distribution on 0, 1, 2, … with p(0) = ``none`` and p(k+1) = p(k) x ``ratio(k)``."""
    u, k, p = rng.random(), 0, none
    while u >= p > 0.0:
        u -= p
        p *= ratio(k)
        k += 1
    return k if p > 0.0 else k - 1


def _from_urn(rng: Random, marked: int, total: int, drawn: int) -> int:
    found = 0
    for taken in range(drawn):
        if rng.random() * (total - taken) < marked - found:
            found += 1
    return found


def multinomial(rng: Random, trials: int, weights: Sequence[float]) -> list[int]:
    """Draw a division of ``trials`` by ``weights`` >= 0, which are not all 0 unless ``trials`` is 0."""
    counts = []
    weight_left = math.fsum(weights)
    for weight in weights[:-1]:
        count = binomial(rng, trials, min(1.0, weight / weight_left)) if trials else 0
        counts.append(count)
        trials -= count
        weight_left -= weight
    return [*counts, trials]


def subset(rng: Random, sizes: Sequence[int], count: int) -> list[int]:
    """Draw ``count`` people from groups of the given ``sizes``, and return the number from each group."""
    counts = []
    left = sum(sizes)
    for size in sizes:
        taken = hypergeometric(rng, size, left - size, count) if count and size else 0
        counts.append(taken)
        count -= taken
        left -= size
    return counts


@dataclass(frozen=True, slots=True)
class Moments:
    """Sufficient statistics of values: count, sum and sum of squares.

    For a covariate x of the same people: its sum, its sum of squares and the sum of its products with the values.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    x_total: float = 0.0
    x_squares: float = 0.0
    xy: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        """Return the statistics of both groups of people together."""
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            self.x_total + other.x_total,
            self.x_squares + other.x_squares,
            self.xy + other.xy,
        )

    @property
    def squared_deviations(self) -> float:
        """The sum of the squared deviations from the values' mean."""
        return max(0.0, self.squares - self.total * self.total / self.count) if self.count else 0.0


NOTHING = Moments()


def conversions(count: int) -> Moments:
    """Return the statistics of ``count`` conversions, each with the value 1."""
    return Moments(count, float(count), float(count)) if count else NOTHING


def _chi_square(rng: Random, freedom: int) -> float:
    return rng.gammavariate(freedom / 2, 2.0) if freedom > 0 else 0.0


def normal_values(rng: Random, count: int, mean: float, deviation: float) -> Moments:
    """Draw the statistics of ``count`` independent normal values.

    The mean of a normal sample and its squared deviations are independent (Cochran's theorem): N(mean, deviation² /
    count), and deviation² times chi-square with count - 1 degrees of freedom.
    """
    if not count:
        return NOTHING
    total = count * mean + deviation * math.sqrt(count) * rng.gauss(0.0, 1.0)
    within = deviation * deviation * _chi_square(rng, count - 1)
    return Moments(count, total, within + total * total / count)


def split_values(rng: Random, whole: Moments, sizes: Sequence[int]) -> list[Moments]:
    """Draw a division of a normal sample, given by its statistics, into groups whose ``sizes`` add up to its count.

    Given mean and squared deviations, the standardised residuals lie uniformly on a sphere, so the part of the squared
    deviations between a group and the rest is Beta(1/2, (n-2)/2), and what remains divides between the inside of the
    group (m people) and the inside of the rest as Beta((m-1)/2, (n-m-1)/2): neither needs the true mean or deviation.
    """
    parts = []
    count, mean, within = whole.count, whole.total / max(whole.count, 1), whole.squared_deviations
    for size in sizes:
        if size == 0:
            parts.append(NOTHING)
            continue
        rest = count - size
        if rest == 0:
            parts.append(_from_mean(count, mean, within))
            count, mean, within = 0, 0.0, 0.0
            continue
        z = rng.gauss(0.0, 1.0)
        between = z * z / (z * z + _chi_square(rng, count - 2))
        gap = math.copysign(math.sqrt(within * between * count / (size * rest)), z)
        within *= 1 - between
        inside, outside = _chi_square(rng, size - 1), _chi_square(rng, rest - 1)
        share = inside / (inside + outside) if inside + outside > 0 else 0.0
        parts.append(_from_mean(size, mean + gap * rest / count, within * share))
        mean -= gap * size / count
        within *= 1 - share
        count = rest
    return parts


def _from_mean(count: int, mean: float, within: float) -> Moments:
    return Moments(count, count * mean, within + count * mean * mean)


@dataclass(frozen=True, slots=True)
class Covariate:
    """The mean ``centre`` and standard ``deviation`` of a covariate x, and its correlation with the value."""

    centre: float
    deviation: float
    correlation: float


def with_covariate(rng: Random, values: Moments, mean: float, covariate: Covariate) -> Moments:
    """Draw the statistics of a covariate and add them to those of normal ``values`` with the true mean ``mean``.

    x = centre + deviation (r (y - mean) / deviation + sqrt(1 - r²) e) with e standard normal, independent of y. Given
    the ys, the projection of e on their centred direction is N(0, 1), the rest of its squares chi-square(n - 2).
    """
    n = values.count
    if not n:
        return values
    slope = covariate.correlation
    noise = covariate.deviation * math.sqrt(1 - slope * slope)
    spread = values.squared_deviations
    along = rng.gauss(0.0, 1.0) if n > 1 else 0.0
    e_mean = rng.gauss(0.0, 1.0) / math.sqrt(n)
    e_within = along * along + _chi_square(rng, n - 2)
    e_with_y = along * math.sqrt(spread)
    y_mean = values.total / n
    x_mean = covariate.centre + slope * (y_mean - mean) + noise * e_mean
    x_within = slope * slope * spread + 2 * slope * noise * e_with_y + noise * noise * e_within
    xy_within = slope * spread + noise * e_with_y
    return Moments(
        n, values.total, values.squares, n * x_mean, x_within + n * x_mean * x_mean, xy_within + n * x_mean * y_mean
    )
