"""Compare two 0/1 metrics by their counts, while a normal approximation is not good enough.

The test is Fisher's conditional test of a two-by-two table. Its mid-p value (Lancaster 1961, "Significance tests in
discrete distributions", JASA 56) is turned into a z value. Standard library only, bounded work.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import quantile

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Measurement

# How far mean * units may be from a whole number, and the variance from that of 0s and 1s (as a share of it).
WHOLE = 1e-3
ALIKE = 1e-6

# The normal form is good enough when the count of one treatment, given that of both, has at least this variance and at
# most this skewness. For z from 1 to 4.5 it is then at most 3 % below the exact test and 0.5 % above it.
ENOUGH_VARIANCE = 25.0
LITTLE_SKEWNESS = 0.02

# Tails below this probability (z 36) are taken as equal; nothing is decided beyond z = 8.5.
SMALLEST_TAIL = 1e-280
# A sum over the table stops at a term that adds nothing, or at a total next to which the observed count is nothing.
NEGLIGIBLE, OVERWHELMING = 1e-17, 1e290
# A scaled treatment has at most this many times its own units.
LARGEST_SCALE = 1e6
_FARTHEST_RATIO = 1e9


class Table(NamedTuple):
    """The units of a treatment and of the baseline, and how many of them are 1.

    Attributes:
        ones: Units of the treatment with a 1.
        units: Units of the treatment.
        baseline_ones: Units of the baseline with a 1.
        baseline_units: Units of the baseline.
    """

    ones: float
    units: float
    baseline_ones: float
    baseline_units: float

    @property
    def needs_exact_test(self) -> bool:
        """Return whether the counts are too small or too skewed for a normal approximation.

        Given the number of 1s in both together, the number in the treatment is hypergeometric. Its variance is
        ``N p (1 - p) f (1 - f)`` and its skewness ``(1 - 2 p) (1 - 2 f)`` over the root of that, with p the share of 1s
        and f the treatment's share of the units. If this is True, the standard deviation is below
        ``1 / LITTLE_SKEWNESS`` units or below 5, so the sums of the exact test are short for any number of units.
        """
        total = self.units + self.baseline_units
        rate, share = (self.ones + self.baseline_ones) / total, self.units / total
        variance = total * rate * (1.0 - rate) * share * (1.0 - share)
        lopsided = (1.0 - 2.0 * rate) * (1.0 - 2.0 * share)
        return variance < ENOUGH_VARIANCE or lopsided * lopsided > LITTLE_SKEWNESS**2 * variance

    def z(self, ratio: float = 1.0) -> float | None:
        """Return the evidence that the treatment's rate is above `ratio` times the baseline's, as a z value.

        For a ratio of 1 it comes from the hypergeometric mid-p value. For any other ratio, the higher rate is first
        replaced by a proportion at the lower rate with the same variance (:meth:`scaled`); for rare 1s that is the
        exact conditional test of two Poisson rates.

        Args:
            ratio: The treatment's rate over the baseline's under the null hypothesis, above 0.

        Returns:
            The z value; None if there are no 1s at all, or nothing but 1s at ratio 1.
        """
        ones = self.ones + self.baseline_ones
        if ones == 0 or (ratio == 1.0 and ones == self.units + self.baseline_units):
            return None
        table = self if ratio == 1.0 else self.scaled(ratio)
        above, below = _tails(table)
        if above <= below:
            return quantile(max(above, SMALLEST_TAIL))
        return -quantile(max(below, SMALLEST_TAIL))

    def scaled(self, ratio: float) -> Table:
        """Return the table in which "treatment = ratio times baseline" becomes "both rates are equal".

        With both rates estimated under that hypothesis (:meth:`_baseline_rate`), the higher rate p is scaled down to
        the lower one, q = s p. Its n units become m, such that the variance of the scaled estimate,
        ``s^2 p (1 - p) / n``, is that of a proportion, ``q (1 - q) / m``.
        """
        rate = self._baseline_rate(ratio)
        if ratio <= 1.0:
            ones = min((1.0 - ratio * rate) / max(1.0 - rate, 1e-300), LARGEST_SCALE)
            return Table(self.ones, self.units, self.baseline_ones * ones, self.baseline_units * ones / ratio)
        ones = min((1.0 - rate) / max(1.0 - ratio * rate, 1e-300), LARGEST_SCALE)
        return Table(self.ones * ones, self.units * ones * ratio, self.baseline_ones, self.baseline_units)

    def _baseline_rate(self, ratio: float) -> float:
        """Return the baseline's most likely rate if the treatment's is `ratio` times as high.

        It is the root of a quadratic equation: Miettinen & Nurminen (1985), "Comparative analysis of two rates",
        Statistics in Medicine 4, eq. (12).
        """
        a = ratio * (self.units + self.baseline_units)
        b = ratio * (self.units + self.baseline_ones) + self.ones + self.baseline_units
        c = self.ones + self.baseline_ones
        # The smaller root of a x^2 - b x + c, in the form that subtracts no nearly equal numbers.
        return min(2.0 * c / (b + math.sqrt(max(b * b - 4.0 * a * c, 0.0))), 1.0, 1.0 / ratio)

    def ratios(self, z: float) -> tuple[float, float] | None:
        """Return the interval of the ratios of the rates with ``|self.z(ratio)| < z``.

        Args:
            z: The boundary, above 0.

        Returns:
            The lower and the upper ratio; None if the baseline has no 1s, or if there is no upper one.
        """
        if self.baseline_ones == 0:
            return None
        observed = self.ones / self.units / (self.baseline_ones / self.baseline_units)
        lower = self._ratio_at(z, observed) if observed > 0 else 0.0
        upper = self._ratio_at(-z, observed or 1.0)
        return None if lower is None or upper is None else (lower, upper)

    def _ratio_at(self, z: float, start: float) -> float | None:
        """Return the ratio at which the evidence is z; the evidence falls as the ratio rises.

        The search is on the logarithm of the ratio, by false position with halved ends (the Illinois method). Each
        third step halves the interval, so the work is bounded.
        """
        low = high = start
        while (above := self._evidence(low) - z) < 0.0:
            low /= 2.0
            if low < 1.0 / _FARTHEST_RATIO:
                return 0.0
        while (below := self._evidence(high) - z) >= 0.0:
            high *= 2.0
            if high > _FARTHEST_RATIO:
                return None
        left, right = math.log(low), math.log(high)
        for step in range(120):
            if right - left < 1e-12:
                break
            middle = (left + right) / 2.0 if step % 3 == 2 else left + (right - left) * above / (above - below)
            found = self._evidence(math.exp(middle)) - z
            if abs(found) < 1e-12:
                return math.exp(middle)
            if found >= 0.0:
                left, above, below = middle, found, below / 2.0
            else:
                right, below, above = middle, found, above / 2.0
        return math.exp((left + right) / 2.0)

    def _evidence(self, ratio: float) -> float:
        return self.z(ratio) or 0.0


def table_of(treatment: Measurement, baseline: Measurement) -> Table | None:
    """Return the counts of two measurements if both are of a 0/1 metric, otherwise None.

    A measurement is of a 0/1 metric if mean times units is a whole number between 0 and the units, and the variance is
    that of so many 0s and 1s, ``p (1 - p)``, or that with n - 1 in place of n. If the values are whole and not
    negative, the sum of their squares is then their sum, so each is 0 or 1. Estimates that are adjusted by a covariate,
    ratios, capped sums and estimates with a prior do not fit; they are compared as means.
    """
    ones, baseline_ones = ones_of(treatment), ones_of(baseline)
    if ones is None or baseline_ones is None:
        return None
    return Table(float(ones), float(treatment.units), float(baseline_ones), float(baseline.units))


def ones_of(measured: Measurement) -> int | None:
    """Return how many units of a measurement are 1; None if it is not of a 0/1 metric."""
    if measured.mean is None or measured.std_dev is None or measured.units < 1 or not 0.0 <= measured.mean <= 1.0:
        return None
    found = measured.mean * measured.units
    ones = round(found)
    if abs(found - ones) > WHOLE:
        return None
    variance, expected = measured.std_dev * measured.std_dev, ones / measured.units * (1.0 - ones / measured.units)
    corrected = expected * measured.units / max(measured.units - 1, 1)
    alike = abs(variance - expected) <= ALIKE * expected or abs(variance - corrected) <= ALIKE * corrected
    return ones if alike else None


def _tails(table: Table) -> tuple[float, float]:
    """Return the mid-p values above and below the treatment's number of 1s, given the number in both.

    Each is a sum of hypergeometric probabilities relative to that of the observed count; each term follows from its
    neighbour. In a scaled table the numbers of 1s are not whole, which only shifts the grid: the factorials become
    gamma functions, so the value is a continuous function of the table.
    """
    above, below = _beyond(table), _beyond(_mirrored(table))
    total = above + 1.0 + below
    return (above + 0.5) / total, (below + 0.5) / total


def _mirrored(table: Table) -> Table:
    """Return the table with 0 and 1 exchanged, and so the tails above and below."""
    return Table(
        table.units - table.ones,
        table.units,
        table.baseline_units - table.baseline_ones,
        table.baseline_units,
    )


def _beyond(table: Table) -> float:
    """Return the probability of more 1s in the treatment than observed, over that of the observed number."""
    ones, zeros = table.ones, table.units - table.ones
    baseline_ones, baseline_zeros = table.baseline_ones, table.baseline_units - table.baseline_ones
    term, total = 1.0, 0.0
    while zeros > 0.0 and baseline_ones > 0.0:
        ones += 1.0
        baseline_zeros += 1.0
        following = term * (zeros * baseline_ones) / (ones * baseline_zeros)
        total += following
        if total > OVERWHELMING or (following < term and following < NEGLIGIBLE * total):
            break
        term = following
        zeros -= 1.0
        baseline_ones -= 1.0
    return total
