"""What every tier shares: an Airflow home of its own, set before anything imports Airflow; an emulator."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from airflow_provider_launchdarkly.hooks import clients
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.surroundings import CONNECTION, REPOSITORY, connection_json

if TYPE_CHECKING:
    from collections.abc import Iterator

AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="airflow-launchdarkly-tests-"))
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)

for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(AIRFLOW_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags_examples"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW_HOME / 'airflow.db'}",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(AIRFLOW_HOME / "logs"),
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__LAUNCHDARKLY__ROLLOUT_CACHE": "off",
}

# Examples of each property: 25 while one edits, 150 with HYPOTHESIS_PROFILE=full, the default in CI; five for an older
# Airflow. In CI they are always the same, so that it fails for what a change did and not by chance.
IN_CI = bool(os.environ.get("CI"))
for name, examples in {"few": 5, "quick": 25, "full": 150}.items():
    settings.register_profile(name, max_examples=examples, deadline=None, derandomize=IN_CI)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("full" if IN_CI else "quick"))


def pytest_collection_finish() -> None:
    """Collect garbage less often: a tenth of the time would go into looking at what was imported again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@pytest.fixture(scope="module", autouse=True)
def _close_clients() -> Iterator[None]:
    """Close the clients that a process keeps for each connection, since each emulator is a connection of its own."""
    yield
    while clients._clients:
        clients._clients.popitem()[1].close()


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    """A fresh emulator with its default world; its clock stands still until a test turns it."""
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def connection(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection `launchdarkly_default` to the emulator, in the environment; returns its id."""
    monkeypatch.setenv(CONNECTION, connection_json(emulator))
    return "launchdarkly_default"
