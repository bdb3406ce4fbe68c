"""The base of the triggers on one pinned iteration, and what ``on_kill`` does to the iteration.

By default, nothing. With ``rollback`` the trigger stops the iteration on the baseline. This is the only write that no
worker does: if a task is marked failed while it waits in the triggerer, Airflow starts no worker for it any more. So a
DAG has to ask for it, and it happens only if the task's state confirms that a person marked the task failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import sync_to_async
from typing_extensions import override

from airflow_provider_launchdarkly.api.writes import BASELINE, stop_iteration
from airflow_provider_launchdarkly.checks.arguments import LEAVE, ROLLBACK
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.hooks.unbroken import unbroken
from airflow_provider_launchdarkly.triggers._arguments import Argument, one_of, text
from airflow_provider_launchdarkly.triggers._base import PollingTrigger
from airflow_provider_launchdarkly.triggers._sharing import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

# The state of a task that was marked failed, alone or with its run. No other state concerns the experiment.
MARKED_FAILED = "failed"


class IterationTrigger(PollingTrigger):
    """Base of the triggers on an iteration.

    Args:
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        when_killed: ``rollback`` stops the iteration on the baseline if a person marks the task failed; ``leave`` does
            nothing.
        kwargs: See :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "experiment_key": Argument(text),
        "iteration_id": Argument(text),
        "when_killed": Argument(one_of(LEAVE, ROLLBACK), LEAVE),
    }
    not_for_the_check: ClassVar[frozenset[str]] = PollingTrigger.not_for_the_check | {"when_killed"}
    experiment_key: str
    iteration_id: str
    when_killed: str

    def target(self, hook: LaunchDarklyHook) -> Target:
        """Return the pinned iteration."""
        return Target(hook.environment(), self.experiment_key, self.iteration_id)

    @override
    def shares_reading_of(self, hook: LaunchDarklyHook) -> tuple[Place, str] | None:
        """Return the experiment of the iteration."""
        return Place(hook.environment()), self.experiment_key

    @override
    async def on_kill(self) -> None:
        """Stop the iteration on the baseline, if the DAG asked for that and a person has marked the task failed.

        Airflow 3.3 and later call this, also if no person ended the task: for instance in a triggerer that was paused
        and lost the trigger to another one. So the task's state decides; if it cannot be read, nothing is done. Safe to
        repeat: the iteration is pinned, and a stopped one is left alone. If the stop fails, the task's log says so, and
        the experiment runs on.
        """
        if self.when_killed != ROLLBACK:
            return
        # Airflow 3.3.2 cancels the trigger again each second while this runs, which would interrupt the work.
        await unbroken(self._roll_back_or_say_why_not())

    async def _roll_back_or_say_why_not(self) -> None:
        try:
            await self._roll_back()
        except Exception as error:  # noqa: BLE001 - Airflow has let go of the trigger, so no one else would log it
            self.warn("Not stopped, the experiment runs on: %s: %s", type(error).__name__, error)

    async def _roll_back(self) -> None:
        ti = self.task_instance
        state = await sync_to_async(_state_of)(ti) if ti else None
        if ti is None or state != MARKED_FAILED:
            self.say("The experiment runs on: the task is %s, not marked failed.", state)
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
            announce=lambda effect: self.say("%s", effect),
        )
        await hook.arun(stop)
        self.say("Stopped iteration %s on the baseline.", self.iteration_id)


def _state_of(ti: Any) -> str | None:
    """Return the task's state in Airflow's database; None if the task is gone. Runs in a thread."""
    # This import takes seconds, and only a trigger that is ended needs it.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, Any] = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    # The key of a mapped task holds its id and its index; asked for by both, it is the only entry.
    return next((str(state) for state in states.get(ti.run_id, {}).values()), None)
