"""Both clients behind one face, so that each behaviour is stated once; time that never passes; a running emulator."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.endpoints import EnvironmentRef
from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient, LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.api.models import ExperimentPost, FeatureFlag, IterationInput
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.testing import EmulatorServer

ENV = EnvironmentRef("demo", "production")
FLAG = "checkout-button"
METRIC = "checkout-conversion"
TOKEN = "api-0c0ffee0-5ec4-4e75-a11e-5ecre7000000"


class FakeTime:
    """A clock that only moves when somebody sleeps, and remembers each sleep."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)


class Driver:
    """One client, synchronous or not: send, run and pages return what the call is for."""

    def __init__(self, kind: str, url: str, token: str, **options: Any) -> None:
        self.time = FakeTime()
        made: dict[str, Any] = {
            "gate": RateGate(),
            "monotonic": self.time.monotonic,
            "random": lambda: 0.5,
            "sleep": self.time.sleep if kind == "sync" else self.time.asleep,
        } | options
        # Not `asyncio.Runner`, which prints the whole result of each call when it gives the signal handler back.
        self._loop = asyncio.new_event_loop() if kind == "async" else None
        make = LaunchDarklyClient if kind == "sync" else AsyncLaunchDarklyClient
        self.client: Any = make(url, token, **made)

    def _wait(self, result: Any) -> Any:
        return self._loop.run_until_complete(result) if self._loop and inspect.iscoroutine(result) else result

    def send(self, request: Any) -> Any:
        return self._wait(self.client.send(request))

    def run(self, procedure: Any) -> Any:
        return self._wait(self.client.run(procedure))

    def pages(self, request: Any, **options: Any) -> list[Any]:
        if self._loop is None:
            return list(self.client.pages(request, **options))

        async def gather() -> list[Any]:
            return [item async for item in self.client.pages(request, **options)]

        return self._loop.run_until_complete(gather())

    def close(self) -> None:
        self._wait(self.client.close())
        if self._loop:
            self._loop.close()


Connect = Callable[..., Driver]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Make a client, of each kind in turn: on a handler of httpx requests, or on a URL."""
    drivers: list[Driver] = []

    def make(
        handler: Callable[[httpx.Request], httpx.Response] | None = None,
        *,
        url: str = "https://launchdarkly.test",
        token: str = TOKEN,
        **options: Any,
    ) -> Driver:
        if handler is not None:
            options = {"transport": httpx.MockTransport(handler), "verify": False} | options
        drivers.append(Driver(request.param, url, token, **options))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(token=TOKEN) as server:
        yield server


@pytest.fixture
def emulator(running_emulator: EmulatorServer) -> EmulatorServer:
    """The emulator as it was when it started."""

    def as_new(inner: Any) -> None:
        inner.settings = Settings()
        inner.reset("effect")

    running_emulator.call(as_new)
    return running_emulator


@pytest.fixture
def driver(connect: Connect, emulator: EmulatorServer) -> Driver:
    """A client of the emulator."""
    return connect(url=emulator.url)


@pytest.fixture
def flag(driver: Driver) -> FeatureFlag:
    found: FeatureFlag = driver.send(endpoints.get_flag("demo", FLAG, environments=["production"])).value
    return found


def design(flag: FeatureFlag, *, shares: tuple[str, ...] = ("50", "50"), **changes: Any) -> IterationInput:
    """An iteration on the flag: its first variation is the baseline. The flag's version is left to the procedure."""
    return IterationInput.checked(
        {
            "hypothesis": "Bold sells more",
            "metrics": [{"key": METRIC}, {"key": "page-load-ms"}],
            "primarySingleMetricKey": METRIC,
            "flags": {flag.key: {"ruleId": "fallthrough"}},
            "treatments": [
                {
                    "name": name,
                    "baseline": index == 0,
                    "allocationPercent": share,
                    "parameters": [{"flagKey": flag.key, "variationId": flag.variations[index].id}],
                }
                for index, (name, share) in enumerate(zip(("Control", "Treatment", "Other"), shares, strict=False))
            ],
        }
        | changes
    )


def experiment(flag: FeatureFlag, key: str = "bold", **changes: Any) -> ExperimentPost:
    """An experiment on the flag."""
    fields: dict[str, Any] = {
        "key": key,
        "name": "Bold button",
        "methodology": "bayesian",
        "iteration": changes.pop("iteration", None) or design(flag),
    }
    return ExperimentPost.checked(fields | changes)


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    """An answer of LaunchDarkly's, with the date that all of them carry."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={} if body is None else body, headers={"date": DATE} | named)


DATE = "Mon, 05 Jan 2026 09:00:00 GMT"
DATE_MS = 1_767_603_600_000


def relay(
    emulator: EmulatorServer, change: Callable[[Any], None], *, after: Callable[[httpx.Request], None] | None = None
) -> Callable[[httpx.Request], httpx.Response]:
    """The emulator behind somebody who alters what it answers, or does something after each request."""

    def reply(request: httpx.Request) -> httpx.Response:
        with httpx.Client(verify=False, trust_env=False) as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        if after:
            after(request)
        body = response.json()
        if response.is_success:
            change(body)
        return httpx.Response(response.status_code, json=body, headers={"date": response.headers["date"]})

    return reply


@pytest.fixture
def created(driver: Driver, flag: FeatureFlag) -> writes.CreatedExperiment:
    """The experiment ``bold``, not started; its flag is off."""
    made: writes.CreatedExperiment = driver.run(writes.create_experiment(ENV, experiment(flag)))
    return made


@pytest.fixture
def running(driver: Driver, created: writes.CreatedExperiment) -> writes.StartedIteration:
    """The experiment ``bold``, started."""
    procedure = writes.start_iteration(ENV, "bold", created.iteration.id, turn_flag_on=True)
    started: writes.StartedIteration = driver.run(procedure)
    return started


class Script:
    """Answers one after the other, the last for ever; an exception is raised where an answer would be."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self.steps = list(steps)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)
