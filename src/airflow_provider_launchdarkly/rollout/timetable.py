"""A timetable whose runs start only while a change window is open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from typing_extensions import override

from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
from airflow_provider_launchdarkly.decision.cron import Cron

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.timetables.base import TimeRestriction


class ChangeWindowTimetable(Timetable):
    """Run at the times of a cron expression, but only while a change window is open.

    A run at a time when the window is closed waits until it opens; runs that wait for the same opening become one.
    Times are in the window's time zone, across changes of the clock.

    Args:
        cron: A cron expression such as ``0 9 * * mon``, with the meaning that it has as ``schedule``.
        window: The change window. Its calendar is read when the DAG file is parsed.
    """

    description = "Cron times within a change window"

    def __init__(self, cron: str, window: ChangeWindow | Mapping[str, Any]) -> None:
        read = window if isinstance(window, ChangeWindow) else ChangeWindow.from_json(window)
        self.window = read.with_calendar()
        self.cron = cron
        self._cron = Cron.parse(cron, self.window.timezone)

    @property
    @override
    def summary(self) -> str:
        """Return the text that the UI shows."""
        return f"{self.cron} in {self.window.timezone}, {', '.join(self.window.hours)}"

    @override
    def serialize(self) -> dict[str, Any]:
        """Return it as Airflow stores it."""
        return {"cron": self.cron, "window": self.window.to_json()}

    @classmethod
    @override
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Read back what :meth:`serialize` returned."""
        return cls(data["cron"], data["window"])

    @override
    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return the time of a manual run, which waits for no window."""
        return DataInterval.exact(run_after)

    @override
    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run after the last one; without catch-up, none in the past."""
        after = last_automated_data_interval.end if last_automated_data_interval else None
        earliest = restriction.earliest
        if not restriction.catchup:
            now = pendulum.instance(datetime.now(UTC))
            earliest = now if earliest is None else max(earliest, now)
        moments = [moment for moment in (after, earliest) if moment is not None]
        if not moments:
            return None
        found = self.next_run(max(moments), inclusive=after is None or (earliest is not None and earliest > after))
        if found is None or (restriction.latest is not None and found > restriction.latest):
            return None
        return DagRunInfo.exact(pendulum.instance(found))

    def next_run(self, at: datetime, *, inclusive: bool) -> datetime | None:
        """Return the first run after a time, or at it if `inclusive`; None if there is none.

        A postponed run never passes a later time of the expression, so only times after `at` count.
        """
        moment = self._cron.at_or_after(at) if inclusive else self._cron.after(at)
        return None if moment is None else self.window.next_opening(moment)
