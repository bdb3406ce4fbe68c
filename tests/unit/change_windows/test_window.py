"""Change windows: what is inside, when they open next, and the two days a year on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.change_windows.calendar import read_calendar
from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, NeverOpenError
from airflow_provider_launchdarkly.config.problems import InvalidSettingError


def window(**fields: Any) -> ChangeWindow:
    return ChangeWindow.from_json(fields)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BERLIN = window(timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-01-05T08:00", True),  # nine o'clock in Berlin, in winter
        ("2026-01-05T07:59", False),
        ("2026-01-05T15:59", True),
        ("2026-01-05T16:00", False),
        ("2026-07-06T07:00", True),  # nine o'clock in Berlin, in summer
        ("2026-01-04T10:00", False),  # a Sunday
    ],
)
def test_business_hours_are_those_of_the_time_zone(at: str, inside: bool) -> None:
    assert BERLIN.is_open(utc(at)) is inside


def test_a_friday_evening_waits_for_monday_morning() -> None:
    assert BERLIN.next_opening(utc("2026-01-09T18:00")) == utc("2026-01-12T08:00")


def test_the_weekend_of_the_change_to_summer_time_is_an_hour_shorter() -> None:
    assert BERLIN.next_opening(utc("2026-03-27T17:00")) == utc("2026-03-30T07:00")


def test_the_weekend_of_the_change_to_winter_time_is_an_hour_longer() -> None:
    assert BERLIN.next_opening(utc("2026-10-23T17:00")) == utc("2026-10-26T08:00")


def test_hours_that_a_clock_never_shows_do_not_open() -> None:
    night = window(timezone="America/New_York", weekdays=["sun"], hours="02:15-02:45")
    assert night.next_opening(utc("2026-03-08T00:00")) == utc("2026-03-15T06:15")


def test_hours_into_which_the_clock_is_put_forward_open_at_that_moment() -> None:
    night = window(timezone="America/New_York", weekdays=["sun"], hours="02:30-04:00")
    assert night.next_opening(utc("2026-03-08T06:00")) == utc("2026-03-08T07:00")


def test_hours_that_a_clock_shows_twice_open_twice() -> None:
    night = window(timezone="America/New_York", weekdays=["sun"], hours="01:15-01:45")
    assert night.is_open(utc("2026-11-01T05:20"))
    assert night.next_opening(utc("2026-11-01T05:45")) == utc("2026-11-01T06:15")


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    late = window(weekdays=["fri"], hours="22:00-02:00")
    assert late.is_open(utc("2026-01-10T01:59"))
    assert not late.is_open(utc("2026-01-09T01:59"))


def test_blackout_days_are_whole_days_of_the_time_zone() -> None:
    shut = window(
        timezone="Asia/Tokyo",
        weekdays=["mon", "tue", "wed", "thu", "fri"],
        hours="00:00-24:00",
        blackout=["2026-01-05", "2026-01-07/2026-01-08"],
    )
    assert not shut.is_open(utc("2026-01-04T15:00"))
    assert shut.is_open(utc("2026-01-05T15:00"))
    assert shut.next_opening(utc("2026-01-06T15:00")) == utc("2026-01-08T15:00")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "not an IANA name"),
        ({"hours": "9-17"}, "no span"),
        ({"hours": "09:00-09:00"}, "no span"),
        ({"weekdays": ["someday"]}, "weekdays"),
        ({"weekdays": []}, "weekdays"),
        ({"blackout": ["2026-02-30"]}, "blackout"),
        ({"blackout": ["2026-02-02/2026-02-01"]}, "before it begins"),
        ({"open": True}, "open: is not known"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        ChangeWindow.from_json(fields)


def test_a_window_that_never_opens_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(NeverOpenError):
        window(blackout=["2020-01-01/2040-01-01"]).next_opening(utc("2026-01-01T00:00"))


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
HOURS = st.sampled_from(["09:00-17:00", "00:00-24:00", "22:00-06:00", "01:30-02:30", "23:59-00:01"])


@given(at=MOMENTS, zone=ZONES, hours=HOURS, days=st.sets(st.sampled_from(["mon", "wed", "sat", "sun"]), min_size=1))
def test_the_next_opening_is_the_first_minute_inside(at: datetime, zone: str, hours: str, days: set[str]) -> None:
    found = window(timezone=zone, hours=hours, weekdays=sorted(days))
    opening = found.next_opening(at)
    assert found.is_open(opening)
    probe = at
    for _ in range(200):
        if probe >= opening:
            break
        assert not found.is_open(probe)
        probe += max((opening - at) / 200, timedelta(minutes=1))


# For each time zone, the days before those on which its clocks change: on Lord Howe by half an hour.
DAYS = {
    "UTC": [(6, 1), (12, 30)],
    "Europe/Berlin": [(3, 28), (10, 24)],
    "America/New_York": [(3, 7), (10, 31)],
    "Australia/Lord_Howe": [(4, 4), (10, 3)],
}
# Clocks change in the small hours.
CLOCK = st.builds("{:02}:{:02}".format, st.integers(1, 3) | st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
SPAN = st.builds("{}-{}".format, CLOCK, CLOCK).filter(lambda span: span[:5] != span[6:])
RULES = {
    "timezone": st.sampled_from(sorted(DAYS)),
    "weekdays": st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    "hours": st.lists(SPAN, min_size=1, max_size=2),
    "blackout": st.lists(st.integers(0, 2), max_size=1),  # days, and minutes, after the first day
    "calendar": st.none(),  # its events are the rule
    "events": st.lists(st.tuples(st.integers(0, 2880), st.integers(1, 600)), max_size=2),
}


SUNDAY_IN_BERLIN = {"timezone": "Europe/Berlin", "weekdays": ["sun"], "blackout": [], "calendar": None, "events": []}


def test_the_property_below_draws_every_rule() -> None:
    assert set(RULES) == set(ChangeWindow.model_fields)


@given(fields=st.fixed_dictionaries(RULES), second_half=st.booleans())
@example(fields=SUNDAY_IN_BERLIN | {"hours": ["02:30-02:45"]}, second_half=True)  # opens twice
@example(fields=SUNDAY_IN_BERLIN | {"hours": ["02:30-04:00"]}, second_half=False)  # opens when the clock is put forward
@example(fields=SUNDAY_IN_BERLIN | {"hours": ["02:00-05:00"], "events": [(1380, 250)]}, second_half=True)
def test_a_window_opens_only_at_the_instants_that_next_opening_tries(fields: dict[str, Any], second_half: bool) -> None:
    """An opening among none of them would be found late, and without an error."""
    begin = datetime(2026, *DAYS[fields["timezone"]][second_half], tzinfo=UTC)
    blackout = [(begin + timedelta(days=day)).date().isoformat() for day in fields["blackout"]]
    starts = [(begin + timedelta(minutes=start), length) for start, length in fields["events"]]
    events = [(start, start + timedelta(minutes=length)) for start, length in starts]
    lines = [
        line
        for start, end in events
        for line in ("BEGIN:VEVENT", f"DTSTART:{start:%Y%m%dT%H%M%SZ}", f"DTEND:{end:%Y%m%dT%H%M%SZ}", "END:VEVENT")
    ]
    calendar = "\n".join(("BEGIN:VCALENDAR", *lines, "END:VCALENDAR"))
    drawn = window(**{**fields, "blackout": blackout, "events": calendar})
    minutes = [begin + timedelta(minutes=minute) for minute in range(1, 2 * 24 * 60)]
    tried = {
        moment for day in range(-1, 4) for moment in drawn._possible_openings((begin + timedelta(days=day)).date())
    }
    was_open = drawn.is_open(begin)
    for moment in minutes:
        is_open = drawn.is_open(moment)
        assert was_open or not is_open or moment in tried, moment
        was_open = is_open


def test_a_window_is_read_back_from_its_json() -> None:
    some = window(timezone="Europe/Berlin", hours=["09:00-12:00", "13:00-17:00"], blackout=["2026-12-24"])
    assert ChangeWindow.from_json(some.to_json()) == some


CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
BEGIN:STANDARD\r
DTSTART:19701025T030000\r
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r
END:STANDARD\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
SUMMARY:Sum\r
 mer sale\r
DTSTART;VALUE=DATE:20260601\r
DTEND;VALUE=DATE:20260603\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:Release freeze\r
DTSTART;TZID=Europe/Berlin:20260604T090000\r
DTEND;TZID=Europe/Berlin:20260604T110000\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:Maintenance\r
DTSTART:20260605T070000Z\r
DURATION:PT90M\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:Called off\r
STATUS:CANCELLED\r
DTSTART;VALUE=DATE:20260608\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_events_of_a_calendar_shut_the_window(tmp_path: Path) -> None:
    file = tmp_path / "freeze.ics"
    file.write_text(CALENDAR)
    found = window(timezone="Europe/Berlin", calendar=str(file)).with_calendar()
    assert not found.is_open(utc("2026-06-01T10:00"))
    assert not found.is_open(utc("2026-06-02T14:59"))
    assert found.is_open(utc("2026-06-03T07:00"))
    assert found.next_opening(utc("2026-06-04T07:30")) == utc("2026-06-04T09:00")
    assert found.next_opening(utc("2026-06-05T07:30")) == utc("2026-06-05T08:30")
    assert found.is_open(utc("2026-06-08T10:00"))


def test_a_folded_line_is_one_line() -> None:
    assert read_calendar(CALENDAR)[0].summary == "Summer sale"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("DTEND;VALUE=DATE:20260603", "RRULE:FREQ=HOURLY"), "FREQ='HOURLY' is not supported"),
        (("20260601", "2026-06-01"), "no date and no time"),
        (("TZID=Europe/Berlin:20260604T090000", "TZID=Custom:20260604T090000"), "TZID 'Custom'"),
        (("END:VCALENDAR\r\n", ""), "ends within VCALENDAR"),
        (("DTSTART;VALUE=DATE:20260601\r\n", ""), "no DTSTART"),
        (("DURATION:PT90M", "DURATION:soon"), "no duration"),
        (("BEGIN:VCALENDAR\r\n", ""), "begins with"),
    ],
)
def test_a_calendar_that_is_not_understood_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(CalendarError, match=message):
        read_calendar(CALENDAR.replace(*change))


def test_a_calendar_that_is_missing_is_an_error_and_not_an_open_window(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match="cannot be read"):
        window(calendar=str(tmp_path / "none.ics")).with_calendar()
