"""An HTTP and an SMTP server on loopback that remember what they were sent."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from typing_extensions import override


class _Http(BaseHTTPRequestHandler):
    """Answers as Slack's API does, and its webhook; PagerDuty and Teams look at the status alone."""

    received: list[tuple[str, Any]]

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = "json" in self.headers.get("Content-Type", "")
        self.received.append((self.path, json.loads(text) if is_json else parse_qs(text)))
        is_api = self.path.endswith("chat.postMessage") or "enqueue" in self.path
        answer = b'{"ok": true, "status": "success", "dedup_key": "k"}' if is_api else b"ok"
        self.send_response(202 if "enqueue" in self.path else 200)
        self.send_header("Content-Type", "application/json" if is_api else "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


class _Smtp(socketserver.StreamRequestHandler):
    """The few commands of RFC 5321 that deliver a message."""

    received: list[str]

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    @override
    def handle(self) -> None:
        self._say("220 loopback")
        while line := self.rfile.readline():
            match line.decode().strip().upper().split(":")[0].split()[:1]:
                case ["DATA"]:
                    self._say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    self.received.append(b"".join(lines).decode())
                    self._say("250 taken")
                case ["QUIT"]:
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def http_server() -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """Serve HTTP; yield the port, and what is received: path and body of each request."""
    received: list[tuple[str, Any]] = []
    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), type("Http", (_Http,), {"received": received}))) as port:
        yield port, received


@contextmanager
def smtp_server() -> Iterator[tuple[int, list[str]]]:
    """Serve SMTP; yield the port, and the messages that are received."""
    received: list[str] = []
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Smtp", (_Smtp,), {"received": received}))
    server.daemon_threads = True
    with _serving(server) as port:
        yield port, received
