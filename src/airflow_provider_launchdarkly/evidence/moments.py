"""Means and variances from sums: plain, adjusted by a covariate (CUPED), and of a ratio (delta method).

All arithmetic is exact. Only what a database has already rounded, in sums of floating-point numbers, is not: there the
variance is an upper bound, and one that drowns in the rounding is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Number: TypeAlias = int | float | Fraction

# DECIMAL products are rounded to the scale of their type: a correlation may come out beyond 1 by this.
ROUNDING = Fraction(1, 10**9)
# A result below zero by this share of its parts is no rounding of floating-point numbers any more.
NO_ROUNDING = Fraction(1, 10**6)

# The relative rounding of one operation with double precision, and the smallest number, for the absolute rounding.
UNIT_ROUNDOFF = Fraction(1, 2**53)
# Below the first, all whole numbers are exact. A rounded fraction uses all of its 53 bits; a shorter one is exact, too.
EXACT_BELOW, SHORT = 2.0**53, 2**45
SMALLEST = Fraction(1, 2**1074)


class ImpossibleMomentsError(ValueError):
    """Sums that no set of numbers has, or from which the variance cannot be computed."""


@dataclass(frozen=True, slots=True)
class SecondVariable:
    """A second variable of the same units, a covariate or a denominator.

    Attributes:
        mean: Its mean.
        sum_of_squares: Sum of its squared deviations from the mean.
        sum_of_products: Sum of the products of both variables' deviations.
        uncertainty: How far the sum of products may be off, by the rounding of the sums.
    """

    mean: Number
    sum_of_squares: Number
    sum_of_products: Number
    uncertainty: Number = 0


@dataclass(frozen=True, slots=True)
class Moments:
    """A variable over some units, perhaps with a second one.

    Attributes:
        units: Number of units, at least 1.
        mean: Mean.
        sum_of_squares: Sum of the squared deviations from the mean.
        second: The second variable; None if there is none.
        rounded: Whether the mean was rounded by whoever calculated it.
    """

    units: int
    mean: Number
    sum_of_squares: Number
    second: SecondVariable | None = None
    rounded: bool = False

    @property
    def std_dev(self) -> float | None:
        """Standard deviation per unit, with n - 1; None for a single unit."""
        return math.sqrt(as_float(Fraction(self.sum_of_squares) / (self.units - 1))) if self.units > 1 else None


def as_float(number: Number) -> float:
    """Return the nearest float, infinity for a number beyond all of them."""
    try:
        return float(number)
    except OverflowError:
        return math.copysign(math.inf, number)


def rounded(*numbers: Number) -> bool:
    """Return whether a number may have been rounded: floats may, unless they are whole or short, such as 4.5."""
    return any(isinstance(number, float) and not _exact(number) for number in numbers)


def _exact(number: float) -> bool:
    short = number.is_integer() or abs(number.as_integer_ratio()[0]) < SHORT
    return short and abs(number) <= EXACT_BELOW


def centre(units: int, total: Number, squares: Number) -> tuple[Fraction, Fraction]:
    """Return the mean and the sum of squared deviations from it.

    From floats, the sum of squared deviations is its upper bound: sums of n numbers, added in any order, are off by at
    most n roundings of the sum of their magnitudes (Higham 2002, "Accuracy and Stability of Numerical Algorithms",
    eq. 4.4).

    Args:
        units: Number of units, at least 1.
        total: Sum of their values.
        squares: Sum of their squared values.

    Raises:
        ImpossibleMomentsError: No values have these sums, or the variance is smaller than the rounding of the sums.
    """
    mean, exact = Fraction(total) / units, Fraction(squares)
    least = Fraction(total) * mean
    centred, uncertainty = exact - least, Fraction(0)
    if rounded(total, squares):
        # One rounding for each square and each addition, and twice those of the total for its square.
        uncertainty = (3 * units + 1) * (UNIT_ROUNDOFF * abs(exact) + SMALLEST)
    if centred < -max(uncertainty, NO_ROUNDING * abs(exact) if uncertainty else 0):
        raise ImpossibleMomentsError(
            f"{units} values with sum {as_float(total):g} have squares of {as_float(least):g} at least"
        )
    if units == 1 or exact == 0:
        return mean, max(centred, Fraction(0))
    if uncertainty and centred <= uncertainty:
        raise ImpossibleMomentsError(
            f"the variance of {units} values with sum {as_float(total):g} is lost in the rounding of floating-point "
            "sums; sum values of a DECIMAL (NUMERIC) type, or return mean and variance (AVG, VAR_SAMP)"
        )
    return mean, centred + uncertainty


def add_second_variable(first: Moments, total: Number, squares: Number, products: Number) -> Moments:
    """Add a second variable of the same units.

    Args:
        first: The first variable.
        total: Sum of the second one's values.
        squares: Sum of their squares.
        products: Sum over the units of first value times second value.

    Raises:
        ImpossibleMomentsError: No values have these sums, for instance by the Cauchy-Schwarz inequality; or as
            :func:`centre` raises.
    """
    mean, centred = centre(first.units, total, squares)
    own_mean, own = Fraction(first.mean), Fraction(first.sum_of_squares)
    together = Fraction(products) - first.units * own_mean * mean
    uncertainty = Fraction(0)
    if first.rounded or rounded(total, squares, products):
        size = _root((own + first.units * own_mean**2) * (centred + first.units * mean**2))
        uncertainty = (3 * first.units + 1) * (UNIT_ROUNDOFF * size + SMALLEST)
    beyond = abs(together) - uncertainty
    if beyond > 0 and beyond**2 > own * centred * (1 + ROUNDING) ** 2:
        raise ImpossibleMomentsError(f"with a product of {as_float(products):g} the correlation would be beyond 1")
    second = SecondVariable(mean, centred, together, uncertainty)
    return Moments(first.units, first.mean, first.sum_of_squares, second, first.rounded)


def moved(moments: Moments, by: Number, second_by: Number = 0) -> Moments:
    """Return the moments of the same values with a number added to each, and another one to each of the second ones."""
    second = moments.second
    if second is not None:
        second = replace(second, mean=Fraction(second.mean) + Fraction(second_by))
    return replace(moments, mean=Fraction(moments.mean) + Fraction(by), second=second)


def adjust_by_covariate(treatments: Sequence[Moments]) -> tuple[Moments, ...]:
    """Remove the variance that a covariate from before the experiment explains: CUPED.

    Deng, Xu, Kohavi & Walker (2013), "Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data", WSDM, eq. 4: ``mean(Y) - theta (mean(X) - E[X])`` with ``theta = cov(Y, X) / var(X)``, whose
    variance is that of Y times ``1 - correlation**2`` (eq. 5). Theta is pooled over the treatments, from deviations
    within each, so that an effect does not leak into it; E[X] is the mean over all units, which the treatments share
    since assignment is random and X is older. A common E[X] cancels in every difference.

    Args:
        treatments: Moments of every treatment, each with the covariate as its second variable.

    Returns:
        The same treatments in order, mean and sum of squares adjusted; unadjusted where the covariate does not vary.
    """
    seconds = [_second(moments) for moments in treatments]
    variation = sum(Fraction(second.sum_of_squares) for second in seconds)
    if variation <= 0:
        return tuple(Moments(moments.units, moments.mean, moments.sum_of_squares) for moments in treatments)
    theta = Fraction(sum(Fraction(second.sum_of_products) for second in seconds)) / variation
    units = sum(moments.units for moments in treatments)
    centre = sum(m.units * Fraction(second.mean) for m, second in zip(treatments, seconds, strict=True)) / units
    return tuple(
        Moments(
            moments.units,
            Fraction(moments.mean) - theta * (Fraction(second.mean) - centre),
            _of_combination(moments, second, theta),
        )
        for moments, second in zip(treatments, seconds, strict=True)
    )


def ratio_of_means(moments: Moments) -> Moments:
    """Return the ratio of the two variables' means as the mean of one variable, whose deviation gives its error.

    Deng, Knoblich & Lu (2018), "Applying the delta method in metric analytics", KDD, section 3.1: with
    ``R = mean(Y) / mean(X)``, ``var(R) = (var(Y) - 2 R cov(Y, X) + R**2 var(X)) / (n mean(X)**2)``, where the units are
    those of randomization.

    Args:
        moments: The numerator, with the denominator as its second variable.

    Raises:
        ImpossibleMomentsError: The denominator's mean is 0.
        ValueError: There is no second variable.
    """
    second = _second(moments)
    if second.mean == 0:
        raise ImpossibleMomentsError("the denominator is 0 on the whole, so there is no ratio")
    mean = Fraction(second.mean)
    value = Fraction(moments.mean) / mean
    return Moments(moments.units, value, _of_combination(moments, second, value) / mean**2)


def _of_combination(moments: Moments, second: SecondVariable, factor: Fraction) -> Fraction:
    """Return the sum of squares of the first variable minus a multiple of the second; an upper bound, if rounded."""
    products = factor * Fraction(second.sum_of_products)
    found = Fraction(moments.sum_of_squares) - 2 * products + factor**2 * Fraction(second.sum_of_squares)
    return max(found, Fraction(0)) + 2 * abs(factor) * Fraction(second.uncertainty)


def _root(number: Fraction) -> Fraction:
    """Return a number not below the square root of another one, of whatever size."""
    return Fraction(math.isqrt(number.numerator * number.denominator) + 1, number.denominator) if number else number


def _second(moments: Moments) -> SecondVariable:
    if moments.second is None:
        raise ValueError("these moments have no second variable")
    return moments.second
