"""The notifier as Airflow calls it, from a task's callback and from a deadline's, and the retry policy at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly import LaunchDarklyNotifier, load_rollouts
from dags.conftest import dag_bag, register
from support.airflow_names import first_of
from support.surroundings import REPOSITORY

pytestmark = pytest.mark.usefixtures("connection", "airflow_database")

AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:2])

NOTIFIED = """
from pathlib import Path
from airflow.sdk import DAG, task
from airflow_provider_launchdarkly import LaunchDarklyNotifier

KEYS = {"project_key": "demo", "environment_key": "production", "experiment_key": "button", "iteration_id": "it-1"}
RECEIVED = Path(__file__).parent

def receive(text, to):
    (RECEIVED / to).write_text(text)

with DAG("notified", schedule=None, catchup=False):

    @task(
        multiple_outputs=True,
        on_success_callback=LaunchDarklyNotifier(through=receive, arguments={"to": "{{ ti.task_id }}.txt"}),
    )
    def wait():
        return {"verdict": "ship", "treatment": "Bold", "summary": "Bold is better: ship", **KEYS}

    @task(on_failure_callback=LaunchDarklyNotifier(through=receive, arguments={"to": "failed.txt"}))
    def fail():
        raise RuntimeError("no results")

    @task(on_success_callback=LaunchDarklyNotifier(task_id="wait", through=receive, arguments={"to": "later.txt"}))
    def stop():
        return "stopped"

    wait() >> stop()
    fail()
"""
RETRIED = """
from airflow.sdk import DAG, task
from airflow_provider_launchdarkly.api.errors import AuthenticationError
from airflow_provider_launchdarkly import retry_policy

with DAG("retried", schedule=None, catchup=False):

    @task(retries=3, retry_policy=retry_policy())
    def rename():
        raise AuthenticationError("the token is refused")

    rename()
"""
MISSED = {
    "dag_run": {"dag_id": "rollout", "dag_run_id": "run-1", "state": "running"},
    "deadline": {"id": "d", "deadline_time": "2026-02-01T09:00:00Z"},
}
PAGES: list[str] = []


async def page(text: str, *, to: str) -> None:
    PAGES.append(f"{to}: {text}")


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str, str], Any]:
    def run_dag(dag_id: str, text: str) -> Any:
        (tmp_path / f"{dag_id}.py").write_text(text)
        bag = dag_bag(str(tmp_path))
        assert not bag.import_errors
        register(bag.dags[dag_id])
        return bag.dags[dag_id].test()

    return run_dag


def test_callbacks_send_the_card_of_their_own_or_another_tasks_verdict(
    run: Callable[[str, str], Any], tmp_path: Path
) -> None:
    run("notified", NOTIFIED)
    assert (tmp_path / "wait.txt").read_text().startswith("Ship Bold · button · demo/production")
    assert (tmp_path / "later.txt").read_text() == (tmp_path / "wait.txt").read_text()
    # In dag.test(), Airflow before 3.3 does not hand the exception on.
    endings = ("task fail failed: no results", "task fail is failed, without a verdict")
    assert (tmp_path / "failed.txt").read_text().endswith(endings)


def test_a_deadlines_callback_runs_in_the_triggerer() -> None:
    # The second name is that of Airflow 3.1.
    make_callback = first_of("airflow.sdk.AsyncCallback", "airflow.sdk.definitions.deadline.AsyncCallback")
    make_trigger = first_of(
        "airflow.triggers.callback.CallbackTrigger", "airflow.triggers.deadline.DeadlineCallbackTrigger"
    )
    through = f"{page.__module__}.{page.__qualname__}"
    stored = make_callback(LaunchDarklyNotifier, kwargs={"through": through, "arguments": {"to": "growth"}})

    async def events() -> list[Any]:
        trigger = make_trigger(stored.path, {**stored.kwargs, "context": MISSED})
        return [event.payload async for event in trigger.run()]

    assert "failed" not in str(asyncio.run(events())[-1]["state"]).lower()
    assert PAGES == ["growth: Deadline missed: rollout, run run-1 was to be finished by 2026-02-01T09:00:00Z"]


if AIRFLOW >= (3, 3):

    def test_a_task_with_the_policy_fails_at_once_on_what_a_retry_cannot_cure(run: Callable[[str, str], Any]) -> None:
        (ti,) = run("retried", RETRIED).get_task_instances()
        assert (str(ti.state), ti.try_number) == ("failed", 1)

else:

    def test_a_dag_with_the_policy_is_told_what_to_do_when_it_is_parsed(tmp_path: Path) -> None:
        (tmp_path / "retried.py").write_text(RETRIED)
        (error,) = dag_bag(str(tmp_path)).import_errors.values()
        assert "retry policies need Airflow 3.3; before it, leave retry_policy out" in error


def waiting(task: Any) -> timedelta:
    """The least time that Airflow waits in all before it gives a task up, whatever jitter adds."""
    growing = bool(task.retry_exponential_backoff)
    # Airflow before 3.2 doubles from half the delay on.
    delays = [task.retry_delay * (2.0 ** (number - 1) if growing else 1.0) for number in range(task.retries)]
    return sum((min(delay, task.max_retry_delay or delay) for delay in delays), timedelta())


def test_every_task_of_every_example_outlives_ten_minutes() -> None:
    bag = dag_bag(str(REPOSITORY / "dags_examples"))
    short = [
        (dag.dag_id, task.task_id)
        for dag in bag.dags.values()
        for task in dag.tasks
        if waiting(task) < timedelta(minutes=10)
    ]
    assert len(bag.dags) > 10
    assert short == []


def test_every_task_of_a_rollout_outlives_an_hour() -> None:
    dags = load_rollouts(REPOSITORY / "dags_examples/rollouts")
    assert dags
    assert all(waiting(task) > timedelta(hours=1) for dag in dags.values() for task in dag.tasks)
