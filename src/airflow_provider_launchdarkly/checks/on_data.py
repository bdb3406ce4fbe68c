"""Looks that wait for their data: which one is due, and what is said while none is.

A worker asks whether data have arrived; the trigger, which may not block, only knows when it is time to ask. Which
looks were taken comes from the decision record, so a retry, a clear or a restart takes none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_launchdarkly.api.errors import DataNotArrivedError
from airflow_provider_launchdarkly.checks.result import describe_time
from airflow_provider_launchdarkly.config.durations import describe_span
from airflow_provider_launchdarkly.decision.evidence import Evidence, Taken
from airflow_provider_launchdarkly.decision.on_data import deadline_of, open_looks
from airflow_provider_launchdarkly.decision.policy_parts import AtDeadline
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.on_data import OpenLooks
    from airflow_provider_launchdarkly.decision.policy_parts import OnData
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule
    from airflow_provider_launchdarkly.evidence.source import LookContext

NOT_KNOWN = "its data were not known to have arrived by the deadline, so it judges what was there"

Ask: TypeAlias = Callable[["LookContext", Sequence[timedelta]], timedelta | None]
"""Asks up to when data have arrived, as time after the iteration's start; None while there are none. It may block.

It gets the planned times of the open looks, rising, for a source that only says whether the data of a time are there.
"""


@dataclass
class DataLooks:
    """A process's knowledge of an iteration's looks that wait for their data.

    Attributes:
        taken: Planned time of the newest look that was taken, after the iteration's start; 0 before the first.
        ask: Asks whether data have arrived; None where nobody may, in the triggerer.
        ask_every: Shortest time between two questions.
        ask_from: Nothing is asked before this time after the iteration's start.
        ended: The evidence of the look that ended the waiting, if one is on record: it is judged again, not taken.
    """

    taken: timedelta = timedelta()
    ask: Ask | None = None
    ask_every: timedelta = timedelta(minutes=15)
    ask_from: timedelta = timedelta()
    ended: Evidence | None = None

    def due(self, look_context: LookContext, schedule: LookSchedule, on_data: OnData) -> LookContext | None:
        """Return the look to take now; None while there is none. In the triggerer: the look to ask about.

        Raises:
            DataNotArrivedError: A look is past its deadline, and the policy fails then.
        """
        elapsed = look_context.elapsed
        found = open_looks(schedule, on_data, elapsed, schedule.look_at(self.taken))
        if found is None:
            return None
        if self.ask is None:
            return look_context if elapsed >= self.ask_from or found.overdue else None
        arrived = self._arrived(look_context, schedule, found)
        due = found.due(0 if arrived is None else schedule.look_at(arrived))
        if due is None:
            return None
        if not due.arrived and on_data.otherwise is AtDeadline.FAIL:
            raise DataNotArrivedError(_too_late(look_context, schedule, on_data, due.number, arrived))
        taken = Taken(
            elapsed, arrived if due.arrived else None, tuple(range(schedule.look_at(self.taken) + 1, due.number))
        )
        return look_context.as_of(schedule.look_times[due.number - 1], taken)

    def _arrived(self, look_context: LookContext, schedule: LookSchedule, found: OpenLooks) -> timedelta | None:
        """Ask, unless it is too early to ask again."""
        if self.ask is None or look_context.elapsed < self.ask_from:
            return None
        self.ask_from = look_context.elapsed + self.ask_every
        return self.ask(look_context, schedule.look_times[found.oldest - 1 : found.newest])

    def awaiting(self, look_context: LookContext, schedule: LookSchedule, on_data: OnData) -> Verdict | None:
        """Return the wait for the data of a look; None between looks."""
        elapsed = look_context.elapsed
        found = open_looks(schedule, on_data, elapsed, schedule.look_at(self.taken))
        if found is None:
            return None
        number = found.oldest
        late = describe_span(elapsed - schedule.look_times[number - 1])
        left = deadline_of(schedule, on_data, number) - elapsed
        summary = (
            f"waiting for the data of look {number} of {len(schedule.look_times)}, whose time was {late} ago; "
            f"its deadline is {describe_time(look_context.at + left, look_context.at)}"
        )
        looks = len(schedule.look_times)
        return Verdict.wait(Reason.AWAITING_DATA, summary, elapsed, look=schedule.look_at(self.taken), looks=looks)


def cautions_of(taken: Taken) -> tuple[str, ...]:
    """Return a sentence for each thing about the time of a look that limits what its verdict means."""
    found = [] if taken.arrived is not None else [NOT_KNOWN]
    if taken.left_out:
        first, last = taken.left_out[0], taken.left_out[-1]
        which = f"look {first}" if first == last else f"looks {first} to {last}"
        found.append(f"{which} before it left out: no data came for it in time, or not before this look's")
    return tuple(found)


def describe_taken(evidence: Evidence) -> str:
    """Return in words when a look was taken; empty for one that did not wait for data."""
    if evidence.taken is None:
        return ""
    late = describe_span(evidence.taken.at - evidence.elapsed)
    why = "when its data had arrived" if evidence.taken.arrived is not None else "at its deadline"
    return f"taken {late} after its time, {why}"


def _too_late(
    look_context: LookContext, schedule: LookSchedule, on_data: OnData, number: int, arrived: timedelta | None
) -> str:
    start = look_context.at - look_context.elapsed
    planned = start + schedule.look_times[number - 1]
    so_far = "none" if arrived is None else f"up to {start + arrived:%Y-%m-%d %H:%M} UTC"
    late = describe_span(look_context.elapsed - deadline_of(schedule, on_data, number))
    return (
        f"look {number} of {len(schedule.look_times)}, planned at {planned:%Y-%m-%d %H:%M} UTC, has no data {late} "
        f"after its deadline (data: {so_far}): load them and clear the task, or write looks.on_data.otherwise: take "
        "or skip"
    )
