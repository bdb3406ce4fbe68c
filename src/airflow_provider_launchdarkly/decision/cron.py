"""The times of a cron expression in a time zone, as Airflow's ``CronTriggerTimetable`` computes them.

The parser is croniter, because Airflow parses ``schedule=`` with it: an expression must not mean one thing on a DAG and
another in its policy. Airflow installs croniter itself. It takes 10 ms to import, so only an expression loads it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The only preset of Airflow (airflow/utils/dates.py) that croniter does not have.
_QUARTERLY = {"@quarterly": "0 0 1 */3 *"}

# croniter draws `R` at random each time, so every process would compute other looks.
_RANDOM = re.compile(r"(^|[\s,])r([\s,(/]|$)", re.IGNORECASE)

# croniter takes years from 1970 to 2099.
_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall-clock time
_YEARS = 130


class Cron(NamedTuple):
    """A checked expression.

    Attributes:
        expression: What croniter reads.
        zone: The time zone of the wall clock that it follows.
    """

    expression: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, zone: str = "UTC") -> Cron:
        """Check an expression.

        Args:
            expression: Minute, hour, day of month, month, day of week, and whatever else Airflow takes as ``schedule``,
                such as ``@yearly``, ``0 0 L * *`` or ``0 9 * * mon#1``.
            zone: IANA name of the time zone.

        Raises:
            ValueError: croniter cannot read the expression, it never fires, or it is random; or the zone is unknown.
        """
        try:
            where = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name such as Europe is a folder
            raise ValueError(f"{zone!r} is no time zone known here; write for instance Europe/Berlin") from None
        if _RANDOM.search(expression):
            raise ValueError(f"cron {expression!r} draws a field at random with R; write a number in its place")
        cron = cls(_QUARTERLY.get(expression, expression), where)
        from croniter import CroniterBadDateError, CroniterError

        try:
            _croniter(cron.expression, _FIRST).get_next(datetime)
        except CroniterBadDateError:
            raise ValueError(f"cron {expression!r} never fires; correct its day, month or year") from None
        except (CroniterError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"cron {expression!r}: {error}; write minute, hour, day of month, month and day of week, "
                "for instance 0 9 * * mon"
            ) from None
        return cron

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, in UTC; None if there is no more.

        Wall-clock times that a change of clocks skips fire as much later as the clocks moved; those that come twice
        fire the second time. An expression that fires every hour goes on every hour.

        Args:
            moment: An aware time.
        """
        return self._neighbour(moment, "get_next")

    def before(self, moment: datetime) -> datetime | None:
        """Return the last time before a moment, in UTC; None if there is none.

        Args:
            moment: An aware time.
        """
        return self._neighbour(moment, "get_prev")

    def at_or_after(self, moment: datetime) -> datetime | None:
        """Return a moment if the expression fires then, else the first time after it, in UTC.

        Args:
            moment: An aware time.
        """
        start = _plain(moment)
        following = self.after(start)
        return start if following is not None and self.before(following) == start else following

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the times after ``start``, up to and including ``end``, in order, in UTC."""
        moment = self.after(start)
        while moment is not None and moment <= end:
            yield moment
            moment = self.after(moment)

    def _neighbour(self, moment: datetime, method: str) -> datetime | None:
        """Do what ``_get_next`` and ``_get_prev`` of ``airflow/timetables/_cron.py`` do."""
        from croniter import CroniterBadDateError

        utc = _plain(moment)
        wall = utc.astimezone(self.zone).replace(tzinfo=None)
        cron = _croniter(self.expression, wall)
        try:
            found: datetime = getattr(cron, method)(datetime)
        except CroniterBadDateError:
            return None
        if cron.expanded[1] == ["*"]:  # every hour: through the hour that comes twice without a pause
            return utc + (found - wall)
        # The later one of a skipped time's two readings is after the gap, that of a repeated time its second coming.
        return max(found.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _plain(moment: datetime) -> datetime:
    """Return a moment in UTC, free of the arithmetic of pendulum's class, which Airflow hands over."""
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def _croniter(expression: str, start: datetime) -> Any:
    from croniter import croniter

    return croniter(expression, start_time=start, max_years_between_matches=_YEARS)
