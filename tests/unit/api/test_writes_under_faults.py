"""Every write under every fault, every write repeated by a worker that died: success or a named error, one effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import LaunchDarklyClient, lifecycle
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.lifecycle import StartedIteration
from airflow_provider_launchdarkly.api.models import FeatureFlag
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
    created = driver.run(lifecycle.create_iteration(ENV, "bold", design(flag, shares=("75", "25"))))
    return str(created.iteration.id)


WRITES = {
    "create experiment": Write(
        "create_experiment",
        lambda driver, flag, running: None,
        lambda flag, _: lifecycle.create_experiment(ENV, experiment(flag, key="second")),
        "experiment.created",
    ),
    "create iteration": Write(
        "create_iteration",
        lambda driver, flag, running: None,
        lambda flag, _: lifecycle.create_iteration(ENV, "bold", design(flag, shares=("75", "25"))),
        "iteration.created",
    ),
    "start iteration": Write(
        "patch_experiment",
        _draft,
        lambda flag, draft: lifecycle.start_iteration(ENV, "bold", draft, justification="ramp"),
        "iteration.started",
    ),
    "stop iteration": Write(
        "patch_experiment",
        lambda driver, flag, running: running.iteration.id,
        lambda flag, pinned: lifecycle.stop_iteration(ENV, "bold", pinned, winner="Treatment", reason="r"),
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


@pytest.fixture(params=WRITES)
def write(request: pytest.FixtureRequest) -> Write:
    return WRITES[request.param]


def effects(emulator: EmulatorServer, write: Write) -> int:
    return len(emulator.effects(write.effect))


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_that_passes_leaves_success_and_one_effect(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, write: Write, fault: str
) -> None:
    needed = write.prepare(driver, flag, running)
    before = effects(emulator, write)
    emulator.fault(write.operation, **ONCE[fault])
    driver.run(write.make(flag, needed))
    # Starting the draft ends the iteration that ran: its stop is an effect of its own kind.
    assert effects(emulator, write) == before + 1


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_that_stays_leaves_a_named_error_and_at_most_one_effect(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, write: Write, fault: str
) -> None:
    needed = write.prepare(driver, flag, running)
    before = effects(emulator, write)
    emulator.fault(write.operation, times=999, **ONCE[fault])
    try:
        driver.run(write.make(flag, needed))
    except LaunchDarklyError as error:
        assert str(error)
    assert effects(emulator, write) <= before + 1


@pytest.mark.parametrize("seed", range(5))
def test_reads_and_writes_that_fail_at_random_leave_at_most_one_effect(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, write: Write, seed: int
) -> None:
    needed = write.prepare(driver, flag, running)
    before = effects(emulator, write)
    for number, fault in enumerate(("close_after", "close_before", "status_after", "status")):
        emulator.fault("*", fault, probability=0.1 + 0.02 * ((seed + number) % 5))
    for _ in range(4):
        try:
            driver.run(write.make(flag, needed))
        except LaunchDarklyError as error:
            assert error.retryable
        else:
            break
    assert effects(emulator, write) <= before + 1


class Dead(BaseException):
    """The worker is gone."""


@pytest.mark.parametrize("when", ["before the write", "after the write"])
def test_a_worker_that_died_is_repeated_without_a_second_effect(
    connect: Connect,
    driver: Driver,
    emulator: EmulatorServer,
    flag: FeatureFlag,
    running: StartedIteration,
    write: Write,
    when: str,
) -> None:
    needed = write.prepare(driver, flag, running)
    before = effects(emulator, write)

    def dying(request: httpx.Request) -> httpx.Response:
        if request.method != "GET" and when == "before the write":
            raise Dead
        with httpx.Client() as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        if request.method != "GET":
            raise Dead
        return httpx.Response(
            response.status_code, content=response.content, headers={"date": response.headers["date"]}
        )

    first = connect(dying, url=emulator.url)
    with pytest.raises(Dead):
        first.run(write.make(flag, needed))
    driver.run(write.make(flag, needed))
    driver.run(write.make(flag, needed))
    assert effects(emulator, write) == before + 1


@pytest.mark.parametrize("name", ["create experiment", "start iteration", "stop iteration"])
def test_two_workers_at_the_same_time_have_one_effect(
    driver: Driver, emulator: EmulatorServer, flag: FeatureFlag, running: StartedIteration, name: str
) -> None:
    write = WRITES[name]
    needed = write.prepare(driver, flag, running)
    before = effects(emulator, write)
    barrier, failures = threading.Barrier(4), list[BaseException]()

    def work() -> None:
        with LaunchDarklyClient(emulator.url, TOKEN, sleep=lambda _seconds: None) as client:
            barrier.wait()
            try:
                client.run(write.make(flag, needed))
            except LaunchDarklyError as error:
                failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert effects(emulator, write) == before + 1
    # Who comes second may be told that the iteration is not to be started or stopped any more; nobody fails silently.
    assert len(failures) < 4
