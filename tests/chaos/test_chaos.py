"""Rollouts on real stacks whose parts are killed and frozen: the right ending by itself, once, each time.

`short` in a test's name marks the form that CI runs; `make chaos` runs all. The environment variables CHAOS_SEED and
CHAOS_ROUNDS choose the random blows.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from chaos.driver import RECOVERY, assert_it_ended_once, endure
from chaos.faults import POINTS, SECONDS_AWAY, Blow
from chaos.stacks import BROKER, DATABASE, WORKERS, LocalStack
from stack.demo import Emulator
from stack.rollouts import Rollout, make_true

Run: TypeAlias = Callable[[str, str, Sequence[Blow]], None]

SEED = int(os.environ.get("CHAOS_SEED", "1"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
# The two stacks run side by side, each in a process of its own.
LOCAL, CELERY = (pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in ("local", "celery"))
on_local = pytest.mark.parametrize("stack", [LOCAL], indirect=True)
on_celery = pytest.mark.parametrize("stack", [CELERY], indirect=True)
on_both = pytest.mark.parametrize("stack", [LOCAL, CELERY], indirect=True)
# The worlds in which a ramp comes to an ending: the button's effect and the people a day.
SHORT_WORLDS = {"ship": (0.3, 20_000), "rollback": (-0.6, 20_000)}
WORLDS = {"ship": (0.075, 2_000), "rollback": (-0.6, 20_000)}
# Stages that a ramp goes through; harm ends both in their first.
STAGES = {"short_ramp": {"ship": 2, "rollback": 1}, "staged_ramp": {"ship": 3, "rollback": 1}}
ROLLBACK_POINTS = ("it starts", "it waits in the first stage", "it rolls back")


@pytest.fixture
def run(stack: LocalStack, emulator: Emulator, record_property: Callable[[str, object], None]) -> Run:
    """Runs a ramp to its ending under blows; how long the recoveries took is printed at the end of the session."""

    def run_under(dag_id: str, ending: str, blows: Sequence[Blow]) -> None:
        short = dag_id == "short_ramp"
        make_true(emulator, *(SHORT_WORLDS if short else WORLDS)[ending])
        # A write is answered seconds after it is done, so that a kill falls in between; in the long form so late that a
        # part that is away for one point is back at the next.
        emulator.clear_faults()
        emulator.answer_writes_after(3.0 if short else SECONDS_AWAY + 3.0)
        rollout = Rollout(stack, emulator, dag_id)
        try:
            endure(rollout, blows)
            assert_it_ended_once(rollout, emulator, ending, STAGES[dag_id][ending])
        finally:
            for blow in blows:
                record_property(RECOVERY, f"{type(stack).__name__}, {dag_id} to {ending}: {blow}")

    return run_under


@on_local
def test_short_ramp_ships_though_tasks_scheduler_and_triggerer_are_killed(run: Run) -> None:
    blows = [
        Blow("task", "kill", "it starts"),
        Blow("triggerer", "kill", "it waits in the first stage"),
        Blow("scheduler", "kill", "it starts the next iteration"),
        Blow("triggerer#2", "freeze", "it asks a person"),
        Blow("task", "kill", "it ships"),
    ]
    run("short_ramp", "ship", blows)


@on_local
def test_short_ramp_rolls_back_though_worker_and_api_server_are_killed(run: Run) -> None:
    blows = [
        Blow("worker", "kill", "it starts"),
        Blow("api-server", "freeze", "it waits in the first stage"),
        Blow("api-server", "kill", "it rolls back"),
    ]
    run("short_ramp", "rollback", blows)


@on_celery
def test_short_ramp_ships_though_database_and_broker_are_killed(run: Run) -> None:
    blows = [
        Blow(DATABASE, "kill", "it waits in the first stage"),
        Blow(BROKER, "kill", "it starts the next iteration"),
        Blow(WORKERS[0], "kill", "it ships"),
    ]
    run("short_ramp", "ship", blows)


@on_celery
def test_short_ramp_rolls_back_though_database_and_broker_are_frozen(run: Run) -> None:
    blows = [
        Blow(DATABASE, "freeze", "it starts"),
        Blow(BROKER, "freeze", "it waits in the first stage"),
        Blow("task", "kill", "it rolls back"),
    ]
    run("short_ramp", "rollback", blows)


@on_both
@pytest.mark.parametrize("ending", ["ship", "rollback"])
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_the_staged_ramp_survives_each_part_at_its_point(run: Run, stack: LocalStack, ending: str, how: str) -> None:
    points = [
        point for point in POINTS if (point in ROLLBACK_POINTS if ending == "rollback" else point != "it rolls back")
    ]
    # A rollout for each handful of parts, so that each part has its point.
    for first in range(0, len(stack.parts), len(points)):
        parts = stack.parts[first : first + len(points)]
        run("staged_ramp", ending, [Blow(part, how, point) for part, point in zip(parts, points, strict=False)])


@on_both
@pytest.mark.parametrize("ending", ["ship", "rollback"])
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_the_staged_ramp_survives_blows_at_random(run: Run, stack: LocalStack, ending: str, round_: int) -> None:
    draw = random.Random(f"{SEED}-{round_}-{ending}-{type(stack).__name__}")
    at, blows = 0.0, []
    for _ in range(4 if ending == "rollback" else 8):
        at += draw.uniform(3, 15)
        blows.append(Blow(draw.choice(stack.parts), draw.choice(["kill", "freeze"]), at=at))
    run("staged_ramp", ending, blows)
