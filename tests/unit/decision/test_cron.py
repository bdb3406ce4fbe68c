"""Cron times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_launchdarkly.decision.cron import Cron

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def fires(expression: str, zone: str = "UTC", *, start: datetime = MONDAY, days: int = 7) -> list[str]:
    times = Cron.parse(expression, zone).between(start, start + timedelta(days=days))
    return [f"{time:%a %d %H:%M}" for time in times]


def test_a_time_of_day() -> None:
    assert fires("30 9 * * *", days=2) == ["Mon 05 09:30", "Tue 06 09:30"]


def test_the_start_is_left_out_and_the_end_is_kept() -> None:
    assert fires("0 0 * * *", days=2) == ["Tue 06 00:00", "Wed 07 00:00"]


def test_steps_lists_and_ranges() -> None:
    assert fires("0,30 9-17/4 * * *", days=1) == [
        "Mon 05 09:00",
        "Mon 05 09:30",
        "Mon 05 13:00",
        "Mon 05 13:30",
        "Mon 05 17:00",
        "Mon 05 17:30",
    ]


def test_a_step_from_a_number_goes_to_the_end_of_the_range() -> None:
    assert fires("0 20/2 * * *", days=1) == ["Mon 05 20:00", "Mon 05 22:00"]


def test_names_of_weekdays_and_months() -> None:
    assert fires("0 9 * jan mon,thu") == ["Mon 05 09:00", "Thu 08 09:00"]
    assert fires("0 9 * feb *") == []


def test_sunday_is_0_and_7() -> None:
    assert fires("0 9 * * 0") == fires("0 9 * * 7") == ["Sun 11 09:00"]


def test_either_kind_of_day_is_enough_when_both_are_restricted() -> None:
    assert fires("0 9 6 * fri") == ["Tue 06 09:00", "Fri 09 09:00"]


def test_shorthands() -> None:
    assert fires("@weekly") == ["Sun 11 00:00"]


def test_the_wall_clock_of_a_time_zone() -> None:
    assert fires("0 9 * * *", "Asia/Tokyo", days=1) == ["Tue 06 00:00"]


def test_a_skipped_hour_fires_at_the_moment_it_would_have_been() -> None:
    # On 29 March 2026 clocks in Berlin go from 02:00 to 03:00.
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert fires("30 2 * * *", "Europe/Berlin", start=start, days=1) == ["Sun 29 01:30"]


def test_an_hour_that_comes_twice_fires_once() -> None:
    # On 25 October 2026 clocks in Berlin go from 03:00 to 02:00.
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert fires("30 2 * * *", "Europe/Berlin", start=start, days=1) == ["Sun 25 00:30"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 9 * *", "has 4 fields, not 5"),
        ("60 9 * * *", "minute: '60' is not within 0 to 59"),
        ("0 9 * * mo", "weekday: cannot read 'mo'"),
        ("0 17-9 * * *", "hour: '17-9' is not within"),
        ("*/0 * * * *", "minute"),
        ("*/x * * * *", "minute"),
        ("0 9 0 * *", "day: '0' is not within 1 to 31"),
    ],
)
def test_a_wrong_field_is_named(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        Cron.parse(expression)


@pytest.mark.parametrize("zone", ["Europe/Berlinx", "../etc/passwd", ""])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(ValueError, match="is no time zone known here"):
        Cron.parse("0 9 * * *", zone)
