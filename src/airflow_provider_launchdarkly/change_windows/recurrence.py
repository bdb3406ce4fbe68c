"""Reads recurrence rules (RFC 5545, 3.3.10) strictly, and expands them with python-dateutil."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.change_windows.moments import Moment, read_moment
from airflow_provider_launchdarkly.change_windows.time_zones import to_instant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import tzinfo

    from dateutil.rrule import rrule

    from airflow_provider_launchdarkly.change_windows.content_lines import ContentLine
    from airflow_provider_launchdarkly.change_windows.time_zones import CalendarZones

# As dateutil numbers them.
_FREQUENCIES = {"YEARLY": 0, "MONTHLY": 1, "WEEKLY": 2, "DAILY": 3}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BY_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
# Name: dateutil's name, least, most, and whether it counts from the end as well.
_NUMBERS: dict[str, tuple[str, int, int, bool]] = {
    "BYMONTH": ("bymonth", 1, 12, False),
    "BYWEEKNO": ("byweekno", 1, 53, True),
    "BYYEARDAY": ("byyearday", 1, 366, True),
    "BYMONTHDAY": ("bymonthday", 1, 31, True),
    "BYSETPOS": ("bysetpos", 1, 366, True),
    "BYHOUR": ("byhour", 0, 23, False),
    "BYMINUTE": ("byminute", 0, 59, False),
    "BYSECOND": ("bysecond", 0, 59, False),
}
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")
# RFC 5545, 3.3.10: these parts make no sense with these frequencies.
_FORBIDDEN = {
    "WEEKLY": {"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"},
    "DAILY": {"BYYEARDAY", "BYWEEKNO"},
    "MONTHLY": {"BYYEARDAY", "BYWEEKNO"},
    "YEARLY": set[str](),
}
_MOST_PER_DAY = 96
_MOST_INTERVAL = 9999


@dataclass(frozen=True)
class Rule:
    """A recurrence rule, applied to the clock on the wall of its event's time zone.

    Attributes:
        start: The event's DTSTART.
        frequency: Index of ``YEARLY``, ``MONTHLY``, ``WEEKLY``, ``DAILY``.
        interval: Every how many years, months, weeks or days.
        count: How many occurrences there are; None for no such end.
        until: The last moment at which an occurrence may begin; None for no such end.
        parts: The other parts, under dateutil's names.
    """

    start: Moment
    frequency: int
    interval: int
    count: int | None
    until: Moment | None
    parts: dict[str, Any]

    def walls(self, first: datetime, last: datetime, zone: tzinfo) -> Iterator[datetime]:
        """Yield the beginnings of the occurrences between two times of the wall clock, both included.

        Args:
            first: The first time.
            last: The last time.
            zone: The time zone of the event.
        """
        if self.until and first - self.until.wall > timedelta(days=2):
            return
        for wall in self._from(first):
            if wall > last or not self._is_before_end(wall, zone):
                return
            if wall >= first:
                yield wall

    def has_occurrence(self) -> bool:
        """Return True unless no date satisfies the rule, as 30 February."""
        # dateutil searches up to the year 9999. The calendar repeats every 400 years, weekdays included, so a search
        # that begins late finds the same and ends soon.
        start = self.start.wall
        late = start.replace(year=start.year + (9999 - start.year) // 400 * 400)
        return next(iter(self._expansion(late)), None) is not None

    def _is_before_end(self, wall: datetime, zone: tzinfo) -> bool:
        until = self.until
        if until is None:
            return True
        # Exporters mix both kinds: whole days end with a time, and times end with a day, which counts to its end.
        if (until.whole_day or self.start.whole_day) and wall.date() <= until.wall.date():
            return True
        return not until.whole_day and to_instant(wall, zone) <= until.instant(zone)

    def _from(self, first: datetime) -> rrule:
        """Return an expansion that has all occurrences from a time on, and begins not long before it.

        Moving the beginning by whole intervals moves no occurrence.
        """
        start = self.start.wall
        if self.count is not None or first <= start:
            return self._whole
        years, months, days = first.year - start.year, first.month - start.month, (first - start).days
        if self.frequency <= 1:
            unit = self.interval if self.frequency == 1 else self.interval * 12
            # One interval early: with day numbers such as 31 the latest occurrence may be further back, not later.
            moved = ((years * 12 + months) // unit - 1) * unit
            if moved <= 0:
                return self._whole
            year, month = divmod(start.year * 12 + start.month - 1 + moved, 12)
            return self._expansion(start.replace(year=year, month=month + 1 if self.frequency == 1 else 1, day=1))
        unit = self.interval if self.frequency == 3 else self.interval * 7
        moved = (days // unit - 1) * unit
        return self._whole if moved <= 0 else self._expansion(start + timedelta(days=moved))

    @cached_property
    def _whole(self) -> rrule:
        return self._expansion(self.start.wall, self.count)

    def _expansion(self, start: datetime, count: int | None = None) -> rrule:
        from dateutil.rrule import rrule

        return rrule(
            self.frequency,  # type: ignore[arg-type]
            dtstart=start,
            interval=self.interval,
            count=count,
            cache=count is not None,
            **self.parts,
        )


def read_rule(line: ContentLine, start: Moment, zones: CalendarZones) -> Rule:
    """Read a recurrence rule.

    Args:
        line: The line with RRULE.
        start: The event's DTSTART, which fills in what the rule leaves out.
        zones: The calendar's time zones.

    Raises:
        CalendarError: A part is wrong, not supported, or contradicts another one.
    """
    given = _parts(line)
    frequency = given.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise line.error(f"RRULE FREQ={frequency!r} is not supported; use DAILY, WEEKLY, MONTHLY or YEARLY")
    if wrong := sorted(_FORBIDDEN[frequency] & given.keys()):
        raise line.error(f"RRULE {wrong[0]} has no meaning with FREQ={frequency}; remove it")
    if "BYWEEKNO" in given and "BYDAY" not in given:
        raise line.error("RRULE BYWEEKNO needs BYDAY, such as BYDAY=MO")
    if "BYSETPOS" in given and not any(name.startswith("BY") for name in given.keys() - {"BYSETPOS"}):
        raise line.error("RRULE BYSETPOS needs another BY part, such as BYDAY")
    if "COUNT" in given and "UNTIL" in given:
        raise line.error("RRULE has both COUNT and UNTIL; keep one")
    interval = _numbers(line, "INTERVAL", given.pop("INTERVAL", "1"), 1, _MOST_INTERVAL)[0]
    count = _numbers(line, "COUNT", given.pop("COUNT"), 1, 10**6)[0] if "COUNT" in given else None
    until = (
        read_moment(line._replace(name="RRULE UNTIL", parameters={}), given.pop("UNTIL"), zones)
        if ("UNTIL" in given)
        else None
    )
    if start.whole_day:
        # RFC 5545, 3.3.10: with a DATE, parts for times are ignored.
        given = {name: value for name, value in given.items() if name not in _TIMES}
    parts = _by_parts(line, frequency, given)
    times_a_day = [len(parts.get(_NUMBERS[name][0], (0,))) for name in _TIMES]
    if times_a_day[0] * times_a_day[1] * times_a_day[2] > _MOST_PER_DAY:
        raise line.error(f"RRULE recurs more than {_MOST_PER_DAY} times a day; write one longer event")
    if count is not None and (last := _last_of(count, start, frequency, interval, parts)):
        count, until = None, last
    rule = Rule(start, _FREQUENCIES[frequency], interval, count, until, _with_defaults(frequency, start.wall, parts))
    if not rule.has_occurrence():
        raise line.error(f"RRULE {line.value!r} has no date that exists; correct it")
    return rule


def _last_of(count: int, start: Moment, frequency: str, interval: int, parts: dict[str, Any]) -> Moment | None:
    """Return the last of `count` occurrences of a rule that is only a step of days, so that none has to be counted."""
    step = {"DAILY": 1, "WEEKLY": 7}.get(frequency)
    if step is None or parts.keys() - {"wkst"}:
        return None
    try:
        return replace(start, wall=start.wall + timedelta(days=step * interval * (count - 1)))
    except OverflowError:
        return None


def _parts(line: ContentLine) -> dict[str, str]:
    parts: dict[str, str] = {}
    known = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS}
    for text in line.value.upper().rstrip(";").split(";"):
        name, _, value = (piece.strip() for piece in text.partition("="))
        if name not in known:
            raise line.error(f"RRULE part {text!r} is not supported; there are {', '.join(sorted(known))}")
        if name in parts:
            raise line.error(f"RRULE {name} is given twice; keep one")
        parts[name] = value
    return parts


def _by_parts(line: ContentLine, frequency: str, given: dict[str, str]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, value in given.items():
        if name == "WKST":
            if value not in _DAYS:
                raise line.error(f"RRULE WKST={value!r} is no weekday; use one of {', '.join(_DAYS)}")
            parts["wkst"] = _DAYS.index(value)
        elif name == "BYDAY":
            parts["byweekday"] = _weekdays(line, frequency, value, given.keys())
        else:
            ours, least, most, counts_back = _NUMBERS[name]
            parts[ours] = _numbers(line, name, value, least, most, counts_back=counts_back)
    return parts


def _weekdays(line: ContentLine, frequency: str, value: str, given: Collection[str]) -> tuple[Any, ...]:
    from dateutil.rrule import weekday

    # A month has at most five of each weekday, a year 53; dateutil fails on more.
    most = 5 if frequency == "MONTHLY" or "BYMONTH" in given else 53
    days = []
    for text in value.split(","):
        match = _BY_DAY.fullmatch(text.strip())
        number = int(match[1]) if match and match[1] else None
        if match is None or number == 0 or (number and abs(number) > most):
            raise line.error(f"RRULE BYDAY={text!r} is no weekday; use MO to SU, or 1MO and -1FR, up to {most}")
        if number and (frequency not in {"MONTHLY", "YEARLY"} or "BYWEEKNO" in given):
            raise line.error(f"RRULE BYDAY={text!r} has a number, which needs FREQ=MONTHLY or YEARLY and no BYWEEKNO")
        days.append(weekday(_DAYS.index(match[2]), number))
    return tuple(days)


def _numbers(
    line: ContentLine, name: str, value: str, least: int, most: int, *, counts_back: bool = False
) -> tuple[int, ...]:
    numbers = []
    for text in value.split(","):
        match = re.fullmatch(r"[+-]?\d{1,7}", text.strip(), re.ASCII)
        number = int(match[0]) if match else None
        if number is None or not least <= (abs(number) if counts_back else number) <= most:
            back = f", or {-most} to {-least}" if counts_back else ""
            raise line.error(f"RRULE {name}={text!r} is not between {least} and {most}{back}")
        numbers.append(number)
    if name in {"INTERVAL", "COUNT"} and len(numbers) > 1:
        raise line.error(f"RRULE {name}={value!r} is not one number")
    return tuple(numbers)


def _with_defaults(frequency: str, start: datetime, parts: dict[str, Any]) -> dict[str, Any]:
    """Take from DTSTART what the rule leaves out, as dateutil does, so that the beginning can be moved."""
    if parts.keys() & {"byweekno", "byyearday", "bymonthday", "byweekday"} or frequency == "DAILY":
        return parts
    if frequency == "WEEKLY":
        return {**parts, "byweekday": (start.weekday(),)}
    if frequency == "YEARLY":
        return {"bymonth": (start.month,), **parts, "bymonthday": (start.day,)}
    return {**parts, "bymonthday": (start.day,)}
