"""Draw single people whose statistics are those of the group that they belong to.

Their values are whole multiples of a power of two. So their sums and sums of squares are exact in double precision, in
any order of addition, as long as they stay below 2**53 such multiples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.emulator.population.sampling import NOTHING, Moments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_STEPS = 2**15
"""Multiples between zero and the largest usual value: 8 million of its squares still add up below 2**53."""


class Value(NamedTuple):
    """A person's value, and the covariate from before the experiment; 0 if there is none."""

    value: float
    covariate: float = 0.0


def resolution(mean: float, deviation: float) -> float:
    """Return the power of two that values of this mean and standard deviation are multiples of.

    It is at most an eighth of the deviation, so that rounding adds less than a 700th to the variance.
    """
    wanted = min((abs(mean) + 8 * deviation) / _STEPS, deviation / 8)
    return 2.0 ** math.floor(math.log2(wanted))


def single_values(rng: Random, group: Moments, step: float, *, covariate: bool) -> list[Value]:
    """Draw the values of a group's people: normal, with the group's statistics but for rounding to ``step``.

    Args:
        rng: The generator.
        group: The statistics of the group.
        step: The resolution of the values.
        covariate: Whether the statistics have a covariate.
    """
    n = group.count
    if not n:
        return []
    mean = group.total / n
    deviations = _scaled(_centred([rng.gauss(0.0, 1.0) for _ in range(n)]), group.squared_deviations)
    values = [_rounded(mean + deviation, step) for deviation in deviations]
    if not covariate:
        return [Value(value) for value in values]
    x_mean = group.x_total / n
    spread = sum(deviation * deviation for deviation in deviations)
    slope = (group.xy - n * x_mean * mean) / spread if spread else 0.0
    noise = _centred([rng.gauss(0.0, 1.0) for _ in range(n)])
    along = sum(map(math.prod, zip(noise, deviations, strict=True))) / spread if spread else 0.0
    noise = [e - along * deviation for e, deviation in zip(noise, deviations, strict=True)]
    unexplained = group.x_squares - n * x_mean * x_mean - slope * slope * spread
    # Of two people, both deviations lie on one line: nothing is left to explain but rounding.
    noise = _scaled(noise, unexplained if n > 2 else 0.0)
    return [
        Value(value, _rounded(x_mean + slope * deviation + e, step))
        for value, deviation, e in zip(values, deviations, noise, strict=True)
    ]


def moments_of(values: Sequence[Value], step: float) -> Moments:
    """Return the statistics of values that are multiples of ``step``, exactly."""
    if not values:
        return NOTHING
    ys = [round(one.value / step) for one in values]
    xs = [round(one.covariate / step) for one in values]
    square = step * step
    return Moments(
        len(values),
        sum(ys) * step,
        sum(y * y for y in ys) * square,
        sum(xs) * step,
        sum(x * x for x in xs) * square,
        sum(x * y for x, y in zip(xs, ys, strict=True)) * square,
    )


def parts_of(rng: Random, value: float, count: int, step: float) -> list[float]:
    """Divide a value at random into ``count`` multiples of ``step`` that add up to it."""
    left, parts = round(value / step), []
    for others in range(count - 1, 0, -1):
        part = int(left * rng.random() * 2 / (others + 1))
        parts.append(part * step)
        left -= part
    return [*parts, left * step]


def _centred(draws: list[float]) -> list[float]:
    mean = math.fsum(draws) / len(draws)
    return [draw - mean for draw in draws]


def _scaled(deviations: list[float], squares: float) -> list[float]:
    own = sum(deviation * deviation for deviation in deviations)
    factor = math.sqrt(max(0.0, squares) / own) if own else 0.0
    return [deviation * factor for deviation in deviations]


def _rounded(value: float, step: float) -> float:
    return round(value / step) * step
