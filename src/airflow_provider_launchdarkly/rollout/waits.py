"""The waiting tasks of a rollout that are skipped if their step is not the next one: change window and extension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.rollout.spec import Rollout, plain
from airflow_provider_launchdarkly.rollout.steps import (
    Entered,
    TasksBefore,
    entered_ship,
    entered_stage,
    failed_without_output,
)
from airflow_provider_launchdarkly.rollout.watching import watched_meanwhile
from airflow_provider_launchdarkly.sensors._ended_wait import verdict_that_ended
from airflow_provider_launchdarkly.sensors.change_window import LaunchDarklyChangeWindowSensor
from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration


class LaunchDarklyRolloutWindowSensor(LaunchDarklyChangeWindowSensor):
    """Wait for the change window, if what waits for it is the next step; else skip. Internal.

    The iteration that runs meanwhile is watched for harm. If harm has closed the question before, nothing is awaited.

    Args:
        rollout: The rollout.
        before: The tasks before it.
        number: The number of the stage that starts after it, from 0; None for shipping.
        kwargs: As for its base class.
    """

    def __init__(
        self, *, rollout: Rollout | Mapping[str, Any], before: TasksBefore, number: int | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = plain(rollout)
        self.before = before
        self.number = number

    @override
    def execute(self, context: Context) -> Any:
        """Wait, or skip."""
        self._entered(Rollout.from_json(self.rollout), context)
        if verdict_that_ended(self.question):
            self.say("The window is not awaited: harm closed the question.")
            return {"opened": None}
        return super().execute(context)

    @override
    def watched(self, context: Context) -> WatchedIteration | None:
        """Return the iteration that runs meanwhile; None watches nothing."""
        rollout = Rollout.from_json(self.rollout)
        return watched_meanwhile(rollout, self._entered(rollout, context), self.poke_interval, self.before)

    def _entered(self, rollout: Rollout, context: Context) -> Entered:
        if self.number is None:
            return entered_ship(rollout, self.before, context)
        return entered_stage(rollout, self.number, self.before, context)


class LaunchDarklyWatchExtensionSensor(LaunchDarklyWaitForSignificanceSensor):
    """Watch the extended last stage, if it is extended; else skip. Internal.

    Args:
        rollout: The rollout.
        before: The tasks before it.
        kwargs: As for its base class.
    """

    def __init__(self, *, rollout: Rollout | Mapping[str, Any], before: TasksBefore, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = plain(rollout)
        self.before = before

    @override
    def execute(self, context: Context) -> Any:
        """Watch, or skip."""
        from airflow_provider_launchdarkly.rollout.state_machine import extends_now

        with fail_unless_retryable(), failed_without_output():
            if not extends_now(Rollout.from_json(self.rollout), self.before.outputs(context)):
                raise AirflowSkipException("the last stage is not extended")
        return super().execute(context)
