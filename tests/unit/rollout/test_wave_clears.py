"""Going on after a stop of waves, by the clears that are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import PromotionRunner, make_true
from support.waves import TARGETS, an_environment_for_each_target
from unit.rollout.test_wave_group import APPROVED, ASKED, LANES, REJECTED, run, waves

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        make_true(server, 0.3)
        yield server


def tolerate_one(done: PromotionRunner) -> None:
    board: Any = done.dag.get_task("stopped")
    board.board.tolerated = 1


def all_ship(done: PromotionRunner, *apart: str) -> bool:
    found = done.output("summary")["targets"]
    return done.states["stopped"] == "skipped" and {found[key] for key in TARGETS if key not in apart} == {"ship"}


def test_all_lanes_go_on_with_a_higher_tolerance(emulator: EmulatorServer) -> None:
    done = run(emulator, LANES, berlin=-0.5)
    assert "clear each `count_…` that succeeded, by itself" in done.output("stopped")["actions"]
    tolerate_one(done)
    done.at_once("stopped")
    assert "nothing stops now: 1 of 6 failed (1 tolerated)" in done.reasons["stopped"]
    done.states.pop("wave_1.count_berlin")
    done.clear(*(f"wave_1.begin_{key}" for key in TARGETS[1:]))
    assert all_ship(done.go_on(), "berlin")


def test_a_wave_that_was_withheld_opens_with_a_higher_tolerance(emulator: EmulatorServer) -> None:
    done = run(emulator, waves(order=ASKED, max_failed=0), berlin=-0.5)
    tolerate_one(done)
    done.states.pop("wave_1.count_berlin")
    done.clear("open_wave_2")
    assert all_ship(done.go_on(), "berlin")


def test_a_wave_that_was_refused_goes_on_once_a_person_approves(emulator: EmulatorServer) -> None:
    answer = dict(REJECTED)
    done = run(emulator, waves(order=ASKED), answer=answer)
    assert "clear with all that follows: each `approve_…` that was refused" in done.output("stopped")["actions"]
    answer |= APPROVED
    done.clear("approve_wave_2")
    assert all_ship(done.go_on())
