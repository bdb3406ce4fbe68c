"""Reads the events of an iCalendar file (RFC 5545), without repetitions. Pure.

It rejects what it does not support and never skips it: an overlooked blackout is a change on the wrong day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

# RFC 5545, 3.3.6: weeks stand alone, days may be followed by a time.
_DURATION = re.compile(r"\+?P(?:(\d+)W|(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?)")
_PARAMETER = re.compile(r';([^=;:]+)=("[^"]*"|[^;:]*)')
_REPEATS = ("RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")


class CalendarError(ValueError):
    """The calendar cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        start: The beginning; naive if the calendar gives no time zone, as for whole days.
        end: The end, not included.
        summary: The title.
    """

    start: datetime
    end: datetime
    summary: str = ""


class _Line(NamedTuple):
    number: int
    name: str
    parameters: dict[str, str]
    value: str


def read_calendar(text: str) -> tuple[Event, ...]:
    """Read all events that are not cancelled, in the order of the file.

    Args:
        text: The file's content.

    Raises:
        CalendarError: The file is not a calendar, an event has no beginning, or it repeats.
    """
    lines = list(_lines(text))
    if not lines or (lines[0].name, lines[0].value.upper()) != ("BEGIN", "VCALENDAR"):
        raise CalendarError("line 1: an iCalendar file begins with BEGIN:VCALENDAR")
    events = []
    open_components: list[str] = []
    fields: dict[str, _Line] = {}
    for line in lines:
        if line.name == "BEGIN":
            open_components.append(line.value.upper())
            if open_components[-1] == "VEVENT":
                fields = {"BEGIN": line}
        elif line.name == "END":
            if not open_components or open_components.pop() != line.value.upper():
                raise CalendarError(f"line {line.number}: END:{line.value} ends nothing")
            if line.value.upper() == "VEVENT" and fields.get("STATUS", line).value.upper() != "CANCELLED":
                events.append(_event(fields))
        elif open_components and open_components[-1] == "VEVENT":
            fields[line.name] = line
    if open_components:
        raise CalendarError(f"the file ends within {open_components[-1]}")
    return tuple(events)


def _lines(text: str) -> Iterator[_Line]:
    """Content lines, with folded ones joined (RFC 5545, 3.1)."""
    joined: list[tuple[int, str]] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if raw[:1] in {" ", "\t"} and joined:
            first, begun = joined[-1]
            joined[-1] = (first, begun + raw[1:])
        elif raw.strip():
            joined.append((number, raw))
    for number, content in joined:
        name = re.match(r"[A-Za-z0-9-]+", content)
        rest = content[name.end() :] if name else ""
        parameters = {}
        while match := _PARAMETER.match(rest):
            parameters[match[1].upper()] = match[2].strip('"')
            rest = rest[match.end() :]
        if not name or not rest.startswith(":"):
            raise CalendarError(f"line {number}: {content!r} is not NAME:VALUE")
        yield _Line(number, name[0].upper(), parameters, rest[1:].strip())


def _event(fields: dict[str, _Line]) -> Event:
    number = fields["BEGIN"].number
    repeated = next((fields[name] for name in _REPEATS if name in fields), None)
    if repeated:
        raise CalendarError(f"line {repeated.number}: {repeated.name} is not supported; write each event out")
    if "DTSTART" not in fields:
        raise CalendarError(f"line {number}: the event has no DTSTART")
    start, whole_day = _moment(fields["DTSTART"])
    if "DTEND" in fields:
        end = _moment(fields["DTEND"])[0]
    elif "DURATION" in fields:
        end = start + _duration(fields["DURATION"])
    else:
        # RFC 5545, 3.6.1: without an end, a date lasts a day, and a time has no length.
        end = start + (timedelta(days=1) if whole_day else timedelta())
    if (start.tzinfo is None) != (end.tzinfo is None) or end < start:
        raise CalendarError(f"line {number}: the event ends before it begins, or in another kind of time")
    return Event(start, end, fields["SUMMARY"].value if "SUMMARY" in fields else "")


def _moment(line: _Line) -> tuple[datetime, bool]:
    """A DATE or DATE-TIME (RFC 5545, 3.3.4 and 3.3.5), and whether it is a whole day."""
    try:
        if re.fullmatch(r"\d{8}", line.value):
            return datetime.strptime(line.value, "%Y%m%d"), True  # noqa: DTZ007 - the window's zone is added later
        if line.value.endswith("Z"):
            return datetime.strptime(line.value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), False
        moment = datetime.strptime(line.value, "%Y%m%dT%H%M%S")  # noqa: DTZ007 - floating, or by TZID
    except ValueError:
        raise CalendarError(
            f"line {line.number}: {line.value!r} is not a date or a time; write 20261224 or 20261224T090000Z"
        ) from None
    zone = line.parameters.get("TZID")
    if zone is None:
        return moment, False
    try:
        return moment.replace(tzinfo=ZoneInfo(zone)), False
    except (KeyError, ValueError, OSError):
        raise CalendarError(f"line {line.number}: TZID {zone!r} is not an IANA name such as Europe/Berlin") from None


def _duration(line: _Line) -> timedelta:
    match = _DURATION.fullmatch(line.value.upper())
    if not match or not any(match.groups()):
        raise CalendarError(f"line {line.number}: {line.value!r} is not a duration; write for instance P1D or PT2H")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
