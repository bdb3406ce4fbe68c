"""Ten minutes without LaunchDarkly for 1,000 waits: requests, log lines, and how soon all have looked again.

Run as a script: `python tests/benchmarks/bench_outage.py`. Time is virtual, so each case takes seconds. The code is the
provider's from the trigger down to its HTTP client (reader, circuit, rate gate), and only the transport below httpx is
replaced. Beside it, what one would write by hand: an httpx client and tenacity's exponential retries, at the same pace.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from typing_extensions import override

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))
    # Importing Airflow writes its configuration file into this folder.
    os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).parents[2] / "build" / "airflow"))

from waiting import virtual
from waiting.world import EXPERIMENTS, World, key_of

from support.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Wait = Callable[["Outage", int, float], Coroutine[Any, Any, list[Any]]]

START = datetime.now(UTC)
BEFORE, OUTAGE, AFTER = 600.0, 600.0, 600.0
RESET = 45.0
GOAL_REQUESTS, GOAL_LOOK = 12, 60.0


@dataclass
class Outage:
    """LaunchDarkly, away for ten minutes.

    Attributes:
        world: What it answers otherwise.
        kind: What it answers meanwhile: a status, `429 with a reset`, or nothing (`timeouts`, `connection refused`).
        asked: Times of the requests during the outage.
        after: Time of each experiment's first reading after the outage.
    """

    world: World
    kind: str
    asked: list[float] = field(default_factory=list)
    after: dict[str, float] = field(default_factory=dict)
    known: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    resets: float = 0.0
    early: int = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        now = asyncio.get_running_loop().time()
        headers = {"Date": format_datetime(START + timedelta(seconds=now), usegmt=True)}
        target = request.url.raw_path.decode()
        if BEFORE <= now < BEFORE + OUTAGE:
            self.asked.append(now)
            self.early += now < self.resets
            return await self._refuse(now, headers)
        if target not in self.known:
            self.known[target] = self.world.answer(target)
        status, body = self.known[target]
        if now >= BEFORE + OUTAGE:
            for number in self._shown(target):
                self.after.setdefault(key_of(number), now - BEFORE - OUTAGE)
        return httpx.Response(status, content=body, headers=headers)

    async def _refuse(self, now: float, headers: dict[str, str]) -> httpx.Response:
        match self.kind:
            case "timeouts":
                await asyncio.sleep(30)
                raise httpx.ReadTimeout("no answer within 30 s")
            case "connection refused":
                raise httpx.ConnectError("connection refused")
            case "429 with a reset":
                self.resets = now + RESET
                headers["Retry-After"] = f"{RESET:.0f}"
                return httpx.Response(429, json={"message": "slow down"}, headers=headers)
            case _:
                return httpx.Response(int(self.kind), json={"message": "no"}, headers=headers)

    def _shown(self, target: str) -> range:
        path, _, query = target.partition("?")
        if path == EXPERIMENTS:
            offset = int(httpx.QueryParams(query).get("offset", 0))
            return range(offset, min(offset + 20, self.world.count))
        number = int(path.rpartition("-")[2])
        return range(number, number + 1)


class Lines(logging.Handler):
    """Counts lines of the log during the outage."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.count = 0
        self._clock = clock

    @override
    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock()
        if BEFORE <= now < BEFORE + OUTAGE:
            self.count += 1


async def ours(outage: Outage, waits: int, interval: float) -> list[Any]:
    """Wait with the provider's triggers; returns their events, which would be failures."""
    events: list[Any] = []
    with virtual.answered_by(outage):
        tasks = [asyncio.create_task(virtual.run(virtual.trigger(number, interval), events)) for number in range(waits)]
        await _until_the_end(tasks)
    return events


async def by_hand(outage: Outage, waits: int, interval: float) -> list[Any]:
    """Wait with an httpx client and tenacity, as one would write it; returns the errors that ended waits."""
    from tenacity import (
        AsyncRetrying,
        before_sleep_log,
        retry_if_exception_type,
        stop_after_delay,
        wait_random_exponential,
    )

    log = logging.getLogger("by hand")
    gate = asyncio.Semaphore(4)
    ended: list[Any] = []
    retrying = AsyncRetrying(
        wait=wait_random_exponential(multiplier=1, max=60),
        stop=stop_after_delay(3600),
        retry=retry_if_exception_type(httpx.HTTPError),
        before_sleep=before_sleep_log(log, logging.WARNING),
        sleep=asyncio.sleep,
    )

    async def read(client: httpx.AsyncClient, number: int) -> None:
        async with gate:
            (await client.get(f"{EXPERIMENTS}/{key_of(number)}")).raise_for_status()

    async def wait(client: httpx.AsyncClient, number: int) -> None:
        await asyncio.sleep(interval * number / waits)
        while True:
            try:
                await retrying.copy()(read, client, number)
            except Exception as error:  # noqa: BLE001 - what ends a wait is what is counted
                ended.append(error)
                return
            await asyncio.sleep(interval)

    transport = httpx.MockTransport(outage)
    async with httpx.AsyncClient(transport=transport, base_url="https://launchdarkly.test") as client:
        await _until_the_end([asyncio.create_task(wait(client, number)) for number in range(waits)])
    return ended


async def _until_the_end(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.sleep(BEFORE + OUTAGE + AFTER)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def measure(wait: Wait, world: World, kind: str, interval: float) -> tuple[Outage, Lines, int]:
    """Run one case; returns what LaunchDarkly saw, the log's lines, and how many waits ended."""
    outage = Outage(world, kind)

    async def run() -> tuple[Lines, int]:
        lines = Lines(asyncio.get_running_loop().time)
        logging.getLogger().addHandler(lines)
        try:
            return lines, len(await wait(outage, world.count, interval))
        finally:
            logging.getLogger().removeHandler(lines)

    return outage, *run_in_virtual_time(run())


KINDS = ("503", "429", "429 with a reset", "403", "401", "timeouts", "connection refused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two polls (default: 60)")
    options = parser.parse_args()
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)  # lines are counted, not shown
    logging.getLogger("httpx").setLevel(logging.WARNING)
    world = World.of(options.waiting)
    print(
        f"{options.waiting} waits, a poll each {options.interval:g} s; LaunchDarkly is away for "
        f"{OUTAGE / 60:g} minutes of virtual time\n\n"
        f"{'':40} {'requests':>8} {'before a reset':>14} {'log lines a minute':>18} {'waits ended':>11} "
        f"{'first look after':>16} {'all within':>10}"
    )
    for kind in KINDS:
        for name, wait in (("ours", ours), ("httpx and tenacity", by_hand)):
            outage, lines, ended = measure(wait, world, kind, options.interval)
            after = sorted(outage.after.values())
            first, last = (f"{after[0]:.0f} s", f"{after[-1]:.0f} s") if after else ("never", "never")
            missed = "" if name != "ours" or _is_met(outage, ended, after, options) else "   goal missed"
            a_minute = lines.count * 60 / OUTAGE
            print(
                f"{f'{kind}, {name}':40} {len(outage.asked):8} {outage.early:14} {a_minute:18.1f} {ended:11} "
                f"{first:>16} {last:>10}{missed}",
                flush=True,
            )


def _is_met(outage: Outage, ended: int, after: list[float], options: argparse.Namespace) -> bool:
    all_back = len(after) == options.waiting and after[0] <= GOAL_LOOK
    return len(outage.asked) <= GOAL_REQUESTS and outage.early == 0 and not ended and all_back


if __name__ == "__main__":
    main()
