"""The asset watcher in a real triggerer: a run for each thing a person does in LaunchDarkly, also after a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from stack.airflow_stack import PATIENCE, AirflowStack, StackError
from stack.demo import Emulator

DAG_ID = "watch_an_experiment"
OF_RELEASES = "watch_releases"
KEY = "free-shipping"
FLAG = "checkout-button"


@pytest.fixture
def person(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> LaunchDarklyHook:
    """Somebody who works in LaunchDarkly, without Airflow."""
    emulator.reset("effect")
    monkeypatch.setenv("AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT", emulator.connection)
    return LaunchDarklyHook()


@pytest.fixture
def watching(stack: AirflowStack, person: LaunchDarklyHook) -> Iterator[None]:
    """The watchers are on, and have seen that there is no such experiment and no release of the flag yet."""
    for dag_id in (DAG_ID, OF_RELEASES):
        stack.wait_for_dag(dag_id)
        stack.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        stack.parse_again(dag_id)
    yield
    for dag_id in (DAG_ID, OF_RELEASES):
        stack.call("PATCH", f"/dags/{dag_id}", {"is_paused": True})


def test_each_happening_starts_a_run_once_also_after_a_restart(
    stack: AirflowStack, emulator: Emulator, person: LaunchDarklyHook, watching: None
) -> None:
    iteration = create(person)
    emulator_is_read(emulator)
    emulator_is_read(emulator, operation="list_environment_releases")
    person.start_iteration(KEY, iteration, turn_flag_on=True)
    assert told(stack, 1) == ["start"]

    stack.kill_service("triggerer")
    person.stop_iteration(KEY, iteration, winner="baseline", reason="seen enough")
    stack.start_service("triggerer")
    # Before Airflow 3.3 nothing outlives a triggerer: what happened while it was down is taken for old.
    remembered = ["start", "stop"] if hasattr(BaseTrigger, "on_kill") else ["start"]
    assert told(stack, len(remembered)) == remembered

    # A release of the flag, which a person starts and takes back. The first run also gets what tasks of other tests
    # have emitted on the flag's asset before.
    before = len(stack.call("GET", f"/dags/{OF_RELEASES}/dagRuns")["dag_runs"])
    release_id = release(person)
    emulator_is_read(emulator, operation="list_environment_releases")
    person.stop_release(FLAG, release_id, "roll_back_all_phases_and_remove_pending_phases")
    of_releases = told(stack, before + 1, dag_id=OF_RELEASES)
    assert of_releases[-1] == "release_reverted"

    # Nothing is told again.
    emulator_is_read(emulator)
    time.sleep(5)
    assert told(stack, len(remembered)) == remembered
    assert told(stack, before + 1, dag_id=OF_RELEASES) == of_releases


def create(person: LaunchDarklyHook) -> str:
    from airflow_provider_launchdarkly.api.models import ExperimentPost
    from airflow_provider_launchdarkly.operators._design import IterationDesign

    design = IterationDesign(
        flag_key=FLAG,
        hypothesis="A bold button brings more people through the checkout.",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
    )
    iteration = design.resolve(person.get_flag(FLAG))
    post = {"key": KEY, "name": "Free shipping", "methodology": "bayesian", "iteration": iteration}
    return str(person.create_experiment(ExperimentPost.checked(post)).iteration.id)


def release(person: LaunchDarklyHook) -> str:
    """Start a progressive release of the flag; return its id."""
    from airflow_provider_launchdarkly.api.models import ReleasePost

    classic, bold = (variation.id for variation in person.get_flag(FLAG).variations)
    clause = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
    post = {
        "originalVariationId": classic,
        "targetVariationId": bold,
        "randomizationUnit": "user",
        "phases": [{"clauses": [clause], "steps": [{"allocation": 10_000, "durationMillis": 90 * 86_400_000}]}],
    }
    return person.start_release(FLAG, ReleasePost.checked(post)).release.id


def emulator_is_read(
    emulator: Emulator, times: int = 3, seconds: float = PATIENCE, operation: str = "get_experiment"
) -> None:
    """Wait until a watcher has looked so often from now on."""
    emulator.new_reads()
    seen = 0
    deadline = time.monotonic() + seconds
    while seen < times:
        if time.monotonic() > deadline:
            raise StackError(f"the watcher did not look within {seconds:.0f} s")
        seen += sum(read["operation"] == operation for read in emulator.new_reads())
        time.sleep(0.2)


def told(stack: AirflowStack, runs: int, seconds: float = PATIENCE, dag_id: str = DAG_ID) -> list[str]:
    """What the runs of a DAG have been told, once there are so many and all have ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = stack.call("GET", f"/dags/{dag_id}/dagRuns", order_by="run_after")["dag_runs"]
        if len(found) >= runs and all(run["state"] == "success" for run in found):
            said = [stack.xcom(dag_id, run["dag_run_id"], "tell") for run in found]
            return [event for run in said for event in (json.loads(run) if isinstance(run, str) else run)]
        time.sleep(0.5)
    raise StackError(f"{dag_id} did not come to {runs} runs in {seconds:.0f} s; read {stack.log_of('triggerer')}")
