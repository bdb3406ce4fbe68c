"""A real Airflow with a rollout in each situation, and a real browser that has logged in to it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from browser.chrome import Chrome, Visitor, chromium
from browser.one_dag_reader import READER, OneDagReader
from browser.situations import SITUATIONS, Driven, accounts, drive
from stack.airflow_stack import AIRFLOW, PASSWORD, START_SECONDS, USER, USERS, AirflowStack, free_port
from stack.demo import REPOSITORY, Emulator

HERE = Path(__file__).parent
AUTH_MANAGER = f"{OneDagReader.__module__}.{OneDagReader.__name__}"


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    with Chrome(chromium()) as running:
        yield running


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Emulator]]:
    with accounts(tmp_path_factory.mktemp("emulators")) as running:
        yield running


@pytest.fixture(scope="session")
def stack(
    chrome: Chrome, emulators: dict[str, Emulator], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowStack]:
    """An Airflow with a user who may see one DAG. The browser comes first: without it, nothing else need start."""
    dags = tmp_path_factory.mktemp("dags")
    for file in (REPOSITORY / "dags_examples" / "staged_ramp.py", HERE / "dags" / "situations.py"):
        shutil.copy(file, dags)
    environment = {
        "AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGER,
        USERS: f"{USER}:admin,{READER}:viewer",
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
        # The files do not change.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        **{f"AIRFLOW_CONN_{each.connection.upper()}": emulators[each.dag_id].connection for each in SITUATIONS},
    }
    airflow = AirflowStack(dags, environment)
    # Several rollouts at once: who reads is not kept waiting by who writes. SQLite stores that in the file.
    with closing(sqlite3.connect(airflow.home / "airflow.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
    with airflow as running:
        yield running


@pytest.fixture(scope="session")
def driven(stack: AirflowStack, emulators: dict[str, Emulator]) -> dict[str, Driven]:
    """Every rollout, standing in its situation."""
    return drive(stack, emulators)


@pytest.fixture(scope="session")
def sessions(chrome: Chrome, stack: AirflowStack) -> dict[str, Any]:
    """What a browser keeps of each user's login through the form."""
    return {
        USER: chrome.log_in(stack.url, USER, PASSWORD),
        READER: chrome.log_in(stack.url, READER, PASSWORD),
    }


@pytest.fixture
def below_a_path(stack: AirflowStack) -> Iterator[str]:
    """The same Airflow from a second API server, which is served below a path: its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/airflow"
    environment = {**stack.environment, "AIRFLOW__API__PORT": str(port), "AIRFLOW__API__BASE_URL": url}
    with (stack.home / "below-a-path.log").open("wb") as log:
        server = subprocess.Popen(
            [*AIRFLOW, "api-server"], env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{url}/api/v2/monitor/health"):
            assert server.poll() is None, "the API server has ended"
            assert time.monotonic() < deadline, "the API server does not answer"
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def admin(chrome: Chrome, stack: AirflowStack, sessions: dict[str, Any]) -> Iterator[Visitor]:
    with chrome.visitor(stack.url, session=sessions[USER]) as visitor:
        yield visitor


@pytest.fixture
def reader(chrome: Chrome, stack: AirflowStack, sessions: dict[str, Any]) -> Iterator[Visitor]:
    with chrome.visitor(stack.url, session=sessions[READER]) as visitor:
        yield visitor


@pytest.fixture
def stranger(chrome: Chrome, stack: AirflowStack) -> Iterator[Visitor]:
    with chrome.visitor(stack.url) as visitor:
        yield visitor
