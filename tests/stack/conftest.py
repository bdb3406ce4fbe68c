"""A real Airflow, with the examples and the DAGs in `dags`, and an emulator: one of each for each pytest process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.airflow_stack import AirflowStack
from stack.demo import REPOSITORY, Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator as a process of its own, its clock standing still."""
    running = Emulator("effect", 42, tmp_path_factory.mktemp("emulator") / "emulator.log")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stack(emulator: Emulator) -> Iterator[AirflowStack]:
    """A running Airflow with the example DAGs and the connection to the emulator."""
    folders = {"dags-folder": REPOSITORY / "dags_examples", "for-tests": Path(__file__).parent / "dags"}
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder), "refresh_interval": 5},
        }
        for name, folder in folders.items()
    ]
    environment = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT": emulator.connection,
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
    }
    with AirflowStack(REPOSITORY / "dags_examples", environment) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """No run outlives its test: it would read the emulator, and hold its DAG, while the next one runs."""
    if "stack" not in request.fixturenames:  # a test that starts an Airflow of its own
        yield
        return
    stack: AirflowStack = request.getfixturevalue("stack")
    yield
    for state in ("running", "queued"):
        for run in stack.call("GET", "/dags/~/dagRuns", state=state)["dag_runs"]:
            stack.call("PATCH", f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}", {"state": "failed"})
