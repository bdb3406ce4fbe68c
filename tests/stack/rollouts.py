"""Drives composed rollouts on a real Airflow: turns LaunchDarkly's clock while tasks wait, answers as a person does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from stack.airflow_stack import StackError
from stack.demo import FLAG, Polls

if TYPE_CHECKING:
    from stack.airflow_stack import AirflowStack
    from stack.demo import Emulator

# How far a turn takes the clock: a look is a day, and the ramp's change window is open for seven hours.
TURNS = {"wait": "P1D", "watch": "P1D", "window": "PT6H", "pause_wave_2": "P1D"}
# A window reads the clock alone, or with the experiment that it watches.
READS = {"get_experiment", "get_environment_release"}
CLOCK = {*READS, "get_caller_identity"}
POLLS = {"wait": READS, "watch": READS, "window": CLOCK, "pause_wave_2": CLOCK}
MINUTES = 15

# Airflow may fail a task that is answered before it has taken note of its asking, as one whose trigger fires too soon.
SECONDS_TO_THINK = 11.0


def make_true(emulator: Emulator, effect: float, people_per_day: int = 2_000) -> None:
    """A fresh world, on a Monday at six, in which the bold button changes the conversion by such a share."""
    emulator.reset("effect")
    now = datetime.fromisoformat(emulator.get("/__emulator__/clock")["now"])
    monday = now.replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(days=7 - now.weekday())
    emulator.set_clock(monday)
    snapshot = emulator.get("/__emulator__/snapshot")
    source = snapshot["world"]["projects"][FLAG[0]]["truths"][FLAG[2]]["source"]
    source["people_per_day"] = people_per_day
    source["metrics"]["checkout-conversion"]["effects"] = {"Bold": {"relative": effect}}
    emulator.load(snapshot)


class Rollout:
    """One DAG run of a rollout.

    Args:
        stack: The Airflow.
        emulator: The LaunchDarkly.
        dag_id: The DAG, which is triggered now. Whoever is asked approves.
        days: How far a turn takes the clock while a sensor looks. Each look costs a task's start; the days between
            have none.
    """

    def __init__(self, stack: AirflowStack, emulator: Emulator, dag_id: str, days: int = 1) -> None:
        self.stack, self.emulator, self.dag_id = stack, emulator, dag_id
        self.run_id = stack.trigger(dag_id)
        self.answered: dict[str, dict[str, Any]] = {}
        self._asked: dict[str, float] = {}
        self._waiting: dict[str, str] = {}
        self._polls = Polls()
        self.reads = 0
        self._turns = TURNS | dict.fromkeys(("wait", "watch"), f"P{days}D")

    def states(self) -> dict[str, str | None]:
        """The state of each task."""
        path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances"
        found = self.stack.call("GET", path, limit=200)["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def state(self) -> str:
        """The state of the run."""
        return self.stack.run_state(self.dag_id, self.run_id)

    def finish(self) -> dict[str, str | None]:
        """Let it run to its end; returns the state of each task."""
        return self.until(lambda _states: self.state() in {"success", "failed"})

    def until(
        self, happened: Callable[[dict[str, str | None]], bool], *, turning: bool = True
    ) -> dict[str, str | None]:
        """Turn the clock and answer, if `turning`, until something has happened; returns each task's state then."""
        deadline = time.monotonic() + MINUTES * 60
        while time.monotonic() < deadline:
            self.stack.check_alive()
            states = self.states()
            if happened(states):
                return self.states()
            if turning:
                self.step(states)
            time.sleep(0.7)
        states = self.states()
        logs = "".join(self._log_of(task) for task, state in states.items() if state in {"failed", "up_for_retry"})
        raise StackError(f"{self.dag_id} stands at {states} after {MINUTES} minutes; read {self.stack.home}{logs}")

    def _log_of(self, task_id: str) -> str:
        """The end of what the newest try of a task has logged."""
        tries = self.stack.task(self.dag_id, self.run_id, task_id)["try_number"]
        lines = self.stack.task_log(self.dag_id, self.run_id, task_id, tries)
        return "\n".join(["", f"{task_id}, try {tries}:", *lines[-20:]])

    def step(self, states: dict[str, str | None]) -> None:
        """Turn the clock if a task has waited for it, and answer what is asked."""
        self._turn([task for task, state in states.items() if state == "deferred"])
        self._reply([task for task, state in states.items() if state in {"awaiting_input", "deferred"}])

    def xcom(self, task_id: str) -> Any:
        """What a task returned."""
        return self.stack.xcom(self.dag_id, self.run_id, task_id)

    def patch_task(self, task_id: str, body: dict[str, Any]) -> None:
        """Do to a task what a person does in the UI."""
        self.stack.call("PATCH", f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task_id}", body)

    def clear(self, *task_ids: str) -> None:
        """Clear tasks, as the UI does it."""
        body = {
            "dag_run_id": self.run_id,
            "task_ids": list(task_ids),
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.stack.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    def take_reads(self) -> list[dict[str, Any]]:
        """Return what was read in LaunchDarkly since the last time, and count it."""
        reads = self.emulator.new_reads()
        self.reads += len(reads)
        return reads

    def _turn(self, waiting: list[str]) -> None:
        """Turn the clock once everything that tasks wait for was polled twice at this instant."""
        tasks = {name: kind for name in waiting if (kind := name.split(".")[-1]) in TURNS}
        reads = self.take_reads()
        if not tasks or tasks != self._waiting:
            # What was read before they waited is not their own.
            self._waiting = tasks
            self._polls.forget()
            return
        self._polls.add(reads, set().union(*(POLLS[kind] for kind in tasks.values())))
        if self._polls.twice() >= len(tasks):
            self._polls.forget()
            self.emulator.advance(self._turns[next(iter(tasks.values()))])

    def _reply(self, waiting: list[str]) -> None:
        for task in waiting:
            if not task.endswith(".approve") or task in self.answered:
                continue
            if time.monotonic() - self._asked.setdefault(task, time.monotonic()) > SECONDS_TO_THINK:
                path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task}/-1/hitlDetails"
                self.answered[task] = self.stack.call("GET", path)
                self.stack.call("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})
