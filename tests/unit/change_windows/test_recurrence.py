"""Recurring events against python-dateutil's own expansion, in several zones and over changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.change_windows.busy_times import BusyTimes
from airflow_provider_launchdarkly.change_windows.calendar import read_calendar
from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.change_windows.recurrence import Rule

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def event(start: datetime, zone: str, rule: str, duration: str = "PT3H") -> str:
    return (
        f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID={zone}:{start:%Y%m%dT%H%M%S}\nDURATION:{duration}\n"
        f"RRULE:{rule}\nEND:VEVENT\nEND:VCALENDAR\n"
    )


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 4))}"]
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(DAYS))}")
    if draw(st.booleans()):
        days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True))
        number = draw(st.sampled_from(["", "", "1", "-1", "2"])) if frequency in {"MONTHLY", "YEARLY"} else ""
        parts.append("BYDAY=" + ",".join(number + day for day in days))
    if draw(st.booleans()):
        parts.append("BYMONTH=" + ",".join(map(str, draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))))
    if frequency in {"MONTHLY", "YEARLY"} and "BYDAY" not in parts[-1] and draw(st.booleans()):
        parts.append(f"BYMONTHDAY={draw(st.sampled_from([1, 15, 28, 31, -1, -3]))}")
    if draw(st.booleans()):
        parts.append(draw(st.sampled_from(["COUNT=40", "COUNT=3", "UNTIL=20261101T120000Z", "UNTIL=20270701T000000Z"])))
    return ";".join(parts)


STARTS = st.datetimes(datetime(2019, 1, 1), datetime(2026, 12, 1)).map(lambda start: start.replace(microsecond=0))  # noqa: DTZ001


@settings(max_examples=150, deadline=None)
@given(start=STARTS, zone=st.sampled_from(ZONES), rule=rules(), year=st.integers(2024, 2027))
def test_occurrences_are_those_of_dateutil(start: datetime, zone: str, rule: str, year: int) -> None:
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    assume(next(iter(rrulestr(rule.partition(";UNTIL=")[0], dtstart=start)), None))
    (found,) = read_calendar(event(start, zone, rule))
    walls = {start}
    tz = ZoneInfo(zone)
    text, _, until = rule.partition(";UNTIL=")
    last = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if until else datetime(2099, 1, 1, tzinfo=UTC)
    for wall in rrulestr(text, dtstart=start):
        if wall.year > year + 1:
            break
        if wall.replace(tzinfo=tz).astimezone(UTC) <= last:
            walls.add(wall)
    spans = {(at := wall.replace(tzinfo=tz).astimezone(UTC), at + timedelta(hours=3)) for wall in walls}
    expected = {span for span in spans if span[0] < end and span[1] > begin}
    assert set(found.spans(begin, end, ZoneInfo("UTC"))) == expected


@settings(max_examples=25, deadline=None)
@given(
    start=STARTS,
    zone=st.sampled_from(ZONES),
    rule=rules(),
    length=st.sampled_from(["PT1H", "PT24H", "P1D", "P2DT5H", "P3W"]),
    month=st.sampled_from([datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 10, 15, tzinfo=UTC)]),
)
def test_every_hour_is_busy_exactly_while_an_occurrence_lasts(
    start: datetime, zone: str, rule: str, length: str, month: datetime
) -> None:
    assume(next(iter(rrulestr(rule.partition(";UNTIL=")[0], dtstart=start)), None))
    events = read_calendar(event(start, zone, rule, length))
    tz = ZoneInfo(zone)
    days, hours = {"PT1H": (0, 1), "PT24H": (0, 24), "P1D": (1, 0), "P2DT5H": (2, 5), "P3W": (21, 0)}[length]
    text, _, until = rule.partition(";UNTIL=")
    last = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if until else datetime(2099, 1, 1, tzinfo=UTC)
    spans = []
    walls = [start]
    for wall in rrulestr(text, dtstart=start):
        if wall.year > 2026:
            break
        walls.append(wall)
    for wall in walls:
        begin = wall.replace(tzinfo=tz).astimezone(UTC)
        if begin <= last or wall == start:
            end = (wall + timedelta(days=days)).replace(tzinfo=tz).astimezone(UTC) + timedelta(hours=hours)
            spans.append((begin, end))
    busy = BusyTimes(events, ZoneInfo("UTC"))
    for hour in range(24 * 40):
        at = month + timedelta(hours=hour)
        assert busy.covers(at) is any(begin <= at < end for begin, end in spans), at


def test_a_rule_keeps_the_clock_on_the_wall() -> None:
    (found,) = read_calendar(event(datetime(2026, 3, 27, 9), "Europe/Berlin", "FREQ=DAILY"))  # noqa: DTZ001
    begin = datetime(2026, 3, 28, tzinfo=UTC)
    spans = sorted(found.spans(begin, begin + timedelta(days=2), ZoneInfo("UTC")))
    assert [start.hour for start, _ in spans] == [8, 7]


@pytest.mark.parametrize(
    ("until", "last"),
    [("20260104T080000Z", 4), ("20260104T075959Z", 3), ("20260104", 4), ("20260104T090000", 4), ("20260104T085959", 3)],
)
def test_the_end_of_a_rule_is_included(until: str, last: int) -> None:
    (found,) = read_calendar(event(datetime(2026, 1, 1, 9), "Europe/Berlin", f"FREQ=DAILY;UNTIL={until}"))  # noqa: DTZ001
    spans = found.spans(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), ZoneInfo("UTC"))
    assert max(start.day for start, _ in spans) == last


@pytest.mark.parametrize("until", ["20260104", "20260103T230000Z", "20260104T000000Z", "20260104T000000"])
@pytest.mark.parametrize("reader", ["Europe/Berlin", "America/New_York"])
def test_the_last_whole_day_is_included_however_its_rule_ends(until: str, reader: str) -> None:
    text = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\nRRULE:FREQ=DAILY;UNTIL={until}\nEND:VEVENT\nEND:VCALENDAR"
    (found,) = read_calendar(text)
    noon = datetime(2026, 1, 4, 12, tzinfo=ZoneInfo(reader)).astimezone(UTC)
    if until == "20260103T230000Z" and reader == "America/New_York":
        noon -= timedelta(days=1)  # written by an exporter in Berlin, for which it is the midnight of the fourth
    assert list(found.spans(noon, noon + timedelta(hours=1), ZoneInfo(reader)))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("FREQ=HOURLY", "FREQ='HOURLY' is not supported"),
        ("INTERVAL=2", "FREQ='' is not supported"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL='0' is not between 1 and 9999"),
        ("FREQ=DAILY;INTERVAL=2,3", "INTERVAL='2,3' is not one number"),
        ("FREQ=DAILY;COUNT=-1", "COUNT='-1' is not between"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "both COUNT and UNTIL"),
        ("FREQ=DAILY;UNTIL=someday", "RRULE UNTIL 'SOMEDAY' is no date"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ is given twice"),
        ("FREQ=YEARLY;BYEASTER=0", "part 'BYEASTER=0' is not supported"),
        ("RSCALE=HEBREW;FREQ=YEARLY", "part 'RSCALE=HEBREW' is not supported"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY='1MO' has a number"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY='XX' is no weekday"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY='0MO' is no weekday"),
        ("FREQ=MONTHLY;BYDAY=51FR", "BYDAY='51FR' is no weekday; use MO to SU, or 1MO and -1FR, up to 5"),
        ("FREQ=YEARLY;BYMONTH=12;BYDAY=6FR", "BYDAY='6FR' is no weekday"),
        ("FREQ=YEARLY;BYDAY=-54FR", "BYDAY='-54FR' is no weekday"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY has no meaning with FREQ=WEEKLY"),
        ("FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO needs BYDAY"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH='13' is not between 1 and 12"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS needs another BY part"),
        ("FREQ=WEEKLY;WKST=1", "WKST='1' is no weekday"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "has no date that exists"),
        ("FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=" + ",".join(map(str, range(60))), "more than 96 times a day"),
    ],
)
def test_a_rule_that_is_wrong_or_not_understood_is_refused(rule: str, message: str) -> None:
    with pytest.raises(CalendarError, match=f"line 5: RRULE.*{message}|line 5: {message}"):
        read_calendar(event(datetime(2026, 1, 1, 9), "UTC", rule))  # noqa: DTZ001


def test_a_rule_in_lower_case_with_a_semicolon_at_its_end_is_read() -> None:
    (found,) = read_calendar(event(datetime(2026, 1, 1, 9), "UTC", "freq=daily;interval=2;"))  # noqa: DTZ001
    assert found.rules[0].interval == 2


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY", "FREQ=DAILY;COUNT=30000", "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO", "FREQ=MONTHLY", "FREQ=YEARLY"]
)
def test_a_rule_that_began_long_ago_is_not_counted_from_its_beginning(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = read_calendar(event(datetime(1970, 1, 5, 9), "UTC", rule))  # noqa: DTZ001
    begun: list[datetime] = []
    expand = Rule._expansion

    def counted(self: Rule, start: datetime, count: int | None = None) -> object:
        begun.append(start)
        return expand(self, start, count)

    monkeypatch.setattr(Rule, "_expansion", counted)
    list(found.spans(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), ZoneInfo("UTC")))
    assert begun
    assert min(start.year for start in begun) >= 2023
