"""The boundaries of a group-sequential design: the z value to reach at each look. Pure arithmetic.

The design spends its error probability over the looks of a plan. The boundary of each look is solved, by numerical
integration over the paths that have not crossed before, from the information at the looks so far and from what each may
spend. The outcomes of earlier looks play no part, so a repeated look has the same boundary.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# No boundary is higher than this z value.
FARTHEST = 8.5
# No path is followed further from its mean than this many standard deviations.
_REACH = 6.0
# Two looks so close to each other that more panels would be needed see the same data.
_MOST_PANELS = 500
_ROOT_2 = math.sqrt(2.0)
_ROOT_2PI = math.sqrt(2.0 * math.pi)


def tail(z: float) -> float:
    """Return P(Z > z) for a standard normal Z."""
    return 0.5 * math.erfc(z / _ROOT_2)


def quantile(probability: float) -> float:
    """Return the z with P(Z > z) = ``probability``."""
    from statistics import NormalDist

    return -NormalDist().inv_cdf(probability)


def hwang_shih_decani(alpha: float, gamma: float, fraction: float) -> float:
    """Return the error spent when a fraction of the information is in.

    Hwang, Shih & DeCani (1990), "Group sequential designs using a family of type I error probability spending
    functions", Statistics in Medicine 9, eq. (5): ``alpha (1 - exp(-gamma t)) / (1 - exp(-gamma))``, and ``alpha t``
    for gamma 0. gamma = -4 is close to O'Brien-Fleming (late), 1 close to Pocock (early).

    Args:
        alpha: One-sided error to spend in all.
        gamma: Shape; a larger one spends earlier.
        fraction: Information fraction, 0 to 1; more than 1 counts as 1.
    """
    fraction = min(max(fraction, 0.0), 1.0)
    if abs(gamma) < 1e-9:
        return alpha * fraction
    return alpha * math.expm1(-gamma * fraction) / math.expm1(-gamma)


class Boundary(NamedTuple):
    """A solved design: the z value to reach at each look, and the error spent so far.

    Attributes:
        shares: Share of the plan that is over at each look, by the clock or by units; rising, the last one 1.
        z: The boundary at each look.
        spent: Cumulative one-sided error up to and including each look.
    """

    shares: tuple[float, ...]
    z: tuple[float, ...]
    spent: tuple[float, ...]

    def at(self, share: float) -> float:
        """Return the z value to reach when this share of the plan is over.

        It is exact at the design's looks and linear between them. Before the first look it has the O'Brien-Fleming
        shape: the boundary of the Brownian motion stays constant (``z * sqrt(first / share)``).
        """
        first = self.shares[0]
        if share <= first:
            return self.z[0] * math.sqrt(first / share) if share > 0 else math.inf
        return self._between(share, self.z)

    def spent_at(self, share: float) -> float:
        """Return the error spent when this share of the plan is over; 0 before the first look."""
        return self._between(share, self.spent) if share >= self.shares[0] else 0.0

    def _between(self, share: float, values: Sequence[float]) -> float:
        if share >= self.shares[-1]:
            return values[-1]
        right = bisect_right(self.shares, share)
        left, width = self.shares[right - 1], self.shares[right] - self.shares[right - 1]
        return values[right - 1] + (share - left) / width * (values[right] - values[right - 1])


@lru_cache(maxsize=256)
def solve(fractions: tuple[float, ...], spent: tuple[float, ...]) -> tuple[float, ...]:
    """Solve the upper boundary that spends exactly the given error by each look.

    The recursion of Armitage, McPherson & Rowe (1969), JRSS A 132, in the form of Jennison & Turnbull (2000), "Group
    Sequential Methods with Applications to Clinical Trials", section 19.2, eqs. (19.4) to (19.7), on the scale of the
    Brownian motion ``B(t) = Z sqrt(t)``; integrated with Gauss-Legendre nodes on the part of the line from which the
    boundary can still matter.

    Args:
        fractions: Information fractions of the looks, rising, above 0.
        spent: Cumulative one-sided error by each look, not falling.

    Returns:
        The z value to reach at each look. Each process solves a design once.
    """
    return solve_afresh(fractions, spent)


def solve_afresh(fractions: Sequence[float], spent: Sequence[float]) -> tuple[float, ...]:
    """Solve a boundary as :func:`solve`, without keeping it: for paths that hardly ever come twice."""
    # No boundary is below the one that a single look with all the error would have.
    walk = _Walk(0.0, fractions, quantile(min(spent[-1], 0.5)) if spent and spent[-1] > 0 else FARTHEST)
    z: list[float] = []
    already = 0.0
    for fraction, cumulative in zip(fractions, spent, strict=True):
        bound = walk.bound_for(fraction, cumulative - already)
        # No path crosses such a boundary, so the look is no step of the walk.
        if bound < FARTHEST:
            walk.step(fraction, bound * math.sqrt(fraction))
        z.append(bound)
        already = cumulative
    return tuple(z)


def crossing_probabilities(fractions: Sequence[float], z: Sequence[float], drift: float = 0.0) -> tuple[float, ...]:
    """Return the probability that the boundary is first crossed at each look.

    Args:
        fractions: True information fractions of the looks, rising; need not be those the boundary was solved for.
        z: The boundary at each look; ``math.inf`` at looks that no path can cross.
        drift: Expected z value when all information is in: 0 without an effect, 2.80 (1.96 + 0.84) with the effect that
            a fixed two-sided 5 % test finds with 80 % power.
    """
    walk = _Walk(drift, fractions, min(z, default=FARTHEST))
    return tuple(
        walk.step(fraction, bound * math.sqrt(fraction)) if bound < FARTHEST + abs(drift) else 0.0
        for fraction, bound in zip(fractions, z, strict=True)
    )


class Crossings:
    """The probability to cross a boundary first at a look, for any drift, from one walk.

    A walk without drift gives the paths that have not crossed; each drift weighs a path that has come to *b* at time
    *t* by the likelihood ratio ``exp(drift b - drift^2 t / 2)`` (Jennison & Turnbull 2000, section 19.2).

    Args:
        fractions: Information of the looks, rising, above 0.
        z: The boundary at each look.
    """

    def __init__(self, fractions: Sequence[float], z: Sequence[float]) -> None:
        # All paths are kept, those far below the boundary too: `beyond` may ask for any z value.
        walk = _Walk(0.0, fractions, -FARTHEST)
        self._fractions = tuple(fractions)
        self._before: list[tuple[float, list[float], list[float]]] = []
        for fraction, bound in zip(fractions, z, strict=True):
            self._before.append(walk.at(fraction))
            # No path crosses such a boundary, so the look is no step of the walk.
            if bound < FARTHEST:
                walk.step(fraction, bound * math.sqrt(fraction))

    def reaching(self, look: int) -> tuple[float, float, list[float], list[float]]:
        """Return a look's information, that of the look before, and the points and masses of the paths between."""
        return self._fractions[look], *self._before[look]

    def beyond(self, look: int, bound: float, drift: float) -> tuple[float, float]:
        """Return the probability to be beyond a z value at a look, and at no look before beyond the boundary.

        Args:
            look: Index of the look.
            bound: The z value.
            drift: Expected place when the information is 1.

        Returns:
            The probability, and the sum of the places ``B = z sqrt(t)`` of these paths, weighed by probability.
        """
        points, weights, ahead, deviation = self._weighed(look, bound, drift)
        scale, erfc, exp = 1.0 / (deviation * _ROOT_2), math.erfc, math.exp
        distances = [(ahead - point) * scale for point in points]
        shares = [weight * erfc(distance) for weight, distance in zip(weights, distances, strict=True)]
        bells = sum([weight * exp(-distance * distance) for weight, distance in zip(weights, distances, strict=True)])
        probability, moved = 0.5 * sum(shares), bound * math.sqrt(self._fractions[look]) - ahead
        places = 0.5 * sum([point * share for point, share in zip(points, shares, strict=True)])
        return probability, places + moved * probability + deviation / _ROOT_2PI * bells

    def probability_beyond(self, look: int, bound: float, drift: float) -> float:
        """Return the first value of :meth:`beyond`, in half the time; arguments as there."""
        points, weights, ahead, deviation = self._weighed(look, bound, drift)
        scale, erfc = 1.0 / (deviation * _ROOT_2), math.erfc
        return 0.5 * sum(
            [weight * erfc((ahead - point) * scale) for weight, point in zip(weights, points, strict=True)]
        )

    def _weighed(self, look: int, bound: float, drift: float) -> tuple[list[float], list[float], float, float]:
        """Return the points from which a bound can be reached, their weights, the way to it, and its deviation."""
        time, points, masses = self._before[look]
        length = self._fractions[look] - time
        deviation, half, exp = math.sqrt(length), 0.5 * drift * drift * time, math.exp
        ahead = bound * math.sqrt(self._fractions[look]) - drift * length
        first = bisect_left(points, ahead - 8.0 * deviation)
        near = points[first:]
        weights = [mass * exp(drift * point - half) for mass, point in zip(masses[first:], near, strict=True)]
        return near, weights, ahead, deviation


class Exits(NamedTuple):
    """The probabilities that a path first leaves at each look.

    Attributes:
        above: Above the upper boundary.
        below: Below the lower boundary.
        between: Below the inner boundary, but not below the lower one.
    """

    above: tuple[float, ...]
    below: tuple[float, ...]
    between: tuple[float, ...]


def exit_probabilities(
    fractions: Sequence[float],
    upper: Sequence[float],
    lower: Sequence[float],
    inner: Sequence[float],
    drift: float = 0.0,
) -> Exits:
    """Return the probabilities that a path first leaves at each look, above the upper or below a lower boundary.

    Args:
        fractions: True information fractions of the looks, rising.
        upper: The upper boundary at each look, as z values; ``math.inf`` where there is none.
        lower: The lower boundary at each look; ``-math.inf`` where there is none.
        inner: Another lower boundary, such as one for futility, which counts apart.
        drift: Expected z value when all information is in.
    """
    floors = [max(pair) for pair in zip(lower, inner, strict=True)]
    nearest = min((*upper, *(floor for floor in floors if math.isfinite(floor))), default=FARTHEST)
    walk = _Walk(drift, fractions, nearest)
    found: list[tuple[float, float, float]] = []
    for fraction, bound, low, floor in zip(fractions, upper, lower, floors, strict=True):
        root, reach = math.sqrt(fraction), FARTHEST + abs(drift)
        # No path crosses a boundary as far away as this.
        below = max(walk.below(fraction, low * root), 0.0) if low > -reach else 0.0
        left = max(walk.below(fraction, floor * root), 0.0) if floor > -reach else 0.0
        crossed = walk.step(fraction, min(bound, reach) * root, max(floor, -reach) * root)
        found.append((crossed if bound < reach else 0.0, below, max(left - below, 0.0)))
    above, below_lower, between = zip(*found, strict=True)
    return Exits(above, below_lower, between)


class _Walk:
    """The density of a Brownian motion with drift among the paths that have not crossed yet.

    Args:
        drift: Expected place when all information is in.
        times: All times to which it may move, rising.
        lowest: A z value below which no boundary falls.
    """

    def __init__(self, drift: float, times: Sequence[float], lowest: float) -> None:
        self._drift = drift
        self._end = times[-1] if times else 1.0
        self._lowest = min(lowest, FARTHEST)
        self._time = 0.0
        self._points: list[float] = [0.0]
        self._masses: list[float] = [1.0]
        # A step that was taken, as time, bound and floor: its points are only chosen when the next step's length is
        # known.
        self._taken: tuple[float, float, float] | None = None

    def at(self, following: float) -> tuple[float, list[float], list[float]]:
        """Return the time of the latest step, and the points and masses of the paths that go on to a later time."""
        self._settle(following)
        return self._time, self._points, self._masses

    def step(self, time: float, bound: float, floor: float = -math.inf) -> float:
        """Move to ``time``, keep the paths between ``floor`` and ``bound``, and return the probability above."""
        crossed = self._above(time, bound)
        self._taken = (time, bound, floor)
        return crossed

    def below(self, time: float, floor: float) -> float:
        """Return the probability to be below ``floor`` at ``time``."""
        self._settle(time)
        return math.fsum(self._masses) - self._above(time, floor)

    def _settle(self, following: float) -> None:
        """Choose the points that stand for the paths below the latest bound, fine enough for a step to `following`."""
        if self._taken is None:
            return
        (time, bound, floor), self._taken = self._taken, None
        mean, deviation = self._drift * time, math.sqrt(time)
        upper = min(bound, mean + _REACH * deviation)
        # A path that is far below all boundaries to come cannot return to them, so the lower end keeps those that can.
        nearest = min(bound, min(self._lowest, 0.0) * math.sqrt(self._end), self._lowest * deviation)
        left = max(self._end - time, 0.0)
        lower = max(mean - _REACH * deviation, nearest - max(self._drift, 0.0) * left - _REACH * math.sqrt(left) - 0.5)
        lower = max(lower, floor)
        finest = math.sqrt(min(time - self._time, following - time))
        self._points, self._masses = self._spread(time, min(lower, upper - 1e-6), upper, finest)
        self._time = time

    def bound_for(self, time: float, probability: float) -> float:
        """Return the z value that is crossed at ``time`` with a given probability, by safeguarded Newton steps."""
        if probability <= tail(FARTHEST):
            return FARTHEST
        self._settle(time)
        root = math.sqrt(time)
        low, high = -FARTHEST * root, FARTHEST * root
        bound = min(high, quantile(min(probability, 0.5)) * root)
        for _ in range(60):
            above, slope = self._above(time, bound), self._density(time, bound)
            low, high = (bound, high) if above > probability else (low, bound)
            # On the scale of logarithms the tail is nearly a straight line.
            usable = slope > 1e-300 and above > 1e-300
            following = bound + above * math.log(above / probability) / slope if usable else (low + high) / 2.0
            if not low < following < high:
                following = (low + high) / 2.0
            if abs(following - bound) < 1e-10:
                break
            bound = following
        return bound / root

    def _above(self, time: float, bound: float) -> float:
        self._settle(time)
        deviation = math.sqrt(time - self._time)
        ahead = bound - self._drift * (time - self._time)
        scale = 1.0 / (deviation * _ROOT_2)
        erfc = math.erfc
        return 0.5 * sum(
            [mass * erfc((ahead - point) * scale) for mass, point in zip(self._masses, self._points, strict=True)]
        )

    def _density(self, time: float, place: float) -> float:
        deviation = math.sqrt(time - self._time)
        ahead = place - self._drift * (time - self._time)
        first = bisect_left(self._points, ahead - _REACH * deviation)
        last = bisect_right(self._points, ahead + _REACH * deviation)
        scale = -0.5 / (deviation * deviation)
        near, exp = zip(self._masses[first:last], self._points[first:last], strict=True), math.exp
        # Not `** 2`, which takes as long as all the rest.
        total = sum([mass * exp(scale * (away := ahead - point) * away) for mass, point in near])
        return total / (deviation * _ROOT_2PI)

    def _spread(self, time: float, lower: float, upper: float, finest: float) -> tuple[list[float], list[float]]:
        # Neither the density nor the next step's kernel may change much from one point to the next.
        panels = min(max(2, math.ceil((upper - lower) / (4.0 * finest))), _MOST_PANELS)
        width = (upper - lower) / panels
        points: list[float] = []
        masses: list[float] = []
        nodes: Sequence[tuple[float, float]] = _legendre(8)
        density: Callable[[float, float], float] = self._density
        for panel in range(panels):
            start = lower + panel * width
            for node, weight in nodes:
                place = start + node * width
                points.append(place)
                masses.append(weight * width * density(time, place))
        return points, masses


@lru_cache(maxsize=4)
def _legendre(count: int) -> tuple[tuple[float, float], ...]:
    """Return Gauss-Legendre nodes and weights on [0, 1] (Abramowitz & Stegun 25.4.30), by Newton steps."""
    found = []
    for index in range(count, 0, -1):
        x = math.cos(math.pi * (index - 0.25) / (count + 0.5))
        for _ in range(20):
            before, value = 1.0, x
            for degree in range(2, count + 1):
                before, value = value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree
            slope = count * (x * value - before) / (x * x - 1.0)
            x -= value / slope
        found.append(((x + 1.0) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope)))
    return tuple(found)
