"""Stands between a task and the emulator, counts the points at which the task can die, and kills it at chosen ones.

A request gives two points: before the emulator gets it, and after it has answered, when the task has not heard of it
yet. What Airflow keeps for the task comes as a request as well, to `/__kept__`, and gives two points: before it is
kept, and after. The task names any other point by a request to `/__point__/…`. It waits for each answer. So all points
of all processes have one order, and a schedule is a set of numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Collection
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from typing_extensions import override

from airflow_provider_launchdarkly.emulator.transport.app import build_app
from airflow_provider_launchdarkly.testing import EmulatorServer
from crash.kept import Store

if TYPE_CHECKING:
    from starlette.types import Message

Header = tuple[bytes, bytes]

POINT, KEPT = "/__point__/", "/__kept__"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
SECONDS = 30.0


class KillingProxy:
    """One task's way to the emulator.

    Args:
        emulator: The emulator. Its app is called, which takes a third of the time of one more request through a socket.
        store: Keeps what Airflow would.

    Attributes:
        url: Where the task finds it.
        points: The points that were reached since the last `arm`, by name, in order.
        kills: How many processes it has killed, in all.
    """

    def __init__(self, emulator: EmulatorServer, store: Store) -> None:
        self._app = emulator.call(lambda inside: build_app(inside, lambda _client: None))
        self._loop = emulator.call(lambda _inside: asyncio.get_running_loop())
        self.store = store
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

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
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

    def ask_emulator(self, method: str, path: str, query: str, headers: list[Header], body: bytes) -> bytes | None:
        """Return the emulator's answer; None if a fault closes the connection."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode("latin-1"),
            "headers": headers,
        }
        received = iter([{"type": "http.request", "body": body}])
        sent: list[Message] = []

        async def receive() -> Message:
            return next(received, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run_coroutine_threadsafe(self._app(scope, receive, send), self._loop).result(SECONDS)
        if not sent:
            return None
        lines = [b"HTTP/1.1 %d Answered" % sent[0]["status"], *(b"%b: %b" % header for header in sent[0]["headers"])]
        return b"\r\n".join([*lines, b"", sent[1]["body"]])


class _Handler(StreamRequestHandler):
    # An answer would wait for the other side's delayed acknowledgement.
    disable_nagle_algorithm = True
    through: KillingProxy

    @override
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the task may be dead by now
            while line := self.rfile.readline():
                method, target, _ = line.decode("latin-1").split(" ")
                headers = list(iter(self._header, (b"", b"")))
                body = self.rfile.read(int(dict(headers).get(b"content-length", 0)))
                answer = self._answer_to(method, target, headers, body)
                if answer is None:
                    break
                self.wfile.write(answer)

    def _header(self) -> Header:
        name, _, text = self.rfile.readline().strip().partition(b":")
        return name.lower(), text.strip()

    def _answer_to(self, method: str, target: str, headers: list[Header], body: bytes) -> bytes | None:
        """Return the answer as it is sent; None if the connection ends without one."""
        path, _, query = target.partition("?")
        if path == KEPT:
            return NO_CONTENT if self._keep(*json.loads(body)) else None
        if path.startswith(POINT):
            return NO_CONTENT if self.through.pass_point(unquote(path.removeprefix(POINT))) else None
        request = f"{method} {path}"
        if not self.through.pass_point(f"before {request}"):
            return None
        answer = self.through.ask_emulator(method, path, query, headers, body)
        return answer if self.through.pass_point(f"after {request}") else None

    def _keep(self, table: str, task_id: str, key: str, value: Any) -> bool:
        if not self.through.pass_point(f"before {table} {key}"):
            return False
        self.through.store(table, task_id, key, value)
        return self.through.pass_point(f"after {table} {key}")
