"""Reads the dates, times and durations of a calendar (RFC 5545, 3.3.4 to 3.3.9). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.change_windows.time_zones import LATEST, to_instant

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.change_windows.content_lines import ContentLine
    from airflow_provider_launchdarkly.change_windows.time_zones import CalendarZones

_MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z?))?", re.ASCII)
# RFC 5545, 3.3.6: weeks stand alone, days may be followed by a time.
_DURATION = re.compile(
    r"\+?P(?:(\d{1,7})W|(?=[\dT])(?:(\d{1,7})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A DATE or a DATE-TIME.

    Attributes:
        wall: What a clock on the wall shows; midnight for a DATE.
        zone: The clock's time zone; None if the calendar leaves it to the reader, as for every DATE.
        whole_day: True for a DATE.
    """

    wall: datetime
    zone: tzinfo | None
    whole_day: bool

    def instant(self, reader: tzinfo) -> datetime:
        """Return the instant in UTC, in the reader's time zone if the calendar names none."""
        return to_instant(self.wall, self.zone or reader)


class Length(NamedTuple):
    """A length of time.

    Attributes:
        nominal: Time by the clock on the wall: days, be they 23, 24 or 25 hours long.
        exact: The time beyond it, exact.
    """

    nominal: timedelta
    exact: timedelta

    def end(self, wall: datetime, zone: tzinfo) -> datetime:
        """Return the instant at which something of this length ends that begins at a wall clock's time."""
        try:
            return to_instant(wall + self.nominal, zone) + self.exact
        except OverflowError:
            return LATEST

    def __bool__(self) -> bool:
        return self.nominal + self.exact > timedelta()


NO_TIME = timedelta()
MOMENT = Length(NO_TIME, NO_TIME)
DAY = Length(timedelta(days=1), NO_TIME)


def read_moment(line: ContentLine, value: str, zones: CalendarZones) -> Moment:
    """Read a DATE or DATE-TIME of a line, which gives its zone (TZID) and kind (VALUE).

    Raises:
        CalendarError: It is neither, is no date of the calendar, or its zone is not known.
    """
    match = _MOMENT.fullmatch(value.strip().upper())
    wall = _wall(match) if match else None
    if match is None or wall is None:
        raise line.error(
            f"{line.name} {value!r} is no date and no time; write for instance 20261224, 20261224T090000 or "
            "20261224T090000Z"
        )
    whole_day = match[4] is None
    kind = line.parameters.get("VALUE", "").upper()
    if (kind == "DATE" and not whole_day) or (kind == "DATE-TIME" and whole_day):
        raise line.error(f"{line.name} {value!r} is no {kind}, as VALUE={kind} promises")
    if whole_day:
        return Moment(wall, None, whole_day=True)
    if match[7]:
        return Moment(wall, UTC, whole_day=False)
    name = line.parameters.get("TZID")
    return Moment(wall, None if name is None else zones.zone(line, name), whole_day=False)


def _wall(match: re.Match[str]) -> datetime | None:
    """Return a date and time, or None if no calendar has this date, or no clock this time."""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        # RFC 5545, 3.3.12: a leap second counts as the second before it.
        return datetime(year, month, day, hour, minute, 59 if second == 60 else second)  # noqa: DTZ001 - a wall clock
    except ValueError:
        return None


def read_duration(line: ContentLine, value: str) -> Length:
    """Read a duration: weeks and days by the calendar, hours, minutes and seconds exact (RFC 5545, 3.3.6).

    Raises:
        CalendarError: It is no duration, or negative.
    """
    match = _DURATION.fullmatch(value.strip().upper())
    if match is None:
        raise line.error(f"{line.name} {value!r} is no duration; write for instance P1D or PT2H, never negative")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return Length(timedelta(weeks=weeks, days=days), timedelta(hours=hours, minutes=minutes, seconds=seconds))
