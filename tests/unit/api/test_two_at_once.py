"""Two copies of one write at the same time: what each of them returns is what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import ExperimentDiffersError, IterationReplacedError
from airflow_provider_launchdarkly.api.models import FeatureFlag, RandomizationUnitInput
from airflow_provider_launchdarkly.api.reads.experiments import read_experiment
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, TOKEN, Driver, design, experiment


class Together:
    """Clients of which each waits, before its first write, until all others have read what they write on."""

    def __init__(self, emulator: EmulatorServer, count: int = 2) -> None:
        self.barrier = Barrier(count)
        self.alone = Driver("sync", emulator.url, TOKEN)
        self.drivers = [
            Driver(
                "sync",
                emulator.url,
                TOKEN,
                transport=httpx.MockTransport(self._forward()),
                verify=False,
                sleep=lambda seconds: time.sleep(seconds / 4),
            )
            for _ in range(count)
        ]

    def _forward(self) -> Callable[[httpx.Request], httpx.Response]:
        met = False

        def forward(request: httpx.Request) -> httpx.Response:
            nonlocal met
            if request.method != "GET" and not met:
                met = True
                self._meet()
            with httpx.Client(trust_env=False) as http:
                response = http.request(request.method, request.url, headers=request.headers, content=request.content)
            headers = {"date": response.headers["date"]}
            return httpx.Response(response.status_code, content=response.content, headers=headers)

        return forward

    def _meet(self) -> None:
        try:
            self.barrier.wait(timeout=2)
        except BrokenBarrierError:
            self.barrier.reset()

    def run(self, *acts: Any) -> list[Any]:
        results: list[Any] = [None] * len(acts)

        def one(number: int) -> None:
            try:
                results[number] = self.drivers[number].run(acts[number])
            except Exception as error:  # noqa: BLE001 - what it is, the test says
                results[number] = error

        threads = [Thread(target=one, args=(number,)) for number in range(len(acts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        return results


@pytest.fixture
def flag(emulator: EmulatorServer) -> FeatureFlag:
    driver = Driver("sync", emulator.url, TOKEN)
    found: FeatureFlag = driver.send(endpoints.get_flag("demo", FLAG, environments=["production"])).value
    driver.close()
    return found


def test_no_randomization_unit_is_lost(emulator: EmulatorServer) -> None:
    together = Together(emulator)
    asked = ["device", "request"]
    results = together.run(*(writes.merge_randomization_units("demo", [unit(kind)]) for kind in asked))
    assert [result.changed for result in results] == [True, True]
    found = together.alone.send(endpoints.get_experimentation_settings("demo")).value
    assert set(asked) <= {unit.randomization_unit for unit in found.randomization_units}


def test_both_copies_of_create_iteration_return_the_draft_that_is_left(
    emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    together = Together(emulator)
    started(together, flag)
    ramp = design(flag, shares=("75", "25"))
    results = together.run(*(writes.create_iteration(ENV, "bold", ramp) for _ in range(2)))
    left = together.alone.run(read_experiment(ENV, "bold"))
    assert {result.iteration.id for result in results} == {draft.id for draft in left.drafts}
    assert len(left.drafts) == 1


def test_a_draft_of_other_content_in_its_place_is_an_error_that_names_it(
    emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    together = Together(emulator)
    started(together, flag)
    shares = (("75", "25"), ("90", "10"))
    results = together.run(*(writes.create_iteration(ENV, "bold", design(flag, shares=each)) for each in shares))
    errors = [result for result in results if isinstance(result, Exception)]
    assert [type(error) for error in errors] == [ExperimentDiffersError]
    assert "somebody put iteration" in str(errors[0])


@pytest.mark.parametrize("hypotheses", [("Ours", "Ours"), ("Ours", "Theirs")])
def test_save_and_start_returns_the_copy_that_runs_or_names_it(
    emulator: EmulatorServer, flag: FeatureFlag, hypotheses: tuple[str, str]
) -> None:
    together = Together(emulator)
    running = started(together, flag)
    results = together.run(
        *(
            writes.save_and_start(ENV, "bold", running, writes.field_changes({"hypothesis": hypothesis}))
            for hypothesis in hypotheses
        )
    )
    left = together.alone.run(read_experiment(ENV, "bold"))
    returned = [result.iteration.id for result in results if not isinstance(result, Exception)]
    assert set(returned) == {left.running.id}
    others = [type(result) for result in results if isinstance(result, Exception)]
    assert others == ([] if hypotheses[0] == hypotheses[1] else [IterationReplacedError])


def unit(kind: str) -> RandomizationUnitInput:
    return RandomizationUnitInput(randomization_unit=kind)


def started(together: Together, flag: FeatureFlag) -> str:
    created = together.alone.run(writes.create_experiment(ENV, experiment(flag)))
    together.alone.run(writes.start_iteration(ENV, "bold", created.iteration.id, turn_flag_on=True))
    iteration: str = created.iteration.id
    return iteration
