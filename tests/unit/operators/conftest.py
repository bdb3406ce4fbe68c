"""A context without Airflow's runner, and an experiment in each of its states."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from coverage_table import Scene


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
