"""Servers that never come to an end: the deadline of a call, the size limit of an answer, the cap on a pause."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnclearOutcomeError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.api.http import deadline as deadlines
from airflow_provider_launchdarkly.api.http.body import LARGEST_BODY, BodyReader
from airflow_provider_launchdarkly.api.http.client import IN_FLIGHT, AsyncLaunchDarklyClient, LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import LONGEST_PAUSE, RateGate
from airflow_provider_launchdarkly.api.http.settings import ClientSettings
from airflow_provider_launchdarkly.api.models import StartIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, TOKEN, Connect, Script, answer, experiment

READ = endpoints.get_experiment(ENV, "bold")
WRITE = endpoints.patch_experiment(ENV, "bold", [StartIteration()])
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


class Trickling:
    """A server that sends a beginning, and then one byte after the other for ever. `/quick` is answered at once."""

    def __init__(self, beginning: bytes, endless: bytes) -> None:
        self._beginning, self._endless = beginning, endless
        self._over = threading.Event()
        self.closed = threading.Semaphore(0)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = connection.recv(65_536)
            if b"/quick" in request:
                connection.sendall(HEAD + b'connection: close\r\ncontent-length: 15\r\n\r\n{"key":"quick"}')
                return
            connection.sendall(self._beginning)
            while not self._over.wait(0.02):
                connection.sendall(self._endless)
        self.closed.release()

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


WAYS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "informational answers": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "headers": (HEAD + b"x: ", b"x"),
    "body": (HEAD + b"content-length: 99999999\r\n\r\n", b" "),
    "chunks": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest) -> Iterator[Trickling]:
    made = Trickling(*WAYS[request.param])
    yield made
    made.close()


@pytest.mark.parametrize(("request_", "error"), [(READ, TransportError), (WRITE, UnclearOutcomeError)])
def test_a_server_that_never_ends_is_given_up_at_the_deadline(
    connect: Connect, server: Trickling, request_: Any, error: type[Exception]
) -> None:
    driver = connect(url=server.url, deadline=1.0, monotonic=time.monotonic)
    begun = time.monotonic()
    with pytest.raises(error, match=r"no whole response within the call's deadline of 1 s"):
        driver.send(request_)
    assert time.monotonic() - begun < 10.0
    assert server.closed.acquire(timeout=20), "the connection stays open"


def test_connections_through_a_proxy_keep_to_the_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:3128")
    with LaunchDarklyClient("https://app.launchdarkly.com", TOKEN) as client:
        ways: list[Any] = [client._http._transport, *filter(None, client._http._mounts.values())]
        assert len(ways) > 1
        assert all(isinstance(way._pool._network_backend, deadlines.BoundedBackend) for way in ways)


def test_a_server_that_takes_nothing_of_a_write_is_given_up_at_the_deadline(connect: Connect) -> None:
    """Its receive buffer fills, and each further piece would begin a new timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        driver = connect(url=f"http://127.0.0.1:{listening.getsockname()[1]}", deadline=1.0, monotonic=time.monotonic)
        large = endpoints.patch_experiment(ENV, "bold", [StartIteration(change_justification="x" * 30_000_000)])
        with pytest.raises(UnclearOutcomeError, match="deadline"):
            driver.send(large)


def test_a_write_that_the_deadline_cuts_off_is_read_back(connect: Connect, emulator: EmulatorServer, flag: Any) -> None:
    """The emulator carries the write out; of its answer only the beginning comes."""

    class Slow(httpx.SyncByteStream, httpx.AsyncByteStream):
        @override
        def __iter__(self) -> Iterator[bytes]:
            while True:
                time.sleep(0.02)
                yield b" "

        @override
        async def __aiter__(self) -> Any:
            while True:
                await asyncio.sleep(0.02)
                yield b" "

    def reply(request: httpx.Request) -> httpx.Response:
        with httpx.Client(trust_env=False) as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        if request.method == "POST":
            return httpx.Response(201, stream=Slow())
        return httpx.Response(response.status_code, content=response.content)

    driver = connect(reply, url=emulator.url, deadline=2.0)
    made = driver.run(writes.create_experiment(ENV, experiment(flag, key="cut-off")))
    assert made.experiment.key == "cut-off"
    assert len(emulator.effects("experiment.created")) == 1


def test_stuck_calls_hold_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "LONGEST_PLACE", 0.1)
    assert elapsed_beside_stuck_calls(deadline=60.0) < 15.0


def test_stuck_calls_give_their_places_back_at_their_deadline() -> None:
    assert elapsed_beside_stuck_calls(deadline=0.9) < 6.75


def elapsed_beside_stuck_calls(deadline: float) -> float:
    """Seconds that a call takes that begins while all places are held by calls to a server that never ends."""
    server = Trickling(*WAYS["body"])

    async def work() -> float:
        async with AsyncLaunchDarklyClient(server.url, TOKEN, gate=RateGate(), deadline=deadline) as stuck:
            held = [asyncio.create_task(stuck.send(READ)) for _ in range(IN_FLIGHT)]
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            quick = stuck.send(endpoints.get_experiment(ENV, "quick"))
            if deadline < 1.0:
                await asyncio.sleep(deadline)
            await quick
            spent = time.monotonic() - begun
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)
            return spent

    try:
        return asyncio.run(work())
    finally:
        server.close()


def test_a_write_that_finds_no_place_before_its_deadline_was_not_sent() -> None:
    async def work() -> None:
        script = Script(answer(body={"key": "bold"}))
        async with AsyncLaunchDarklyClient(
            "https://launchdarkly.test", TOKEN, gate=RateGate(), deadline=0.5, transport=httpx.MockTransport(script)
        ) as client:
            client._places = deadlines.Places(0)
            with pytest.raises(TransportError, match="deadline"):
                await client.send(WRITE)
        assert script.seen == []

    asyncio.run(work())


def test_retries_and_waits_count_for_the_deadline(connect: Connect) -> None:
    driver = connect(Script(answer(503)), deadline=5.0, retry_budget=1_000.0)
    with pytest.raises(Exception, match="503"):
        driver.send(READ)
    assert 3.0 < sum(driver.time.waits) <= 5.0


def test_a_wait_for_the_gate_ends_at_the_deadline(connect: Connect) -> None:
    gate = RateGate()
    driver = connect(Script(answer(429, retry_after="30")), gate=gate, deadline=10.0, retry_budget=60.0)
    for _ in range(2):
        with pytest.raises(RateLimitedError):
            driver.send(READ)
    assert driver.time.waits == []


@pytest.mark.parametrize("wait", ["31536000", "Fri, 01 Jan 2100 00:00:00 GMT", "1e300"])
def test_one_retry_after_does_not_close_the_gate_for_long(connect: Connect, wait: str) -> None:
    gate = RateGate()
    driver = connect(Script(answer(429, retry_after=wait), answer(body={"key": "bold"})), gate=gate)
    with pytest.raises(RateLimitedError):
        driver.send(READ)
    assert gate.closed_for("get_experiment", driver.time.now) == LONGEST_PAUSE
    driver.time.now += LONGEST_PAUSE
    assert driver.send(READ).value.key == "bold"


@pytest.mark.parametrize("status", [429, 503])
def test_a_stated_time_beyond_the_budget_fails_at_once_and_says_when(connect: Connect, status: int) -> None:
    driver = connect(Script(answer(status, retry_after="600")), retry_budget=60.0)
    with pytest.raises((RateLimitedError, ServerError), match=r"asks to wait 600 s, until 20.*UTC") as refused:
        driver.send(READ)
    with pytest.raises(RateLimitedError, match=r"was not sent: .* for another 600\.\d s.*retry then") as unsent:
        driver.send(READ)
    assert refused.value.retryable
    assert unsent.value.retryable
    assert driver.time.waits == []


def test_the_deadline_follows_the_other_budgets_unless_it_is_given() -> None:
    url = "https://app.launchdarkly.com"
    assert ClientSettings(url, TOKEN).seconds_per_call == 120.0
    assert ClientSettings(url, TOKEN, timeout=5.0, retry_budget=300.0).seconds_per_call == 310.0
    assert ClientSettings(url, TOKEN, deadline=7.0).seconds_per_call == 7.0
    with pytest.raises(ConfigurationError, match=r"deadline is 0\.0"):
        ClientSettings(url, TOKEN, deadline=0.0)


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The same bytes for ever; counts how many were taken."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.taken = 0

    @override
    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.taken += len(self._piece)
            yield self._piece

    @override
    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece


BOMB = gzip.compress(bytes(64 * 1024 * 1024))
TOO_LARGE: dict[str, Callable[[], httpx.Response]] = {
    "endless": lambda: httpx.Response(200, stream=Pieces(b" " * 65_536)),
    "a small gzip": lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(BOMB)),
    "after the end of the gzip": lambda: httpx.Response(
        200, headers={"content-encoding": "gzip"}, stream=Pieces(gzip.compress(b"{}") + bytes(65_536))
    ),
}


@pytest.mark.parametrize("how", TOO_LARGE)
def test_an_answer_beyond_the_size_limit_is_not_read_to_its_end(connect: Connect, how: str) -> None:
    requests: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return TOO_LARGE[how]()

    driver = connect(reply)
    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedResponseError, match="larger than 16 MiB"):
            driver.send(READ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LARGEST_BODY
    assert len(requests) == 1
    with pytest.raises(UnclearOutcomeError):
        driver.send(WRITE)


def test_a_refusal_stays_a_refusal_however_large_it_is(connect: Connect) -> None:
    driver = connect(lambda _request: httpx.Response(404, stream=Pieces(b" " * 65_536)))
    with pytest.raises(NotFoundError):
        driver.send(WRITE)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate", "identity", ""])
def test_a_body_is_decompressed_piece_by_piece(encoding: str) -> None:
    text = b'{"key": "bold"}' * 1_000
    sent = {"g": gzip.compress(text), "d": zlib.compress(text)}.get(encoding.lower().removeprefix("x-")[:1], text)
    reader = BodyReader(encoding)
    assert all(reader.feed(sent[start : start + 7]) for start in range(0, len(sent), 7))
    assert (reader.body, reader.unreadable) == (text, "")


def test_an_encoding_that_was_not_asked_for_is_named(connect: Connect) -> None:
    seen: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, headers={"content-encoding": "br"}, stream=httpx.ByteStream(b"\x0b"))

    with pytest.raises(UnexpectedResponseError, match="encoded as 'br'"):
        connect(reply).send(READ)
    assert [request.headers["accept-encoding"] for request in seen] == ["gzip"]
