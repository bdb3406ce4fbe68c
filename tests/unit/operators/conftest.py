"""A context without Airflow's runner, and an experiment in each of its states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene


@pytest.fixture
def hook(connection: str) -> LaunchDarklyHook:
    return LaunchDarklyHook(connection)


@pytest.fixture
def scene(hook: LaunchDarklyHook, emulator: EmulatorServer) -> Scene:
    """The experiment `bold` runs, for a day and a half."""
    return Scene(hook, emulator)


@pytest.fixture
def context() -> Any:
    return {"ti": SimpleNamespace(dag_id="rollout", task_id="task", run_id="run-1")}


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hooks' client waits in no time, and has rate limits of its own."""
    made: dict[Any, LaunchDarklyClient] = {}

    def client_of(settings: Any) -> LaunchDarklyClient:
        if settings not in made:
            time = FakeTime()
            made[settings] = LaunchDarklyClient(
                **asdict(settings.client), sleep=time.sleep, monotonic=time.monotonic, gate=RateGate()
            )
        return made[settings]

    monkeypatch.setattr("airflow_provider_launchdarkly.hooks.launchdarkly.shared_client", client_of)
    yield
    for client in made.values():
        client.close()
