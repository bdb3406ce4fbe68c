"""Which planned look is to be taken when looks wait for their data. Pure.

A look has a planned time, and is taken once data up to that time have arrived, or at a deadline. Its number, and so its
boundary, never follows from when it is taken. If data of several looks arrive together, the newest of them is taken and
the others are left out: two looks at the same data would be one look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.policy_parts import AtDeadline

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_launchdarkly.decision.policy_parts import OnData
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule


class DueLook(NamedTuple):
    """A planned look that is to be taken now.

    Attributes:
        number: Its number, from 1.
        arrived: Whether its data have arrived; False at its deadline.
    """

    number: int
    arrived: bool


class OpenLooks(NamedTuple):
    """The looks whose time has come and that are neither taken nor left out, by their numbers.

    Attributes:
        oldest: The oldest that may still wait for its data; the newest of all where none may.
        newest: The newest.
        overdue: The newest that waits no longer, since its deadline has passed; 0 if there is none.
        settled: The newest that was taken or left out before; 0 if there is none.
    """

    oldest: int
    newest: int
    overdue: int
    settled: int

    def due(self, arrived: int) -> DueLook | None:
        """Return the look to take now; None while all wait.

        Args:
            arrived: Number of the newest look whose data have arrived; 0 if there is none.
        """
        number = max(min(arrived, self.newest), self.overdue)
        return DueLook(number, arrived >= number) if number > self.settled else None


def open_looks(schedule: LookSchedule, on_data: OnData, elapsed: timedelta, taken: int) -> OpenLooks | None:
    """Return the looks that are open at a time; None if there are none.

    Args:
        schedule: The planned looks.
        on_data: How long they wait.
        elapsed: Time since the iteration's start.
        taken: Number of the newest look that was taken; 0 if there is none.
    """
    newest, last = schedule.look_at(elapsed), len(schedule.look_times)
    settled, past = taken, schedule.look_at(elapsed - on_data.deadline)
    if on_data.otherwise is AtDeadline.SKIP:
        # By the clock alone, so that no process has to remember what it left out. The plan's end is never left out.
        settled = max(taken, min(past, last - 1))
        past = past if past == last else 0
    if newest <= settled:
        return None
    overdue = past if past > settled else 0
    return OpenLooks(min(max(settled, overdue) + 1, newest), newest, overdue, settled)


def deadline_of(schedule: LookSchedule, on_data: OnData, number: int) -> timedelta:
    """Return the time after the iteration's start until which a look waits."""
    return schedule.look_times[number - 1] + on_data.deadline
