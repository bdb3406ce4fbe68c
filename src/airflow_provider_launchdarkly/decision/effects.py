"""How a treatment differs from the baseline: a difference of means with its standard error, and the relative lift."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import tail
from airflow_provider_launchdarkly.decision.evidence import EvidenceError

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Measurement
    from airflow_provider_launchdarkly.decision.policy import Direction


class Effect(NamedTuple):
    """A treatment against the baseline on one metric.

    Attributes:
        treatment: The treatment's measurement.
        baseline: The baseline's.
        sign: 1 if higher is better, else -1.
    """

    treatment: Measurement
    baseline: Measurement
    sign: int

    @property
    def difference(self) -> float:
        """Treatment's mean minus baseline's, in the metric's unit."""
        return self._mean(self.treatment) - self._mean(self.baseline)

    @property
    def standard_error(self) -> float:
        """Of the difference, with unpooled variances."""
        return math.sqrt(self._variance(self.treatment) + self._variance(self.baseline))

    @property
    def lift(self) -> float | None:
        """Difference as a share of the baseline's mean; None where that is 0."""
        mean = self._mean(self.baseline)
        return self.difference / abs(mean) if mean else None

    def z(self, margin: float = 0.0) -> float | None:
        """Standardised evidence that the treatment is better than the baseline with a margin's loss.

        The contrast ``sign * (treatment - baseline) + margin * |baseline|`` over its standard error: positive when the
        treatment is better than what may be lost. With margin 0 it is the z statistic of the difference.

        Args:
            margin: Share of the baseline's mean that may be lost.

        Returns:
            None while the metric has not varied in either treatment.
        """
        kept = 1.0 - self.sign * margin * math.copysign(1.0, self._mean(self.baseline))
        contrast = self.sign * (self._mean(self.treatment) - kept * self._mean(self.baseline))
        variance = self._variance(self.treatment) + kept * kept * self._variance(self.baseline)
        return contrast / math.sqrt(variance) if variance > 0 else None

    def lift_interval(self, z: float) -> tuple[float, float] | None:
        """The lifts that this much evidence does not exclude.

        Fieller (1954), "Some problems in interval estimation", JRSS B 16: the ratios r of the means with
        ``(t - r b)^2 <= z^2 (var(t) + r^2 var(b))``. So it excludes "no lift" exactly when the z statistic of the
        difference is beyond `z`, and a margin exactly when that margin's z statistic is.

        Args:
            z: The boundary; with that of a look it is the repeated confidence interval of Jennison & Turnbull (1989),
                JRSS B 51.

        Returns:
            Lower and upper lift; None where the baseline's mean itself is not distinguishable from 0.
        """
        top, bottom = self._mean(self.treatment), self._mean(self.baseline)
        top_variance, bottom_variance = self._variance(self.treatment), self._variance(self.baseline)
        if not math.isfinite(z):
            return None
        square = z * z
        leading = bottom * bottom - square * bottom_variance
        if leading <= 0:
            return None
        constant = top * top - square * top_variance
        root = math.sqrt(max((top * bottom) ** 2 - leading * constant, 0.0))
        lower, upper = (top * bottom - root) / leading - 1.0, (top * bottom + root) / leading - 1.0
        return (lower, upper) if bottom > 0 else (-upper, -lower)

    @staticmethod
    def _mean(measured: Measurement) -> float:
        if measured.mean is None:
            raise EvidenceError(f"treatment {measured.treatment_id} has no mean")
        return measured.mean

    @staticmethod
    def _variance(measured: Measurement) -> float:
        if measured.std_dev is None or measured.units <= 0:
            raise EvidenceError(f"treatment {measured.treatment_id} has no standard deviation")
        return measured.std_dev**2 / measured.units


def effect(treatment: Measurement, baseline: Measurement, direction: Direction) -> Effect:
    """Compare two measurements of one metric."""
    return Effect(treatment, baseline, direction.sign)


def probabilities_to_be_best(means: list[float], standard_errors: list[float], sign: int) -> list[float]:
    """The probability of each treatment to have the best mean, with normal posteriors under a flat prior.

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
