"""The concerns about a plan: effects and units that the expected traffic does not bring in time."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.decision.allocation import EVEN
from airflow_provider_launchdarkly.decision.policy_parts import DAY
from airflow_provider_launchdarkly.decision.sample_size import effect_to_find, expected_units
from airflow_provider_launchdarkly.decision.schedule import look_times, units_for_power

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy

# A Monday, for looks at cron times of an iteration that has not started.
ANY_START = datetime(2024, 1, 1, tzinfo=UTC)


def find_plan_concerns(policy: Policy, allocation: Allocation = EVEN) -> tuple[str, ...]:
    """Return a sentence for each planned number of units that the expected traffic does not bring in time.

    Solving the boundary takes some milliseconds, so only the command line asks for it.

    Args:
        policy: The policy.
        allocation: The planned allocation.
    """
    if policy.traffic is None:
        return ()
    times = look_times(policy, ANY_START)
    expected, longest = expected_units(policy, times[-1] / DAY), format_duration(policy.max_duration)
    arriving = f"{policy.traffic.units_per_day:g} a day bring {expected:,.0f} until max_duration {longest}"
    found = (
        _units(policy, expected, arriving, times, allocation),
        _smallest_treatment(policy, expected, arriving, allocation),
    )
    return tuple(sentence for sentence in found if sentence)


def _units(policy: Policy, expected: float, arriving: str, times: tuple[timedelta, ...], allocation: Allocation) -> str:
    """Return the sentence on planned units, or on an effect, that the traffic does not bring; empty if it does."""
    if policy.planned_units is not None:
        too_many = policy.planned_units > expected
        return f"planned_units {policy.planned_units:,} do not arrive: {arriving}" if too_many else ""
    needed = units_for_power(policy, times, allocation)
    effect = effect_to_find(policy)
    if needed is None or effect is None or needed <= expected:
        return ""
    field = "margin" if policy.primary.margin else "minimum_detectable_effect"
    least = effect * math.sqrt(needed / expected)
    return (
        f"primary.{field} {effect:g} does not fit: to find {100 * effect:g} % with power {policy.power:g} takes "
        f"{needed:,} units split {allocation}, and {arriving}; {least:.2g} fits, or a longer max_duration"
    )


def _smallest_treatment(policy: Policy, expected: float, arriving: str, allocation: Allocation) -> str:
    """Return the sentence on a treatment that never gets the units without which nothing ships; empty if it does."""
    smallest = min(allocation.baseline, *allocation.challengers)
    if expected * smallest >= policy.min_units_per_treatment:
        return ""
    return (
        f"min_units_per_treatment {policy.min_units_per_treatment:,} do not arrive: {arriving}, and "
        f"{expected * smallest:,.0f} of them in the smallest treatment of {allocation}, so nothing can ship"
    )
