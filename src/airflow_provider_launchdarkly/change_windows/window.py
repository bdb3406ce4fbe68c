"""A change window: the hours, weekdays and dates at which starting and shipping are allowed.

Pure: instants in, instants out. The window is evaluated in local wall-clock time, so the two days a year with 23 and
25 hours need no extra rule.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from airflow_provider_launchdarkly.change_windows.content_lines import MAX_BYTES, CalendarError
from airflow_provider_launchdarkly.config.strict_model import StrictModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_launchdarkly.change_windows.busy_times import BusyTimes


DAY = timedelta(days=1)

# A window that stays closed longer than this is a mistake in its definition.
HORIZON_DAYS = 800

_HOURS = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")


class NeverOpenError(ValueError):
    """The window does not open within the next two years."""


class Weekday(StrEnum):
    """Days of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEKDAYS = tuple(Weekday)
_MONDAY_TO_FRIDAY = WEEKDAYS[:5]


def _weekday(value: Any) -> Any:
    return value.strip().lower()[:3] if isinstance(value, str) and len(value.strip()) in {3, 6, 7, 8, 9} else value


def _span(value: Any) -> Any:
    """Read ``2026-12-24`` and ``2026-12-24/2027-01-02``, and a date, which some YAML readers make of the former."""
    if isinstance(value, datetime):
        raise ValueError(f"{value} has a time; a closure is made of whole days, such as 2026-12-24")  # noqa: TRY004 - pydantic wants it
    if isinstance(value, date):
        return {"first": value, "last": value}
    if isinstance(value, str):
        first, _, last = value.partition("/")
        return {"first": first.strip(), "last": (last or first).strip()}
    return value


class Closure(StrictModel):
    """Whole days on which the window stays closed.

    Attributes:
        first: The first day, in the window's time zone.
        last: The last day, included.
    """

    first: date
    last: date

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"the closure ends on {self.last}, before it begins on {self.first}")
        return self


class ChangeWindow(StrictModel):
    """The times at which people may be given something new. Rolling back never waits for it.

    Attributes:
        timezone: IANA name of the time zone of all other fields.
        weekdays: Days on which it opens: ``mon`` to ``sun``.
        hours: Spans such as ``09:00-17:00``; the end is not included. ``22:00-02:00`` ends on the next day and belongs
            to the weekday on which it begins. ``00:00-24:00`` is the whole day.
        blackout: Days on which it stays closed: ``2026-12-24``, or ``2026-12-24/2027-01-02``, both included.
        calendar: Path of an iCalendar file (RFC 5545). The window stays closed during its events. Each task reads the
            file anew by :meth:`with_calendar`, so that a change takes effect at once.
        events: The calendar's events, once read: its text, with only the lines that say when they are.
    """

    timezone: str = "UTC"
    weekdays: Annotated[tuple[Annotated[Weekday, BeforeValidator(_weekday)], ...], Field(min_length=1)] = (
        _MONDAY_TO_FRIDAY
    )
    hours: Annotated[tuple[str, ...], Field(min_length=1)] = ("09:00-17:00",)
    blackout: tuple[Annotated[Closure, BeforeValidator(_span)], ...] = ()
    calendar: str | None = None
    # Kept out of messages: it is as long as the calendar.
    events: Annotated[str, Field(repr=False)] = ""

    @model_validator(mode="before")
    @classmethod
    def _one_span(cls, value: Any) -> Any:
        # Most people write `hours: "09:00-17:00"`.
        if isinstance(value, dict) and isinstance(value.get("hours"), str):
            return {**value, "hours": (value["hours"],)}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"timezone {self.timezone!r} is not an IANA name such as Europe/Berlin") from None
        for span in self.hours:
            _minutes(span)
        return self

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChangeWindow:
        """Read a window from plain JSON.

        Raises:
            InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
        """
        return cls.read(value)

    def to_json(self) -> dict[str, Any]:
        """Return the whole window as plain JSON; :meth:`from_json` reads it back."""
        return self.model_dump(mode="json")

    def with_calendar(self) -> ChangeWindow:
        """Return the window with its calendar's events.

        Raises:
            CalendarError: The file cannot be read, or uses an unsupported part of iCalendar. The message names the file
                and the line. A blackout that cannot be read never counts as none.
        """
        if self.calendar is None:
            return self
        from airflow_provider_launchdarkly.config.regular_files import open_regular

        try:
            with open_regular(self.calendar) as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise CalendarError(f"calendar {self.calendar!r} cannot be read: {error}") from error
        try:
            events = _checked_events(content)
        except CalendarError as error:
            raise CalendarError(f"calendar {self.calendar!r}: {error}") from error
        return self.model_validate({**self.model_dump(), "calendar": None, "events": events})

    def is_open(self, at: datetime) -> bool:
        """Return whether the window is open at an instant.

        A rule added here also needs its openings in :meth:`_possible_openings`, or :meth:`next_opening` finds them
        late. A test draws every field and compares the two.

        Args:
            at: An aware datetime.

        Raises:
            CalendarError: The window names a calendar that has not been read.
        """
        if self.calendar is not None:
            raise CalendarError(f"calendar {self.calendar!r} has not been read; call with_calendar() first")
        wall = at.astimezone(self._zone)
        if any(closure.first <= wall.date() <= closure.last for closure in self.blackout):
            return False
        if self._busy.covers(at):
            return False
        minute = wall.hour * 60 + wall.minute
        today, yesterday = WEEKDAYS[wall.weekday()], WEEKDAYS[wall.weekday() - 1]
        for start, end in self._spans:
            if start < end and today in self.weekdays and start <= minute < end:
                return True
            if end <= start and (
                (today in self.weekdays and minute >= start) or (yesterday in self.weekdays and minute < end)
            ):
                return True
        return False

    def next_opening(self, at: datetime) -> datetime:
        """Return the first instant at or after `at` at which the window is open.

        Args:
            at: An aware datetime.

        Raises:
            NeverOpenError: It does not open within two years.
        """
        at = at.astimezone(UTC)
        if self.is_open(at):
            return at
        first = at.astimezone(self._zone).date()
        for days in range(HORIZON_DAYS):
            possible = self._possible_openings(first + days * DAY)
            candidates = [moment for moment in possible if moment > at and self.is_open(moment)]
            if candidates:
                return min(candidates)
        raise NeverOpenError(f"the change window does not open within {HORIZON_DAYS} days of {at.isoformat()}: {self}")

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def _busy(self) -> BusyTimes:
        from airflow_provider_launchdarkly.change_windows.busy_times import BusyTimes

        if not self.events:
            return BusyTimes((), self._zone)
        # Imported here: only a window with a calendar pays for reading one.
        from airflow_provider_launchdarkly.change_windows.calendar import read_calendar

        return BusyTimes(read_calendar(self.events), self._zone)

    @cached_property
    def _spans(self) -> tuple[tuple[int, int], ...]:
        return tuple(_minutes(span) for span in self.hours)

    def _possible_openings(self, day: date) -> Iterator[datetime]:
        """Yield each instant of a day at which the window can open: hours begin, an event ends, the clock changes."""
        for start in (0, *(start for start, _ in self._spans)):
            wall = datetime.combine(day, time(start // 60, start % 60), self._zone)
            for fold in (0, 1):
                yield wall.replace(fold=fold).astimezone(UTC)
        midnight = datetime.combine(day, time(), self._zone)
        nightfall = datetime.combine(day + DAY, time(), self._zone)
        if midnight.utcoffset() != nightfall.utcoffset():
            yield _change_of_clock(midnight.astimezone(UTC), nightfall.astimezone(UTC), self._zone)
        yield from self._busy.ends(midnight.astimezone(UTC), nightfall.astimezone(UTC))


@lru_cache(maxsize=4)
def _checked_events(content: bytes) -> str:
    """Return the essential text of a calendar, checked; cached, since many rollouts name the same one."""
    from airflow_provider_launchdarkly.change_windows.calendar import essential_text, read_calendar

    read_calendar(content)
    return essential_text(content)


def _minutes(span: str) -> tuple[int, int]:
    """Return ``09:00-17:00`` as minutes of the day."""
    match = _HOURS.fullmatch(span.strip())
    if match:
        hours = [int(part) for part in match.groups()]
        start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if hours[1] < 60 and hours[3] < 60 and start < 1440 and end <= 1440 and start != end:
            return start, end
    raise ValueError(f"hours {span!r} is no span; write for instance 09:00-17:00")


def _change_of_clock(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The minute between two instants at which the zone's offset changes."""
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(minutes=1):
        middle = before + timedelta(minutes=(after - before) // timedelta(minutes=2))
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
