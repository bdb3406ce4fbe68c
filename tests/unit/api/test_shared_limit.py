"""Many callers of one token: one of them meets the limit, all wait for the same window, and leave it apart."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.http.client import IN_FLIGHT, AsyncLaunchDarklyClient, LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate

from .conftest import DATE_MS, ENV, TOKEN, FakeTime, answer

READ = endpoints.get_experiment(ENV, "bold")


class Windows:
    """LaunchDarkly with so many calls a window of ten seconds, on a clock that only the callers' sleep moves."""

    def __init__(self, calls: int, *, tell: bool) -> None:
        self.calls, self.tell = calls, tell
        self.time = FakeTime()
        self.used: dict[int, int] = {}
        self.refused = 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        window = int(self.time.now // 10)
        self.used[window] = self.used.get(window, 0) + 1
        remaining = self.calls - self.used[window]
        elapsed = self.time.now - 1_000
        headers: dict[str, Any] = {
            "x-ratelimit-global-limit": str(self.calls),
            "x-ratelimit-global-remaining": str(max(0, remaining)),
            "x-ratelimit-reset": str(DATE_MS + int(1_000 * ((window + 1) * 10 - 1_000))),
            "date": _http_date(elapsed),
        }
        if remaining < 0:
            self.refused += 1
            return answer(429, {"code": "rate_limited", "message": "slow down"}, **headers)
        return answer(body={"key": "bold"}, **(headers if self.tell else {"date": headers["date"]}))


def _http_date(elapsed: float) -> str:
    return format_datetime(datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(seconds=int(elapsed)), usegmt=True)


def poll(windows: Windows, callers: int) -> list[float]:
    """Let so many callers read once, at the same moment; return when each was answered."""
    pending: list[tuple[float, asyncio.Event]] = []
    done: list[float] = []

    async def sleep(seconds: float) -> None:
        woken = asyncio.Event()
        pending.append((windows.time.now + seconds, woken))
        await woken.wait()

    async def turn_the_clock(tasks: set[asyncio.Task[None]]) -> None:
        while tasks:
            # Time passes only when every caller waits: to the moment at which the first wakes.
            for _ in range(20):
                await asyncio.sleep(0)
            if pending and len(pending) == len(tasks):
                pending.sort(key=lambda entry: entry[0])
                at, woken = pending.pop(0)
                windows.time.now = max(windows.time.now, at)
                woken.set()

    async def live() -> None:
        async with AsyncLaunchDarklyClient(
            "https://launchdarkly.test",
            TOKEN,
            transport=httpx.MockTransport(windows),
            verify=False,
            gate=RateGate(),
            sleep=sleep,
            monotonic=windows.time.monotonic,
            random=lambda: 0.5,
        ) as client:

            async def one() -> None:
                await client.send(READ)
                done.append(windows.time.now)

            tasks = {asyncio.create_task(one()) for _ in range(callers)}
            for task in tasks:
                task.add_done_callback(tasks.discard)
            await turn_the_clock(tasks)

    asyncio.run(live())
    return done


def test_a_window_that_is_used_up_is_met_by_those_in_flight_and_awaited_by_all() -> None:
    windows = Windows(10, tell=False)
    done = poll(windows, callers=18)
    assert len(done) == 18
    assert windows.refused <= IN_FLIGHT
    assert max(done) < 1_000 + 20


def test_callers_who_are_told_what_remains_meet_no_429_at_all() -> None:
    windows = Windows(40, tell=True)
    done = poll(windows, callers=60)
    assert len(done) == 60
    assert windows.refused == 0


def test_callers_leave_the_window_one_after_the_other() -> None:
    windows = Windows(10, tell=False)
    late = [at for at in poll(windows, callers=18) if at > 1_000]
    assert len(set(late)) == len(late)


def test_all_clients_of_a_token_share_its_gate_and_those_of_another_do_not() -> None:
    url = "http://127.0.0.1:1"
    clients = [
        LaunchDarklyClient(url, TOKEN),
        AsyncLaunchDarklyClient(url, TOKEN),
        LaunchDarklyClient(url, "api-other"),
    ]
    gates = [client._exchange.gate for client in clients]
    assert gates[0] is gates[1]
    assert gates[0] is not gates[2]
