"""Calendars as exporters write them: each kind shuts the window while its events last, or is refused by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.change_windows.calendar import read_calendar
from airflow_provider_launchdarkly.change_windows.content_lines import MAX_BYTES, CalendarError
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, NeverOpenError


def calendar(*events: str, before: str = "") -> str:
    """Return a calendar of these events, each without BEGIN and END."""
    body = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{before}{body}END:VCALENDAR\n"


@pytest.fixture
def shut(tmp_path: Path) -> Callable[..., list[int]]:
    """Return a function that lists the hours of a day in 2026 (UTC) at which a calendar shuts the window."""

    def hours(content: str | bytes, day: str, zone: str = "Europe/Berlin") -> list[int]:
        found = opened(tmp_path, content, zone)
        midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
        return [hour for hour in range(24) if not found.is_open(midnight + timedelta(hours=hour))]

    return hours


def opened(folder: Path, content: str | bytes, zone: str = "Europe/Berlin") -> ChangeWindow:
    file = folder / "freeze.ics"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    fields = {"timezone": zone, "weekdays": week, "hours": "00:00-24:00", "calendar": str(file)}
    return ChangeWindow.from_json(fields).with_calendar()


WHOLE_DAY = list(range(24))
Shut = Callable[..., list[int]]


@pytest.mark.parametrize(
    "end",
    ["DTEND;VALUE=DATE:20261224", "DTEND:20261224", "DURATION:P0D", "DURATION:PT0S", "DURATION:P1D", ""],
)
def test_a_whole_day_is_a_day_long_however_its_end_is_written(shut: Shut, end: str) -> None:
    event = f"DTSTART;VALUE=DATE:20261224\n{end}"
    assert shut(calendar(event), "2026-12-24", "UTC") == WHOLE_DAY
    assert shut(calendar(event), "2026-12-25", "UTC") == []


def test_outlooks_mark_of_a_whole_day_counts(shut: Shut) -> None:
    event = "DTSTART:20261224T000000\nDTEND:20261224T000000\nX-MICROSOFT-CDO-ALLDAYEVENT:TRUE"
    assert shut(calendar(event), "2026-12-24", "UTC") == WHOLE_DAY


@pytest.mark.parametrize(
    ("event", "hours"),
    [
        # The clock in Berlin is put forward at 01:00 UTC, from 02:00 to 03:00.
        ("DTSTART;TZID=Europe/Berlin:20260329T010000\nDURATION:PT2H", [0, 1]),
        ("DTSTART;TZID=Europe/Berlin:20260328T220000\nDURATION:P1D", [0, *range(1, 20)]),
        ("DTSTART;TZID=Europe/Berlin:20260328T220000\nDURATION:PT24H", [*range(21)]),
        ("DTSTART;TZID=Europe/Berlin:20260329T010000\nDTEND;TZID=Europe/Berlin:20260329T040000", [0, 1]),
        # 02:30 does not exist: it counts by the offset before the change, so it is 01:30 UTC.
        ("DTSTART;TZID=Europe/Berlin:20260329T003000\nDTEND;TZID=Europe/Berlin:20260329T023000", [0, 1]),
        ("DTSTART:20260329T010000\nDURATION:PT2H", [0, 1]),
        ("DTSTART:20260329T010000\nDTEND:20260329T040000", [0, 1]),
        ("DTSTART:20260329T010000Z\nDTEND;TZID=Europe/Berlin:20260329T040000", [1]),
    ],
)
def test_lengths_are_right_on_the_day_the_clock_is_put_forward(shut: Shut, event: str, hours: list[int]) -> None:
    assert shut(calendar(event), "2026-03-29") == hours


def test_lengths_are_right_on_the_day_the_clock_is_put_back(shut: Shut) -> None:
    # 01:30 in Berlin is 23:30 UTC of the day before.
    exact = calendar("DTSTART;TZID=Europe/Berlin:20261025T013000\nDURATION:PT3H")
    assert shut(exact, "2026-10-25") == [0, 1, 2]
    whole = calendar("DTSTART;VALUE=DATE:20261025")
    assert shut(whole, "2026-10-25") == [*range(23)]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_line_feeds_and_carriage_returns_end_a_line(separator: str) -> None:
    (event,) = read_calendar(calendar(f"SUMMARY:Sale{separator}DTSTART:20200101\nDTSTART:20261224"))
    assert event.start.wall.year == 2026


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("fold", [" ", "\t"])
def test_lines_are_unfolded_before_they_are_decoded(end: str, fold: str) -> None:
    content = calendar("SUMMARY:Räumung\nDTSTART;VALUE=DATE:20261224").replace("\n", end).encode()
    place = content.index("ä".encode()) + 1
    folded = content[:place] + (end + fold).encode() + content[place:]
    date = folded.index(b"261224")
    (event,) = read_calendar(b"\xef\xbb\xbf" + folded[:date] + (end + fold).encode() + folded[date:])
    assert (event.summary, event.start.wall) == ("Räumung", datetime(2026, 12, 24))  # noqa: DTZ001


def test_texts_are_unescaped() -> None:
    (event,) = read_calendar(calendar("SUMMARY:No\\, really\\; no\\nchange\\\\s\nDTSTART:20261224"))
    assert event.summary == "No, really; no\nchange\\s"


@pytest.mark.parametrize(
    "start",
    [
        'DTSTART;TZID="Europe/Berlin":20261224T090000',
        "dtstart;tzid=Europe/Berlin:20261224t090000",
        'DTSTART;X-A="a;b:c";TZID=Europe/Berlin:20261224T090000',
        'DTSTART;X-A="a","b";TZID=Europe/Berlin;VALUE=DATE-TIME:20261224T090000',
        "DTSTART;TZID=europe/berlin:20261224T090000",
        "DTSTART;TZID=W. Europe Standard Time:20261224T090000",
        "DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20261224T090000",
        "DTSTART:20261224T090000",
        "DTSTART:20261224T080000Z",
    ],
)
def test_a_time_is_found_whichever_way_its_zone_is_written(shut: Shut, start: str) -> None:
    assert shut(calendar(f"{start}\nDURATION:PT1H"), "2026-12-24") == [8]


OWN_ZONE = """\
BEGIN:VTIMEZONE
TZID:Customized Time Zone
X-LIC-LOCATION:Europe/Berlin
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


@pytest.mark.parametrize("day", ["2026-01-05", "2026-03-29", "2026-07-01", "2026-10-25"])
@pytest.mark.parametrize(("start", "end"), [("003000", "023000"), ("013000", "043000"), ("020000", "233000")])
def test_a_zone_that_the_file_defines_is_used_as_an_iana_zone_is(shut: Shut, day: str, start: str, end: str) -> None:
    date = day.replace("-", "")
    event = f"DTSTART;TZID=Customized Time Zone:{date}T{start}\nDTEND;TZID=Customized Time Zone:{date}T{end}"
    own = calendar(event, before=OWN_ZONE)
    iana = calendar(event.replace("Customized Time Zone", "Europe/Berlin"))
    assert shut(own, day, "UTC") == shut(iana, day, "UTC")


def test_the_name_of_a_zone_is_escaped_where_it_is_defined(shut: Shut) -> None:
    name = "(UTC+01:00) Amsterdam, Berlin"
    zone = OWN_ZONE.replace("Customized Time Zone", name.replace(",", "\\,"))
    event = f'DTSTART;TZID="{name}":20260706T090000\nDURATION:PT1H'
    assert shut(calendar(event, before=zone), "2026-07-06") == [7]


def test_every_windows_name_is_known() -> None:
    from babel.core import get_global

    names = list(get_global("windows_zone_mapping"))
    assert len(names) > 130
    read_calendar(calendar(*(f"DTSTART;TZID={name}:20261224T090000" for name in names)))


MONDAYS = "UID:a\nDTSTART;TZID=Europe/Berlin:20260105T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY"


@pytest.mark.parametrize(
    ("exdate", "hours"),
    [
        ("EXDATE;TZID=Europe/Berlin:20260706T090000", []),
        ("EXDATE:20260706T070000Z", []),
        ("EXDATE;VALUE=DATE:20260706", []),
        ("EXDATE;TZID=Europe/Berlin:20260629T090000,20260706T090000", []),
        ("EXDATE:20260706T090000", []),
        ("EXDATE:20260706T090000Z", [7]),  # another time than the occurrence's
        ("EXDATE;VALUE=DATE:20260707", [7]),
    ],
)
def test_excluded_dates_are_no_occurrences(shut: Shut, exdate: str, hours: list[int]) -> None:
    assert shut(calendar(f"{MONDAYS}\n{exdate}"), "2026-07-06") == hours
    assert shut(calendar(f"{MONDAYS}\n{exdate}"), "2026-07-13") == [7]


@pytest.mark.parametrize("exdate", ["EXDATE;VALUE=DATE:20260706", "EXDATE;TZID=Romance Standard Time:20260706T000000"])
def test_excluded_dates_of_whole_days(shut: Shut, exdate: str) -> None:
    content = calendar(f"DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY\n{exdate}")
    assert (shut(content, "2026-07-06", "UTC"), shut(content, "2026-07-13", "UTC")) == ([], WHOLE_DAY)


@pytest.mark.parametrize(
    ("rdate", "hours"),
    [
        ("RDATE;TZID=Europe/Berlin:20260707T090000", [7]),
        ("RDATE:20260707T090000", [7]),
        ("RDATE:20260707T100000Z,20260707T120000Z", [10, 12]),
        ("RDATE;VALUE=PERIOD:20260707T100000Z/20260707T130000Z", [10, 11, 12]),
        ("RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20260707T100000/PT2H", [8, 9]),
    ],
)
def test_further_dates_are_occurrences(shut: Shut, rdate: str, hours: list[int]) -> None:
    assert shut(calendar(f"{MONDAYS}\n{rdate}"), "2026-07-07") == hours


def test_a_moved_occurrence_is_where_it_was_moved_to(shut: Shut) -> None:
    moved = "UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20260706T090000\nDTSTART:20260707T120000Z\nDURATION:PT1H"
    for content in (calendar(MONDAYS, moved), calendar(moved, MONDAYS)):
        assert shut(content, "2026-07-06") == []
        assert shut(content, "2026-07-07") == [12]
        assert shut(content, "2026-07-13") == [7]


def test_a_cancelled_occurrence_does_not_take_place(shut: Shut) -> None:
    cancelled = "UID:a\nRECURRENCE-ID:20260706T070000Z\nSTATUS:CANCELLED"
    assert shut(calendar(MONDAYS, cancelled), "2026-07-06") == []
    assert shut(calendar(MONDAYS, cancelled), "2026-07-13") == [7]


def test_of_several_revisions_of_an_event_the_last_one_counts(shut: Shut) -> None:
    first = "UID:a\nSEQUENCE:1\nDTSTART:20260706T070000Z\nDURATION:PT1H"
    second = "UID:a\nSEQUENCE:2\nDTSTART:20260706T120000Z\nDURATION:PT1H"
    assert shut(calendar(second, first), "2026-07-06") == [12]


def test_events_of_one_revision_or_without_uid_all_count(shut: Shut) -> None:
    for uid in ("UID:a\n", ""):
        events = (f"{uid}DTSTART:20260706T{hour}0000Z\nDURATION:PT1H" for hour in ("07", "12"))
        assert shut(calendar(*events), "2026-07-06") == [7, 12]


@pytest.mark.parametrize("mark", ["TRANSP:TRANSPARENT", "STATUS:TENTATIVE", "CLASS:PRIVATE", "X-ANY;A=b:c"])
def test_an_event_counts_unless_it_is_cancelled(shut: Shut, mark: str) -> None:
    assert shut(calendar(f"DTSTART;VALUE=DATE:20261224\n{mark}"), "2026-12-24", "UTC") == WHOLE_DAY


def test_what_is_no_event_and_alarms_within_events_shut_nothing(shut: Shut) -> None:
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT15M\nDURATION:PT15M\nREPEAT:2\nEND:VALARM"
    todo = "BEGIN:VTODO\nDTSTART:20260706T120000Z\nDUE:20260706T130000Z\nEND:VTODO\n"
    assert shut(calendar(f"DTSTART:20260706T070000Z\nDURATION:PT1H\n{alarm}", before=todo), "2026-07-06") == [7]


def test_several_calendars_in_a_file_all_count(shut: Shut) -> None:
    events = [f"DTSTART:20260706T{hour}0000Z\nDURATION:PT1H" for hour in ("07", "12")]
    assert shut("".join(calendar(event) for event in events), "2026-07-06") == [7, 12]


def test_ends_of_time_are_taken(shut: Shut) -> None:
    content = calendar("DTSTART:00010101T000000\nDTEND:99991231T235959")
    for zone in ("Asia/Tokyo", "America/New_York", "UTC"):
        assert shut(content, "2026-07-06", zone) == WHOLE_DAY


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("DTSTART:20261224\nDTEND:20261223", r"line 5: DTEND '20261223' is before DTSTART"),
        ("DTSTART:20261224T090000Z\nDTEND:20261224T080000Z", "is before DTSTART"),
        ("DTSTART:20261224T090000Z\nDTEND:20261224T090000Z", "ends when it begins"),
        ("DTSTART:20261224T090000Z\nDURATION:PT0S", "ends when it begins"),
        ("DTSTART:20261224T090000Z\nDURATION:-PT1H", "is no duration"),
        ("DTSTART:20261224T090000Z\nDURATION:P", "is no duration"),
        ("DTSTART:20261224T090000Z\nDURATION:PT", "is no duration"),
        ("DTSTART:20261224\nDURATION:PT2H", "has to be of whole days"),
        ("DTSTART:20261224\nDTEND:20261225T000000", "not of the same kind as DTSTART"),
        ("DTSTART:20261224T090000\nDTEND:20261224T100000Z", "need both a time zone, or none"),
        ("DTSTART:20261224\nDTEND:20261225\nDURATION:P1D", "both DTEND and DURATION"),
        ("DTSTART:20261224\nDTSTART:20261225", "second DTSTART"),
        ("DTSTART;VALUE=DATE:20261224T090000", "is no DATE"),
        ("DTSTART;VALUE=DATE-TIME:20261224", "is no DATE-TIME"),
        ("DTSTART:20260230", "no date and no time"),
        ("DTSTART:20261224T250000", "no date and no time"),
        ("DTSTART:\uff12\uff10\uff12\uff161224", "no date and no time"),
        ("DTSTART;TZID=Mars/Olympus:20261224T090000", "TZID 'Mars/Olympus' is no IANA name"),
        ("DTSTART;TZID=Europe:20261224T090000", "TZID 'Europe'"),
        ("DTSTART;TZID=../../etc/passwd:20261224T090000", "TZID"),
        ("DTSTART;TZID=UTC;TZID=Asia/Tokyo:20261224T090000", "TZID is given twice"),
        ("DTSTART:20261224\nRECURRENCE-ID:20261224", "RECURRENCE-ID needs the UID"),
        ("UID:a\nDTSTART:20261224\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261224", "RANGE is not supported"),
        ("DTSTART:20261224\nEXRULE:FREQ=DAILY", "EXRULE is not supported"),
        ("DTSTART:20261224\nEXDATE:tomorrow", "EXDATE 'tomorrow'"),
        ("DTSTART:20261224\nRDATE:20261225T000000Z", "not of the same kind"),
        ("DTSTART:20261224\nRDATE:20261225/P1D", "VALUE=PERIOD"),
        ("DTSTART:20261224\nSEQUENCE:new", "SEQUENCE 'new'"),
        ("DTSTART:20261224\nNo text", "'No text' is not NAME:VALUE"),
        ("BEGIN:VEVENT\nDTSTART:20261224\nEND:VEVENT", "stands within VEVENT"),
    ],
)
def test_an_event_that_is_wrong_or_not_understood_is_refused(event: str, message: str) -> None:
    with pytest.raises(CalendarError, match=message):
        read_calendar(calendar(event))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this one is empty"),
        (b"\r\n \r\n", "this one is empty"),
        (b"<html>not found</html>", "is not NAME:VALUE"),
        (b"BEGIN:VCARD\nEND:VCARD\n", "begins with BEGIN:VCALENDAR, not with BEGIN:VCARD"),
        (calendar().encode("utf-16"), "UTF-16"),
        (calendar("SUMMARY:Räumung\nDTSTART:20261224").encode("latin-1"), "line 4: this is no UTF-8"),
        (calendar(before="X:" + "x" * MAX_BYTES + "\n").encode(), "more than 10 MB"),
        (calendar(before="BEGIN:VFREEBUSY\nEND:VFREEBUSY\n").encode(), "VFREEBUSY is not supported"),
        (calendar(before="CALSCALE:HEBREW\n").encode(), "CALSCALE 'HEBREW'"),
        (calendar().replace("2.0", "1.0").encode(), "VERSION '1.0'"),
        (calendar().encode() + b"END:VCALENDAR\n", "not with END"),
        (
            calendar(
                "DTSTART;TZID=Mine:20261224T090000", before="BEGIN:VTIMEZONE\nTZID:Mine\nEND:VTIMEZONE\n"
            ).encode(),
            "VTIMEZONE 'Mine' cannot be read",
        ),
    ],
)
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CalendarError, match=f"freeze.ics.*{message}"):
        opened(tmp_path, content)


def test_a_calendar_without_events_shuts_nothing(shut: Shut) -> None:
    assert shut(calendar(), "2026-07-06") == []


def test_a_window_whose_calendar_was_not_read_is_an_error_and_not_open() -> None:
    with pytest.raises(CalendarError, match="has not been read"):
        ChangeWindow(calendar="freeze.ics").is_open(datetime(2026, 7, 6, 10, tzinfo=UTC))


def test_a_window_with_events_is_read_back_from_its_json(tmp_path: Path) -> None:
    found = opened(tmp_path, calendar(MONDAYS, before=OWN_ZONE))
    again = ChangeWindow.from_json(found.to_json())
    assert again == found
    assert not again.is_open(datetime(2026, 7, 6, 7, 30, tzinfo=UTC))


def test_the_error_of_a_window_that_never_opens_does_not_repeat_the_calendar(tmp_path: Path) -> None:
    found = opened(tmp_path, calendar("UID:a\nDTSTART:20200101\nRRULE:FREQ=DAILY"))
    with pytest.raises(NeverOpenError) as caught:
        found.next_opening(datetime(2026, 7, 6, tzinfo=UTC))
    assert "VEVENT" not in str(caught.value)


def test_the_window_opens_when_the_last_of_several_occurrences_ends(tmp_path: Path) -> None:
    nights = "DTSTART;TZID=Europe/Berlin:20260105T200000\nDURATION:PT12H\nRRULE:FREQ=DAILY"
    found = opened(tmp_path, calendar(nights, "DTSTART:20260706T060000Z\nDTEND:20260706T081500Z"))
    assert found.next_opening(datetime(2026, 7, 5, 23, tzinfo=UTC)) == datetime(2026, 7, 6, 8, 15, tzinfo=UTC)
    assert found.next_opening(datetime(2031, 7, 5, 23, tzinfo=UTC)) == datetime(2031, 7, 6, 6, tzinfo=UTC)


def test_what_an_exporter_changes_at_each_export_does_not_change_the_window(tmp_path: Path) -> None:
    texts = [calendar(f"{MONDAYS}\nDTSTAMP:2026010{day}T000000Z\nSUMMARY:{day}") for day in (1, 2)]
    assert opened(tmp_path, texts[0]).to_json() == opened(tmp_path, texts[1]).to_json()


def test_dateutil_is_loaded_only_for_a_calendar_with_a_rule(tmp_path: Path) -> None:
    (tmp_path / "plain.ics").write_text(calendar("DTSTART;TZID=Europe/Berlin:20260706T090000\nDURATION:PT1H"))
    code = (
        "import sys\nfrom datetime import UTC, datetime\n"
        "from airflow_provider_launchdarkly.change_windows.window import ChangeWindow\n"
        f"found = ChangeWindow(calendar={str(tmp_path / 'plain.ics')!r}).with_calendar()\n"
        "assert not found.is_open(datetime(2026, 7, 6, 7, tzinfo=UTC))\n"
        "assert not {'dateutil', 'babel'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
