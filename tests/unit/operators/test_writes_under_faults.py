"""Every operator that writes, under every fault: success or a named error, and at most one effect, repeats included."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene
from support.writes import WRITES, Write

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
    def wanted(self) -> int:
        """How many requests change something in an undisturbed run: one of each kind."""
        return len(self.write.requests)

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
    assert stage.entries == stage.wanted
    assert stage.run()["changed"] is False
    assert stage.entries == stage.wanted


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_leaves_a_named_error_and_a_repeat_makes_it_one_effect(stage: Stage, fault: str) -> None:
    for operation in stage.write.requests:
        stage.emulator.fault(operation, times=999, **FAULTS[fault])
    with contextlib.suppress(LaunchDarklyError, AirflowFailException):
        stage.run()
    assert stage.entries <= stage.wanted
    stage.emulator.clear_faults()
    stage.run()
    assert stage.entries == stage.wanted


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
    assert stage.entries <= stage.wanted
    stage.emulator.clear_faults()
    stage.run()
    assert stage.entries == stage.wanted
