"""A linear scale with round marks, for values that may be absent, infinite, equal, or far apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# Beyond these a difference, or its tenth, is no number any more: such values count as infinite, such spans as none.
_LARGEST, _SMALLEST = 1e300, 1e-300
_FACTORS = (1.0, 2.0, 5.0, 10.0)
# How far beyond what matters a scale may reach for the rest: early intervals are a hundred times as wide as late ones.
_REACH = 1.5


class Scale(NamedTuple):
    """Values from `low` to `high`, drawn from `start` to `end`.

    Attributes:
        low: The lowest value that is drawn.
        high: The highest one, above `low`.
        start: Coordinate of `low`.
        end: Coordinate of `high`; smaller than `start` where values rise upwards.
        step: Distance of two marks: 1, 2 or 5 times a power of ten.
    """

    low: float
    high: float
    start: float
    end: float
    step: float

    def place(self, value: float) -> float:
        """Return the coordinate of a value; one that is beyond the scale is drawn at its end."""
        held = min(max(value, self.low), self.high)
        return self.start + (held - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Return whether a value is within the scale, rounding aside."""
        slack = 1e-9 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack

    def marks(self) -> tuple[float, ...]:
        """Return the values of the marks, rising; 0 is exactly 0."""
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return tuple(number * self.step for number in range(first, last + 1))


def scale_of(
    values: Iterable[float | None],
    start: float,
    end: float,
    *,
    rest: Iterable[float | None] = (),
    marks: int = 5,
) -> Scale:
    """Return a scale for values, with round ends.

    Args:
        values: What must be on it. Absent and infinite ones are left out; without any it goes from -1 to 1.
        start: Coordinate of the lowest value.
        end: Coordinate of the highest value.
        rest: What should be on it too, unless the rest would make the values tiny: it gets at most half as much room
            again on each side.
        marks: The most marks between its ends.
    """
    known = _finite(values)
    low, high = (min(known), max(known)) if known else (-1.0, 1.0)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), _SMALLEST):
        spread = abs(high) / 2 if abs(high) > _SMALLEST else 1.0
        low, high = low - spread, high + spread
    room = _REACH * (high - low)
    others = _finite(rest)
    low = max(min([low, *others]), low - room)
    high = min(max([high, *others]), high + room)
    step = round_step((high - low) / marks)
    return Scale(step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9), start, end, step)


def round_step(least: float) -> float:
    """Return the smallest round number that is not below a positive one: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((power * factor for factor in _FACTORS if power * factor >= least), 10.0 * power)


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and abs(value) < _LARGEST]
