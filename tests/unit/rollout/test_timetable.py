"""Runs that fall into a change window."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
from airflow_provider_launchdarkly.plugins.provider import LaunchDarklyPlugin
from airflow_provider_launchdarkly.rollout.timetable import ChangeWindowTimetable
from support.cron_expressions import CLOCK_CHANGES, WEEKDAYS, airflow_times, draw_expression, draw_start, timetable_runs

BERLIN = ChangeWindow(
    timezone="Europe/Berlin", hours=("09:00-12:00",), blackout=({"first": "2026-04-06", "last": "2026-04-06"},)
)
MONDAYS = ChangeWindowTimetable("0 9 * * mon", BERLIN)


def runs(timetable: ChangeWindowTimetable, start: datetime, count: int) -> list[str]:
    return [moment.isoformat() for moment in timetable_runs(timetable, start, count)]


def test_monday_nine_in_berlin_moves_with_the_clocks_and_past_a_blackout() -> None:
    assert runs(MONDAYS, datetime(2026, 3, 20, tzinfo=UTC), 4) == [
        "2026-03-23T08:00:00+00:00",
        "2026-03-30T07:00:00+00:00",
        "2026-04-07T07:00:00+00:00",
        "2026-04-13T07:00:00+00:00",
    ]


def test_times_that_are_put_off_until_the_same_opening_are_one_run() -> None:
    hourly = ChangeWindowTimetable("0 * * * *", ChangeWindow(hours=("09:00-11:00",)))
    assert runs(hourly, datetime(2026, 1, 9, 10, tzinfo=UTC), 4) == [
        "2026-01-09T10:00:00+00:00",
        "2026-01-12T09:00:00+00:00",
        "2026-01-12T10:00:00+00:00",
        "2026-01-13T09:00:00+00:00",
    ]


def test_in_a_window_that_is_always_open_it_runs_when_airflow_does() -> None:
    chance = random.Random("timetable")
    for _ in range(150):
        expression, zone = draw_expression(chance), chance.choice(tuple(CLOCK_CHANGES))
        start = draw_start(chance, zone)
        always = {"timezone": zone, "weekdays": list(WEEKDAYS), "hours": ["00:00-24:00"]}
        try:
            ours = ChangeWindowTimetable(expression, always)
        except ValueError as error:
            assert "never fires" in str(error)  # noqa: PT017 - most expressions raise nothing
            continue
        expected = airflow_times(expression, zone, start, 4)
        assert timetable_runs(ours, start, 4) == expected, (expression, zone, start)


def test_without_catch_up_nothing_of_the_past_runs() -> None:
    restriction = TimeRestriction(earliest=pendulum.datetime(2020, 1, 1), latest=None, catchup=False)
    info = MONDAYS.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info is not None
    assert info.run_after >= pendulum.now("UTC").subtract(minutes=1)


def test_nothing_runs_after_the_end() -> None:
    end = pendulum.datetime(2026, 1, 1)
    restriction = TimeRestriction(earliest=pendulum.datetime(2026, 1, 1, 12), latest=end, catchup=True)
    assert MONDAYS.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None


def test_a_run_by_hand_is_at_its_own_time() -> None:
    now = pendulum.datetime(2026, 1, 3)
    assert MONDAYS.infer_manual_data_interval(run_after=now) == DataInterval.exact(now)


def test_it_is_read_back_as_it_was_stored() -> None:
    again = ChangeWindowTimetable.deserialize(MONDAYS.serialize())
    assert isinstance(again, ChangeWindowTimetable)
    assert again.serialize() == MONDAYS.serialize()
    assert runs(again, datetime(2026, 3, 20, tzinfo=UTC), 3) == runs(MONDAYS, datetime(2026, 3, 20, tzinfo=UTC), 3)


def test_the_plugin_registers_it() -> None:
    assert LaunchDarklyPlugin.timetables == [ChangeWindowTimetable]


def test_a_wrong_expression_is_refused_when_the_file_is_parsed() -> None:
    with pytest.raises(ValueError, match="cron"):
        ChangeWindowTimetable("every monday", BERLIN)
