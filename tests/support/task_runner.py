"""Runs a DAG's tasks in one process, in order, with Airflow's trigger rules: a scheduler that a test has in its hand.

No database, no processes: a test decides when a task crashes, is repeated, or is answered by a person, and turns the
clock while a task waits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError

if TYPE_CHECKING:
    from airflow.sdk import DAG

FAILED = {"failed", "upstream_failed"}
Answer = Callable[[str], Mapping[str, Any] | None]


def withheld(rule: str, above: list[str]) -> str | None:
    """Return the state of a task that its trigger rule keeps from running, by the states of the tasks before it."""
    if rule in {"all_done", "all_done_setup_success"}:
        return None
    if rule == "one_success":
        return None if "success" in above else "skipped"
    if any(state in FAILED for state in above):
        return "upstream_failed"
    return "skipped" if rule == "all_success" and "skipped" in above else None


class TaskRunner:
    """One run of a DAG.

    Args:
        dag: The DAG.
        wait: Called while a sensor waits, with its task id; turns the clock.
        answer: Called for a human-in-the-loop task, with its id; gives the payload that Airflow would.
        crash: Called after each execution with the task id; true throws the result away and executes it again.
    """

    def __init__(
        self,
        dag: DAG,
        *,
        wait: Callable[[str], None],
        answer: Answer = lambda _task: None,
        crash: Callable[[str], bool] = lambda _task: False,
    ) -> None:
        self.dag = dag
        self.states: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.ran: list[str] = []
        self.bodies: dict[str, str] = {}
        # The arguments of the trigger that a task waited for last.
        self.waiting: dict[str, dict[str, Any]] = {}
        self._wait, self._answer, self._crash = wait, answer, crash

    def run(self) -> TaskRunner:
        for task in self.dag.topological_sort():
            self.states[task.task_id] = self._run_one(task)
        return self

    def again(self, task_id: str) -> str:
        """Run a task once more, as after a clear; return its state."""
        self.states[task_id] = self._run_one(self.dag.get_task(task_id))
        return self.states[task_id]

    def again_from(self, task_id: str) -> TaskRunner:
        """Run a task and all that follows it once more, as after a clear with its downstream tasks."""
        cleared = {task_id, *(task.task_id for task in self.dag.get_task(task_id).get_flat_relatives(upstream=False))}
        order = [task.task_id for task in self.dag.topological_sort() if task.task_id in cleared]
        for name in order:
            self.states.pop(name, None)
        for name in order:
            self.again(name)
        return self

    def output(self, task_id: str) -> Any:
        return self.xcoms.get((task_id, "return_value"))

    def succeeded(self, *task_ids: str) -> list[str]:
        return [task_id for task_id in task_ids if self.states.get(task_id) == "success"]

    def _run_one(self, task: Any) -> str:
        above = [self.states[task_id] for task_id in task.upstream_task_ids]
        if state := withheld(task.trigger_rule, above):
            return state
        self.ran.append(task.task_id)
        while True:
            state = self._execute(task)
            if not self._crash(task.task_id):
                return state

    def _execute(self, original: Any) -> str:
        # What a task has left outlives a clear until the task runs again, as in Airflow.
        self.xcoms = {key: value for key, value in self.xcoms.items() if key[0] != original.task_id}
        task = copy.copy(original)
        context = self._context(task)
        try:
            task.render_template_fields(context)
            result = self._result(task, context)
        except AirflowSkipException as skip:
            self.reasons[task.task_id] = str(skip)
            return "skipped"
        except (AirflowFailException, LaunchDarklyError) as error:
            self.reasons[task.task_id] = str(error)
            return "failed"
        self._push(task, result)
        return "success"

    def _result(self, task: Any, context: Any) -> Any:
        from airflow.providers.standard.operators.hitl import HITLOperator

        if isinstance(task, HITLOperator):
            # All that comes before the asking is the task's own.
            def ask(asking: Any, _context: Any) -> Any:
                self.bodies[asking.task_id] = asking.body
                return self._answer(asking.task_id)

            with mock.patch.object(HITLOperator, "execute", ask):
                return task.execute(context)
        while True:
            try:
                return task.execute(context)
            except TaskDeferred as deferred:
                self.waiting[task.task_id] = dict(deferred.trigger.serialize()[1])
                self._wait(task.task_id)

    def _push(self, task: Any, result: Any) -> None:
        if result is None:
            return
        self.xcoms[task.task_id, "return_value"] = result
        if getattr(task, "multiple_outputs", False):
            self.xcoms.update({(task.task_id, key): value for key, value in result.items()})

    def _context(self, task: Any) -> Any:
        def pull(*, task_ids: str, key: str = "return_value", default: Any = None, **_: Any) -> Any:
            return self.xcoms.get((task_ids, key), default)

        def push(key: str, value: Any) -> None:
            self.xcoms[task.task_id, key] = value

        ti = SimpleNamespace(
            dag_id=self.dag.dag_id,
            task_id=task.task_id,
            task=task,
            run_id="run",
            map_index=-1,
            try_number=1,
            xcom_pull=pull,
            get_task_states=lambda *, task_ids, run_ids, **_: {
                run_id: {name: self.states[name] for name in task_ids if name in self.states} for run_id in run_ids
            },
            xcom_push=push,
        )
        return {"ti": ti, "task_instance": ti, "task": task, "dag": self.dag, "params": {}, "run_id": "run"}
