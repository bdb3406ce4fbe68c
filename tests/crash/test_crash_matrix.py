"""Each operator that writes, and each task of a rollout: killed at every point, at every pair of points, and more.

It ends as if nothing had happened: the same effects, once, and the emulator's world byte for byte the same. What
Airflow and the decision record keep is the same too, so that no later task finds a difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import airflow_provider_launchdarkly
from crash.bench import Bench, Step
from crash.matrix import explore
from crash.steps import LATE_HARM, operator_step, rollout_steps
from support.writes import APPROVED, WRITES

# Rollout, what is true of its world, whether Airflow keeps a state for tasks (3.3 does), whether there are records.
RUNS: dict[str, tuple[str, str, bool, bool]] = {
    "a ramp with records": ("ramp", "good", True, True),
    "one stage that does harm, on Airflow 3.1": ("one stage", "harm", False, False),
    "one stage without a winner": ("one stage", "none", True, True),
    "one that is only observed": ("observed", "good", True, False),
    "a ramp that harm stops while a person is asked": ("ramp", "harm while asked", True, True),
    "a ramp that harm stops while its window is shut": ("shut", "harm while shut", True, True),
    "a ship that harm withholds": ("approved", "harm before the ship", True, True),
    "a winner that ships through a release": ("released", "good", True, True),
    "a winner whose release a person starts": ("handed over", "good", True, True),
    "a flag that is archived after the end": ("retired", "harm", True, False),
    "a winner whose release regresses and is stopped": ("released", "harm while released", True, False),
}
# The long run (`N=10000 make crash`) adds what differs from these in state or records alone.
MORE_RUNS: dict[str, tuple[str, str, bool, bool]] = {
    "a ramp without records": ("ramp", "good", True, False),
    "a ramp on Airflow 3.1": ("ramp", "good", False, False),
    "one stage that does harm": ("one stage", "harm", True, False),
}
if os.environ.get("N"):
    RUNS |= MORE_RUNS
# Each rollout in so many tests, for several processes to share it.
PARTS = 4
_steps: dict[str, list[Step]] = {}


@pytest.mark.parametrize("state", [True, False], ids=["with a state", "without"])
@pytest.mark.parametrize("name", [*WRITES, *APPROVED])
def test_an_operator_killed_anywhere_writes_once(
    bench: Bench, name: str, state: bool, record_property: Callable[[str, object], None]
) -> None:
    step = operator_step(bench, name, state=state)
    undisturbed = bench.finish(step)
    # What a person does in LaunchDarkly is no effect of the task's.
    assert bool(undisturbed.effects) == bool((WRITES | APPROVED)[name].requests)
    check(bench, step, record_property)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("run", RUNS)
def test_a_rollout_killed_anywhere_goes_on_as_if_nothing_had_happened(
    bench: Bench, run: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    if run not in _steps:
        rollout, world, state, records = RUNS[run]
        _steps[run] = rollout_steps(bench, rollout, world, state=state, records=records)
        if world in LATE_HARM:
            assert LATE_HARM[world] in [step.name for step in _steps[run]]
        if world == "harm before the ship":
            ends = {step.name: bench.finish(step) for step in _steps[run]}
            assert ends["r.ship"].end.startswith("skipped: the ship is withheld, rollback follows")
            assert ends["r.rollback"].effects, "nothing is rolled back"
        if rollout == "handed over":
            begun = next(step for step in _steps[run] if step.name == "r.release.start")
            assert not any("release.started" in effect for effect in bench.finish(begun).effects)
        if rollout == "retired":
            assert _steps[run][-1].name == "r.retire.flag"
            assert bench.finish(_steps[run][-1]).effects, "the flag is not archived"
    for step in _steps[run][part::PARTS]:
        check(bench, step, record_property)


def check(bench: Bench, step: Step, record: Callable[[str, object], None]) -> None:
    undisturbed = bench.finish(step)
    found = explore(bench, step)
    record("points", found.points)
    record("kills", found.kills)
    record("states", found.states)
    record("pairs", found.pairs)
    for outcome, way in found.outcomes.items():
        killed = f"{step.name}, killed {' and then '.join(way)}"
        assert outcome.end == undisturbed.end, killed
        assert outcome.effects == undisturbed.effects, killed
        assert outcome == undisturbed, killed
    assert found.points or undisturbed.end.startswith("skipped"), f"{step.name} has no point at which it can be killed"


def test_every_operator_that_writes_is_here() -> None:
    reads = {"GetExperiment", "ListExperiments", "GetResults", "GetRelease", "CheckFlagServes", "Judge"}
    reads.add("HygieneReport")
    public = [name for name in vars(airflow_provider_launchdarkly)["__all__"] if name.endswith("Operator")]
    writing = {name for name in public if name.removeprefix("LaunchDarkly").removesuffix("Operator") not in reads}
    covered: set[Any] = {write.operator.__name__ for write in WRITES.values()}
    assert covered == writing
