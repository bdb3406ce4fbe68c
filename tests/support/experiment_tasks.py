"""The tasks of one experiment, `button`, executed without Airflow's runner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.operators.experiments import LaunchDarklyCreateExperimentOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyCreateIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer

TREATMENTS = [
    {"variation": "Classic", "allocation_percent": 50, "baseline": True},
    {"variation": "Bold", "allocation_percent": 50},
]
DESIGN: dict[str, Any] = {
    "experiment_key": "button",
    "flag_key": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": TREATMENTS,
    "primary_metric": "checkout-conversion",
    "metrics": ["page-load-ms"],
}


class Store:
    """Airflow 3.3's task state store, which outlives a try of the task."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


def task_context(store: Store | None = None, try_number: int = 1) -> Any:
    ti = SimpleNamespace(dag_id="rollout", task_id="task", run_id="run-1", try_number=try_number)
    return {"ti": ti} | ({"task_state_store": store} if store else {})


def create(**changes: Any) -> Any:
    fields = {**DESIGN, "name": "Button"} | changes
    return LaunchDarklyCreateExperimentOperator(task_id="create", **fields).execute(task_context())


def create_iteration(store: Store | None = None, **changes: Any) -> Any:
    return LaunchDarklyCreateIterationOperator(task_id="again", **(DESIGN | changes)).execute(task_context(store))


def start(iteration_id: str, *, turn_flag_on: bool = True, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "experiment_key": "button",
        "iteration_id": iteration_id,
        "turn_flag_on": turn_flag_on,
    } | changes
    return LaunchDarklyStartIterationOperator(task_id="start", **fields).execute(task_context())


def stop(iteration_id: str, winner: Any, **changes: Any) -> Any:
    """Run the task that stops, with the winner as another task's output."""
    fields: dict[str, Any] = {"experiment_key": "button", "iteration_id": iteration_id} | changes
    task = LaunchDarklyStopIterationOperator(task_id="stop", winner="{{ winner }}", **fields)
    task.winner = winner
    return task.execute(task_context())


def count(emulator: EmulatorServer, kind: str) -> int:
    return sum(effect["kind"] == kind for entry in emulator.journal() for effect in entry.effects)
