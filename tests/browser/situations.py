"""Drives seven rollouts side by side, each to the situation in which people look at it, and leaves them there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from stack.airflow_stack import StackError
from stack.demo import Emulator
from stack.rollouts import Rollout, make_true

if TYPE_CHECKING:
    from pathlib import Path

    from stack.airflow_stack import AirflowStack

States = dict[str, str | None]
MINUTES = 15
AT_ONCE = 4
WATCHING = ("wait", "watch")


@dataclass(frozen=True)
class Situation:
    """Where a rollout is to stand.

    Attributes:
        dag_id: The DAG; also the name of its account's connection, but for the example.
        effect: Share by which the bold button changes the conversion.
        lasts: Days from the first Monday until it stands there, by LaunchDarkly's clock. So that the pages show times
            around today, the clock begins so many days before today, rounded to whole weeks.
        ahead: Whether what it waits for is to come by LaunchDarkly's clock: then that is up to a week ahead.
        reached: Whether it stands there.
        people_per_day: How many people there are.
        gone: Whether LaunchDarkly's results go away once its second stage is watched.
    """

    dag_id: str
    effect: float
    lasts: int
    reached: Callable[[Driven, States], bool]
    people_per_day: int = 4_000
    gone: bool = False
    ahead: bool = False

    @property
    def connection(self) -> str:
        return "launchdarkly_default" if self.dag_id == "staged_ramp" else self.dag_id

    @property
    def monday(self) -> datetime:
        """The Monday on which its story begins."""
        today = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)
        latest = today - timedelta(days=self.lasts) + timedelta(days=7 if self.ahead else 0)
        return latest - timedelta(days=latest.weekday())


class Driven:
    """One rollout on its way to its situation."""

    def __init__(self, stack: AirflowStack, emulator: Emulator, situation: Situation) -> None:
        self.situation = situation
        self.emulator = emulator
        make_true(emulator, situation.effect, situation.people_per_day)
        self.run = Rollout(stack, emulator, situation.dag_id)
        self._seen: dict[str, datetime] = {}
        self._gone = False

    def now(self) -> datetime:
        """LaunchDarkly's time."""
        return datetime.fromisoformat(self.emulator.get("/__emulator__/clock")["now"])

    def watched_for(self, states: States, stage: int, days: int) -> bool:
        """Whether a stage has been watched for so many days."""
        # A rollout of one stage has no groups for stages.
        names = [name for name in waiting(states, *WATCHING) if f"stage_{stage}." in name or "stage_" not in name]
        task = names[0] if names else None
        if task is None:
            return False
        return self.now() - self._seen.setdefault(task, self.now()) >= timedelta(days=days)

    def step(self) -> bool:
        """Go on by a step; returns whether it stands where it is to."""
        states = self.run.states()
        if self.situation.reached(self, states):
            return True
        if self.situation.gone and not self._gone and self.watched_for(states, 2, 2):
            self.emulator.set_switch("results", "gone")
            self._gone = True
        self.run.step(states)
        return False


def waiting(states: States, *kinds: str) -> list[str]:
    """The deferred tasks whose last name is one of these."""
    return [task for task, state in states.items() if state == "deferred" and task.split(".")[-1] in kinds]


def asked(_driven: Driven, states: States) -> bool:
    return any(task.endswith(".approve") and state in {"awaiting_input", "deferred"} for task, state in states.items())


def ended(driven: Driven, _states: States) -> bool:
    return driven.run.state() in {"success", "failed"}


def window_closed(_driven: Driven, states: States) -> bool:
    return any("stage_2." in task for task in waiting(states, "window"))


# Those that take longest come first, so that none is left alone at the end.
SITUATIONS = (
    Situation("awaiting_approval", 0.1, 8, asked),
    Situation("results_gone", 0.075, 11, ended, gone=True),
    Situation("shipped", 0.1, 15, ended),
    Situation("harmed", -0.3, 10, ended),
    Situation("staged_ramp", 0.075, 5, lambda driven, states: driven.watched_for(states, 2, 2), ahead=True),
    Situation("awaiting_window", 0.075, 3, window_closed, ahead=True),
    Situation("attacking", 0.075, 2, lambda driven, states: driven.watched_for(states, 1, 2)),
)


@contextmanager
def accounts(folder: Path) -> Iterator[dict[str, Emulator]]:
    """A LaunchDarkly of its own for each situation, its clock standing still."""
    running: dict[str, Emulator] = {}
    try:
        for situation in SITUATIONS:
            start = (situation.monday - timedelta(days=3)).isoformat()
            log = folder / f"{situation.dag_id}.log"
            running[situation.dag_id] = Emulator("effect", 42, log, options=("--clock-start", start))
        yield running
    finally:
        for emulator in running.values():
            emulator.stop()


def drive(stack: AirflowStack, emulators: dict[str, Emulator]) -> dict[str, Driven]:
    """Let every rollout come to its situation, a few at a time; returns them by DAG."""
    ahead = list(SITUATIONS)
    driven: dict[str, Driven] = {}
    under_way: list[Driven] = []
    deadline = time.monotonic() + MINUTES * 60
    while ahead or under_way:
        stack.check_alive()
        if time.monotonic() > deadline:
            standing = {each.situation.dag_id: each.run.states() for each in under_way}
            raise StackError(f"after {MINUTES} minutes these are still on their way: {standing}; read {stack.home}")
        while ahead and len(under_way) < AT_ONCE:
            situation = ahead.pop(0)
            driven[situation.dag_id] = Driven(stack, emulators[situation.dag_id], situation)
            under_way.append(driven[situation.dag_id])
        under_way = [each for each in under_way if not each.step()]
        time.sleep(0.2)
    return driven
