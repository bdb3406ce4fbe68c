"""Cron times: those of Airflow's own timetable."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.cron import Cron
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import look_times
from support.cron_expressions import CLOCK_CHANGES, airflow_times, draw_expression, draw_start

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def fires(expression: str, zone: str = "UTC", *, start: datetime = MONDAY, days: int = 7) -> list[str]:
    times = Cron.parse(expression, zone).between(start, start + timedelta(days=days))
    return [f"{time:%a %d %H:%M}" for time in times]


def drawn_cases(count: int) -> list[tuple[str, str, datetime]]:
    """Draw expressions that fire at all, each with a zone and a start near a change of its clocks."""
    chance = random.Random("cron")
    cases: list[tuple[str, str, datetime]] = []
    while len(cases) < count:
        expression, zone = draw_expression(chance), chance.choice(tuple(CLOCK_CHANGES))
        try:
            Cron.parse(expression)
        except ValueError as error:
            assert "never fires" in str(error), expression  # noqa: PT017 - such as 30 February
            continue
        cases.append((expression, zone, draw_start(chance, zone)))
    return cases


def test_a_thousand_expressions_fire_when_airflow_fires_around_changes_of_the_clocks() -> None:
    for expression, zone, start in drawn_cases(1000):
        cron = Cron.parse(expression, zone)
        first = cron.at_or_after(start)
        assert first is not None
        ours = [first, *islice(cron.between(first, first + timedelta(days=20_000)), 4)]
        assert ours == airflow_times(expression, zone, start, 5), (expression, zone, start)


def test_looks_at_cron_times_are_when_airflow_fires() -> None:
    compared = 0
    for expression, zone, start in drawn_cases(60):
        policy = Policy(looks={"cron": expression, "timezone": zone}, min_duration="1d", max_duration="2d")
        end = start + policy.max_duration
        expected = [moment for moment in airflow_times(expression, zone, start, 20) if start < moment < end]
        try:
            looks = look_times(policy, start)
        except ValueError as error:
            assert "makes more than 200 looks" in str(error)  # noqa: PT017 - most raise nothing
            continue
        # The plan's end is always a look.
        assert [start + look for look in looks[:-1]][:19] == expected[:19], (expression, zone, start)
        compared += len(expected)
    assert compared > 100


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("@yearly", "2027-01-01 00:00"),
        ("@quarterly", "2026-04-01 00:00"),
        ("0 9 * * fri-mon", "2026-01-05 09:00"),
        ("0 0 L * *", "2026-01-31 00:00"),
        ("0 9 * * mon#1", "2026-01-05 09:00"),
        ("0 9 */2 * mon", "2026-01-05 09:00"),
        ("0 9 * * * 30", "2026-01-05 09:00"),
    ],
)
def test_what_airflow_takes_as_a_schedule_is_taken(expression: str, first: str) -> None:
    found = Cron.parse(expression).after(MONDAY)
    assert found is not None
    assert f"{found:%Y-%m-%d %H:%M}" == first


def test_a_step_in_a_day_field_counts_as_a_restriction() -> None:
    # Either kind of day is enough: odd days of the month and Mondays.
    assert fires("0 9 */2 * mon") == [f"{day} 09:00" for day in ("Mon 05", "Wed 07", "Fri 09", "Sun 11")]


def test_the_start_is_left_out_and_the_end_is_kept() -> None:
    assert fires("0 0 * * *", days=2) == ["Tue 06 00:00", "Wed 07 00:00"]


def test_a_moment_at_which_it_fires_can_be_kept() -> None:
    cron = Cron.parse("0 0 * * *")
    assert cron.at_or_after(MONDAY) == MONDAY
    assert cron.at_or_after(MONDAY + timedelta(seconds=1)) == MONDAY + timedelta(days=1)


def test_the_wall_clock_of_a_time_zone() -> None:
    assert fires("0 9 * * *", "Asia/Tokyo", days=1) == ["Tue 06 00:00"]


def test_a_skipped_hour_fires_as_much_later_as_the_clocks_moved() -> None:
    # On 29 March 2026 clocks in Berlin go from 02:00 to 03:00.
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert fires("30 2 * * *", "Europe/Berlin", start=start, days=1) == ["Sun 29 01:30"]


def test_an_hour_that_comes_twice_fires_the_second_time() -> None:
    # On 25 October 2026 clocks in Berlin go from 03:00 to 02:00.
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert fires("30 2 * * *", "Europe/Berlin", start=start, days=1) == ["Sun 25 01:30"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 9 * *", "cron '0 9 * *': Exactly 5, 6 or 7 columns"),
        ("60 9 * * *", "cron '60 9 * * *'"),
        ("0 9 * * mo", "cron '0 9 * * mo'"),
        ("*/0 * * * *", "cron '*/0 * * * *'"),
        ("*/x * * * *", "cron '*/x * * * *'"),
        ("0 9 0 * *", "cron '0 9 0 * *'"),
        ("every monday", "write minute, hour, day of month, month and day of week"),
        ("0 9 30 2 *", "cron '0 9 30 2 *' never fires; correct its day, month or year"),
        ("R 9 * * *", "draws a field at random with R; write a number"),
        ("0 9,r(10-12) * * *", "draws a field at random"),
        ("H 9 * * *", "cron 'H 9 * * *'"),
    ],
)
def test_a_wrong_expression_is_named(expression: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        Cron.parse(expression)
    assert message in str(caught.value)


@given(st.text(alphabet="0123456789*/-,#LWRh? mon@", max_size=24))
def test_any_text_is_taken_or_refused_with_a_value_error(text: str) -> None:
    try:
        cron = Cron.parse(text)
    except ValueError:
        return
    following = cron.after(MONDAY)
    assert following is None or following > MONDAY


@pytest.mark.parametrize("zone", ["Europe/Berlinx", "../etc/passwd", ""])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(ValueError, match="is no time zone known here"):
        Cron.parse("0 9 * * *", zone)
