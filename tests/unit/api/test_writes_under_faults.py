"""Every write under every fault, every write repeated by a worker that died: success or a named error, one effect."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.models import FeatureFlag
from airflow_provider_launchdarkly.api.writes.start import StartedIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, TOKEN, Connect, Driver, design, experiment


@dataclass(frozen=True)
class Write:
    """One of the writes of an experiment's life, on an emulator where ``bold`` runs.

    Attributes:
        operation: The call that faults strike.
        prepare: Brings the emulator where the write makes sense; returns what the write needs.
        make: The procedure.
        effect: What the emulator's journal calls its effect.
    """

    operation: str
    prepare: Callable[[Driver, FeatureFlag, StartedIteration], Any]
    make: Callable[[FeatureFlag, Any], Any]
    effect: str


def _draft(driver: Driver, flag: FeatureFlag, _running: StartedIteration) -> str:
    created = driver.run(writes.create_iteration(ENV, "bold", design(flag, shares=("75", "25"))))
    return str(created.iteration.id)


WRITES = {
    "create experiment": Write(
        "create_experiment",
        lambda driver, flag, running: None,
        lambda flag, _: writes.create_experiment(ENV, experiment(flag, key="second")),
        "experiment.created",
    ),
    "create iteration": Write(
        "create_iteration",
        lambda driver, flag, running: None,
        lambda flag, _: writes.create_iteration(ENV, "bold", design(flag, shares=("75", "25"))),
        "iteration.created",
    ),
    "start iteration": Write(
        "patch_experiment",
        _draft,
        lambda flag, draft: writes.start_iteration(ENV, "bold", draft, justification="ramp"),
        "iteration.started",
    ),
    "stop iteration": Write(
        "patch_experiment",
        lambda driver, flag, running: running.iteration.id,
        lambda flag, pinned: writes.stop_iteration(ENV, "bold", pinned, winner="Treatment", reason="r"),
        "iteration.stopped",
    ),
}
ONCE: dict[str, dict[str, Any]] = {
    "500": {"fault": "status", "status": 500},
    "503 with Retry-After": {"fault": "status", "status": 503, "headers": {"retry-after": "1"}},
    "500 after it took effect": {"fault": "status_after", "status": 500},
    "closed before": {"fault": "close_before"},
    "closed after": {"fault": "close_after"},
    "409": {"fault": "status", "status": 409},
    "429": {"fault": "status", "status": 429},
    "429 Retry-After": {"fault": "status", "status": 429, "headers": {"retry-after": "3"}},
    "429 global": {
        "fault": "status",
        "status": 429,
        "headers": {"x-ratelimit-global-remaining": "0", "x-ratelimit-reset": "1767603603000"},
    },
    "429 route": {
        "fault": "status",
        "status": 429,
        "headers": {"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": "1767603603000"},
    },
    "429 token": {
        "fault": "status",
        "status": 429,
        "headers": {"x-ratelimit-auth-token-remaining": "0", "x-ratelimit-auth-token-reset": "1767603603000"},
    },
    "429 reset in the past": {"fault": "status", "status": 429, "headers": {"x-ratelimit-reset": "1"}},
    "429 garbage": {"fault": "status", "status": 429, "headers": {"x-ratelimit-reset": "x", "retry-after": "-"}},
}


@dataclass
class Stage:
    """A write that is about to happen on an emulator where ``bold`` runs."""

    write: Write
    driver: Driver
    emulator: EmulatorServer
    flag: FeatureFlag
    needed: Any
    before: int

    def procedure(self) -> Any:
        return self.write.make(self.flag, self.needed)

    @property
    def effects(self) -> int:
        """How often it has taken effect."""
        return len(self.emulator.effects(self.write.effect)) - self.before


def _stage(
    write: Write, driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration
) -> Stage:
    needed = write.prepare(driver, flag, running)
    return Stage(write, driver, emulator, flag, needed, len(emulator.effects(write.effect)))


@pytest.fixture(params=WRITES)
def stage(
    request: pytest.FixtureRequest,
    driver: Driver,
    emulator: EmulatorServer,
    flag: FeatureFlag,
    running: StartedIteration,
) -> Stage:
    return _stage(WRITES[request.param], driver, emulator, flag, running)


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_that_passes_leaves_success_and_one_effect(stage: Stage, fault: str) -> None:
    stage.emulator.fault(stage.write.operation, **ONCE[fault])
    stage.driver.run(stage.procedure())
    assert stage.effects == 1


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_that_stays_leaves_at_most_one_effect(stage: Stage, fault: str) -> None:
    stage.emulator.fault(stage.write.operation, times=999, **ONCE[fault])
    with contextlib.suppress(LaunchDarklyError):
        stage.driver.run(stage.procedure())
    assert stage.effects <= 1


@pytest.mark.parametrize("seed", range(5))
def test_calls_that_fail_at_random_leave_retryable_errors_and_at_most_one_effect(stage: Stage, seed: int) -> None:
    for number, fault in enumerate(("close_after", "close_before", "status_after", "status")):
        stage.emulator.fault("*", fault, probability=0.1 + 0.02 * ((seed + number) % 5))
    errors: list[LaunchDarklyError] = []
    for _ in range(4):
        try:
            stage.driver.run(stage.procedure())
        except LaunchDarklyError as error:
            errors.append(error)
        else:
            break
    assert all(error.retryable for error in errors)
    assert stage.effects <= 1


class Dead(BaseException):
    """The worker is gone."""


@pytest.mark.parametrize("when", ["before the write", "after the write"])
def test_a_worker_that_died_is_repeated_without_a_second_effect(connect: Connect, stage: Stage, when: str) -> None:
    def dying(request: httpx.Request) -> httpx.Response:
        if request.method != "GET" and when == "before the write":
            raise Dead
        with httpx.Client(verify=False, trust_env=False) as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        if request.method != "GET":
            raise Dead
        return httpx.Response(
            response.status_code, content=response.content, headers={"date": response.headers["date"]}
        )

    first = connect(dying, url=stage.emulator.url)
    with pytest.raises(Dead):
        first.run(stage.procedure())
    for _ in range(2):
        stage.driver.run(stage.procedure())
    assert stage.effects == 1


@pytest.mark.parametrize("name", ["create experiment", "start iteration", "stop iteration"])
def test_four_workers_at_the_same_time_all_succeed_with_one_effect(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, name: str
) -> None:
    stage = _stage(WRITES[name], driver, emulator, flag, running)
    barrier, failures = threading.Barrier(4), list[LaunchDarklyError]()

    def work() -> None:
        with LaunchDarklyClient(emulator.url, TOKEN, sleep=lambda _seconds: None) as client:
            barrier.wait()
            try:
                client.run(stage.procedure())
            except LaunchDarklyError as error:
                failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert stage.effects == 1
