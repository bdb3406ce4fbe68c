"""Reads the events of an iCalendar file (RFC 5545): as much of it as blackout dates need, and no less.

Pure. What is not understood is refused, never skipped: a blackout that was overlooked is a change on the wrong day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError, ContentLine, content_lines
from airflow_provider_launchdarkly.change_windows.moments import (
    DAY,
    MOMENT,
    NO_TIME,
    Length,
    Moment,
    read_duration,
    read_moment,
)
from airflow_provider_launchdarkly.change_windows.recurrence import Rule, read_rule
from airflow_provider_launchdarkly.change_windows.time_zones import CalendarZones, to_instant, to_wall

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

# An event has one of each at most.
_SINGLE = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "UID", "STATUS", "SEQUENCE")
# The lines of an event that say when it is. X-MICROSOFT-CDO-ALLDAYEVENT is Outlook's mark of whole days.
_OUTLOOK_WHOLE_DAY = "X-MICROSOFT-CDO-ALLDAYEVENT"
_ESSENTIAL = frozenset({*_SINGLE, "RRULE", "RDATE", "EXDATE", "EXRULE", _OUTLOOK_WHOLE_DAY})
_BUSY_TIMES = ("VFREEBUSY", "VAVAILABILITY")


@dataclass(frozen=True, slots=True)
class Event:
    """An event, with all of its occurrences.

    Attributes:
        start: The beginning of the first occurrence.
        length: The length of each occurrence.
        summary: Its title.
        rules: The rules by which it recurs.
        dates: Further occurrences, each with its length.
        left_out: Occurrences that do not take place, or take place otherwise.
    """

    start: Moment
    length: Length
    summary: str = ""
    rules: tuple[Rule, ...] = ()
    dates: tuple[tuple[Moment, Length], ...] = ()
    left_out: tuple[Moment, ...] = ()

    def spans(self, begin: datetime, end: datetime, reader: tzinfo) -> Iterator[tuple[datetime, datetime]]:
        """Yield begin and end, in UTC, of the occurrences that overlap a span of time, in no order.

        Args:
            begin: Begin of the span.
            end: Its end, not included.
            reader: The time zone of whole days, and of times to which the calendar gives none.
        """
        zone = self.start.zone or reader
        walls = {self.start.wall}
        if self.rules:
            last = to_wall(end, zone)
            try:
                # Two days more than its length: no change of a clock is that large.
                first = to_wall(begin, zone) - (timedelta(days=2) + self.length.nominal + self.length.exact)
            except OverflowError:
                first = datetime.min  # noqa: DTZ901 - a wall clock has no zone
            for rule in self.rules:
                walls.update(rule.walls(first, last, zone))
        found = [(wall, zone, self.length) for wall in walls]
        found += [(moment.wall, moment.zone or zone, length) for moment, length in self.dates]
        days, instants = self._left_out(zone)
        for wall, its_zone, length in found:
            start = to_instant(wall, its_zone)
            stop = length.end(wall, its_zone)
            if start < end and stop > begin and wall.date() not in days and start not in instants:
                yield start, stop

    def _left_out(self, zone: tzinfo) -> tuple[set[object], set[datetime]]:
        days: set[object] = set()
        instants: set[datetime] = set()
        for moment in self.left_out:
            # Outlook leaves out whole days by their midnight.
            midnight = moment.wall == datetime.combine(moment.wall.date(), datetime.min.time())
            if moment.whole_day or (self.start.whole_day and midnight and moment.zone is not UTC):
                days.add(moment.wall.date())
            else:
                instants.add(moment.instant(zone))
        return days, instants


@dataclass(slots=True)
class _Component:
    """A component of the file, with its own lines and the components within it."""

    begin: ContentLine
    lines: list[ContentLine] = field(default_factory=list)
    components: list[_Component] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.begin.value.upper()

    def first(self, name: str) -> ContentLine | None:
        return next((line for line in self.lines if line.name == name), None)

    def every(self, name: str) -> list[ContentLine]:
        return [line for line in self.lines if line.name == name]

    def all_lines(self) -> Iterator[ContentLine]:
        """Yield its lines and those of the components within it, from BEGIN to END."""
        yield self.begin
        yield from self.lines
        for component in self.components:
            yield from component.all_lines()
        yield self.begin._replace(name="END", text=f"END:{self.name}")


class _Entry(NamedTuple):
    """A VEVENT, before its occurrences are known."""

    component: _Component
    zones: CalendarZones
    uid: str
    replaces: Moment | None
    sequence: int


def read_calendar(content: str | bytes) -> tuple[Event, ...]:
    """Read all events that are not cancelled, in the order of the file.

    Args:
        content: The file's content.

    Raises:
        CalendarError: It is no calendar, or something in it is wrong or not supported.
    """
    calendars = _calendars(content)
    entries = [entry for calendar in calendars for entry in _entries(calendar)]
    newest: dict[tuple[str, Moment | None], int] = {}
    for entry in entries:
        key = entry.uid, entry.replaces
        newest[key] = max(entry.sequence, newest.get(key, 0))
    # Of several revisions of an event the last one counts. Events without a UID are no revisions of one another.
    current = [entry for entry in entries if not entry.uid or entry.sequence == newest[entry.uid, entry.replaces]]
    replaced: dict[str, list[Moment]] = {}
    for entry in current:
        if entry.replaces:
            replaced.setdefault(entry.uid, []).append(entry.replaces)
    return tuple(
        _event(entry, () if entry.replaces else replaced.get(entry.uid, ()))
        for entry in current
        if (status := entry.component.first("STATUS")) is None or status.value.upper() != "CANCELLED"
    )


def essential_text(content: str | bytes) -> str:
    """Return a calendar's text with only the lines that :func:`read_calendar` needs, which change with its events only.

    Raises:
        CalendarError: It is no calendar.
    """
    texts: list[str] = []
    for calendar in _calendars(content):
        texts.append("BEGIN:VCALENDAR")
        for component in calendar.components:
            if component.name == "VTIMEZONE":
                texts += [line.text for line in component.all_lines()]
            elif component.name == "VEVENT":
                kept = [line.text for line in component.lines if line.name in _ESSENTIAL]
                texts += ["BEGIN:VEVENT", *kept, "END:VEVENT"]
        texts.append("END:VCALENDAR")
    return "\n".join(texts)


def _calendars(content: str | bytes) -> list[_Component]:
    """Read the components of a file, and check that they are those of a calendar."""
    top: list[_Component] = []
    within: list[_Component] = []
    for line in content_lines(content.encode(errors="surrogatepass") if isinstance(content, str) else content):
        if line.name == "BEGIN":
            component = _Component(line)
            if not within and component.name != "VCALENDAR":
                raise line.error(f"an iCalendar file begins with BEGIN:VCALENDAR, not with BEGIN:{line.value}")
            if component.name in _BUSY_TIMES:
                raise line.error(f"{component.name} is not supported; export the events themselves")
            if component.name == "VEVENT" and len(within) != 1:
                raise line.error(f"a VEVENT stands within {within[-1].name}; the END before it is missing")
            (within[-1].components if within else top).append(component)
            within.append(component)
        elif not within:
            raise line.error(f"an iCalendar file begins with BEGIN:VCALENDAR, not with {line.name}")
        elif line.name == "END":
            if within.pop().name != line.value.upper():
                raise line.error(f"END:{line.value} ends nothing")
        else:
            within[-1].lines.append(line)
    if within:
        raise CalendarError(f"the file ends within {within[-1].name}, begun on line {within[-1].begin.number}")
    if not top:
        raise CalendarError("line 1: an iCalendar file begins with BEGIN:VCALENDAR; this one is empty")
    return top


def _entries(calendar: _Component) -> Iterator[_Entry]:
    for field_name, right in (("CALSCALE", "GREGORIAN"), ("VERSION", "2.0")):
        line = calendar.first(field_name)
        if line and line.value.upper() != right:
            raise line.error(f"{field_name} {line.value!r} is not supported; export the calendar as {right}")
    definitions = {
        _unescaped(name.value): tuple(component.all_lines())
        for component in calendar.components
        if component.name == "VTIMEZONE" and (name := component.first("TZID"))
    }
    zones = CalendarZones(definitions)
    for component in calendar.components:
        if component.name == "VEVENT":
            yield _entry(component, zones)


def _entry(component: _Component, zones: CalendarZones) -> _Entry:
    for name in _SINGLE:
        if len(same := component.every(name)) > 1:
            raise same[1].error(f"the event has a second {name}; keep one")
    uid, replaces, sequence = (component.first(name) for name in ("UID", "RECURRENCE-ID", "SEQUENCE"))
    if replaces and not uid:
        raise replaces.error("RECURRENCE-ID needs the UID of the event that it changes")
    if replaces and "RANGE" in replaces.parameters:
        raise replaces.error("RANGE is not supported; write an event of its own from that day on")
    if sequence and not re.fullmatch(r"\d{1,10}", sequence.value, re.ASCII):
        raise sequence.error(f"SEQUENCE {sequence.value!r} is no number")
    return _Entry(
        component,
        zones,
        uid.value if uid else "",
        read_moment(replaces, replaces.value, zones) if replaces else None,
        int(sequence.value) if sequence else 0,
    )


def _event(entry: _Entry, replaced: Sequence[Moment]) -> Event:
    component, zones = entry.component, entry.zones
    begin, summary = component.first("DTSTART"), component.first("SUMMARY")
    title = _unescaped(summary.value) if summary else ""
    if begin is None:
        raise component.begin.error(f"the event {title!r} has no DTSTART")
    if refused := component.first("EXRULE"):
        raise refused.error("EXRULE is not supported; list the dates with EXDATE")
    start = read_moment(begin, begin.value, zones)
    length = _length(component, start, title, zones)
    left_out = [
        read_moment(line, value, zones) for line in component.every("EXDATE") for value in line.value.split(",")
    ]
    return Event(
        start,
        length,
        title,
        tuple(read_rule(line, start, zones) for line in component.every("RRULE")),
        tuple(
            _further_date(line, value, start, length, zones)
            for line in component.every("RDATE")
            for value in line.value.split(",")
        ),
        (*left_out, *replaced),
    )


def _length(component: _Component, start: Moment, title: str, zones: CalendarZones) -> Length:
    stop, duration = component.first("DTEND"), component.first("DURATION")
    if stop and duration:
        raise duration.error(f"the event {title!r} has both DTEND and DURATION; keep one")
    line = stop or duration
    if line is None:
        # RFC 5545, 3.6.1: without an end, a date is a day long, and a time is a moment.
        return DAY if start.whole_day else MOMENT
    length = _until(line, start, read_moment(line, line.value, zones)) if stop else read_duration(line, line.value)
    if length:
        if start.whole_day and length.exact:
            raise line.error(f"the event {title!r} begins on a whole day, so its {line.name} has to be of whole days")
        return length
    outlook = component.first(_OUTLOOK_WHOLE_DAY)
    if start.whole_day or (outlook and outlook.value.upper() == "TRUE"):
        # RFC 5545 forbids an end that equals the start, but many exporters write it, and mean the day.
        return DAY
    raise line.error(f"the event {title!r} ends when it begins; give it a later end, or remove it")


def _until(line: ContentLine, start: Moment, stop: Moment) -> Length:
    """Return the length up to an end: exact, and the same for every occurrence (RFC 5545, 3.8.5.3).

    Where the calendar gives no time zone, only the clock on the wall can say it.
    """
    if start.whole_day != stop.whole_day:
        raise line.error(
            f"{line.name} {line.value!r} is not of the same kind as DTSTART: both are dates, or both times"
        )
    if (start.zone is None) != (stop.zone is None):
        raise line.error(f"{line.name} {line.value!r} and DTSTART need both a time zone, or none")
    if start.wall > stop.wall if start.zone == stop.zone else start.instant(UTC) > stop.instant(UTC):
        raise line.error(f"{line.name} {line.value!r} is before DTSTART: the event ends before it begins")
    if start.zone is None:
        return Length(stop.wall - start.wall, NO_TIME)
    return Length(NO_TIME, stop.instant(UTC) - start.instant(UTC))


def _further_date(
    line: ContentLine, value: str, start: Moment, length: Length, zones: CalendarZones
) -> tuple[Moment, Length]:
    """Read a value of RDATE: a date, a time, or a period (RFC 5545, 3.3.9)."""
    is_period = line.parameters.get("VALUE", "").upper() == "PERIOD"
    if is_period != ("/" in value):
        raise line.error(
            f"RDATE {value!r} is no PERIOD, or needs VALUE=PERIOD; write for instance 20261224T090000/PT2H"
        )
    plain = line._replace(parameters={**line.parameters, "VALUE": ""})
    text, _, stop = value.partition("/")
    moment = read_moment(plain if is_period else line, text, zones)
    if moment.whole_day != start.whole_day:
        raise line.error(f"RDATE {value!r} is not of the same kind as DTSTART: both are dates, or both times")
    if not is_period:
        return moment, length
    if stop.strip().upper().startswith(("P", "+P")):
        return moment, read_duration(line, stop)
    return moment, _until(plain, moment, read_moment(plain, stop, zones))


def _unescaped(text: str) -> str:
    """Return a TEXT value as people read it (RFC 5545, 3.3.11)."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], text)
