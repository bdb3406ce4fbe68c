"""Real sockets that misbehave: cut short, closed, silent, refused. What the client makes of each."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import TransportError, UnclearOutcomeError
from airflow_provider_launchdarkly.api.models import StartIteration

from .conftest import ENV, Connect

READ = endpoints.get_experiment(ENV, "bold")
WRITE = endpoints.patch_experiment(ENV, "bold", [StartIteration()])
WHOLE = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{"key":"bold"}'
CUT_SHORT = WHOLE[:-6]
# It says that it closes, so that no try meets a connection that is just being closed and ends as a TransportError.
MANGLED = WHOLE.replace(b'"bold"}', b'"bold" ').replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
CHUNKED = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{"key":"\r\n'
NONSENSE = b"SSH-2.0-OpenSSH_9.6\r\n"
BAD_GZIP = WHOLE.replace(b"content-type: application/json", b"content-encoding: gzip")


class Misbehaving:
    """A server that gives each connection the next of its answers, the last for ever, and closes it."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.closed = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += connection.recv(65_536)
                    self.requests.append(request)
                    connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
                self.closed.set()

    def close(self) -> None:
        # A listening socket that is only closed leaves its thread in accept().
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    made = Misbehaving()
    yield made
    made.close()


BROKEN = {
    "cut short": CUT_SHORT,
    "mangled": MANGLED,
    "half a chunk": CHUNKED,
    "another protocol": NONSENSE,
    "closed without a word": b"",
    "half a status line": b"HTTP/1.",
    "gzip that is none": BAD_GZIP,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_read_that_was_broken_off_is_sent_again(connect: Connect, server: Misbehaving, how: str) -> None:
    server.answers = [BROKEN[how], WHOLE]
    assert connect(url=server.url).send(READ).value.key == "bold"


@pytest.mark.parametrize("how", BROKEN)
def test_a_write_that_was_broken_off_is_sent_once(connect: Connect, server: Misbehaving, how: str) -> None:
    server.answers = [BROKEN[how]]
    with pytest.raises(UnclearOutcomeError):
        connect(url=server.url).send(WRITE)
    assert len(server.requests) == 1


def test_a_read_that_is_always_broken_off_ends_with_the_budget(connect: Connect, server: Misbehaving) -> None:
    server.answers = [CUT_SHORT]
    with pytest.raises(TransportError):
        connect(url=server.url, retry_budget=3.0).send(READ)


def test_a_read_that_is_always_mangled_ends_with_the_budget(connect: Connect, server: Misbehaving) -> None:
    server.answers = [MANGLED]
    with pytest.raises(TransportError, match="after 14 bytes"):  # as if none had come: a task may try again later
        connect(url=server.url, retry_budget=3.0).send(READ)


def silent() -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=16)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()


@pytest.mark.parametrize(("request_", "error"), [(READ, TransportError), (WRITE, UnclearOutcomeError)])
def test_a_server_that_says_nothing_is_given_up_after_the_timeout(
    connect: Connect, request_: Any, error: type[Exception]
) -> None:
    with contextlib.contextmanager(silent)() as url, pytest.raises(error, match="ReadTimeout"):
        connect(url=url, timeout=0.5, retry_budget=1.0).send(request_)


@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_a_port_where_nobody_listens_is_a_transport_error(connect: Connect, request_: Any) -> None:
    with contextlib.contextmanager(silent)() as url:
        pass
    with pytest.raises(TransportError, match="ConnectError"):
        connect(url=url, retry_budget=3.0).send(request_)


def test_a_connection_that_the_server_closed_while_idle_costs_a_write_nothing(
    connect: Connect, server: Misbehaving
) -> None:
    """The pool notices the closed connection before it is used: the write goes out on a new one, once."""
    server.answers = [WHOLE]
    driver = connect(url=server.url)
    driver.send(READ)
    assert server.closed.wait(5)
    assert driver.send(WRITE).value.key == "bold"
    assert len(server.requests) == 2
