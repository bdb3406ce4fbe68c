"""One reader for all triggers of an event loop whose experiments, or releases, are in one list of LaunchDarkly's.

A page of a list shows twenty of them, so a thousand waits on the experiments of an environment cost fifty requests an
interval instead of a thousand. A list may lag, or show less than a single read, so it only ever says "nothing to do
yet": whatever else a poll would come to on it, a trigger reads what it awaits alone and decides on that
(:func:`wait_on`). No decision rests on what is shared; nothing is kept between processes.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from contextvars import Context
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.procedure import STRANGE_DATA, Response
from airflow_provider_launchdarkly.telemetry import count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.triggers._listed import Contents, ListedPage

    ReadPage = Callable[[int, int, bytes | None], Awaitable[Response[ListedPage] | None]]
    """Reads a page of the list, from its size, its offset and its mark at the last reading; None if LaunchDarkly is
    away."""

R = TypeVar("R")

log = logging.getLogger(__name__)

PAGE: Final = 20
"""Items a page: LaunchDarkly's default for experiments, for which no larger size is documented."""

FEWEST: Final = 4
"""Waits below which pages are not looked through for what they await."""

LEAD: Final = 0.05
"""Share of its time by which a page is read before a wait is due, so that it comes in time."""

HOLD: Final = 5.0
"""Seconds for which a wait that is due is held back for its page, which is just being read."""

LONGEST_READ: Final = 60.0
"""Seconds after which a page that does not come is given up."""

FIRST_PAUSE: Final = 60.0
"""Seconds without lists after one has failed. They double with each further failure, up to an hour."""

# Pages under way at a time. What waits for a page in the queue is read alone soon enough.
_READS = 2
# Two waits that a page serves save a request.
_SAVING = 2
# Pages that are looked through are spread over this share of the shortest interval.
_PACE = 0.8
# What is due within so many intervals of the wait that needs the page would come too late for its next reading.
_NEXT = 1.1
# Seconds for which a count of pages is trusted, for which what is on no page is read alone, and for which lists that
# do not help are left alone.
_TRUSTED = 3600.0
_LONG = 20
_POOR_TURNS = 3
# Timers may fire this much too early.
_TICK = 1e-6


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
        key: Of what it awaits.
        interval: Seconds between two of its polls.
        since: When it began, by the event loop's clock.
        due: When it reads alone if nothing has been shared by then.
        earliest: When it may be read at the earliest.
        exact: Whether something is due at that time and not before: then no page is read for it.
        reading: The reading; None tells it to read alone.
        settled: Its decision that may hold on; None if it is to judge each reading.
        timer: Its one timer: first for the page, then for reading alone.
    """

    key: str
    interval: float
    since: float
    due: float
    earliest: float
    exact: bool
    reading: asyncio.Future[Reading | None]
    settled: Settled | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def wants_page_at(self) -> float:
        """When its page is read if no other wait had it read before."""
        return self.due if self.exact else max(self.due - LEAD * (self.due - self.since), self.earliest)

    def answer(self, reading: Reading | None) -> None:
        if not self.reading.done():
            self.reading.set_result(reading)

    def takes(self, now: float, horizon: float) -> bool:
        """Return whether a page that is read now is its poll: it is due within the horizon."""
        return not self.reading.done() and self.earliest <= now + _TICK and self.due - now <= horizon

    def holds(self, mark: bytes, server_time: datetime) -> bool:
        """Return whether its decision holds on, given the mark of the page and the time that it was read."""
        return self.settled is not None and self.settled.mark == mark and server_time < self.settled.until

    def repeat(self, now: float) -> None:
        """Wait on as if it had polled now. Its timer finds by itself that it is due later."""
        self.since, self.due, self.earliest, self.exact = now, now + self.interval, 0.0, False


class SharedReader:
    """Reads what is awaited in as few requests as it takes, and no oftener than single reads would.

    It remembers on which page each item was. Shortly before a wait is due, its page is read if that serves another one
    as well, which would be due before the page's next reading; else the wait reads alone. So an impatient wait has its
    own page read and no other, and a page costs no more than what it stands for. What is on no page that is known is
    looked for by reading all pages, if these are fewer than the waits; what is on none of them is read alone from then
    on. So is everything where lists fail or do not help.

    A wait that is cancelled leaves the others untouched. No wait depends on a page: its own timer tells it to read
    alone once it is due, a few seconds later if its page is just being read, whatever becomes of the page.

    Args:
        read_page: Reads a page.
        fewest: Waits below which pages are not looked through.
    """

    def __init__(self, read_page: ReadPage, fewest: int = FEWEST) -> None:
        self._read_page = read_page
        self._fewest = fewest
        self._waits: dict[str, list[_Wait]] = {}
        self._listed: dict[int, tuple[bytes, Contents]] = {}
        self._where: dict[str, int] = {}
        self._unlisted_until: dict[str, float] = {}
        self._reading: dict[int, float] = {}
        self._reads = asyncio.Semaphore(_READS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks_through = False
        self._pages = 0
        self._pages_known_until = self._no_lists_until = self._no_looking_until = -inf
        self._pause = FIRST_PAUSE
        self._turn_pages = self._served = self._not_enough = self._poor_turns = 0

    async def next_reading(
        self,
        key: str,
        *,
        interval: float,
        delay: float,
        earliest: float = 0.0,
        exact: bool = False,
        settled: Settled | None = None,
    ) -> Reading | None:
        """Wait for the next reading of an item of the list.

        Args:
            key: Key of the experiment, id of the release, or ``NEWEST`` for the first page of a flag's releases.
            interval: Seconds between two polls of this trigger.
            delay: Seconds until it wants to be read at the latest.
            earliest: Seconds before which it must not be read: above 0 for a trigger that has just begun.
            exact: Whether something is due after `delay` and not before.
            settled: The trigger's last decision, if it may hold on. While it does, this goes on waiting, a poll each
                interval.

        Returns:
            A reading that was taken since; None if it is to read alone, now.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = _Wait(key, interval, now, now + delay, now + earliest, exact, loop.create_future(), settled)
        self._waits.setdefault(key, []).append(wait)
        if earliest:
            self._unlisted_until.pop(key, None)  # another trigger awaits it: it may have started
        wait.timer = loop.call_at(wait.wants_page_at, self._wake, wait)
        try:
            return await wait.reading
        finally:
            wait.timer.cancel()
            waits = self._waits[key]
            waits.remove(wait)
            if not waits:
                del self._waits[key]

    def was_not_enough(self) -> None:
        """Note that a shared reading made a trigger read alone all the same."""
        self._not_enough += 1

    def _wake(self, wait: _Wait) -> None:
        """Do what a wait's timer is for: have its page read, or tell it to read alone."""
        loop = asyncio.get_running_loop()
        now = loop.time() + _TICK
        at = wait.wants_page_at
        if at <= now < wait.due:
            self._want_page_of(wait)
            at = wait.due
        elif wait.due <= now:
            at = self._reading.get(self._where.get(wait.key, -1), -inf) + HOLD
            if at <= now:
                wait.answer(None)
                return
        wait.timer = loop.call_at(at, self._wake, wait)

    def _want_page_of(self, wait: _Wait) -> None:
        """Have the page read on which it was, if that saves requests, or look for it."""
        now = asyncio.get_running_loop().time()
        if now < self._no_lists_until:
            return
        offset = self._where.get(wait.key)
        horizon = _NEXT * wait.interval
        if offset is None:
            self._look_for(wait)
        elif offset not in self._reading and self._saves(offset, horizon):
            self._reading[offset] = now
            self._start(self._serve(offset, horizon))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # Not in the context of the trigger that happens to need it, whose log would get the lines of all.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _saves(self, offset: int, horizon: float) -> bool:
        """Return whether reading a page now is less than what the waits on it would read alone."""
        now = asyncio.get_running_loop().time()
        served = 0
        for key in self._listed[offset][1].answered:
            if self._where.get(key) == offset:
                served += sum(not wait.exact and wait.takes(now, horizon) for wait in self._waits.get(key, ()))
        return served >= _SAVING

    async def _serve(self, offset: int, horizon: float) -> None:
        """Read a page for those who wait for it, unless they have read alone meanwhile."""
        keys = self._listed[offset][1].answered
        try:
            async with self._reads:
                if offset in self._listed and self._saves(offset, horizon):
                    await self._read(offset, horizon)
        finally:
            del self._reading[offset]
            self._release(keys)

    def _release(self, keys: Iterable[str]) -> None:
        """Tell those to read alone that were held back for a page, and are not on it."""
        now = asyncio.get_running_loop().time()
        for key in keys:
            for wait in self._waits.get(key, ()):
                if wait.due <= now and wait.timer is not None:
                    wait.timer.cancel()
                    self._wake(wait)

    def _unplaced(self) -> Iterator[_Wait]:
        """What waits on an item of which no page is known, and which is not known to be on none."""
        now = asyncio.get_running_loop().time()
        for key, waits in self._waits.items():
            if key not in self._where and self._unlisted_until.get(key, -inf) <= now:
                yield from waits

    def _look_for(self, wait: _Wait) -> None:
        """Look all pages through if they are fewer than the waits that it may help."""
        now = asyncio.get_running_loop().time()
        is_unlisted = self._unlisted_until.get(wait.key, -inf) > now
        if is_unlisted or self._looks_through or now < self._no_looking_until:
            return
        unplaced = sum(1 for _ in self._unplaced())
        pages = self._pages if now < self._pages_known_until else 0
        if unplaced < self._fewest or pages >= unplaced:
            # Counting takes time, and each of those that it is not for would count again.
            self._no_looking_until = now + LEAD * wait.interval
            return
        self._looks_through = True
        self._start(self._look_through())

    async def _look_through(self) -> None:
        """Read page after page until everything has been found, or they are more than what is left to find."""
        loop = asyncio.get_running_loop()
        try:
            period = min((wait.interval for wait in self._unplaced()), default=0.0)
            offset, is_last = 0, False
            while not is_last:
                began = loop.time()
                contents = await self._read_in_turn(offset)
                if contents is None:
                    return
                offset += len(contents.keys)
                is_last = not contents.keys or offset >= (contents.total_count or 0)
                left = list(self._unplaced())
                if not left or (not is_last and self._pages - offset // PAGE >= len(left)):
                    return
                if not is_last:
                    await asyncio.sleep(max(0.0, began + _PACE * period / self._pages - loop.time()))
            now = loop.time()
            self._unlisted_until = {key: until for key, until in self._unlisted_until.items() if until > now}
            self._unlisted_until |= {wait.key: now + max(_TRUSTED, _LONG * wait.interval) for wait in left}
        finally:
            self._looks_through = False

    async def _read_in_turn(self, offset: int) -> Contents | None:
        async with self._reads:
            if offset in self._reading:
                return self._listed[offset][1]
            self._reading[offset] = asyncio.get_running_loop().time()
            try:
                return await self._read(offset, inf)
            finally:
                del self._reading[offset]

    async def _read(self, offset: int, horizon: float) -> Contents | None:
        """Read a page, and share it.

        Args:
            offset: Where it begins.
            horizon: Seconds within which a wait is due that it serves.

        Returns:
            What it shows; None if it failed.
        """
        listed = self._listed.get(offset)
        try:
            async with asyncio.timeout(LONGEST_READ):
                page = await self._read_page(PAGE, offset, listed[0] if listed else None)
            if page is None:
                return None
            contents = self._note(offset, page.value)
        except BaseException as error:
            self._no_lists_for(self._pause, f"{type(error).__name__}: {error}")
            self._pause = min(2 * self._pause, _TRUSTED)
            if not isinstance(error, Exception):
                raise
            return None
        self._pause = FIRST_PAUSE
        served = self._share(contents.answered, page, horizon)
        if served or horizon < inf:
            self._judge(served)
        return contents

    def _note(self, offset: int, page: ListedPage) -> Contents:
        """Note what is on a page, which is not read if it is the same as the last time."""
        listed = self._listed.get(offset)
        if listed is None or listed[0] != page.mark:
            contents = page.contents
            for key in listed[1].answered if listed else ():
                if self._where.get(key) == offset:
                    del self._where[key]
            self._listed[offset] = page.mark, contents
        else:
            contents = listed[1]
        self._where |= dict.fromkeys(contents.answered, offset)
        total = offset + len(contents.keys) if contents.total_count is None else contents.total_count
        self._pages = max(1, ceil(total / PAGE))
        self._pages_known_until = asyncio.get_running_loop().time() + _TRUSTED
        return contents

    def _share(self, keys: Iterable[str], page: Response[ListedPage], horizon: float) -> int:
        """Give a reading to the waits on a page that are due within the horizon; return how many these are.

        One that only repeats its decision is not woken.
        """
        now = asyncio.get_running_loop().time()
        served = repeats = 0
        for key in keys:
            for wait in self._waits.get(key, ()):
                if not wait.takes(now, horizon):
                    continue
                served += 1
                if wait.holds(page.value.mark, page.server_time):
                    wait.repeat(now)
                    repeats += 1
                    continue
                response = Response(page.value.items[key], page.server_time, page.status, page.request_id)
                wait.answer(Reading(response, page.value.mark))
        if repeats:
            count("polls", repeats)
        return served

    def _judge(self, served: int) -> None:
        """Give lists up for a while if they cost more requests than they saved, several times in a row."""
        self._turn_pages += 1
        self._served += served
        if self._turn_pages < max(len(self._listed), 1):
            return
        is_poor = self._turn_pages + self._not_enough > self._served
        self._poor_turns = self._poor_turns + 1 if is_poor else 0
        self._turn_pages = self._served = self._not_enough = 0
        if self._poor_turns >= _POOR_TURNS:
            self._poor_turns = 0
            self._no_lists_for(_TRUSTED, "its lists do not show what is awaited")

    def _no_lists_for(self, seconds: float, why: str) -> None:
        self._no_lists_until = asyncio.get_running_loop().time() + seconds
        log.info("Waits are read one by one for %.0f s, not in lists: %s", seconds, why)
