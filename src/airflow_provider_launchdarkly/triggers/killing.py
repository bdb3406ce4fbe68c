"""What becomes of an experiment when a person ends the task that waits for it: nothing, or back to the baseline.

The one write that no worker does: for a task that waits in the triggerer, and is marked failed there, Airflow starts no
worker any more. So it is asked for by name, and made only when the task's state says that it was meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_provider_launchdarkly.api.lifecycle import BASELINE, stop_iteration
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.triggers.polling import PollingTrigger

# Marked failed, by itself or with its run. Cleared, succeeded or deleted says nothing against the experiment.
_MEANT = "failed"


async def roll_back(trigger: PollingTrigger, experiment_key: str, iteration_id: str) -> None:
    """Stop the trigger's iteration on the baseline, if a person has marked its task failed.

    Airflow also calls ``on_kill`` where nobody killed anything, for instance in a triggerer that has lost the trigger
    to another one while it was paused. So the task's state decides; where it cannot be read, nothing is done. Safe to
    repeat: the iteration is pinned, and one that is stopped already, or not running, is left alone.

    Args:
        trigger: The trigger that Airflow ends.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.

    Raises:
        LaunchDarklyError: It could not be stopped; Airflow logs it, and the experiment goes on.
    """
    ti = trigger.task_instance
    state = await _state_of(ti) if ti else None
    if ti is None or state != _MEANT:
        trigger.log.info("The task is %s, not marked failed: the experiment goes on.", state)
        return
    hook = LaunchDarklyHook(trigger.launchdarkly_conn_id, trigger.project_key, trigger.environment_key)
    who = f"{ti.dag_id}.{ti.task_id}, run {ti.run_id}"
    stopped = await hook.arun(
        stop_iteration(
            hook.environment(),
            experiment_key,
            iteration_id,
            winner=BASELINE,
            reason=f"{who}, was marked failed while it waited",
            comment=f"Airflow: {who}",
            announce=lambda plan: trigger.log.info("%s", plan),
        )
    )
    trigger.log.info("Stopped iteration %s on the baseline.", stopped.iteration.id)


async def _state_of(ti: Any) -> str | None:
    """The state of a task, as Airflow's database has it now; None if the task is gone."""
    # Only a process that runs tasks or triggers has it, and only a trigger that is ended needs it.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, Any] = await sync_to_async(RuntimeTaskInstance.get_task_states)(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    # A mapped task stands there under its id and index; asked for by both, it is the only one.
    return next((str(state) for state in states.get(ti.run_id, {}).values()), None)
