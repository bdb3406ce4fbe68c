"""One circuit for all triggers of an event loop on one connection: while LaunchDarkly is away, one of them asks.

The others wait for its answer, so an outage costs a request a minute however many wait, and no wait fails for an
outage that ends in time. When LaunchDarkly is back, they are let through one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_numbers
from collections import deque
from contextlib import AsyncExitStack
from contextvars import Context
from copy import copy
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConnectionUnavailableError,
    LaunchDarklyError,
    PermissionDeniedError,
)
from airflow_provider_launchdarkly.api.http.deadline import Places
from airflow_provider_launchdarkly.telemetry import count, gauge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

R = TypeVar("R")

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 20.0
"""Seconds after a refusal before the next request."""
LONGEST_PAUSE: Final = 60.0
"""Most seconds between two requests, so that the end of an outage is seen within a minute."""

IN_FLIGHT: Final = 4
"""Polls under way at a time. httpx's connection pool slows down with its queue."""

DOUBT_AFTER: Final = 4.0
"""Seconds after which a page that has not come casts doubt on all of LaunchDarkly."""

LONGEST_DOUBT: Final = 60.0
"""Seconds after which a call that is to settle such a doubt no longer holds the others."""

_SPACING = 0.05
LONGEST_SPREAD: Final = 45.0
"""Seconds over which those that an outage has held are let through."""

_SECONDS_BETWEEN_LOG_LINES = 50.0

# A call that fails so often while the calls of others succeed has a cause of its own.
_OWN_FAILURES = 10
_OWN_REFUSALS = 3


class _Place(NamedTuple):
    """A caller that waits for the end of an outage.

    Attributes:
        asks: True once it is its turn to ask for all, False once the outage is over.
        shares: Whether it spreads itself out.
    """

    asks: asyncio.Future[bool]
    shares: bool


class Circuit:
    """Closed while LaunchDarkly answers; open from a failure that may pass to the next answer.

    A failure that may pass is a retryable error. A refusal of the token (401, 403) is one too, if this process has had
    an answer with the connection or the token before, to whatever call; a token that never worked fails at once. So
    does a connection that Airflow never found, while one that it found before is awaited.

    What many callers share is read by :meth:`call_once`. Its failure may be its own, as where LaunchDarkly refuses one
    kind of read, so it only casts doubt: then calls go one by one until one of them succeeds, or opens the circuit.

    Args:
        name: The connection's id, for the log.
        patience: Seconds that a caller waits for the end of an outage.
        random: Uniform random numbers in [0, 1), which spread processes out.
    """

    def __init__(self, name: str, patience: float, random: Callable[[], float] = random_numbers.random) -> None:
        self.patience = patience
        self._name = name
        self._random = random
        self._places = Places(IN_FLIGHT)
        # What serves many does not queue behind hundreds of single calls: these would only become more.
        self._shared_places = Places(IN_FLIGHT)
        self._error: LaunchDarklyError | None = None
        self._refusals = self._answers = 0
        self._next_probe = self._next_line = 0.0
        self._probing = False
        self._queue: deque[_Place] = deque()
        self._in_doubt = False
        self._one_place = Places(1, LONGEST_DOUBT)

    @property
    def is_open(self) -> bool:
        """True while LaunchDarkly is away."""
        return self._error is not None

    async def call_once(self, attempt: Callable[[], Awaitable[R]]) -> R | None:
        """Try once, on behalf of many; return None without a try while LaunchDarkly is away, or may be.

        Raises:
            LaunchDarklyError: The attempt failed.
        """
        async with self._shared_places.taken():
            if self.is_open or self._in_doubt:
                return None
            timer = asyncio.get_running_loop().call_later(DOUBT_AFTER, self._doubt)
            try:
                result = await attempt()
            except LaunchDarklyError as error:
                if self._may_pass(error):
                    self._doubt()
                raise
            finally:
                timer.cancel()
        self._answers += 1
        return result

    def _doubt(self) -> None:
        self._in_doubt = not self.is_open

    async def call(
        self, attempt: Callable[[], Awaitable[R]], shared: Callable[[], Awaitable[R | None]] | None = None
    ) -> R:
        """Try until LaunchDarkly answers.

        Args:
            attempt: Tries once. It may be called again after it failed.
            shared: Tried first after an outage, to do without the attempt; it spreads itself out. None from it is no
                result.

        Returns:
            What the attempt returns.

        Raises:
            LaunchDarklyError: A failure that cannot pass; one that others do not have; or one that has lasted longer
                than `patience`.
        """
        gives_up = asyncio.get_running_loop().time() + self.patience
        own, answers, worked = 0, self._answers, None
        while True:
            was_away = self.is_open
            probing = await self._admitted(gives_up, shares=shared is not None)
            if was_away and not probing and shared is not None:
                without = await shared()
                if without is not None:
                    return without
            try:
                async with AsyncExitStack() as places:
                    if self._in_doubt:
                        await places.enter_async_context(self._one_place.taken())
                    if not self._in_doubt:
                        await places.aclose()  # another call has settled it
                    await places.enter_async_context(self._places.taken())
                    if self.is_open and not probing:
                        continue
                    began = asyncio.get_running_loop().time()
                    result = await attempt()
            except LaunchDarklyError as error:
                if not self._may_pass(error):
                    self._close()
                    raise
                # What the same token could do since the last refusal shows that the refusal is of this call alone.
                before, worked = worked, getattr(error, "answered", None)
                alone = before is not None and worked is not None and worked > before
                own, answers = own + (alone or answers != self._answers), self._answers
                self._open(error, began)
                most = _OWN_REFUSALS if isinstance(error, PermissionDeniedError) else _OWN_FAILURES
                if own >= most or asyncio.get_running_loop().time() >= gives_up:
                    raise
            else:
                self._answers += 1
                self._close()
                return result
            finally:
                if probing:
                    self._hand_over()

    def _may_pass(self, error: LaunchDarklyError) -> bool:
        if isinstance(error, AuthenticationError | PermissionDeniedError):
            return self._answers > 0 or error.answered > 0
        if isinstance(error, ConnectionUnavailableError):
            return error.found_before
        return error.retryable

    async def _admitted(self, gives_up: float, *, shares: bool) -> bool:
        """Wait until the circuit is closed, or until it is this caller's turn to ask.

        Returns:
            True if this caller asks for all. It hands over afterwards.

        Raises:
            LaunchDarklyError: The outage has lasted too long.
        """
        loop = asyncio.get_running_loop()
        while self._error is not None:
            if loop.time() >= gives_up:
                raise copy(self._error)
            if self._probing and not await self._turn(gives_up, shares):
                continue
            self._probing = True
            try:
                await asyncio.sleep(min(self._next_probe, gives_up) - loop.time())
            except BaseException:
                self._hand_over()
                raise
            return True
        return False

    async def _turn(self, gives_up: float, shares: bool) -> bool:
        """Queue; return True if the asking was handed over to this caller."""
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append(_Place(place, shares))
        try:
            async with asyncio.timeout_at(gives_up):
                return await asyncio.shield(place)
        except BaseException as error:
            if place.done() and place.result():
                self._hand_over()
            place.cancel()
            if isinstance(error, TimeoutError):
                return False
            raise

    def _hand_over(self) -> None:
        """Let another caller take over the asking: what one may not read, another one may."""
        self._probing = False
        while self._error is not None and self._queue:
            place = self._queue.popleft().asks
            if not place.done():
                self._probing = True
                place.set_result(True)
                return

    def _open(self, error: LaunchDarklyError, began: float) -> None:
        now = asyncio.get_running_loop().time()
        count("refusals")
        if self._error is None:
            self._refusals = int(self._in_doubt)  # one more was refused before
            self._next_line = now
            gauge(f"circuit_open.{self._name}", 1)
        self._error, self._in_doubt = error, False
        pause = min(FIRST_PAUSE * 2.0 ** min(self._refusals, 10), LONGEST_PAUSE)
        self._next_probe = max(self._next_probe, began + pause * (0.9 + 0.1 * self._random()))
        self._refusals += 1
        if now >= self._next_line:
            self._next_line = now + _SECONDS_BETWEEN_LOG_LINES
            _log_for_all(
                logging.WARNING,
                "LaunchDarkly is away on connection %s; waits are held for up to %.0f s, and %d queue. %s: %s",
                self._name, self.patience, len(self._queue), type(error).__name__, error,
            )  # fmt: skip

    def _close(self) -> None:
        self._in_doubt = False
        if self._error is None:
            return
        self._error = None
        gauge(f"circuit_open.{self._name}", 0)
        loop = asyncio.get_running_loop()
        queue, self._queue = self._queue, deque()
        _log_for_all(logging.INFO, "LaunchDarkly is back on connection %s; %d waits go on", self._name, len(queue))
        lone = [place.asks for place in queue if not place.shares]
        spacing = min(_SPACING, LONGEST_SPREAD / max(len(lone), 1))
        for number, place in enumerate(lone, start=1):
            loop.call_later(number * spacing, _let_through, place)
        for place in (place.asks for place in queue if place.shares):
            _let_through(place)


def _let_through(place: asyncio.Future[bool]) -> None:
    if not place.done():
        place.set_result(False)


def _log_for_all(level: int, text: str, *arguments: object) -> None:
    """Log into the triggerer's log, not into that of the task whose poll happens to ask."""
    Context().run(log.log, level, text, *arguments)
