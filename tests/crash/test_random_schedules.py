"""Random schedules: kills mixed with every fault of the emulator; two copies of a task at once; whole rollouts.

`N=10000 make crash` runs as many of each of the first two, and a fortieth of that of the third. A schedule follows from
its number, which a failure names.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, get_args

import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.emulator.transport.faults import LIMITS, FaultKind
from crash.bench import Bench, Lane, Outcome, Step
from crash.steps import Recorder, operator_step, rollout_steps, world_of
from support.writes import WRITES

Record = Callable[[str, object], None]
SCHEDULES = int(os.environ.get("N") or 200)
TESTS = 20
# A whole rollout has twenty tasks, so there are fewer of them, in fewer tests.
WHOLE = SCHEDULES // 40
WHOLE_TESTS = 5
# Later parts of a task run without faults, so that each task ends.
PATIENCE = 5
FAULTS: list[dict[str, Any]] = [
    *({"fault": "status", "status": status} for status in (409, 500, 502, 503, 504)),
    *({"fault": "status", "limit": family, "wait": 2} for family in LIMITS),
    *({"fault": "status_after", "status": status} for status in (409, 500, 503)),
    {"fault": "close_before"},
    {"fault": "close_after"},
    {"fault": "truncated"},
    {"fault": "slow", "delay": 0.01},
    {"fault": "stale", "hours": 6},
    {"fault": "hidden", "times": 2},
]
# What a task that asks for it may do once, however many copies of it there are.
ONCE = {"experiment.created", "iteration.started", "iteration.stopped", "experiment.archived", "experiment.restored"}
# LaunchDarkly takes no precondition, so of two copies of these, one may end the iteration that the other started.
REPLACES = {"save and start", "save and start design"}
# A draft that is discarded has used up ids and numbers.
NUMBERED = {"id", "number", "version", "config_version", "seed", "iteration_id", "version_id", "created"}

_steps: dict[str, Step] = {}
_undisturbed: dict[str, Outcome] = {}


def numbers(test: int) -> range:
    return range(test, SCHEDULES, TESTS)


@pytest.mark.parametrize("test", range(TESTS))
def test_kills_and_faults_leave_one_effect(bench: Bench, test: int, record_property: Record) -> None:
    for number in numbers(test):
        chance = random.Random(f"faults {number}")
        step = operator(bench, chance)
        bench.load(step.before)
        kills = {chance.randrange(60) for _ in range(chance.randrange(5))}
        faults = [some_fault(chance) for _ in range(chance.randrange(1, 5))]
        killed = bench.kills
        outcome = bench.finish(step, kills, PATIENCE, faults)
        assert outcome == _undisturbed[step.name], f"schedule {number}: {step.name}, {sorted(kills)}, {faults}"
        count(record_property, kills=bench.kills - killed, schedules=1, faults=len(faults))


@pytest.mark.parametrize("test", range(TESTS))
def test_two_copies_at_once_have_one_effect(bench: Bench, test: int, record_property: Record) -> None:
    for number in numbers(test):
        chance = random.Random(f"copies {number}")
        step = operator(bench, chance)
        bench.load(step.before)
        for lane in bench.lanes:
            lane.proxy.arm({chance.randrange(40) for _ in range(chance.randrange(3))})
        killed = bench.kills
        # Waiting for the other's write to show takes its share of real time.
        order = {**step.order, "sleeps": 0.1}
        with ThreadPoolExecutor(len(bench.lanes)) as threads:
            ends = list(threads.map(partial(Lane.finish, order=order), bench.lanes))
        about = f"schedule {number}: {step.name}, {ends}"
        once = _undisturbed[step.name]
        assert "success" in {end["end"] for end in ends}, about
        assert {end["end"] for end in ends} <= {"success", "failed"}, about
        replaces = step.name.partition(",")[0] in REPLACES
        assert once_each(bench.effects(), replaces=replaces) == once_each(once.effects), about
        earlier = step.before.world.text
        left, alone = (left_over(json.loads(text), earlier) for text in (bench.save().world.text, once.world))
        assert left == alone, about
        # Nobody ends what the last one has started, so it says its id.
        outputs = [lane.kept.xcoms_of("task").get("return_value") for lane in bench.lanes]
        assert {*started(bench.effects())[-1:]} <= {(output or {}).get("iteration_id") for output in outputs}, about
        count(record_property, kills=bench.kills - killed, schedules=1)


@pytest.mark.parametrize("test", range(WHOLE_TESTS))
@pytest.mark.parametrize("world", ["good", "harm"])
def test_a_whole_rollout_ends_in_the_same_world(bench: Bench, test: int, world: str, record_property: Record) -> None:
    if f"ramp {world}" not in _undisturbed:
        rollout_steps(bench, "ramp", world, state=True, records=True)
        _undisturbed[f"ramp {world}"] = Outcome.of({"end": "success"}, (), bench.save())
    for number in range(test, WHOLE, WHOLE_TESTS):
        chance = random.Random(f"rollout {number}")
        bench.begin()
        world_of(bench, world)
        killed = bench.kills
        run = Disturbed(bench, "ramp", chance)
        run.run()
        assert "failed" not in run.states.values(), f"schedule {number}: {run.reasons}"
        ended = Outcome.of({"end": "success"}, (), bench.save())
        assert ended == _undisturbed[f"ramp {world}"], f"schedule {number}"
        count(record_property, kills=bench.kills - killed, schedules=1)


class Disturbed(Recorder):
    """A run of a rollout any of whose tasks may be killed, several times."""

    def __init__(self, bench: Bench, rollout: str, chance: random.Random) -> None:
        super().__init__(bench, rollout, state=True, records=True)
        self._chance = chance

    @override
    def finish(self, step: Step) -> dict[str, Any]:
        kills = self._chance.choice([0, 0, 1, 1, 2, 3])
        self.bench.lane.proxy.arm({self._chance.randrange(25) for _ in range(kills)})
        return self.bench.lane.finish(step.order)


def operator(bench: Bench, chance: random.Random) -> Step:
    """Return one of the operators that write, about to do so."""
    name, state = chance.choice(list(WRITES)), chance.random() < 0.5
    key = f"{name}, {'with' if state else 'without'} a state"
    if key not in _steps:
        step = operator_step(bench, name, state=state)
        _steps[key] = Step(key, step.order, step.before)
        _undisturbed[key] = bench.finish(_steps[key])
    return _steps[key]


def some_fault(chance: random.Random) -> dict[str, Any]:
    fault = {"operation": chance.choice(["*", "read", "write"]), **chance.choice(FAULTS)}
    return fault | ({} if "times" in fault else chance.choice([{"times": 1}, {"times": 3}, {"probability": 0.3}]))


def effects_of(entries: tuple[str, ...]) -> list[dict[str, Any]]:
    return [effect for entry in entries for effect in json.loads(entry)[3]]


def started(entries: tuple[str, ...]) -> list[str]:
    """Return the ids of the iterations that were started, in order."""
    return [effect["iteration"] for effect in effects_of(entries) if effect["kind"] == "iteration.started"]


def once_each(entries: tuple[str, ...], *, replaces: bool = False) -> Counter[str]:
    """Count what a task may do once; the second copy of one that replaces an iteration may do so once more."""
    found = effects_of(entries)
    kinds = Counter(effect["kind"] for effect in found if effect["kind"] in ONCE)
    # LaunchDarkly takes no two drafts: the second one discards the first.
    drafts = Counter({"iteration.created": 1, "iteration.discarded": -1})
    kinds["drafts"] = sum(drafts[effect["kind"]] for effect in found)
    if replaces and len(started(entries)) == 2:
        kinds.subtract(["iteration.started", "iteration.stopped", "drafts"])
    return kinds


def left_over(value: Any, earlier: str) -> Any:
    """Return a world without the ids and numbers of its things, and without what one copy started and the other ended.

    Args:
        value: The world, or a part of it.
        earlier: The world before the copies began, as text: it has the ids of all iterations that neither started.
    """
    if isinstance(value, dict):
        return {key: left_over(inner, earlier) for key, inner in value.items() if key not in NUMBERED}
    if not isinstance(value, list):
        return value
    return [left_over(inner, earlier) for inner in value if not replaced(inner, earlier)]


def replaced(value: Any, earlier: str) -> bool:
    if not isinstance(value, dict) or value.get("is") != "Iteration" or value["id"] in earlier:
        return False
    return bool(value["status"] == "stopped" and value["winning_treatment_id"] is None)


def count(record: Record, **counts: int) -> None:
    for name, value in counts.items():
        record(name, value)


def test_every_kind_of_fault_is_here() -> None:
    assert {fault["fault"] for fault in FAULTS} == set(get_args(FaultKind))
