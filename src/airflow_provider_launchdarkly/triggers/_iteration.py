"""What the triggers on one pinned iteration share: which one it is, and what becomes of it when a person ends the task.

Nothing becomes of it, or it goes back to the baseline: the one write that no worker does. For a task that waits in the
triggerer and is marked failed there, Airflow starts no worker any more. So it is asked for by name, and made only when
the task's state says that it was meant.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import sync_to_async
from typing_extensions import override

from airflow_provider_launchdarkly.api.writes import BASELINE, stop_iteration
from airflow_provider_launchdarkly.checks.arguments import LEAVE, ROLLBACK
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._arguments import Argument, one_of, text
from airflow_provider_launchdarkly.triggers._base import PollingTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

# The event loop itself keeps no work alive.
_UNDER_WAY: set[asyncio.Task[None]] = set()

# Marked failed, by itself or with its run. Cleared, succeeded or deleted says nothing against the experiment.
MARKED_FAILED = "failed"


class IterationTrigger(PollingTrigger):
    """What the triggers on an iteration share.

    Args:
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        when_killed: ``rollback`` stops the iteration on the baseline when a person marks the task failed; ``leave``
            does nothing.
        kwargs: What all triggers have, see :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "experiment_key": Argument(text),
        "iteration_id": Argument(text),
        "when_killed": Argument(one_of(LEAVE, ROLLBACK), LEAVE),
    }
    experiment_key: str
    iteration_id: str
    when_killed: str

    @override
    async def on_kill(self) -> None:
        """Stop the iteration on the baseline, if that was asked for and a person has marked the task failed.

        Called by Airflow 3.3 and later, and there also where nobody killed anything, for instance in a triggerer that
        has lost the trigger to another one while it was paused. So the task's state decides; where it cannot be read,
        nothing is done. Safe to repeat: the iteration is pinned, and one that is stopped already is left alone. If it
        cannot be stopped, the task's log says so, and the experiment goes on.
        """
        if self.when_killed != ROLLBACK:
            return
        # Airflow 3.3.2 cancels the trigger again each second while this runs, which would end the work half done.
        work = asyncio.create_task(self._roll_back_or_say_why_not())
        _UNDER_WAY.add(work)
        work.add_done_callback(_UNDER_WAY.discard)
        await asyncio.shield(work)

    async def _roll_back_or_say_why_not(self) -> None:
        try:
            await self._roll_back()
        except Exception as error:  # noqa: BLE001 - nobody else hears of it: Airflow has let go of the trigger
            self.log.error("Not stopped, the experiment goes on: %s: %s", type(error).__name__, error)  # noqa: TRY400

    async def _roll_back(self) -> None:
        ti = self.task_instance
        state = await sync_to_async(_state_of)(ti) if ti else None
        if ti is None or state != MARKED_FAILED:
            self.log.info("The task is %s, not marked failed: the experiment goes on.", state)
            return
        self.check()
        who = f"{ti.dag_id}.{ti.task_id}, run {ti.run_id}"
        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        stop = stop_iteration(
            hook.environment(),
            self.experiment_key,
            self.iteration_id,
            winner=BASELINE,
            reason=f"{who}, was marked failed while it waited",
            comment=f"Airflow: {who}",
            announce=lambda plan: self.log.info("%s", plan),
        )
        await hook.arun(stop)
        self.log.info("Stopped iteration %s on the baseline.", self.iteration_id)


def _state_of(ti: Any) -> str | None:
    """The state of a task, as Airflow's database has it now; None if the task is gone. Runs beside the event loop."""
    # Takes seconds to import, and only a trigger that is ended needs it.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, Any] = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    # A mapped task stands there under its id and index; asked for by both, it is the only one.
    return next((str(state) for state in states.get(ti.run_id, {}).values()), None)
