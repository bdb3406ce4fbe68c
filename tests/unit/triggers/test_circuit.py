"""While LaunchDarkly is away, one of many waits asks, and none fails; when it is back, all go on."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

import httpx
import pytest

from airflow_provider_launchdarkly.api.endpoints import get_experiment, get_metric_results
from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    LaunchDarklyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient
from airflow_provider_launchdarkly.api.http.procedure import Procedure
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.triggers._circuit import IN_FLIGHT, Circuit
from airflow_provider_launchdarkly.triggers._shared_reader import HOLD
from support.virtual_time import run_in_virtual_time

HOUR = 3600.0
MINUTE = 60.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Service:
    """LaunchDarkly, away from time to time.

    Args:
        error: What it answers while it is away.
        outages: Beginning and end of each outage.
    """

    def __init__(self, error: LaunchDarklyError, *outages: tuple[float, float]) -> None:
        self._error = error
        self._outages = outages
        self.refused: list[float] = []
        self.answered: list[float] = []

    async def read(self) -> str:
        await asyncio.sleep(0.1)
        at = now()
        if any(since <= at < until for since, until in self._outages):
            self.refused.append(at)
            raise self._error
        self.answered.append(at)
        return "read"


class Reads(Protocol):
    """What is polled."""

    async def read(self) -> object:
        """Read once."""


def poll(circuit: Circuit, service: Reads, waits: int, until: float, interval: float = MINUTE) -> list[BaseException]:
    """Poll with many waits, spread over the interval; return what they raised."""
    raised: list[BaseException] = []

    async def wait(number: int) -> None:
        await asyncio.sleep(interval * number / waits)
        while now() < until:
            try:
                await circuit.call(service.read)
            except LaunchDarklyError as error:
                raised.append(error)
                return
            await asyncio.sleep(interval)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(waits):
                group.create_task(wait(number))

    run_in_virtual_time(run())
    return raised


def middle() -> float:
    return 0.5


@pytest.mark.parametrize(
    "error", [ServerError("503"), TransportError("refused"), RateLimitedError("429"), AuthenticationError("401"),
              PermissionDeniedError("403")], ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_outage_of_ten_minutes_costs_a_request_a_minute_and_fails_no_wait(error: LaunchDarklyError) -> None:
    began, ended = 10 * MINUTE, 20 * MINUTE
    service = Service(error, (began, ended))
    assert poll(Circuit("ld", HOUR, middle), service, 1000, HOUR / 2) == []
    assert 9 <= len(service.refused) <= 10 + IN_FLIGHT
    first = min(at for at in service.answered if at >= ended)
    assert first - ended <= MINUTE, "the end is seen within a minute"
    after = Counter(int(at) for at in service.answered if ended <= at < ended + 2 * MINUTE)
    assert after.total() >= 1000, "within two minutes each has polled"
    assert max(after.values()) <= 60, "not all at once"


class Stating:
    """LaunchDarkly behind a real client: it refuses once, and until the time that its refusals state.

    Args:
        status: With which it refuses.
        stated: Makes the header that states the time, from the seconds until then.
        seconds: How long it refuses, from `FIRST` on.
    """

    FIRST = 10 * MINUTE
    EPOCH = 1_700_000_000.0

    def __init__(self, status: int, stated: Callable[[float], dict[str, str]], seconds: float) -> None:
        self._status, self._stated, self._until = status, stated, self.FIRST + seconds
        self.refused: list[float] = []
        self.answered: list[float] = []
        self._client = AsyncLaunchDarklyClient(
            "https://launchdarkly.test",
            "api-made-up",
            transport=httpx.MockTransport(self._answer),
            monotonic=now,
            gate=RateGate(),
        )

    async def read(self) -> object:
        request = get_experiment(EnvironmentRef("demo", "production"), "bold")
        return (await self._client.send(request, retry=False)).value

    async def _answer(self, _request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        at = now()
        headers = {"Date": format_datetime(datetime.fromtimestamp(self.EPOCH + at, UTC), usegmt=True)}
        if self.FIRST <= at < self._until:
            self.refused.append(at)
            return httpx.Response(self._status, json={}, headers=headers | self._stated(self._until - at))
        self.answered.append(at)
        return httpx.Response(200, json={"key": "bold"}, headers=headers)


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(math.ceil(seconds))}


def retry_at(seconds: float) -> dict[str, str]:
    return {
        "Retry-After": format_datetime(datetime.fromtimestamp(Stating.EPOCH + now() + seconds + 1, UTC), usegmt=True)
    }


def reset(seconds: float) -> dict[str, str]:
    at = (Stating.EPOCH + now() + seconds + 1) * 1000
    return {"X-Ratelimit-Global-Limit": "20", "X-Ratelimit-Global-Remaining": "0", "X-Ratelimit-Reset": str(int(at))}


@pytest.mark.parametrize("seconds", [25.0, 90.0, 200.0, 600.0, 3500.0])
@pytest.mark.parametrize(
    ("status", "stated"),
    [(429, retry_after), (429, retry_at), (429, reset), (503, retry_after)],
    ids=["Retry-After", "its date", "X-Ratelimit-Reset", "503"],
)
def test_nobody_asks_before_the_time_that_launchdarkly_states(
    status: int, stated: Callable[[float], dict[str, str]], seconds: float
) -> None:
    service = Stating(status, stated, seconds)
    assert poll(Circuit("ld", 2 * HOUR, middle), service, 100, Stating.FIRST + seconds + 5 * MINUTE) == []
    assert service.refused, "the outage was met"
    assert max(service.refused) - min(service.refused) <= 1.0, "only those in flight were refused"
    back = min(at for at in service.answered if at > Stating.FIRST)
    assert Stating.FIRST + seconds <= back <= Stating.FIRST + seconds + MINUTE + 3


def test_an_absurd_time_is_believed_for_an_hour_and_then_one_asks() -> None:
    service = Stating(429, lambda _: {"Retry-After": "31536000"}, 4.5 * HOUR)
    assert poll(Circuit("ld", 9 * HOUR, middle), service, 100, 5.5 * HOUR) == []
    later = [at for at in service.refused if at - service.refused[0] > 1.0]
    assert [round((at - Stating.FIRST) / HOUR) for at in later] == [1, 2, 3, 4]
    assert min(at for at in service.answered if at > Stating.FIRST) < Stating.FIRST + 5 * HOUR + 5 * MINUTE


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("first", "refused", "until", "ended"),
    [
        (0.0, "/results", 40.0, 0),
        (1.0, "", 10 * MINUTE, 0),
        (0.0, "/results", HOUR, 5),
        (0.0, "", 10 * MINUTE, 5),
    ],
    ids=["results for a moment", "everything once it had worked", "results for good", "a token that never worked"],
)
def test_a_token_that_worked_for_any_call_is_away_when_it_is_refused(
    status: int, first: float, refused: str, until: float, ended: int
) -> None:
    """No wait has come to the end of its procedure before: it reads its experiment, and then results."""
    env = EnvironmentRef("demo", "production")
    refusals: list[float] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        if refused in request.url.path and first * 0.15 <= now() < until:
            refusals.append(now())
            return httpx.Response(status, json={})
        return httpx.Response(200, json={"key": "bold"})

    transport = httpx.MockTransport(answer)
    client = AsyncLaunchDarklyClient(
        "https://launchdarkly.test", "api-made-up", transport=transport, monotonic=now, gate=RateGate()
    )

    class Looks:
        async def read(self) -> object:
            def look() -> Procedure[object]:
                yield get_experiment(env, "bold")
                found = yield get_metric_results(env, "bold", "clicks")
                return found.value

            return await client.run(look(), retry=False)

    assert len(poll(Circuit("ld", HOUR, middle), Looks(), 5, HOUR / 2)) == ended
    assert refusals, "the refusal was met"
    assert len(refusals) <= 60


def test_a_wait_is_held_no_longer_than_its_patience() -> None:
    service = Service(ServerError("503"), (10 * MINUTE, 2 * HOUR))
    raised = poll(Circuit("ld", HOUR, middle), service, 20, 3 * HOUR)
    assert len(raised) == 20
    assert len(service.refused) <= 60 + 25


def test_the_token_that_never_worked_fails_at_once() -> None:
    service = Service(AuthenticationError("401"), (0, HOUR))
    assert len(poll(Circuit("ld", HOUR, middle), service, 5, HOUR)) == 5
    assert max(service.refused) < MINUTE


def test_an_answer_that_is_no_outage_is_raised_and_closes_the_circuit() -> None:
    circuit = Circuit("ld", HOUR, middle)

    async def gone() -> None:
        raise NotFoundError("404")

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(NotFoundError):
                await circuit.call(gone)
        assert not circuit.is_open
        assert now() == 0

    run_in_virtual_time(run())


@pytest.mark.parametrize(("error", "minutes"), [(PermissionDeniedError("403"), 10), (ServerError("500"), 30)])
def test_what_only_one_wait_meets_is_its_own_and_holds_the_others_up_for_a_while_only(
    error: LaunchDarklyError, minutes: float
) -> None:
    circuit, service = Circuit("ld", 24 * HOUR, middle), Service(error)
    failed: list[float] = []

    async def refused() -> str:
        await asyncio.sleep(0.1)
        raise error

    async def one() -> None:
        await asyncio.sleep(MINUTE)
        with pytest.raises(type(error)):
            await circuit.call(refused)
        failed.append(now())

    async def other() -> None:
        while now() < HOUR:
            await circuit.call(service.read)
            await asyncio.sleep(MINUTE)

    async def run() -> None:
        await asyncio.gather(one(), *(other() for _ in range(20)))

    run_in_virtual_time(run())
    assert failed
    assert failed[0] <= minutes * MINUTE
    assert len(service.answered) >= 20 * 40, "the others went on"


@pytest.mark.parametrize("seconds", [0.1, 30.0])
def test_what_is_read_for_many_holds_no_call_and_opens_nothing(seconds: float) -> None:
    circuit, service = Circuit("ld", HOUR, middle), Service(ServerError("503"))

    async def fail() -> None:
        await asyncio.sleep(seconds)
        raise ServerError("503")

    async def run() -> None:
        page = asyncio.create_task(circuit.call_once(fail))
        await asyncio.sleep(min(seconds, HOLD) + 0.1)
        assert await circuit.call_once(service.read) is None, "in doubt no other is read"
        began = now()
        await asyncio.gather(*(circuit.call(service.read) for _ in range(40)))
        assert now() - began < 2, "the first answer settles it"
        with pytest.raises(ServerError):
            await page
        assert not circuit.is_open

    run_in_virtual_time(run())


def test_what_is_read_for_many_does_not_queue_behind_single_calls() -> None:
    circuit, service = Circuit("ld", HOUR, middle), Service(ServerError("503"))

    async def run() -> None:
        single = [asyncio.create_task(circuit.call(service.read)) for _ in range(1000)]
        await asyncio.sleep(1)
        for _ in range(50):
            began = now()
            assert await circuit.call_once(service.read) == "read", "nothing is in doubt"
            assert now() - began < 1
        assert not all(task.done() for task in single), "the queue was there all the time"
        await asyncio.gather(*single)

    run_in_virtual_time(run())


def test_if_single_calls_fail_too_one_call_finds_it_out_and_what_is_shared_comes_first_afterwards() -> None:
    circuit, service = Circuit("ld", HOUR, middle), Service(ServerError("503"), (0, 10 * MINUTE))
    shared: list[float] = []

    async def together() -> str:
        shared.append(now())
        await asyncio.sleep(1)
        return "shared"

    async def run() -> list[str]:
        with pytest.raises(ServerError):
            await circuit.call_once(service.read)
        return await asyncio.gather(*(circuit.call(service.read, together) for _ in range(100)))

    assert Counter(run_in_virtual_time(run())) == {"shared": 99, "read": 1}
    assert len(service.refused) <= 12
    assert len(service.answered) == 1
    assert min(shared) >= service.answered[0]


def test_when_the_wait_that_asks_is_cancelled_another_one_asks() -> None:
    circuit, service = Circuit("ld", HOUR, middle), Service(ServerError("503"), (1, 10 * MINUTE))

    async def run() -> None:
        await circuit.call(service.read)
        await asyncio.sleep(MINUTE)
        tasks = [asyncio.create_task(circuit.call(service.read)) for _ in range(10)]
        await asyncio.sleep(2 * MINUTE)
        before = len(service.refused)
        for task in tasks[:9]:
            task.cancel()
        assert await tasks[9] == "read"
        assert len(service.refused) - before >= 6, "the asking went on"

    run_in_virtual_time(run())


def test_an_outage_is_a_line_a_minute_in_one_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    service = Service(ServerError("503"), (10 * MINUTE, 20 * MINUTE))
    poll(Circuit("ld", HOUR, middle), service, 500, HOUR / 2)
    away = [record for record in caplog.records if "is away" in record.getMessage()]
    assert 8 <= len(away) <= 11
    assert "ServerError: 503" in away[-1].getMessage()
    assert [record for record in caplog.records if "is back" in record.getMessage()]
