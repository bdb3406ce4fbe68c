"""Lets a rollout run to its end while its stack is under attack, and holds what was done against the promise."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx

from chaos.faults import Blow
from stack.airflow_stack import StackError
from stack.rollouts import Rollout

if TYPE_CHECKING:
    from stack.demo import Emulator

MINUTES = 20
RECOVERY = "recovery"
ENDED = {"success", "failed"}
ENDINGS = {"ship": "Bold", "rollback": "Classic", "inconclusive": "Classic"}
AWAY = (StackError, httpx.HTTPError)


def endure(run: Rollout, blows: Sequence[Blow], minutes: float = MINUTES) -> dict[str, str | None]:
    """Drive a rollout to its end by itself: turn the clock, answer, and strike each blow when it is due.

    Args:
        run: The rollout.
        blows: What happens to the stack meanwhile; one at a time.
        minutes: How long it may take.

    Returns:
        The state of each task.

    Raises:
        AssertionError: It never came to the point of a blow.
        StackError: It did not end in time.
    """
    begun = time.monotonic()
    left = list(blows)
    states: dict[str, str | None] = {}
    while time.monotonic() - begun < minutes * 60:
        try:
            run.stack.start_what_ended()
            states = run.states()
            for blow in blows:
                blow.watch(progress(run, states))
            if run.state() in ENDED:
                missed = [str(blow) for blow in left if blow.point]
                assert not missed, f"the rollout ended before: {missed}"
                return states
            due = next((blow for blow in left if blow.is_due(states, time.monotonic() - begun)), None)
            if due is not None and due.strike(run):
                left.remove(due)
                run.take_reads()
                due.watch(progress(run, states))
            run.step(states)
        except AWAY:  # the API server or its database is not there
            time.sleep(0.5)
        time.sleep(0.2)
    raise StackError(f"{run.dag_id} stands at {states} after {minutes} minutes; read {run.stack.home}")


def progress(run: Rollout, states: dict[str, str | None]) -> tuple[Any, ...]:
    """What changes when a rollout goes on: the tasks that have succeeded, and what it has read in LaunchDarkly."""
    return (sum(state == "success" for state in states.values()), run.reads)


def effects(emulator: Emulator) -> Counter[str]:
    """How often each kind of effect was seen in LaunchDarkly."""
    return Counter(effect["kind"] for change in emulator.changes() for effect in change["effects"])


def assert_it_ended_once(run: Rollout, emulator: Emulator, ending: str, stages: int) -> None:
    """Hold what was done to LaunchDarkly against what an undisturbed rollout does.

    Args:
        run: The rollout.
        emulator: The LaunchDarkly.
        ending: The right ending.
        stages: The number of stages that the rollout went through.
    """
    states = run.states()
    assert run.state() == "success", states
    assert states[f"rollout.{ending}"] == "success", states
    assert [name for name in ENDINGS if states[f"rollout.{name}"] == "success"] == [ending]
    verdict = run.xcom("rollout.verdict")
    assert verdict["ending"] == ending
    assert emulator.served() == f"on, everyone gets {ENDINGS[ending]}"
    seen = effects(emulator)
    for kind, times in {
        "experiment.created": 1,
        "iteration.created": stages,
        "iteration.started": stages,
        "iteration.stopped": stages,
    }.items():
        assert seen[kind] == times, seen
    left = {"running", "queued", "scheduled", "deferred", "up_for_retry", "awaiting_input"}
    assert {task: state for task, state in states.items() if state in left} == {}
