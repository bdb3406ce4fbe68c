"""A server between a client and the emulator: writes every request down as it came, and passes it on.

A test may have it spoil the answers, to see that a client would notice.
"""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer

_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on the wire.

    Attributes:
        method: the verb.
        path: as sent, percent-encoded.
        query: the parameters in order.
        headers: values by lower-case name; all of them, since a header may be sent twice.
        body: the JSON, None if there was no body.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, list[str]]
    body: Any


class Wire:
    """The server, as a context manager.

    Args:
        emulator: whom to pass requests on to.
        spoil: changes the JSON of each answer on its way back.

    Attributes:
        url: where a client has to call.
        token: the emulator's.
        sent: the requests so far.
    """

    def __init__(self, emulator: EmulatorServer, spoil: Callable[[Any], Any] | None = None):
        self.token = emulator.token
        self.sent: list[Sent] = []
        handler = type("Handler", (_Handler,), {"wire": self})
        self.spoil = spoil
        self.behind = urlsplit(emulator.url)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wire: Wire

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        target = urlsplit(self.path)
        self.wire.sent.append(
            Sent(
                method=self.command,
                path=target.path,
                query=tuple(parse_qsl(target.query, keep_blank_values=True)),
                headers={name.lower(): self.headers.get_all(name, []) for name in self.headers},
                body=json.loads(body) if body else None,
            )
        )
        status, headers, answer = self._ask(body)
        if self.wire.spoil is not None:
            answer = json.dumps(self.wire.spoil(json.loads(answer))).encode()
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that the base class calls

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        behind = http.client.HTTPConnection(self.wire.behind.hostname or "", self.wire.behind.port, timeout=30)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            behind.putheader(name, value)
        behind.endheaders(body or None)
        answer = behind.getresponse()
        found = answer.status, answer.getheaders(), answer.read()
        behind.close()
        return found

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
