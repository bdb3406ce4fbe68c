"""How many units a policy needs: from the effect to find, its power, and the allocation."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.boundaries import crossing_probabilities
from airflow_provider_launchdarkly.decision.policy_parts import Direction

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Primary, Traffic

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
    """Return the relative effect that a policy plans for: its margin of non-inferiority, or the effect it names."""
    return policy.primary.margin or policy.primary.minimum_detectable_effect


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
    relative, traffic = effect_to_find(policy), policy.traffic
    if traffic is None or relative is None or traffic.mean == 0:
        return None
    effect = relative * abs(traffic.mean)
    return max(
        math.ceil((drift / effect) ** 2 * _unit_variance(policy.primary, traffic, share, allocation.baseline))
        for share in allocation.challengers
    )


def _unit_variance(primary: Primary, traffic: Traffic, share: float, baseline_share: float) -> float:
    """Return the variance of the difference times the units of the experiment, by the judge's own standard error.

    It is the larger of the own and the pooled one (`effects.Effect`), under the effect. A rate brings its own variance,
    so that of the treatment is the one that it has with the effect.
    """
    sign = (primary.direction or Direction.HIGHER).sign
    contrast = (primary.margin or primary.minimum_detectable_effect or 0.0) * abs(traffic.mean)
    own = base = traffic.deviation
    if primary.margin:
        # Nothing is better or worse, and the baseline's values count `kept` times.
        base *= 1.0 - sign * primary.margin * math.copysign(1.0, traffic.mean)
    elif traffic.std_dev is None:
        rate = min(max(traffic.mean + sign * contrast, 0.0), 1.0)
        own = math.sqrt(rate * (1.0 - rate))
    apart = own**2 / share + base**2 / baseline_share
    pooled = own**2 / baseline_share + base**2 / share + contrast**2 / (share + baseline_share)
    return max(apart, pooled)


def expected_units(policy: Policy, days: float) -> float:
    """Return the units that the expected traffic brings in so many days; 0 without expected traffic."""
    return 0.0 if policy.traffic is None else policy.traffic.units_per_day * days
