"""The times at which a cron expression fires in a time zone: five fields, standard library only."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}


class Cron(NamedTuple):
    """A parsed expression.

    Attributes:
        minutes: Minutes of the hour at which it fires.
        hours: Hours of the day.
        days: Days of the month.
        months: Months, 1 to 12.
        weekdays: Days of the week, 0 is Sunday.
        either_day: Whether one of the two kinds of day is enough, as cron has it when both are restricted.
        zone: Whose wall clock it follows.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    zone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, zone: str = "UTC") -> Cron:
        """Read an expression.

        Args:
            expression: Minute, hour, day of month, month, day of week; or ``@hourly``, ``@daily``, ``@weekly``,
                ``@monthly``.
            zone: IANA name of the time zone.

        Raises:
            ValueError: A field is wrong; the message names it.
        """
        fields = _MACROS.get(expression.strip().lower(), expression).split()
        if len(fields) != 5:
            raise ValueError(f"cron {expression!r} has {len(fields)} fields, not 5 (minute hour day month weekday)")
        minute, hour, day, month, weekday = fields
        try:
            where = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{zone!r} is no time zone known here; write for instance Europe/Berlin") from None
        return cls(
            minutes=_values(minute, "minute", 0, 59),
            hours=_values(hour, "hour", 0, 23),
            days=_values(day, "day", 1, 31),
            months=_values(month, "month", 1, 12, _MONTHS),
            weekdays=frozenset(value % 7 for value in _values(weekday, "weekday", 0, 7, _DAYS)),
            either_day=not day.startswith("*") and not weekday.startswith("*"),
            zone=where,
        )

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the times after ``start``, up to and including ``end``, in order, in UTC.

        A wall-clock time that a change of clocks skips fires at the moment that it would have been; one that comes
        twice fires once, the first time.
        """
        last = None
        day = start.astimezone(self.zone).date()
        while day <= end.astimezone(self.zone).date():
            if self._fires_on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        moment = datetime.combine(day, time(hour, minute), self.zone).astimezone(UTC)
                        if start < moment <= end and (last is None or moment > last):
                            last = moment
                            yield moment
            day += timedelta(days=1)

    def _fires_on(self, day: date) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        matches = of_month or of_week if self.either_day else of_month and of_week
        return matches and day.month in self.months


def _values(field: str, name: str, lowest: int, highest: int, words: tuple[str, ...] = ()) -> frozenset[int]:
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step_text = part.partition("/")
        step = int(step_text) if _is_number(step_text) else 0 if step_text else 1
        if span == "*":
            low, high = lowest, highest
        else:
            low_text, dash, high_text = span.partition("-")
            low = _number(low_text, field, name, lowest, words)
            high = _number(high_text, field, name, lowest, words) if dash else (highest if step_text else low)
        if step < 1 or not lowest <= low <= high <= highest:
            raise ValueError(f"cron field {name}: {field!r} is not within {lowest} to {highest}")
        found.update(range(low, high + 1, step))
    return frozenset(found)


def _number(text: str, field: str, name: str, lowest: int, words: tuple[str, ...]) -> int:
    if text in words:
        return words.index(text) + lowest
    if _is_number(text):
        return int(text)
    raise ValueError(f"cron field {name}: cannot read {text!r} in {field!r}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
