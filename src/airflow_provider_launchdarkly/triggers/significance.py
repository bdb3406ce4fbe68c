"""Waits in the triggerer for an experiment's verdict: sleep, look, decide. Reads only, holds no secret.

What one look is, and when one is due, is ``results.look``'s: the sensor's poke runs the very same procedure.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.decision import Policy
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.results.look import Target, take_look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

# A trigger that fires within about ten seconds of its deferral can get its task failed by the scheduler, which may
# see the resumed task before the executor's report that the deferring process has ended
# (https://github.com/apache/airflow/issues/71580).
SECONDS_BEFORE_FIRST_POLL = 10.0

# Each failed poll has spent the client's own retry budget already.
MOST_FAILURES_IN_A_ROW = 10

VERDICT = "verdict"
ERROR = "error"


class SignificanceTrigger(BaseTrigger):
    """Fire once, with the verdict on one iteration, or with the error that ends the waiting.

    Safe to run twice, or to be taken over by another triggerer: it derives everything from its arguments, from
    LaunchDarkly's clock and from the results there.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        project_key: Project of the experiment.
        environment_key: Environment of the experiment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        policy: A :class:`~airflow_provider_launchdarkly.decision.Policy` as plain JSON.
        poll_interval: Seconds between two polls.
    """

    def __init__(
        self,
        *,
        launchdarkly_conn_id: str,
        project_key: str,
        environment_key: str,
        experiment_key: str,
        iteration_id: str,
        policy: Mapping[str, Any],
        poll_interval: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.project_key = project_key
        self.environment_key = environment_key
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.policy = dict(policy)
        self.poll_interval = poll_interval

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class and its arguments, as plain JSON."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "launchdarkly_conn_id": self.launchdarkly_conn_id,
                "project_key": self.project_key,
                "environment_key": self.environment_key,
                "experiment_key": self.experiment_key,
                "iteration_id": self.iteration_id,
                "policy": self.policy,
                "poll_interval": self.poll_interval,
            },
        )

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is a verdict; yield one event and end."""
        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        policy = Policy.from_json(self.policy)
        target = Target(hook.environment(), self.experiment_key, self.iteration_id)
        previous: timedelta | None = None
        failures = 0
        delay = max(self.poll_interval, SECONDS_BEFORE_FIRST_POLL)
        while True:
            await asyncio.sleep(delay)
            # Sensors that start together drift apart, so that they do not poll together for weeks.
            delay = self.poll_interval * random.uniform(0.9, 1.0)  # noqa: S311
            try:
                look = await hook.arun(
                    take_look(target, policy, previous=previous, poll_interval=timedelta(seconds=self.poll_interval))
                )
            except LaunchDarklyError as error:
                failures += 1
                if not error.retryable or failures >= MOST_FAILURES_IN_A_ROW:
                    yield _event(status=ERROR, error=type(error).__name__, message=str(error))
                    return
                self.log.warning("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
                continue
            failures = 0
            previous = look.verdict.elapsed
            if look.read_results:
                self.log.info("%s", look.verdict.summary)
            if look.ends:
                yield _event(status=VERDICT, verdict=look.to_json())
                return


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
