"""The looks of a plan with their boundaries, before anything is measured."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.policy_parts import Rule
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.views.model import PlannedLook

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy

_DAY = timedelta(days=1)


def planned_looks(policy: Policy, started_at: datetime | None, allocation: Allocation) -> tuple[PlannedLook, ...]:
    """Return every look of a plan, with the boundaries of its primary metric that the plan alone gives.

    Once looks are taken, the boundaries follow what was measured; these are what to expect of those to come. Solving
    them takes some milliseconds, once for each plan and process.

    Args:
        policy: The policy.
        started_at: When the iteration started, aware; needed for looks at cron times.
        allocation: The planned allocation.

    Raises:
        ValueError: The policy looks at cron times, and the start is not known.
    """
    schedule = schedule_looks(policy, started_at, allocation)
    times = schedule.look_times
    ship: list[float | None] = [None] * len(times)
    harm: list[float | None] = [None] * len(times)
    if policy.rule is Rule.GROUP_SEQUENTIAL:
        rates = ErrorRates.of(policy, allocation)
        above = schedule.ship_boundary(rates.ship, policy.ship_spending)
        below = schedule.harm_boundary(rates.primary_harm, policy.harm_spending)
        shares = [schedule.progress(time) for time in times]
        ship = [
            above.at(share) if time >= policy.min_duration else None for share, time in zip(shares, times, strict=True)
        ]
        harm = [below.at(share) for share in shares]
    return tuple(
        PlannedLook(
            number=number,
            elapsed_days=time / _DAY,
            at=started_at + time if started_at else None,
            boundary=ships,
            harm_boundary=harms,
        )
        for number, (time, ships, harms) in enumerate(zip(times, ship, harm, strict=True), start=1)
    )
