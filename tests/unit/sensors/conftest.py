"""An experiment under way in an emulator whose clock the tests turn, and a sensor that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.lone_polls import poll_alone
from support.warehouse import CONNECTION, Warehouse, backends, open_warehouse

ENV = EnvironmentRef("demo", "production")
KEY = "bold-checkout-button"


@dataclass
class Underway:
    """A started experiment."""

    emulator: EmulatorServer
    hook: LaunchDarklyHook
    iteration_id: str
    treatments: dict[str, str]

    def sensor(self, **arguments: Any) -> LaunchDarklyWaitForSignificanceSensor:
        return LaunchDarklyWaitForSignificanceSensor(
            task_id="wait",
            experiment_key=KEY,
            iteration_id=self.iteration_id,
            **{"poke_interval": 60, **arguments},
        )

    def stop(self) -> None:
        self.hook.stop_iteration(KEY, self.iteration_id, winner="baseline", reason="by hand")


@pytest.fixture
def underway(emulator: EmulatorServer, connection: str) -> Underway:
    return begin(emulator)


def begin(emulator: EmulatorServer, **top: Any) -> Underway:
    """Create an experiment on the checkout button and start it."""
    flag = emulator.call(lambda running: running.world.projects["demo"].flags["checkout-button"])
    post = ExperimentPost.checked(
        {
            "key": KEY,
            "name": KEY,
            "methodology": "bayesian",
            **top,
            "iteration": {
                "hypothesis": "Bold is better.",
                "metrics": [{"key": "checkout-conversion"}, {"key": "page-load-ms"}],
                "primarySingleMetricKey": "checkout-conversion",
                "treatments": [
                    {
                        "name": name,
                        "baseline": number == 0,
                        "allocationPercent": "50",
                        "parameters": [{"flagKey": "checkout-button", "variationId": flag.variations[number].id}],
                    }
                    for number, name in enumerate(("Classic", "Bold"))
                ],
                "flags": {"checkout-button": {"ruleId": "fallthrough"}},
            },
        }
    )
    hook = LaunchDarklyHook()
    created = hook.run(writes.create_experiment(ENV, post))
    started = hook.run(writes.start_iteration(ENV, KEY, created.iteration.id, turn_flag_on=True))
    treatments = {treatment.name: treatment.id for treatment in started.iteration.treatments}
    return Underway(emulator, hook, created.iteration.id, treatments)


@pytest.fixture(params=backends())
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database behind the warehouse; a test that needs one kind parametrizes it."""
    kind: str = request.param
    return kind


@pytest.fixture
def warehouse(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A warehouse, and the connection `warehouse` to it."""
    with open_warehouse(database, tmp_path) as opened:
        monkeypatch.setenv(CONNECTION, opened.connection)
        yield opened


Fire = Callable[[TaskDeferred], dict[str, Any]]


@pytest.fixture
def fire(underway: Underway, monkeypatch: pytest.MonkeyPatch) -> Fire:
    """Run a deferral's trigger until it fires, an emulated day passing with each poll; return its event."""

    async def turn(_: float) -> None:
        underway.emulator.clock.advance("P1D")

    poll_alone(monkeypatch, turn)

    async def first(events: AsyncIterator[Any]) -> Any:
        return await anext(events)

    def run(deferred: TaskDeferred) -> dict[str, Any]:
        path, arguments = deferred.trigger.serialize()
        assert path == "airflow_provider_launchdarkly.triggers.significance.SignificanceTrigger"
        payload: dict[str, Any] = asyncio.run(first(type(deferred.trigger)(**arguments).run())).payload
        return payload

    return run


def wait(underway: Underway, fire: Fire, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Execute, defer and resume, each time in a new process, until there is a verdict; return it and all events."""
    events: list[dict[str, Any]] = []
    try:
        return underway.sensor(**arguments).execute({}), events
    except TaskDeferred as first:
        deferred = first
    while True:
        events.append(fire(deferred))
        try:
            return underway.sensor(**arguments).execute_complete({}, events[-1]), events
        except TaskDeferred as again:
            deferred = again
