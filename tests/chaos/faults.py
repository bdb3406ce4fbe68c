"""Blows: a part of a stack is killed or frozen at a named point of a rollout, or after some seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from chaos.stacks import LocalStack
from stack.airflow_stack import StackError
from stack.rollouts import Rollout

if TYPE_CHECKING:
    from collections.abc import Mapping

# How long a part is away.
SECONDS_AWAY = 5.0
WORKS = {"running"}
WAITS = {"deferred"}
POINTS: Mapping[str, tuple[str, set[str]]] = {
    "it starts": ("rollout.stage_1.start", WORKS),
    "it waits in the first stage": ("rollout.stage_1.watch", WAITS),
    "it starts the next iteration": ("rollout.stage_2.start", WORKS),
    "it waits in the next stage": ("rollout.stage_2.watch", WAITS),
    "it asks a person": ("rollout.before_ship.approve", {"deferred", "awaiting_input"}),
    "it ships": ("rollout.ship", WORKS),
    "it rolls back": ("rollout.rollback", WORKS),
}
"""A point of a rollout, by the task and the states in which it is seen there. Late answers make each last."""


@dataclass(slots=True)
class Blow:
    """What happens to a part of a stack.

    Attributes:
        part: One of the stack's ``parts``.
        how: ``kill`` (SIGKILL, and started again) or ``freeze`` (SIGSTOP and SIGCONT).
        point: One of :data:`POINTS`; None means at ``at``.
        at: Seconds after the start of the rollout.
        begun: When it happened.
        recovered: Seconds until the rollout went on.
    """

    part: str
    how: str
    point: str | None = None
    at: float = 0.0
    begun: float | None = None
    recovered: float | None = None
    _seen: tuple[Any, ...] = field(default=(), repr=False)

    def is_due(self, states: Mapping[str, str | None], seconds: float) -> bool:
        """Return whether the rollout has come to the point."""
        if self.point is None:
            return seconds >= self.at
        task, wanted = POINTS[self.point]
        return states.get(task) in wanted

    def strike(self, run: Rollout) -> bool:
        """Do it. False if there was nothing to hit: the task had ended by then."""
        stack = run.stack
        assert isinstance(stack, LocalStack)
        service = self.part not in {"task", "worker"}
        pids = stack.processes_of(self.part) if service else self._processes_of_a_task(run, stack)
        if not pids:
            return False
        self.begun = time.monotonic()
        if self.how == "freeze":
            send(pids, signal.SIGSTOP)
            time.sleep(SECONDS_AWAY)
            send(pids, signal.SIGCONT)
        elif service:
            stack.kill_service(self.part)
            time.sleep(SECONDS_AWAY)
            stack.start_service(self.part)
        else:
            send(pids, signal.SIGKILL)
        return True

    def watch(self, progress: tuple[Any, ...]) -> None:
        """Note when the rollout first goes on after the blow.

        Args:
            progress: What changes when it goes on.
        """
        if self.begun is None or self.recovered is not None:
            return
        self._seen = self._seen or progress
        if progress != self._seen:
            self.recovered = time.monotonic() - self.begun

    def _processes_of_a_task(self, run: Rollout, stack: LocalStack) -> list[int]:
        with contextlib.suppress(StackError, OSError):
            path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
            tasks = stack.call("GET", path, state="running")["task_instances"]
            pids = [task["pid"] for task in tasks if task["pid"]]
            if pids:
                return [pids[0]] if self.part == "task" else stack.workers_of(pids[0])
        return []

    @override
    def __str__(self) -> str:
        when = f"when {self.point}" if self.point else f"after {self.at:.0f} s"
        after = "not before its end" if self.recovered is None else f"after {self.recovered:.1f} s"
        return f"{self.how} {self.part} {when}: it went on {after}"


def send(pids: list[int], number: int) -> None:
    """Send a signal to processes, those that are gone left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
