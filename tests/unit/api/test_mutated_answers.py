"""Damaged answers over all calls of the hook: a result or one of the client's own errors, no token.

Ten thousand with Hypothesis's full profile, which CI runs; else two thousand.
"""

from __future__ import annotations

import asyncio
import json
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from hypothesis import settings
from typing_extensions import override

from airflow_provider_launchdarkly.api.endpoints import Request
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient, LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.hooks.calls import Pages
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.coverage_rows import CASES
from support.scene import Scene
from support.surroundings import CONNECTION, connection_json

from .conftest import DATE_MS, TOKEN, FakeTime

ANSWERS_OF_EACH_CLIENT = 5_000 if settings.default and settings.default.max_examples >= 150 else 1_000
DATES = [
    "Mon, 05 Jan 2026 09:00:00 +99999999999999",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 2026 00:00:00 +2400",
    "Mon, 99 Jan 2026 99:99:99 GMT",
    "Mon, , ,",
    "(" * 40,
]
ADDRESSES = ["com.corp.sso:login", "about:blank", "//[", "//[::1", "http://h:99999/", "mailto:x", "\\\\x", "/api/v2/%"]
ADDRESSES += [
    f"https://sso.test/?t={TOKEN}",
    "/api/v2/\u2603",
    "https://\ufffd.test",
]
NUMBERS = ["31536000", "-1", "1e308", "nan", "9" * 400, "", "0", "\u0663", str(DATE_MS * 1000)]
TEXTS = [*DATES, *ADDRESSES, *NUMBERS, TOKEN, f"x {TOKEN} y", f"'{TOKEN}'", "\x00\x1b[31m", "\ud800", "a" * 5_000]
VALUES: list[Any] = [
    *TEXTS,
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    -(10**400),
    1e308,
    [],
    {},
    [[]],
    [None],
    {TOKEN: TOKEN},
    {"": 1},
]
BODIES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"[" * 100_000,
    b"\xff\xfe",
    b"\x1f\x8b\x08\x00",
    b"<html>" + TOKEN.encode(),
]
BODIES += [json.dumps({"code": TOKEN, "message": f"bad token {TOKEN}", "id": TOKEN}).encode(), b'{"key": 1e999}']
HEADERS: dict[str, list[str]] = {
    "date": DATES,
    "location": ADDRESSES,
    "retry-after": [*NUMBERS, *DATES],
    "content-type": ["text/html", TOKEN, "application/json; charset=no-such", ""],
    "content-encoding": ["gzip", "br", "zstd", TOKEN, "gzip, gzip", ""],
    "x-request-id": [TOKEN, "\x7f", "a" * 5_000],
    "set-cookie": [f"a={TOKEN}; expires={DATES[0]}", "=;=;;"],
    **{
        f"x-ratelimit-{name}": NUMBERS
        for name in ("reset", "global-remaining", "route-remaining", "route-limit", "auth-token-reset")
    },
}
STATUSES = [
    200,
    201,
    204,
    206,
    299,
    301,
    302,
    304,
    307,
    308,
    400,
    401,
    403,
    404,
    405,
    408,
    409,
    418,
    422,
    429,
    500,
    503,
]


@dataclass(frozen=True)
class Answer:
    """One answer as it goes over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Recording:
    """One call of the hook, and what the emulator answered to its requests."""

    name: str
    work: Callable[[], Any]
    answers: list[tuple[str, Answer]] = field(default_factory=list)


class Recorder(httpx.BaseTransport):
    """Passes requests on and keeps the answers."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._inner = httpx.HTTPTransport(verify=False, trust_env=False)

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        body = response.read()
        kept = {name: value for name, value in response.headers.items() if name != "content-length"}
        self._recording.answers.append((place_of(request), Answer(response.status_code, kept, body)))
        return httpx.Response(response.status_code, headers=kept, content=body)


def place_of(request: httpx.Request) -> str:
    return f"{request.method} {request.url.raw_path.decode()}"


@pytest.fixture(scope="module")
def recordings(running_emulator: EmulatorServer) -> Iterator[list[Recording]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION, connection_json(running_emulator))
        hook = LaunchDarklyHook()
        yield [recorded(case, hook, running_emulator) for case in CASES]


def recorded(case: Any, hook: LaunchDarklyHook, emulator: EmulatorServer) -> Recording:
    def as_new(inner: Any) -> None:
        inner.settings = Settings()
        inner.reset("effect")

    emulator.call(as_new)
    made: list[Recording] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        recording = Recording(case.call, lambda: getattr(hook, case.call)._build(hook, *args, **kwargs))
        made.append(recording)
        with LaunchDarklyClient(emulator.url, emulator.token, transport=Recorder(recording)) as client:
            return run(client, recording.work())

    case.make(call, Scene(hook, emulator))
    assert made[-1].answers, case.call
    return made[-1]


def run(client: LaunchDarklyClient, work: Any) -> Any:
    match work:
        case Request():
            return client.send(work).value
        case Pages(first=first, max_items=max_items):
            return list(client.pages(first, max_items=max_items))
    return client.run(work)


async def arun(client: AsyncLaunchDarklyClient, work: Any) -> Any:
    match work:
        case Request():
            return (await client.send(work)).value
        case Pages(first=first, max_items=max_items):
            return [item async for item in client.pages(first, max_items=max_items)]
    return await client.run(work)


class Replay:
    """Answers as recorded, one of them, or all from there on, damaged."""

    def __init__(self, recording: Recording, damage: random.Random) -> None:
        self._answers: dict[str, list[Answer]] = {}
        for place, answer in recording.answers:
            self._answers.setdefault(place, []).append(answer)
        self._damage = damage
        self._first = damage.randrange(len(recording.answers))
        self._last = self._first if damage.random() < 0.7 else 1_000_000
        self._number = -1

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self._number += 1
        left = self._answers.get(place_of(request)) or [Answer(404, {}, b'{"code": "not_found", "message": "none"}')]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if self._first <= self._number <= self._last:
            for _ in range(self._damage.choice((1, 1, 2, 4))):
                answer = damaged(answer, self._damage)
        headers = [(name.encode(), value.encode("utf-8", "replace")) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))


def damaged(answer: Answer, damage: random.Random) -> Answer:
    match damage.choice(("json", "json", "json", "links", "header", "status", "bytes", "cut", "body")):
        case "json":
            return replace(answer, body=with_another_value(answer.body, damage))
        case "links":
            next_page = {"next": {"href": damage.choice([*ADDRESSES, TOKEN]), "type": damage.choice(TEXTS)}}
            return replace(answer, body=with_links(answer.body, next_page))
        case "header":
            name = damage.choice(list(HEADERS))
            return replace(answer, headers={**answer.headers, name: damage.choice(HEADERS[name])})
        case "status":
            location = {"location": damage.choice(ADDRESSES)}
            return replace(answer, status=damage.choice(STATUSES), headers={**answer.headers, **location})
        case "bytes":
            body = bytearray(answer.body or b"x")
            for _ in range(damage.randrange(1, 8)):
                body[damage.randrange(len(body))] = damage.randrange(256)
            return replace(answer, body=bytes(body))
        case "cut":
            return replace(answer, body=answer.body[: damage.randrange(len(answer.body) + 1)])
    return replace(answer, body=damage.choice(BODIES))


def with_another_value(body: bytes, damage: random.Random) -> bytes:
    """Replace, add or remove one value somewhere in the JSON."""
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return body
    places: list[tuple[Any, Any]] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        named = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, value in named:
            places.append((node, name))
            waiting.append(value)
    if not places:
        return body
    node, name = damage.choice(places)
    match damage.randrange(6):
        case 0:
            del node[name]
        case 1 if isinstance(node, dict):
            node[damage.choice(TEXTS)] = node.pop(name)
        case 2 if isinstance(node, list):
            node.append(node[name])
        case _:
            node[name] = damage.choice(VALUES)
    return json.dumps(root).encode()


def with_links(body: bytes, links: Any) -> bytes:
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps({**root, "_links": links}).encode() if isinstance(root, dict) else body


def holds_the_token(error: LaunchDarklyError) -> bool:
    return TOKEN in "".join([*traceback.format_exception(error), repr(error), repr(vars(error))])


def outcome(error: Exception | None) -> str:
    """Name what a call ended with; anything but a result or one of our errors without the token is a fault."""
    if error is None:
        return "result"
    if not isinstance(error, LaunchDarklyError):
        return f"untyped: {''.join(traceback.format_exception(error)[-3:])}"
    return f"token in: {error!r}" if holds_the_token(error) else type(error).__name__


def faults(found: Counter[str]) -> list[str]:
    return [text for text in found if text.startswith(("untyped", "token in"))]


def options(damage: random.Random) -> dict[str, Any]:
    return {"gate": RateGate(), "random": damage.random, "retry_budget": damage.choice((0.0, 60.0))}


@pytest.mark.hypothesis
def test_damaged_answers_in_a_task(recordings: list[Recording], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "airflow_provider_launchdarkly")
    found: Counter[str] = Counter()
    for number in range(ANSWERS_OF_EACH_CLIENT):
        damage, time = random.Random(number), FakeTime()
        recording = recordings[number % len(recordings)]
        transport = httpx.MockTransport(Replay(recording, damage))
        made = {"transport": transport, "sleep": time.sleep, "monotonic": time.monotonic, **options(damage)}
        try:
            run(LaunchDarklyClient("http://localhost", TOKEN, **made), recording.work())
        except Exception as error:  # noqa: BLE001 - untyped ones are what this looks for
            found[outcome(error)] += 1
        else:
            found["result"] += 1
    assert faults(found) == []
    assert len(found) >= 8
    assert TOKEN not in caplog.text


@pytest.mark.hypothesis
def test_damaged_answers_on_an_event_loop(recordings: list[Recording]) -> None:
    found: Counter[str] = Counter()

    async def work() -> None:
        for number in range(ANSWERS_OF_EACH_CLIENT):
            damage, time = random.Random(-1 - number), FakeTime()
            recording = recordings[number % len(recordings)]
            transport = httpx.MockTransport(Replay(recording, damage))
            made = {"transport": transport, "sleep": time.asleep, "monotonic": time.monotonic, **options(damage)}
            try:
                await arun(AsyncLaunchDarklyClient("http://localhost", TOKEN, **made), recording.work())
            except Exception as error:  # noqa: BLE001 - untyped ones are what this looks for
                found[outcome(error)] += 1
            else:
                found["result"] += 1

    asyncio.run(work())
    assert faults(found) == []
    assert len(found) >= 8
