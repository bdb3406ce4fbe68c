"""Run the emulator on uvicorn, with the emulated `Date` header and connections that a fault can close."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn
from typing_extensions import override

from airflow_provider_launchdarkly.emulator.transport.app import build_app

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_BATCHES = 0.5

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port; 0 picks a free port.

    Raises:
        OSError: The port is in use or not permitted.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(2048)
    except OSError:
        taken.close()
        raise
    return taken


def address_of(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class EmulatorProcess(uvicorn.Server):
    """A uvicorn server that serves one emulator, and starts and ends without uvicorn's pauses.

    It handles each request within one step of the event loop, so no request is unfinished when the server ends.

    Args:
        emulator: The emulator to serve.
        on_start: Called in the server's event loop once it accepts requests.
    """

    def __init__(self, emulator: Emulator, on_start: Callable[[], None] | None = None):
        config = uvicorn.Config(
            build_app(emulator, self.cut),
            lifespan="off",
            log_level="warning",
            access_log=False,
            date_header=False,
            server_header=False,
            ws="none",
        )
        super().__init__(config)
        self._emulator = emulator
        self._on_start = on_start
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    def end(self) -> None:
        """End the server, from any thread or signal handler. A second call does nothing."""
        self.should_exit = True
        if self._loop is not None and self._ended is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._ended.set)

    def cut(self, client: tuple[str, int] | None) -> None:
        """Close a client's connection at once."""
        for protocol in list(self.server_state.connections):
            if getattr(protocol, "client", None) == client:
                _abort(protocol)

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        if self._on_start is not None:
            self._on_start()

    @override
    async def main_loop(self) -> None:
        if self._ended is None or self.should_exit:
            return
        if self._emulator.warehouse is not None:
            writing = asyncio.create_task(self._keep_warehouse())
            await self._ended.wait()
            writing.cancel()
        else:
            await self._ended.wait()

    async def _keep_warehouse(self) -> None:
        """Write the batches that a running clock makes due. What fails is logged once, and tried again."""
        minute = 0
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_BATCHES)
            now, told = self._emulator.clock.milliseconds() // 60_000, self._emulator.warehouse_problem
            if self._emulator.clock.rate == 0 or now == minute:
                continue
            minute = now
            try:
                self._emulator.write_warehouse()
            except ValueError as error:
                if str(error) != told:
                    _log.warning("%s", error)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        for protocol in list(self.server_state.connections):
            _abort(protocol)

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller: uvicorn would raise them again after a clean end."""
        yield


def serve(emulator: Emulator, listening: socket.socket, on_start: Callable[[], None]) -> None:
    """Serve an emulator until SIGINT or SIGTERM, which end it cleanly. Call it in the main thread.

    Args:
        emulator: The emulator to serve.
        listening: The listening socket.
        on_start: Called once the server accepts requests and handles the signals.
    """
    server = EmulatorProcess(emulator, on_start)

    def end(_signal: int, _frame: FrameType | None) -> None:
        server.end()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run([listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _abort(protocol: object) -> None:
    transport = getattr(protocol, "transport", None)
    if transport is not None:
        transport.abort()
