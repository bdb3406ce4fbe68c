"""The effect of a treatment: the difference of means with its standard error, and the relative lift."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import tail
from airflow_provider_launchdarkly.decision.counts import table_of
from airflow_provider_launchdarkly.decision.evidence import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.decision.counts import Table
    from airflow_provider_launchdarkly.decision.evidence import Measurement
    from airflow_provider_launchdarkly.decision.policy_parts import Direction


class Effect(NamedTuple):
    """A treatment against the baseline on one metric.

    Attributes:
        treatment: The treatment's measurement.
        baseline: The baseline's measurement.
        sign: 1 if higher is better, else -1.
    """

    treatment: Measurement
    baseline: Measurement
    sign: int

    @property
    def difference(self) -> float:
        """Return the treatment's mean minus the baseline's, in the metric's unit."""
        return self._mean(self.treatment) - self._mean(self.baseline)

    @property
    def standard_error(self) -> float:
        """Return the standard error of the difference: the larger of the own and the pooled (:meth:`_variances`)."""
        return math.sqrt(max(self._variances(1.0)))

    @property
    def lift(self) -> float | None:
        """Return the difference as a share of the baseline's mean; None if that mean is 0."""
        mean = self._mean(self.baseline)
        return self.difference / abs(mean) if mean else None

    def z(self, margin: float = 0.0) -> float | None:
        """Return the evidence that the treatment loses less than a margin of the baseline's mean, as a z value.

        It is the contrast ``sign * (treatment - baseline) + margin * |baseline|`` over its standard error. With margin
        0 it is the z statistic of the difference. For 0/1 metrics with few or skewed counts it comes from the exact
        test of :class:`~.counts.Table`.

        Args:
            margin: Share of the baseline's mean that may be lost.

        Returns:
            The z value; None while the metric has the same value for every unit of both treatments.
        """
        kept = 1.0 - self.sign * margin * math.copysign(1.0, self._mean(self.baseline))
        table = self._table()
        if table is not None and kept > 0:
            exact = table.z(kept)
            return None if exact is None else self.sign * exact
        if self._constant():
            return None
        error = math.sqrt(max(self._variances(kept)))
        contrast = self.sign * (self._mean(self.treatment) - kept * self._mean(self.baseline))
        return contrast / error if error > 0 else None

    def expected_z(self, relative: float, margin: float = 0.0) -> float | None:
        """Return the z value that is expected now of a contrast of a given size.

        Args:
            relative: The contrast of :meth:`z`, as a share of the baseline's mean: a lift in the good direction with
                margin 0, or the margin itself for a treatment that changes nothing.
            margin: Share of the baseline's mean that may be lost.

        Returns:
            The z value, by the standard error of :meth:`z`; None if the baseline's mean or that error is 0.
        """
        mean = self._mean(self.baseline)
        error = math.sqrt(max(self._variances(1.0 - self.sign * margin * math.copysign(1.0, mean))))
        return relative * abs(mean) / error if mean and error > 0 else None

    def lift_interval(self, z: float) -> tuple[float, float] | None:
        """Return the interval of the lifts that evidence of this strength does not exclude.

        It excludes "no lift" exactly when :meth:`z` is beyond the boundary, and a margin exactly when that margin's z
        is. It holds the ratios r of the means with ``(t - r b)^2 <= z^2 variance(r)`` (Fieller 1954, "Some problems in
        interval estimation", JRSS B 16), once with the own and once with the pooled variance, and reaches from the
        lower to the upper end of both. If the exact test decides, the interval holds the ratios that the test does not
        exclude.

        Args:
            z: The boundary; with that of a look it is the repeated confidence interval of Jennison & Turnbull (1989),
                JRSS B 51.

        Returns:
            The lower and the upper lift; None if the baseline's mean cannot be distinguished from 0.
        """
        if not math.isfinite(z):
            return None
        table = self._table()
        found = self._fieller(z * z) if table is None else table.ratios(abs(z))
        if found is None or not all(math.isfinite(end) for end in found):
            return None
        lower, upper = found[0] - 1.0, found[1] - 1.0
        return (lower, upper) if self._mean(self.baseline) > 0 else (-upper, -lower)

    def lift_at(self, distance: float) -> float | None:
        """Return the lift that is so many standard errors worse than the measured one, by the test of :meth:`z`.

        It is the end of :meth:`lift_interval` at that distance; a negative distance gives a better lift.
        """
        limits = self.lift_interval(abs(distance))
        return None if limits is None else limits[0] if distance * self.sign > 0 else limits[1]

    def _fieller(self, square: float) -> tuple[float, float] | None:
        """Return the ratios of the means within ``sqrt(square)`` standard errors, as shares of the baseline."""
        bottom, units = abs(self._mean(self.baseline)), self.treatment.units + self.baseline.units
        if bottom == 0 or square >= units:
            return None
        ratio = self._mean(self.treatment) / self._mean(self.baseline)
        top_spread, bottom_spread = self._deviation(self.treatment) / bottom, self._deviation(self.baseline) / bottom
        ends = []
        # The pooled variance has the contrast on both sides of the inequality: solved for it, z^2 becomes larger.
        for over, under, scale in (
            (self.treatment.units, self.baseline.units, square),
            (self.baseline.units, self.treatment.units, square / (1.0 - square / units)),
        ):
            top, base = scale * top_spread * top_spread / over, scale * bottom_spread * bottom_spread / under
            leading = 1.0 - base
            if leading <= 0:
                return None
            root = math.sqrt(max(ratio * ratio - leading * (ratio * ratio - top), 0.0))
            ends += [(ratio - root) / leading, (ratio + root) / leading]
        return min(ends), max(ends)

    def _variances(self, kept: float) -> tuple[float, float]:
        """Return the variance of ``treatment - kept * baseline``, with own variances and with the pooled one.

        The pooled variance assumes the null hypothesis: the treatment's values and `kept` times the baseline's come
        from one distribution, whose variance is that of all these values around their common mean. A mean and a
        deviation per unit of each treatment are enough, so it also holds for estimates that are adjusted by a covariate
        and for ratios. Written out, it is the own variance with the units exchanged, plus the square of the contrast
        over all units.
        """
        top, base = self._deviation(self.treatment), kept * self._deviation(self.baseline)
        contrast = self._mean(self.treatment) - kept * self._mean(self.baseline)
        units, baseline_units = self.treatment.units, self.baseline.units
        own = top * top / units + base * base / baseline_units
        pooled = top * top / baseline_units + base * base / units + contrast * contrast / (units + baseline_units)
        return own, pooled

    def _table(self) -> Table | None:
        """Return the counts if the metric is 0/1 and they are too few or too skewed to be compared as means."""
        table = table_of(self.treatment, self.baseline)
        return table if table is not None and table.needs_exact_test else None

    def _constant(self) -> bool:
        """Return whether every unit of both treatments has the same value, which is no evidence for any margin."""
        varied = self._deviation(self.treatment) > 0 or self._deviation(self.baseline) > 0
        return not varied and self._mean(self.treatment) == self._mean(self.baseline)

    @staticmethod
    def _mean(measured: Measurement) -> float:
        if measured.mean is None:
            raise EvidenceError(f"treatment {measured.treatment_id} has no mean")
        return measured.mean

    @staticmethod
    def _deviation(measured: Measurement) -> float:
        if measured.std_dev is None or measured.units <= 0:
            raise EvidenceError(f"treatment {measured.treatment_id} has no standard deviation")
        return measured.std_dev


def effect(treatment: Measurement, baseline: Measurement, direction: Direction) -> Effect:
    """Compare two measurements of one metric."""
    return Effect(treatment, baseline, direction.sign)


def standard_errors(measured: Sequence[Measurement]) -> list[float]:
    """Return the standard error of each treatment's mean: the larger of its own and the pooled one.

    As in :class:`Effect`, the pooled variance is that of all values around their common mean. A small treatment with
    few or no events understates its own.

    Args:
        measured: Measurements that have a mean and a deviation, with units above 0.
    """
    values = [(float(part.units), part.mean or 0.0, part.std_dev or 0.0) for part in measured]
    total = math.fsum(units for units, _, _ in values)
    common = math.fsum(units * mean for units, mean, _ in values) / total
    pooled = math.fsum(units * (deviation**2 + (mean - common) ** 2) for units, mean, deviation in values) / total
    return [math.sqrt(max(deviation**2, pooled) / units) for units, _, deviation in values]


def probabilities_to_be_best(means: list[float], standard_errors: list[float], sign: int) -> list[float]:
    """Return the probability of each treatment to have the best mean, with normal posteriors under a flat prior.

    ``P(i best) = integral of phi_i(x) prod_{j != i} Phi_j(x) dx`` by Simpson's rule over eight standard errors either
    side; exact to six digits.

    Args:
        means: Posterior means.
        standard_errors: Posterior standard deviations, above 0.
        sign: 1 if higher is better, else -1.
    """
    centres = [sign * mean for mean in means]
    steps = 400
    found = []
    for index, (centre, error) in enumerate(zip(centres, standard_errors, strict=True)):
        total = 0.0
        for step in range(steps + 1):
            z = 16.0 * step / steps - 8.0
            weight = 1 if step in (0, steps) else 4 if step % 2 else 2
            below = 1.0
            for other, (rival, rival_error) in enumerate(zip(centres, standard_errors, strict=True)):
                if other != index:
                    below *= tail((rival - centre - z * error) / rival_error)
            total += weight * math.exp(-0.5 * z * z) * below
        found.append(total * (16.0 / steps) / 3.0 / math.sqrt(2.0 * math.pi))
    return found
