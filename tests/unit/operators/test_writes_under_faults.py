"""Every operator that writes, under every fault: success or a named error, and at most one effect, repeats included."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.operators.experiments import (
    LaunchDarklyArchiveExperimentOperator,
    LaunchDarklyCreateExperimentOperator,
    LaunchDarklyRestoreExperimentOperator,
    LaunchDarklyUpdateExperimentOperator,
)
from airflow_provider_launchdarkly.operators.flags import LaunchDarklySetFlagOperator
from airflow_provider_launchdarkly.operators.iterations import (
    LaunchDarklyCreateIterationOperator,
    LaunchDarklySaveAndStartIterationOperator,
    LaunchDarklyStartIterationOperator,
    LaunchDarklyStopIterationOperator,
)
from airflow_provider_launchdarkly.operators.projects import LaunchDarklyUpdateExperimentationSettingsOperator
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import TREATMENTS, Scene

DESIGN: dict[str, Any] = {
    "experiment_key": "bold",
    "flag_key": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": [{**TREATMENTS[0], "allocation_percent": 75}, {**TREATMENTS[1], "allocation_percent": 25}],
    "primary_metric": "checkout-conversion",
}


@dataclass(frozen=True)
class Write:
    """An operator that writes.

    Attributes:
        prepare: Brings the scene, in which `bold` runs, where the write makes sense; returns the operator's fields.
        operator: The class.
        requests: The calls that write, by the emulator's names.
    """

    prepare: Callable[[Scene], dict[str, Any]]
    operator: Any
    requests: tuple[str, ...]


def _new(_scene: Scene) -> dict[str, Any]:
    return DESIGN | {"experiment_key": "second", "name": "Second"}


def _post(scene: Scene) -> dict[str, Any]:
    return DESIGN | {"method": "post"}


def _second_draft(scene: Scene) -> dict[str, Any]:
    scene.hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    return DESIGN | {"experiment_key": "second", "method": "update_draft", "metrics": [], "attributes": ["country"]}


def _start(scene: Scene) -> dict[str, Any]:
    scene.stop()
    draft = scene.hook.create_iteration("bold", scene.iteration).iteration.id
    scene.hook.turn_flag("checkout-button", on=True)
    return {"experiment_key": "bold", "iteration_id": draft}


def _archive(scene: Scene) -> dict[str, Any]:
    scene.stop()
    return {"experiment_key": "bold"}


def _restore(scene: Scene) -> dict[str, Any]:
    scene.stop()
    scene.hook.archive_experiment("bold")
    return {"experiment_key": "bold"}


def _running(**fields: Any) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"experiment_key": "bold", "iteration_id": scene.iteration_id, **fields}


WRITES = {
    "create experiment": Write(_new, LaunchDarklyCreateExperimentOperator, ("create_experiment",)),
    "post iteration": Write(_post, LaunchDarklyCreateIterationOperator, ("create_iteration",)),
    "update draft": Write(_second_draft, LaunchDarklyCreateIterationOperator, ("patch_experiment",)),
    "save and start design": Write(
        lambda scene: DESIGN | {"method": "save_and_start", "metrics": [{"key": "signup-funnel", "is_group": True}]},
        LaunchDarklyCreateIterationOperator,
        ("patch_experiment",),
    ),
    "start": Write(_start, LaunchDarklyStartIterationOperator, ("patch_experiment",)),
    "stop": Write(_running(winner="Bold"), LaunchDarklyStopIterationOperator, ("patch_experiment",)),
    "save and start": Write(
        _running(changes={"hypothesis": "Bolder."}), LaunchDarklySaveAndStartIterationOperator, ("patch_experiment",)
    ),
    "update": Write(
        lambda scene: {"experiment_key": "bold", "changes": {"name": "Bolder"}},
        LaunchDarklyUpdateExperimentOperator,
        ("patch_experiment",),
    ),
    "archive": Write(_archive, LaunchDarklyArchiveExperimentOperator, ("patch_experiment",)),
    "restore": Write(_restore, LaunchDarklyRestoreExperimentOperator, ("patch_experiment",)),
    "settings": Write(
        lambda scene: {"randomization_units": [{"randomization_unit": "organization", "default": True}]},
        LaunchDarklyUpdateExperimentationSettingsOperator,
        ("put_experimentation_settings",),
    ),
    "set flag": Write(
        lambda scene: {"flag_key": "pricing-page", "variation": True},
        LaunchDarklySetFlagOperator,
        ("patch_feature_flag",),
    ),
}
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"fault": "status", "status": 500},
    "502": {"fault": "status", "status": 502},
    "503": {"fault": "status", "status": 503, "headers": {"retry-after": "1"}},
    "500 after it took effect": {"fault": "status_after", "status": 500},
    "closed before": {"fault": "close_before"},
    "closed after": {"fault": "close_after"},
    "truncated": {"fault": "truncated"},
    "409": {"fault": "status", "status": 409},
    "409 after": {"fault": "status_after", "status": 409},
    "429": {"fault": "status", "status": 429},
    "429 for three seconds": {"fault": "status", "status": 429, "headers": {"retry-after": "3"}},
    "429 until the past": {"fault": "status", "status": 429, "headers": {"x-ratelimit-reset": "1"}},
    "429 garbage": {"fault": "status", "status": 429, "headers": {"x-ratelimit-reset": "x", "retry-after": "-"}},
}


@dataclass
class Stage:
    """A task that is about to write."""

    write: Write
    fields: dict[str, Any]
    emulator: EmulatorServer
    context: Any
    before: int

    def run(self) -> Any:
        """Run the task as one try of it would."""
        return self.write.operator(task_id="task", **self.fields).execute(self.context)

    @property
    def entries(self) -> int:
        """How many requests changed something."""
        return sum(entry.operation in self.write.requests for entry in self.emulator.journal()) - self.before


@pytest.fixture(params=WRITES)
def stage(request: pytest.FixtureRequest, quick: None, scene: Scene, emulator: EmulatorServer, context: Any) -> Stage:
    write = WRITES[request.param]
    fields = write.prepare(scene)
    before = sum(entry.operation in write.requests for entry in emulator.journal())
    return Stage(write, fields, emulator, context, before)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_leaves_success_and_one_effect(stage: Stage, fault: str) -> None:
    for operation in stage.write.requests:
        stage.emulator.fault(operation, **FAULTS[fault])
    stage.run()
    assert stage.entries == 1
    assert stage.run()["changed"] is False
    assert stage.entries == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_leaves_a_named_error_and_a_repeat_makes_it_one_effect(stage: Stage, fault: str) -> None:
    for operation in stage.write.requests:
        stage.emulator.fault(operation, times=999, **FAULTS[fault])
    with contextlib.suppress(LaunchDarklyError, AirflowFailException):
        stage.run()
    assert stage.entries <= 1
    stage.emulator.clear_faults()
    stage.run()
    assert stage.entries == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_task_retried_while_everything_fails_at_random_has_one_effect(stage: Stage, seed: int) -> None:
    for number, fault in enumerate(("close_after", "close_before", "status_after", "status", "truncated")):
        stage.emulator.fault("*", fault, probability=0.06 + 0.03 * ((seed + number) % 4))
    for _ in range(4):
        try:
            stage.run()
        except LaunchDarklyError:  # Airflow's retries; what they cannot cure is an AirflowFailException, and fails here
            continue
        else:
            break
    assert stage.entries <= 1
    stage.emulator.clear_faults()
    stage.run()
    assert stage.entries == 1
