"""Means and variances from sums: plain, adjusted by a covariate (CUPED), and of a ratio (delta method).

All sums are kept centred about the mean, so that no large numbers are subtracted twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Sums from a warehouse are floating-point numbers: a result below zero by this share of its parts is a zero.
ROUNDING = 1e-9


class ImpossibleMomentsError(ValueError):
    """Sums that no set of numbers has."""


@dataclass(frozen=True, slots=True)
class SecondVariable:
    """A second variable of the same units, a covariate or a denominator.

    Attributes:
        mean: Its mean.
        sum_of_squares: Sum of its squared deviations from the mean.
        sum_of_products: Sum of the products of both variables' deviations.
    """

    mean: float
    sum_of_squares: float
    sum_of_products: float


@dataclass(frozen=True, slots=True)
class Moments:
    """A variable over some units, perhaps with a second one.

    Attributes:
        units: Number of units, at least 1.
        mean: Mean.
        sum_of_squares: Sum of the squared deviations from the mean.
        second: The second variable; None if there is none.
    """

    units: int
    mean: float
    sum_of_squares: float
    second: SecondVariable | None = None

    @property
    def std_dev(self) -> float | None:
        """Standard deviation per unit, with n - 1; None for a single unit."""
        return math.sqrt(self.sum_of_squares / (self.units - 1)) if self.units > 1 else None


def centre(units: int, total: float, squares: float) -> tuple[float, float]:
    """Return the mean and the sum of squared deviations from it.

    Args:
        units: Number of units, at least 1.
        total: Sum of their values.
        squares: Sum of their squared values.

    Raises:
        ImpossibleMomentsError: No values have these sums.
    """
    mean = total / units
    centred = squares - total * mean
    if centred < -ROUNDING * max(squares, total * mean):
        raise ImpossibleMomentsError(f"{units} values with sum {total:g} have squares of {total * mean:g} at least")
    return mean, max(centred, 0.0)


def add_second_variable(first: Moments, total: float, squares: float, products: float) -> Moments:
    """Add a second variable of the same units.

    Args:
        first: The first variable.
        total: Sum of the second one's values.
        squares: Sum of their squares.
        products: Sum over the units of first value times second value.

    Raises:
        ImpossibleMomentsError: No values have these sums, for instance by the Cauchy-Schwarz inequality.
    """
    mean, centred = centre(first.units, total, squares)
    together = products - first.units * first.mean * mean
    limit = math.sqrt(first.sum_of_squares * centred)
    tolerance = ROUNDING * (abs(products) + abs(first.units * first.mean * mean))
    if abs(together) > limit * (1.0 + ROUNDING) + tolerance:
        raise ImpossibleMomentsError(f"with a product of {products:g} the correlation would be beyond 1")
    return Moments(first.units, first.mean, first.sum_of_squares, SecondVariable(mean, centred, together))


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
    variation = math.fsum(second.sum_of_squares for second in seconds)
    if variation <= 0:
        return tuple(Moments(moments.units, moments.mean, moments.sum_of_squares) for moments in treatments)
    theta = math.fsum(second.sum_of_products for second in seconds) / variation
    units = sum(moments.units for moments in treatments)
    centre = math.fsum(m.units * second.mean for m, second in zip(treatments, seconds, strict=True)) / units
    return tuple(
        Moments(
            moments.units,
            moments.mean - theta * (second.mean - centre),
            max(_of_combination(moments, second, theta), 0.0),
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
    value = moments.mean / second.mean
    return Moments(moments.units, value, max(_of_combination(moments, second, value), 0.0) / second.mean**2)


def _of_combination(moments: Moments, second: SecondVariable, factor: float) -> float:
    """Return the sum of squares of the first variable minus a multiple of the second."""
    return moments.sum_of_squares - 2.0 * factor * second.sum_of_products + factor * factor * second.sum_of_squares


def _second(moments: Moments) -> SecondVariable:
    if moments.second is None:
        raise ValueError("these moments have no second variable")
    return moments.second
