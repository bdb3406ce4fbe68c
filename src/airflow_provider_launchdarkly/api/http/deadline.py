"""The deadline of a call: bounded reads and writes for the synchronous client, places in flight for the other.

httpx limits each read and each write, so a server that sends a byte now and then is never given up. The asynchronous
client has `asyncio.timeout`; the synchronous one needs its sockets to stop at the deadline.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGEST_PLACE: Final = 5.0
"""Seconds after which a call under way no longer counts as one in flight, so that a stuck call holds no other."""

_PIECE = 65_536


class DeadlineError(Exception):
    """The call's deadline has passed. Internal: the client turns it into the outcome of the attempt."""


class Deadline(threading.local):
    """The deadline of the call that this thread carries out."""

    ends = float("inf")

    def start(self, seconds: float) -> None:
        """Set the deadline so many seconds from now."""
        self.ends = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """True if no time is left."""
        return time.monotonic() >= self.ends

    def shorten(self, timeout: float | None) -> float:
        """Return the timeout of one read or write: never longer than what is left.

        Raises:
            DeadlineError: Nothing is left.
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            raise DeadlineError
        return left if timeout is None else min(timeout, left)


class BoundedBackend:
    """Opens connections whose every operation ends at the deadline. Stands for httpcore's network backend."""

    def __init__(self, inner: Any, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> BoundedStream:
        """Connect to a host."""
        stream = self._inner.connect_tcp(host, port, timeout=self._deadline.shorten(timeout), **options)
        return BoundedStream(stream, self._deadline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class BoundedStream:
    """A connection whose every operation ends at the deadline. Stands for httpcore's network stream."""

    def __init__(self, inner: Any, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes."""
        data: bytes = self._inner.read(max_bytes, timeout=self._deadline.shorten(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes, in pieces, since the timeout counts anew for each."""
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], timeout=self._deadline.shorten(timeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> BoundedStream:
        """Begin TLS on this connection."""
        stream = self._inner.start_tls(ssl_context, server_hostname, self._deadline.shorten(timeout))
        return BoundedStream(stream, self._deadline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Places:
    """The places of an event loop's calls in flight. A call that takes longer than `longest` seconds gives its up."""

    def __init__(self, number: int, longest: float = LONGEST_PLACE) -> None:
        self._longest = longest
        self._free = asyncio.Semaphore(number)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a place and hold it while the block runs."""
        await self._free.acquire()
        place = _Place(self._free)
        timer = asyncio.get_running_loop().call_later(self._longest, place.leave)
        try:
            yield
        finally:
            timer.cancel()
            place.leave()


class _Place:
    """One place, left once."""

    __slots__ = ("_free", "_held")

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._held = True

    def leave(self) -> None:
        if self._held:
            self._held = False
            self._free.release()
