"""Tells that a run ended by the ``dagrun_timeout`` of its DAG, so that nobody watches its rollout any more.

Airflow then skips all tasks that have not run, teardowns included. It calls the ``on_failure_callback`` of the DAG in
the DAG processor, where XComs, states of tasks and connections can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import BaseNotifier
from typing_extensions import override

from airflow_provider_launchdarkly.rollout.endings import LaunchDarklyUnwatchedOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

# The reason of Airflow's callback; that of a run whose task failed is another one, and its tasks have told it.
TIMED_OUT = "timed_out"


class LaunchDarklyTimedOutNotifier(BaseNotifier):
    """Tell of the event ``unwatched``, as the task `unwatched` would have, if the run has timed out. Internal.

    For ``on_failure_callback`` of a DAG. It tells of each rollout in it that had started something and came to no
    ending, but of none in a mapped task group. It never raises: the DAG processor's log says what went wrong.
    """

    @override
    def notify(self, context: Context) -> None:
        """Tell, if the run has timed out."""
        if context.get("reason") != TIMED_OUT:
            return
        for task in context["dag"].tasks:
            if isinstance(task, LaunchDarklyUnwatchedOperator) and task.get_closest_mapped_task_group() is None:
                try:
                    self._tell(task, context)
                except Exception as error:  # noqa: BLE001 - telling is best effort, whatever a context holds
                    self.log.warning("Not told: unwatched: %s: %s", type(error).__name__, error)

    def _tell(self, task: LaunchDarklyUnwatchedOperator, context: Context) -> None:
        ti: Any = context["ti"]
        found = task.left_by_a_run_that_timed_out(cast("Context", {**context, "ti": _Unmapped(ti, task)}))
        if found is None:
            return
        self.log.error("%s", found.last_line)
        output = {"event": "unwatched", **found.to_json()}
        told = cast("Context", {**context, "ti": _Unmapped(ti, task, output), "task_instance": ti, "task": task})
        for notifier in cast("list[Any]", task.on_failure_callback or []):
            notifier(told)


class _Unmapped:
    """The task instance of Airflow's callback, as if it was that of the task that tells.

    Args:
        ti: Airflow's: that of some task of the run.
        task: The task that tells.
        output: What it would have returned.
    """

    map_index = -1

    def __init__(self, ti: Any, task: Any, output: Mapping[str, Any] | None = None) -> None:
        self._ti, self.task, self.task_id, self._output = ti, task, task.task_id, output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ti, name)

    def xcom_pull(self, task_ids: str, **how: Any) -> Any:
        """Return what a task of the run has returned."""
        if task_ids == self.task_id:
            return self._output
        return self._ti.xcom_pull(task_ids=task_ids, **{**how, "map_indexes": self.map_index})
