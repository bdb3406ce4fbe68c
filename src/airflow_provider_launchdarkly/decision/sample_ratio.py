"""The test for a sample ratio mismatch: units that are not split as allocated. It is valid at any number of looks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Weight of the prior around the allocated split, in units. Deviations of about sqrt(0.25 / 2000), one percentage point
# of a half, are found soonest.
PRIOR_UNITS = 2000.0


class SplitTest(NamedTuple):
    """The outcome of the test.

    Attributes:
        log_bayes_factor: Natural logarithm of the evidence for a mismatch.
        p_value: Anytime-valid p value, at most 1.
        alpha: Error over all looks.
        mismatch: Whether the split is wrong.
    """

    log_bayes_factor: float
    p_value: float
    alpha: float
    mismatch: bool


def log_bayes_factor(counts: Sequence[float], shares: Sequence[float], prior_units: float = PRIOR_UNITS) -> float:
    """Return the logarithm of the Bayes factor of "some other split" against "the allocated split".

    Lindon & Malek (2022), "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 35 (arXiv:2011.03567): the
    Dirichlet-multinomial marginal likelihood over the multinomial one,
    ``B(a + n) / B(a) / prod(share_i ** n_i)`` with ``a_i = prior_units * share_i``. Under the allocated split it is a
    non-negative martingale with mean 1, so by Ville's inequality it ever reaches ``1 / alpha`` with probability at
    most alpha, at any number of looks.

    Args:
        counts: Units in each treatment.
        shares: Shares that they should have, above 0, summing to 1.
        prior_units: Weight of the prior, in units.
    """
    value = math.lgamma(prior_units) - math.lgamma(prior_units + math.fsum(counts))
    for count, share in zip(counts, shares, strict=True):
        weight = prior_units * share
        value += math.lgamma(weight + count) - math.lgamma(weight) - count * math.log(share)
    return value


def split_test(counts: Sequence[float], shares: Sequence[float], alpha: float) -> SplitTest:
    """Test whether the units so far are split as allocated.

    Args:
        counts: Units in each treatment.
        shares: Shares that they should have; only their ratios matter. Treatments with share 0 are left out.
        alpha: Probability of ever alarming although the split is as allocated.
    """
    pairs = [(count, share) for count, share in zip(counts, shares, strict=True) if share > 0]
    total = math.fsum(share for _, share in pairs)
    evidence = log_bayes_factor([count for count, _ in pairs], [share / total for _, share in pairs])
    return SplitTest(evidence, math.exp(-max(evidence, 0.0)), alpha, evidence >= -math.log(alpha))
