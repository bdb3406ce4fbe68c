"""Dunnett's test: the error of each of several treatments that are compared with one baseline."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.boundaries import quantile, tail

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation

# Over several looks, treatments cross at different times, so their crossings overlap less often than at one look: with
# the correlations of one look, an error of 5 % becomes up to 5.2 %. With this share of them it was measured at 4.4 to
# 5.0 %, for 3 to 10 treatments, even and uneven shares, 28 to 100 looks, and early and late spending. By Slepian's
# inequality, smaller correlations never understate the error of one look.
CORRELATION_KEPT = 0.85

_STEPS = 240
_REACH = 8.0


def per_comparison_error(alpha: float, allocation: Allocation) -> float:
    """Return the one-sided error of one comparison with which all of them together have the error `alpha`.

    Comparisons with one baseline share its chance, so they are correlated: ``rho_ij = l_i l_j``, where the loading
    ``l_i = sqrt(f_i / (f_i + f_b))`` follows from the shares (Dunnett 1955, "A multiple comparison procedure for
    comparing several treatments with a control", JASA 50). The error of each is larger than an equal share of `alpha`.

    It holds if the metric varies alike in all treatments, which is so for a treatment that changes nothing. Where the
    allocation is unknown, each gets an equal share (Bonferroni).

    Args:
        alpha: One-sided error over all comparisons, below 0.5.
        allocation: The planned allocation.
    """
    count = len(allocation.challengers)
    if count == 1 or not allocation.known:
        return alpha / (allocation.treatments - 1)
    loadings = tuple(
        math.sqrt(CORRELATION_KEPT * share / (share + allocation.baseline)) for share in allocation.challengers
    )
    return _solve(alpha, loadings)


@lru_cache(maxsize=128)
def _solve(alpha: float, loadings: tuple[float, ...]) -> float:
    """Return the error of one comparison, by bisection between Bonferroni's bound and no correction."""
    low, high = quantile(alpha), quantile(alpha / len(loadings))
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        low, high = (middle, high) if _error(middle, loadings) > alpha else (low, middle)
    return tail(high)


def _error(bound: float, loadings: tuple[float, ...]) -> float:
    """Return the probability that the largest of the z values is above a bound.

    ``1 - integral phi(x) prod_i Phi((bound - l_i x) / sqrt(1 - l_i^2)) dx``, by Simpson's rule; x is the baseline's
    chance.
    """
    scales = [(loading, 1.0 / math.sqrt(1.0 - loading * loading)) for loading in loadings]
    total = 0.0
    for step in range(_STEPS + 1):
        x = _REACH * (2.0 * step / _STEPS - 1.0)
        weight = 1 if step in (0, _STEPS) else 4 if step % 2 else 2
        below = math.prod(tail((loading * x - bound) * scale) for loading, scale in scales)
        total += weight * math.exp(-0.5 * x * x) * below
    return 1.0 - total * (2.0 * _REACH / _STEPS) / 3.0 / math.sqrt(2.0 * math.pi)
