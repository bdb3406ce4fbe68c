"""Are the units that the numbers rest on those that were allocated? Exposed units, and the units of each metric.

A metric may be measured on a part of the exposed units, such as the revenue of those who bought. That is sound only if
the treatment does not decide who is in the part: then the measured units are split as allocated, too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import quantile
from airflow_provider_launchdarkly.decision.sample_ratio import split_test
from airflow_provider_launchdarkly.decision.verdict import Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.decision.evidence import Evidence, MetricEvidence
    from airflow_provider_launchdarkly.decision.policy import Policy

# Two answers of LaunchDarkly, read a moment apart, may differ by the units that came in between. Beyond this share,
# more measured units than exposed ones are no race.
RACE = 0.02

# From this share of the exposed units on, a metric counts as measured on all of them.
NEARLY_ALL = 0.95

# Two-sided nominal p value below which the share of measured units counts as changed by the treatment, where a ship
# rests on it. It is not corrected for looks, since it only holds.
SELECTION_ALPHA = 0.2


class SplitAlphas(NamedTuple):
    """The shares of `mismatch.alpha`: half for the exposed units, half over the metrics that are tested too.

    Each test holds its share over all looks, so together they alarm with at most `mismatch.alpha` (Bonferroni).

    Attributes:
        exposed: For the exposed units.
        metric: For the units of one metric.
    """

    exposed: float
    metric: float

    @classmethod
    def of(cls, policy: Policy) -> SplitAlphas:
        """Divide a policy's `mismatch.alpha`; all of it is for the exposed units where no metric is tested."""
        tested = sum(part.test_split for part in policy.parts)
        if not tested:
            return cls(policy.mismatch.alpha, 0.0)
        return cls(policy.mismatch.alpha / 2.0, policy.mismatch.alpha / 2.0 / tested)


def exposed_split(policy: Policy, evidence: Evidence) -> Split | None:
    """Test the exposed units; None where exposures or shares are unknown."""
    counts = {treatment.id: treatment.exposed for treatment in evidence.treatments}
    if any(count is None for count in counts.values()):
        return None
    return _tested(evidence, {key: count or 0 for key, count in counts.items()}, SplitAlphas.of(policy).exposed)


def measured_split(policy: Policy, evidence: Evidence, metric: MetricEvidence) -> Split | None:
    """Test the units of a metric; None where shares are unknown, or a treatment with a share has no units yet."""
    counts = {treatment.id: measured_units(metric, treatment.id) for treatment in evidence.treatments}
    if any(not counts[treatment.id] for treatment in evidence.treatments if treatment.share):
        return None
    return _tested(evidence, counts, SplitAlphas.of(policy).metric)


def measured_units(metric: MetricEvidence, treatment_id: str) -> int:
    """Return the units of a metric in a treatment."""
    return next((measured.units for measured in metric.measurements if measured.treatment_id == treatment_id), 0)


def _tested(evidence: Evidence, counts: dict[str, int], alpha: float) -> Split | None:
    if any(treatment.share is None for treatment in evidence.treatments):
        return None
    allocated = [treatment for treatment in evidence.treatments if treatment.share]
    if len(allocated) < 2:
        return None
    units, shares = [counts[treatment.id] for treatment in allocated], [t.share or 0.0 for t in allocated]
    total = math.fsum(shares)
    tested = split_test(units, shares, alpha)
    return Split(
        treatments=tuple(treatment.name for treatment in allocated),
        units=tuple(units),
        shares=tuple(share / total for share in shares),
        log_bayes_factor=tested.log_bayes_factor,
        p_value=tested.p_value,
        alpha=tested.alpha,
        mismatch=tested.mismatch,
    )


def units_beyond_exposed(evidence: Evidence, metrics: tuple[str, ...]) -> str | None:
    """Return which metric is measured on more units than were exposed, beyond a race between two reads; or None."""
    for key in metrics:
        for treatment in evidence.treatments:
            units = measured_units(evidence.metric(key), treatment.id)
            if treatment.exposed is not None and units > treatment.exposed * (1.0 + RACE):
                return (
                    f"{key} is measured on {units:,} units of {treatment.name}, of which only {treatment.exposed:,} "
                    "were exposed"
                )
    return None


def is_selected(evidence: Evidence, metric: MetricEvidence, treatment_id: str) -> bool:
    """Return whether a treatment seems to change who is measured, by a two-sided test of two proportions.

    Args:
        evidence: The evidence; without exposures nothing is known.
        metric: A metric that is measured on a part of the exposed units.
        treatment_id: The treatment, compared with the baseline.
    """
    pair = [evidence.baseline, next(treatment for treatment in evidence.treatments if treatment.id == treatment_id)]
    exposed = [treatment.exposed or 0 for treatment in pair]
    units = [measured_units(metric, treatment.id) for treatment in pair]
    if not all(exposed):
        return False
    together = sum(units) / sum(exposed)
    if not 0.0 < together < NEARLY_ALL:
        return False
    error = math.sqrt(together * (1.0 - together) * sum(1.0 / count for count in exposed))
    gap = units[1] / exposed[1] - units[0] / exposed[0]
    return abs(gap) >= quantile(SELECTION_ALPHA / 2.0) * error


def partly_measured(evidence: Evidence, metrics: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each metric that is measured on a part of the exposed units."""
    for key in metrics:
        metric = evidence.metric(key)
        shares = {
            treatment.name: measured_units(metric, treatment.id) / treatment.exposed
            for treatment in evidence.treatments
            if treatment.exposed
        }
        if len(shares) == len(evidence.treatments) and max(shares.values()) < NEARLY_ALL:
            each = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
            yield (
                f"{key} is measured on a part of the exposed units ({each}): its means can be compared only if the "
                "treatment does not change who is in it"
            )
