"""The watcher on a real triggerer: someone starts and stops an iteration in LaunchDarkly, and a DAG runs for each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import EnvironmentRef, LaunchDarklyClient, endpoints, lifecycle
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.operators.design import IterationDesign
from airflow_provider_launchdarkly.testing import EmulatorServer
from stack.airflow_stack import AirflowStack
from surroundings import CONNECTION, REPOSITORY, connection_json

DAG_ID = "watch_an_experiment"
KEY = "free-shipping"
ENV = EnvironmentRef("demo", "production")
HAS_STORE = tuple(int(part) for part in version("apache-airflow").split(".")[:2]) >= (3, 3)
DESIGN = IterationDesign(
    flag_key="checkout-button",
    hypothesis="Bold is better.",
    treatments=[
        {"variation": "Classic", "allocation_percent": 50, "baseline": True},
        {"variation": "Bold", "allocation_percent": 50},
    ],
    primary_metric="checkout-conversion",
)


@pytest.fixture
def stack(tmp_path: Path, emulator: EmulatorServer) -> Iterator[AirflowStack]:
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(REPOSITORY / "dags_examples" / f"{DAG_ID}.py", dags)
    environment = {
        CONNECTION: connection_json(emulator),
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    }
    with AirflowStack(dags, environment) as stack:
        yield stack


def wait_for(what: str, done: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.3)
    raise AssertionError(f"no {what} within {seconds:.0f} s")


def told(stack: AirflowStack) -> list[str]:
    """What the finished runs of the watching DAG were told, oldest first."""
    runs = stack.call("GET", f"/dags/{DAG_ID}/dagRuns", order_by="start_date", state="success")["dag_runs"]
    return [event for run in runs for event in stack.xcom(DAG_ID, run["dag_run_id"], "tell")]


def polls(emulator: EmulatorServer) -> int:
    return sum(request.operation == "get_experiment" for request in emulator.requests())


def wait_for_polls(emulator: EmulatorServer, count: int) -> None:
    before = polls(emulator)
    wait_for("polls", lambda: polls(emulator) >= before + count)


def test_a_dag_runs_once_for_each_happening_also_over_the_loss_of_the_triggerer(
    stack: AirflowStack, emulator: EmulatorServer
) -> None:
    stack.wait_for_dag(DAG_ID)
    stack.call("PATCH", f"/dags/{DAG_ID}", {"is_paused": False})
    wait_for_polls(emulator, 2)
    with LaunchDarklyClient(emulator.url, emulator.token) as person:
        flag = person.send(endpoints.get_flag("demo", "checkout-button", environments=("production",))).value
        post = {"key": KEY, "name": "Free shipping", "methodology": "bayesian", "iteration": DESIGN.resolve(flag)}
        created = person.run(lifecycle.create_experiment(ENV, ExperimentPost.checked(post)))
        person.run(lifecycle.start_iteration(ENV, KEY, created.iteration.id, turn_flag_on=True))
        wait_for("run for the start", lambda: told(stack) == ["start"])

        stack.kill_service("triggerer")
        if HAS_STORE:  # what happens while nobody watches is told afterwards
            person.run(lifecycle.stop_iteration(ENV, KEY, created.iteration.id, winner="baseline", reason="enough"))
            stack.start_service("triggerer")
        else:  # what happens while nobody watches is lost, as documented
            stack.start_service("triggerer")
            wait_for_polls(emulator, 2)
            person.run(lifecycle.stop_iteration(ENV, KEY, created.iteration.id, winner="baseline", reason="enough"))
        wait_for("run for the stop", lambda: told(stack) == ["start", "stop"])

    wait_for_polls(emulator, 5)
    assert told(stack) == ["start", "stop"]
