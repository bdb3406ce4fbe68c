"""One reader for all triggers of an event loop whose experiments, or releases, are in one list of LaunchDarkly's.

A page of a list shows twenty of them, so a thousand waits on the experiments of an environment cost fifty requests a
round instead of a thousand. A list may lag, or show less than a single read, so it only ever says "nothing to do yet":
whatever else a poll would come to on it, a trigger reads what it awaits alone and decides on that (:func:`wait_on`). No
decision rests on what is shared; nothing is kept between processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import closing
from contextvars import Context
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.procedure import STRANGE_DATA, Response
from airflow_provider_launchdarkly.telemetry import count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.triggers._listed import Contents, ListedPage

    ReadPage = Callable[[int, int, bytes | None], Awaitable[Response[ListedPage]]]
    """Reads a page of the list, from its size, its offset and its mark in the last round."""

R = TypeVar("R")

log = logging.getLogger(__name__)

PAGE: Final = 20
"""Items a page: LaunchDarkly's default for experiments, for which no larger size is documented."""

FEWEST: Final = 4
"""Waits below which each reads alone, where one has to look through pages for what it awaits."""

LEAD: Final = 0.05
"""Share of the interval by which a round begins before the first wait is due, so that its page comes in time."""

HOLD: Final = 5.0
"""Seconds for which a wait that is due is held back for the page that is just being read."""

LONGEST_READ: Final = 60.0
"""Seconds after which a page that does not come is given up."""

# A round's pages are spread over this share of the shortest interval; the next round's come within the second.
_PACE = 0.8
_NEXT_ROUND = 1.1
# Seconds for which a count of pages is trusted, and for which lists that do not help are left alone.
_TRUSTED = 3600.0
_POOR_ROUNDS = 3


def run_on(procedure: Procedure[R], single: Request[Any], shared: Response[Any]) -> R | None:
    """Run a procedure on a shared reading alone.

    Args:
        procedure: The procedure. It is closed.
        single: The request in whose place the reading stands.
        shared: The reading.

    Returns:
        What the procedure returns; None if it wants to read anything else, or fails.
    """
    with closing(procedure):
        try:
            if next(procedure) == single:
                procedure.send(shared)
        except StopIteration as done:
            result: R = done.value
            return result
        except (LaunchDarklyError, *STRANGE_DATA):
            pass
    return None


def wait_on(procedure: Procedure[CheckResult], single: Request[Any], shared: Response[Any]) -> CheckResult | None:
    """Run one poll on a shared reading, as :func:`run_on` does; return its result if that is to wait on, else None."""
    result = run_on(procedure, single, shared)
    return None if result is None or result.ends else result


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of one experiment or release, or of a flag's newest releases.

    Attributes:
        response: As a single read would bring it.
        mark: Of the page that it was on: while that has the same mark, it is the same.
    """

    response: Response[Any]
    mark: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """A trigger's decision to wait on, which holds while nothing changes: such polls need not wake it.

    Attributes:
        mark: Of the reading on which it was made.
        until: LaunchDarkly's time until which it holds.
    """

    mark: bytes
    until: datetime


@dataclass(eq=False, slots=True)
class _Wait:
    """One trigger's wait for its next reading.

    Attributes:
        interval: Seconds between two of its polls.
        due: When it reads alone if nothing has been shared by then, by the event loop's clock.
        earliest: When it may be read at the earliest.
        exact: Whether something is due before its interval is over: then it causes no round of its own.
        reading: The reading; None tells it to read alone.
        settled: Its decision that may hold on; None if it is to judge each reading.
        planned: Whether a round has begun that covers it.
        timer: The timer of `due`.
    """

    interval: float
    due: float
    earliest: float
    exact: bool
    reading: asyncio.Future[Reading | None]
    settled: Settled | None = None
    planned: bool = False
    timer: asyncio.TimerHandle | None = None

    @property
    def begins(self) -> float:
        """When the round that reads it begins."""
        return max(self.due - LEAD * self.interval, self.earliest)

    @property
    def needs_round(self) -> bool:
        return not (self.exact or self.planned or self.reading.done())

    def answer(self, reading: Reading | None) -> None:
        if not self.reading.done():
            self.reading.set_result(reading)

    def holds(self, mark: bytes, server_time: datetime) -> bool:
        """Return whether its decision holds on, given the mark of the page and the time that it was read."""
        return self.settled is not None and self.settled.mark == mark and server_time < self.settled.until

    def repeat(self, now: float) -> None:
        """Wait on as if it had polled now. Its timer finds by itself that it is due later."""
        self.due, self.earliest = now + self.interval, 0.0
        self.exact = self.planned = False


class SharedReader:
    """Reads what is awaited in as few requests as it takes, no oftener than the most impatient wait asks for.

    A round of pages is spread over the shortest interval, and comes before the waits are due. What is on no page when
    it is due is read alone; so is everything where single reads are fewer than pages, or where lists fail or do not
    help. A wait that is cancelled leaves the others untouched. No wait depends on a page: each reads alone once it is
    due, a few seconds later if a page is just being read, whatever becomes of the pages.

    Args:
        read_page: Reads a page.
        fewest: Waits below which each reads alone.
    """

    def __init__(self, read_page: ReadPage, fewest: int = FEWEST) -> None:
        self._read_page = read_page
        self._fewest = fewest
        self._waits: dict[str, set[_Wait]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_reading = False
        self._overdue: list[_Wait] = []
        self._listed: dict[int, tuple[bytes, Contents]] = {}
        self._pages = 0
        self._pages_known_until = self._no_lists_until = -inf
        self._shared = self._not_enough = self._missing = self._poor_rounds = 0

    async def next_reading(
        self,
        key: str,
        *,
        interval: float,
        delay: float,
        earliest: float = 0.0,
        settled: Settled | None = None,
    ) -> Reading | None:
        """Wait for the next reading of an item of the list.

        Args:
            key: Key of the experiment, id of the release, or ``NEWEST`` for the first page of a flag's releases.
            interval: Seconds between two polls of this trigger.
            delay: Seconds until it wants to be read at the latest. Less than half of `interval` if something is due.
            earliest: Seconds before which it must not be read.
            settled: The trigger's last decision, if it may hold on. While it does, this goes on waiting, a poll each
                interval.

        Returns:
            A reading that was taken since; None if it is to read alone, now.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = _Wait(interval, now + delay, now + earliest, delay < interval / 2, loop.create_future(), settled)
        self._waits.setdefault(key, set()).add(wait)
        self._changed.set()
        if self._task is None or self._task.done():
            # Not in the context of the trigger that happens to come first, whose log would get the lines of all.
            self._task = loop.create_task(self._serve_all(), context=Context())
        wait.timer = loop.call_at(wait.due, self._expire, wait)
        try:
            return await wait.reading
        finally:
            wait.timer.cancel()
            waits = self._waits[key]
            waits.discard(wait)
            if not waits:
                del self._waits[key]
                self._changed.set()

    def was_not_enough(self) -> None:
        """Note that a shared reading made a trigger read alone all the same."""
        self._not_enough += 1

    def _expire(self, wait: _Wait) -> None:
        """Tell a wait that is due to read alone, unless the page that may show it is just being read."""
        loop = asyncio.get_running_loop()
        if wait.due > loop.time():
            wait.timer = loop.call_at(wait.due, self._expire, wait)
        elif self._is_reading and wait not in self._overdue:
            self._overdue.append(wait)
            wait.timer = loop.call_later(HOLD, wait.answer, None)
        else:
            wait.answer(None)

    async def _serve_all(self) -> None:
        """Serve until nothing waits. Whatever ends this earlier, those that wait are told to read alone."""
        try:
            await self._serve()
        finally:
            self._overdue = []
            for wait in self._all():
                wait.answer(None)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waits:
            begins = min((wait.begins for wait in self._all() if wait.needs_round), default=inf)
            if begins > loop.time():
                self._changed.clear()
                timer = loop.call_at(begins, self._changed.set) if begins < inf else None
                await self._changed.wait()
                if timer is not None:
                    timer.cancel()
                continue
            await self._round()

    def _all(self) -> Iterator[_Wait]:
        return (wait for waits in self._waits.values() for wait in waits)

    async def _round(self) -> None:
        """Read pages until everything that is due within the round has been on one."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        wanted: Counter[str] = Counter()
        for key, waits in self._waits.items():
            for wait in waits:
                wait.planned = wait.planned or wait.earliest <= now
                if not wait.exact and wait.begins <= now + wait.interval:
                    wanted[key] += 1
        awaited = wanted.total()
        pages = self._pages if now < self._pages_known_until else 0
        if now < self._no_lists_until or awaited < self._fewest or pages >= awaited:
            return
        self._shared = self._not_enough = self._missing = 0
        period = min(wait.interval for wait in self._all() if not wait.exact)
        offset = 0
        while True:
            began = loop.time()
            try:
                page = await self._read(offset)
            except Exception as error:  # noqa: BLE001 - no wait may end, or wait for ever, for what a page meets
                self._stop_listing(f"{type(error).__name__}: {error}")
                self._go_on_after(0.0)
                return
            contents = self._contents(offset, page.value)
            answered = (*contents.keys, *contents.others)
            for key in answered:
                wanted.pop(key, None)
            repeats = sum(self._share(key, page, period) for key in answered)
            if repeats:
                count("polls", repeats)
            self._go_on_after(loop.time() - began - LEAD * period)
            offset += len(contents.keys)
            total = offset if contents.total_count is None else contents.total_count
            self._pages, self._pages_known_until = ceil(total / PAGE), loop.time() + _TRUSTED
            if not contents.keys or not wanted or offset >= total or self._pages >= awaited:
                break
            await asyncio.sleep(max(0.0, began + _PACE * period / self._pages - loop.time()))
        self._missing = wanted.total()
        self._judge_round()

    def _contents(self, offset: int, page: ListedPage) -> Contents:
        """Return what a page shows, without reading it if it is the same as in the last round."""
        listed = self._listed.get(offset)
        if listed is None or listed[0] != page.mark:
            listed = self._listed[offset] = page.mark, page.contents
        return listed[1]

    async def _read(self, offset: int) -> Response[ListedPage]:
        self._is_reading = True
        try:
            listed = self._listed.get(offset)
            async with asyncio.timeout(LONGEST_READ):
                return await self._read_page(PAGE, offset, listed[0] if listed else None)
        finally:
            self._is_reading = False

    def _go_on_after(self, delay: float) -> None:
        """Put off what is due by the time that a slow page took, so that the rest of the round is not read twice."""
        if delay > 0:
            for wait in self._all():
                wait.due += delay
        overdue, self._overdue = self._overdue, []
        for wait in overdue:
            self._expire(wait)

    def _share(self, key: str, page: Response[ListedPage], period: float) -> int:
        """Give a reading to the waits on an item, but to a patient one only if the next round is too late.

        Returns:
            How many of them only repeat their decision, and are not woken.
        """
        now = asyncio.get_running_loop().time()
        repeats = 0
        for wait in self._waits.get(key, ()):
            if wait.reading.done() or wait.earliest > now or wait.due - now > _NEXT_ROUND * period:
                continue
            self._shared += 1
            if wait.holds(page.value.mark, page.server_time):
                wait.repeat(now)
                repeats += 1
                continue
            response = Response(page.value.items[key], page.server_time, page.status, page.request_id)
            wait.answer(Reading(response, page.value.mark))
        return repeats

    def _judge_round(self) -> None:
        """Give lists up for a while if they were not enough for most waits, several times in a row."""
        awaited = self._shared + self._missing
        poor = awaited >= self._fewest and self._not_enough + self._missing > awaited / 2
        self._poor_rounds = self._poor_rounds + 1 if poor else 0
        if self._poor_rounds >= _POOR_ROUNDS:
            self._stop_listing("its lists do not show what is awaited")

    def _stop_listing(self, why: str) -> None:
        self._poor_rounds = 0
        self._no_lists_until = asyncio.get_running_loop().time() + _TRUSTED
        log.info("Waits read one by one for an hour, not in lists: %s", why)
