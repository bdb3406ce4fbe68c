"""Stands between a task and the emulator, counts the points at which the task can die, and kills it at chosen ones.

A request gives two points: before the emulator gets it, and after it has answered, when the task has not heard of it
yet. Storing something gives two as well: the task says so by a request to `/__point__/…` and waits for the answer. So
all points of all processes have one order, and a schedule is a set of numbers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Collection
from http.client import HTTPConnection, HTTPException, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from typing_extensions import override

POINT = "/__point__/"
# Those that a proxy passes on to neither side.
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}
SECONDS = 30.0


class KillingProxy:
    """One task's way to the emulator.

    Args:
        target: The emulator's URL.

    Attributes:
        url: Where the task finds it.
        points: The points that were reached since the last `arm`, by name, in order.
        kills: How many processes it has killed, in all.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.points: list[str] = []
        self.kills = 0
        self._lock = threading.Lock()
        self._deadly: Collection[int] = ()
        self._watch: Callable[[], None] | None = None
        self._pid: int | None = None
        self._known = threading.Event()
        proxy = self

        class Handler(_Handler):
            through = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 5}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def arm(self, deadly: Collection[int], watch: Callable[[], None] | None = None) -> None:
        """Begin a run: forget the points so far, and kill at those of these numbers.

        Args:
            deadly: The numbers.
            watch: Called at each point while the process waits there.
        """
        with self._lock:
            self.points, self._deadly, self._watch = [], deadly, watch

    def expect_process(self) -> None:
        """The next requests are those of a process whose id is not known yet."""
        self._known.clear()

    def name_process(self, pid: int) -> None:
        self._pid = pid
        self._known.set()

    def pass_point(self, name: str) -> bool:
        """Note that a point was reached, and kill the process there if that was asked for; false if it is dead."""
        with self._lock:
            number = len(self.points)
            self.points.append(name)
            if self._watch is not None:
                self._watch()
            if number not in self._deadly:
                return True
        if not self._known.wait(SECONDS) or self._pid is None:
            raise AssertionError("a task's process has sent a request before it said its id")
        os.kill(self._pid, signal.SIGKILL)
        self.kills += 1
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A body after its headers would wait for the other side's delayed acknowledgement.
    disable_nagle_algorithm = True
    through: KillingProxy

    def handle_any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if self.path.startswith(POINT):
            if self.through.pass_point(unquote(self.path.removeprefix(POINT))):
                self._answer(204, [], b"")
            else:
                self.close_connection = True
            return
        request = f"{self.command} {self.path.partition('?')[0]}"
        if not self.through.pass_point(f"before {request}"):
            self.close_connection = True
            return
        answer = self._forward(body)
        if not self.through.pass_point(f"after {request}") or answer is None:
            self.close_connection = True
            return
        self._answer(*answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names that http.server calls

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Return the emulator's answer; None if it closed the connection, half a body if it sent half of one."""
        connection = HTTPConnection(self.through.target, timeout=SECONDS)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            try:
                content = answer.read()
            except IncompleteRead as error:
                content = error.partial
                self.close_connection = True
        except (HTTPException, OSError):
            return None
        else:
            length = answer.getheader("content-length") or str(len(content))
            kept = [(name, text) for name, text in answer.getheaders() if name.lower() not in _OF_ONE_CONNECTION]
            return answer.status, [*kept, ("content-length", length)], content
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, text in headers:
            self.send_header(name, text)
        with contextlib.suppress(OSError):  # the task may be dead by now
            self.end_headers()
            self.wfile.write(body)

    @override
    def log_message(self, *args: Any) -> None:
        """Say nothing."""
