"""The part of a rollout that is watched for harm while a person is asked or the change window is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.steps import Entered, TasksBefore
    from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration


def watched_meanwhile(
    rollout: Rollout, entered: Entered, poll_interval: float | None, before: TasksBefore
) -> WatchedIteration | None:
    """Return the iteration that runs while a step is waited for, with the policy of its stage.

    Args:
        rollout: The rollout.
        entered: What the step follows on.
        poll_interval: Seconds between two polls. Default: ``[launchdarkly] poll_interval``.
        before: The tasks before the step.

    Returns:
        None before the first stage, since nothing runs then, and where `watch_while_waiting` is off.
    """
    if entered.verdict is None or not rollout.watch_while_waiting:
        return None
    # Imported here, as everything that only a running task needs.
    from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration

    stage = entered.stage or 0
    watch = before.stages[stage][1] if stage < len(before.stages) else None
    return WatchedIteration(
        entered.verdict,
        rollout.policy_of(stage, extended=entered.extended).to_json(),
        None if rollout.results is None else rollout.results.to_json(),
        rollout.connection,
        poll_interval,
        rollout.on_kill.value,
        before.extension if entered.extended else watch,
    )
