"""How many units a policy needs: from the effect to find, its power, and the allocation."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.boundaries import crossing_probabilities
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Direction

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Baseline, Primary

_LARGEST_DRIFT = 12.0


@lru_cache(maxsize=64)
def drift_for(fractions: tuple[float, ...], z: tuple[float, ...], power: float) -> float:
    """Return the expected z value at the plan's end with which a boundary is crossed with a given probability.

    Jennison & Turnbull (2000), section 3.1: the drift is that of the Brownian motion, by bisection.

    Args:
        fractions: Information fractions of the looks.
        z: The boundary at each look.
        power: The probability, below 1.
    """
    low, high = 0.0, _LARGEST_DRIFT
    while high - low > 1e-4:
        middle = (low + high) / 2.0
        found = math.fsum(crossing_probabilities(fractions, z, middle))
        low, high = (middle, high) if found < power else (low, middle)
    return high


def effect_to_find(policy: Policy) -> float | None:
    """Return the relative effect that a policy plans for: its margin of non-inferiority, or the effect it names.

    Of several primary metrics, it is that of the first one that has any.
    """
    return next((effect for part in policy.primaries if (effect := _effect(part)) is not None), None)


def needed_units(policy: Policy, drift: float, allocation: Allocation) -> int | None:
    """Return the units over all treatments with which the policy's effect has this drift in each treatment.

    With shares f of N units, the variance of a treatment's difference from the baseline is ``v / N`` with
    ``v = s_t^2 / f_t + s_b^2 / f_b``, so that ``N = (drift / effect)^2 v``. Where all deviations are alike, that is
    ``(drift s / effect)^2 (1 / f_t + 1 / f_b)``. The smallest treatment decides.

    Args:
        policy: The policy.
        drift: Expected z value when all units are in.
        allocation: The planned allocation.

    Returns:
        The units; None if the policy names no effect, or no traffic to compare it with.
    """
    needed = 0
    for part, measured in _to_find(policy):
        sign = (part.direction or Direction.HIGHER).sign
        for share in allocation.challengers:
            contrast, variance = contrast_with_variance(
                measured, sign, part.minimum_detectable_effect or 0.0, part.margin, (share, allocation.baseline)
            )
            needed = max(needed, math.ceil((drift / contrast) ** 2 * variance))
    return needed or None


def _to_find(policy: Policy) -> list[tuple[Primary, Baseline]]:
    """Return the primary metrics that name an effect, with the baseline's values."""
    traffic = policy.traffic
    if traffic is None:
        return []
    each = [(policy.primary, traffic), *((part, traffic.of(part.metric or "")) for part in policy.other_primaries)]
    return [(part, measured) for part, measured in each if _effect(part) is not None and measured.mean != 0]


def power_of_each(policy: Policy) -> float:
    """Return the power that each primary metric needs: where all must pass, they may each miss a part of the rest."""
    count = 1 if policy.ships_on_any else len(policy.primaries)
    return 1.0 - (1.0 - policy.power) / count


def _effect(part: Primary) -> float | None:
    return part.margin or part.minimum_detectable_effect


def contrast_with_variance(
    measured: Baseline, sign: int, change: float, margin: float, shares: tuple[float, float]
) -> tuple[float, float]:
    """Return the expected contrast of a treatment with the baseline, and its variance times all units.

    The variance is by the judge's own standard error: the larger of the own and the pooled one (`effects.Effect`). A
    rate brings its own variance, so that of the treatment is the one that it has with the change.

    Args:
        measured: Mean and deviation of the baseline.
        sign: 1 if higher is better, else -1.
        change: True relative change in the treatment, positive for better.
        margin: Share of the baseline's mean that may be lost.
        shares: Share of all units that the treatment and the baseline get.
    """
    mean, (share, baseline_share) = measured.mean, shares
    kept = 1.0 - sign * margin * math.copysign(1.0, mean)
    contrast = (change + margin) * abs(mean)
    own, base = measured.deviation, kept * measured.deviation
    if measured.std_dev is None:
        rate = min(max(mean * (1.0 + sign * change), 0.0), 1.0)
        own = math.sqrt(rate * (1.0 - rate))
    apart = own**2 / share + base**2 / baseline_share
    pooled = own**2 / baseline_share + base**2 / share + contrast**2 / (share + baseline_share)
    return contrast, max(apart, pooled)


def expected_units(policy: Policy, days: float) -> float:
    """Return the units that the expected traffic brings in so many days and that count then; 0 without traffic."""
    days = max(days - policy.lag / DAY, 0.0)
    return 0.0 if policy.traffic is None else policy.traffic.units_per_day * days
