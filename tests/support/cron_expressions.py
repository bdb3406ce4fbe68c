"""Cron expressions drawn from a seed, and the times at which Airflow's own timetable fires."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction, Timetable
from airflow.timetables.trigger import CronTriggerTimetable

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORT = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@annually", "@midnight")

# Each zone with days on which its clocks move: by an hour, by half an hour, at midnight, or never.
CLOCK_CHANGES = {
    "UTC": ("2026-02-27",),
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "America/Santiago": ("2026-04-05", "2026-09-06"),
    "Asia/Kolkata": ("2028-02-28",),
}


def draw_expression(chance: random.Random) -> str:
    """Draw an expression: most of five fields, some in short or with what is peculiar to croniter."""
    if chance.random() < 0.04:
        return chance.choice(SHORT)
    days, weekdays = _field(chance, 1, 31), _field(chance, 0, 7, WEEKDAYS)
    if chance.random() < 0.1:
        days = chance.choice(("L", "1,L", "15,L"))
    elif chance.random() < 0.1:
        weekdays = chance.choice(("mon#1", "fri#2", "L5", "fri-mon", "sat-sun", "sun-tue", "1,3,5", "?"))
    minutes = chance.choice((_field(chance, 0, 59), str(chance.randint(0, 59)), "0", "30"))
    hours = chance.choice((_field(chance, 0, 23), str(chance.randint(0, 4)), "*"))
    return " ".join((minutes, hours, days, _field(chance, 1, 12, MONTHS), weekdays))


def _field(chance: random.Random, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    if chance.random() < 0.4:
        return "*"
    return ",".join(_item(chance, low, high, names) for _ in range(chance.choice((1, 1, 1, 2, 3))))


def _item(chance: random.Random, low: int, high: int, names: tuple[str, ...]) -> str:
    step = f"/{chance.randint(1, max(2, (high - low) // 2))}" if chance.random() < 0.35 else ""
    first, last = sorted((chance.randint(low, high), chance.randint(low, high)))
    if names and not step and chance.random() < 0.4:
        return chance.choice(names)
    kind = chance.random()
    if kind < 0.3:
        return f"*{step}"
    return f"{first}{step}" if kind < 0.6 or first == last else f"{first}-{last}{step}"


def draw_start(chance: random.Random, zone: str) -> datetime:
    """Draw a time around a change of the zone's clocks."""
    day = pendulum.parse(chance.choice(CLOCK_CHANGES[zone]))
    assert isinstance(day, pendulum.DateTime)
    return day + timedelta(minutes=chance.randint(-36 * 60, 36 * 60), seconds=chance.choice((0, 0, 0, 12.5)))


def airflow_times(expression: str, zone: str, start: datetime, count: int) -> list[datetime]:
    """Return the first runs of Airflow's timetable, a run at the start included."""
    return timetable_runs(CronTriggerTimetable(expression, timezone=zone), start, count)


def timetable_runs(timetable: Timetable, start: datetime, count: int) -> list[datetime]:
    """Return the first runs of a timetable with catch-up, as the scheduler asks for them one by one."""
    restriction = TimeRestriction(earliest=pendulum.instance(start), latest=None, catchup=True)
    last: DataInterval | None = None
    found: list[datetime] = []
    for _ in range(count):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        assert info is not None
        last = info.data_interval
        found.append(info.run_after)
    return found
