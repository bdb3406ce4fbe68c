"""Looks that are taken at their planned times: whether one is due, and how late it is. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.config.durations import describe_span
from airflow_provider_launchdarkly.decision.schedule import due_look

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule


def is_due(schedule: LookSchedule, elapsed: timedelta, previous: timedelta | None, poll_interval: timedelta) -> bool:
    """Return whether a planned look is due.

    Args:
        schedule: The planned looks.
        elapsed: Time since the iteration's start.
        previous: ``elapsed`` of the same process's poll before; None in a fresh process.
        poll_interval: Time between two polls.
    """
    if due_look(schedule, elapsed, previous=previous) is not None:
        return True
    # One and a half intervals: a process for each poll comes at least once within it, however it is scheduled.
    return previous is None and due_look(schedule, elapsed, tolerance=1.5 * poll_interval) is not None


def describe_lateness(plan: LookSchedule, elapsed: timedelta, previous: timedelta | None, tolerance: timedelta) -> str:
    """Return how late a look is, in words; empty if it is in time.

    A look is late if looks were missed between the poll before and this one, or if it comes later than the next look
    would have. Only the last look can: any other is then the next one. Late looks cost power, and time.

    Args:
        plan: The planned looks.
        elapsed: Time of the look, after the iteration's start.
        previous: ``elapsed`` of the same process's poll before; None in a fresh process.
        tolerance: Delay that never counts as late.
    """
    look = plan.look_at(elapsed)
    if look == 0:
        return ""
    time, before = plan.look_times[look - 1], (timedelta(), *plan.look_times)[look - 1]
    missed = 0 if previous is None else max(look - plan.look_at(previous) - 1, 0)
    if not missed and elapsed - time <= max(time - before, tolerance):
        return ""
    after = f"look {look} of {len(plan.look_times)} came {describe_span(elapsed - time)} after its time"
    return f"{after}, and {missed} before it {'was' if missed == 1 else 'were'} missed" if missed else after
