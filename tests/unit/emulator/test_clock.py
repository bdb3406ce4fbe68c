"""The clock runs, stands still, jumps forward, and never goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.emulator.state.clock import (
    Clock,
    from_milliseconds,
    parse_duration,
    parse_time,
    to_milliseconds,
)
from airflow_provider_launchdarkly.testing import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.emulator_caller import Caller

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class RealTime:
    """Real seconds, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_it_runs_at_its_rate() -> None:
    real = RealTime()
    clock = Clock(START, rate=86_400, monotonic=real)
    real.seconds += 2.5
    assert clock.now() == START + timedelta(days=2.5)


def test_it_can_stand_still() -> None:
    real = RealTime()
    clock = Clock(START, rate=0, monotonic=real)
    real.seconds += 1000
    assert clock.now() == START


def test_changing_the_rate_keeps_the_time() -> None:
    real = RealTime()
    clock = Clock(START, rate=60, monotonic=real)
    real.seconds += 1
    clock.rate = 0
    real.seconds += 1
    assert clock.now() == START + timedelta(minutes=1)
    clock.rate = 1
    real.seconds += 1
    assert clock.now() == START + timedelta(seconds=61)


def test_it_keeps_running_after_a_set() -> None:
    real = RealTime()
    clock = Clock(START, rate=1, monotonic=real)
    clock.set(START + timedelta(days=1))
    real.seconds += 3
    assert clock.now() == START + timedelta(days=1, seconds=3)


def test_it_is_always_utc() -> None:
    clock = Clock(START.astimezone(timezone(timedelta(hours=5))), rate=0)
    assert clock.now().utcoffset() == timedelta(0)
    clock.set((START + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-3))))
    assert clock.now().utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "turn",
    [
        lambda clock: clock.set(START - timedelta(seconds=1)),
        lambda clock: clock.advance(timedelta(seconds=-1)),
        lambda clock: clock.set(datetime(2027, 1, 1)),  # noqa: DTZ001 - the point of the test
        lambda clock: clock.advance(timedelta(days=3_000_000)),
    ],
)
def test_it_rejects_the_past_times_without_an_offset_and_the_end_of_the_calendar(turn: Callable[[Clock], None]) -> None:
    clock = Clock(START, rate=0)
    with pytest.raises(ValueError, match=r"never goes back|offset from UTC|year 9000"):
        turn(clock)
    assert clock.now() == START


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf"), 1e7])
def test_a_rate_out_of_range_is_rejected(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be between"):
        Clock(START, rate=rate)


@given(st.lists(st.integers(0, 10_000_000), max_size=20))
def test_it_is_monotonic_under_any_changes(steps: list[float]) -> None:
    real = RealTime()
    clock = Clock(START, rate=10, monotonic=real)
    last = clock.now()
    for step in steps:
        match step % 3:
            case 0:
                real.seconds += step / 1000
            case 1:
                clock.advance(timedelta(seconds=step))
            case _:
                clock.rate = step % 1000
        assert clock.now() >= last
        last = clock.now()


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P10D", timedelta(days=10)),
        ("P2W", timedelta(weeks=2)),
        ("PT6H", timedelta(hours=6)),
        ("P1DT2H30M1.5S", timedelta(days=1, hours=2, minutes=30, seconds=1.5)),
        ("PT0S", timedelta(0)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "10D", "P1M", "P1Y", "-P1D", "P1.5D", "p1d", "P99999999999D"])
def test_an_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-01-05T09:00:00", "2026-13-01T00:00:00Z"])
def test_an_invalid_time_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"time"):
        parse_time(text)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_milliseconds_keep_the_time_to_a_millisecond(moment: datetime) -> None:
    assert abs(from_milliseconds(to_milliseconds(moment)) - moment) <= timedelta(milliseconds=1)


def test_it_is_read_and_turned_over_http_without_a_token(server: EmulatorServer) -> None:
    import httpx

    url = f"{server.url}/__emulator__/clock"
    assert httpx.get(url).json()["now"] == "2026-01-05T09:00:00+00:00"
    assert httpx.post(url, json={"advance": "P1D"}).json()["now"] == "2026-01-06T09:00:00+00:00"
    assert httpx.post(url, json={"set": "2026-02-01T00:00:00Z"}).json()["now"] == "2026-02-01T00:00:00+00:00"
    assert httpx.post(url, json={"rate": 3600}).json()["rate"] == 3600
    assert httpx.post(url, json={"rate": 0}).json()["rate"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"set": "2020-01-01T00:00:00Z"},
        {"set": "2027-01-01T00:00:00"},
        {"set": 5},
        {"advance": "-P1D"},
        {"advance": None},
        {"rate": -1},
        {"rate": "fast"},
        {"rate": True},
        {"set": "2027-01-01T00:00:00Z", "rate": 2},
        {"forward": "P1D"},
        {},
        [],
    ],
)
def test_an_invalid_clock_change_is_rejected_and_changes_nothing(server: EmulatorServer, body: object) -> None:
    import httpx

    response = httpx.post(f"{server.url}/__emulator__/clock", json=body)
    assert response.status_code == 400
    assert response.json()["message"]
    assert server.clock.now() == datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_timestamps_follow_it(api: Caller) -> None:
    api.server.clock.set("2026-03-01T00:00:00Z")
    assert api.create()["_creationDate"] == to_milliseconds(datetime(2026, 3, 1, tzinfo=UTC))


def test_a_running_clock_ages_the_experiment_by_itself(api: Caller) -> None:
    api.running()
    api.server.clock.run(864_000)
    started = api.server.clock.now()
    while api.server.clock.now() < started + timedelta(days=1):
        pass
    results = api.get(f"{api.experiments}/bold/metrics/checkout-conversion/results").json()
    assert results["treatmentResults"][0]["units"] > 0
