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
from airflow_provider_launchdarkly.record.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.results.look import Look, Occasion, Target, approach, take_look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_provider_launchdarkly.api.procedure import Procedure

# A trigger that fires within about ten seconds of its deferral can get its task failed by the scheduler, which may
# see the resumed task before the executor's report that the deferring process has ended
# (https://github.com/apache/airflow/issues/71580).
SECONDS_BEFORE_FIRST_POLL = 10.0

# Each failed poll has spent the client's own retry budget already.
MOST_FAILURES_IN_A_ROW = 10

VERDICT = "verdict"
LOOK = "look"
ERROR = "error"


class SignificanceTrigger(BaseTrigger):
    """Fire once, with the verdict on one iteration, or with the error that ends the waiting.

    Where looks belong on a worker, because they query a warehouse or are recorded, it fires as soon as one is due.

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
        previous_seconds: When the sensor looked before, in seconds after the iteration's start; None if it did not.
        look_on_worker: Fire when a look is due, or the iteration is not under way any more, instead of looking here.
        analysed_by_launchdarkly: Whether the results are to be LaunchDarkly's.
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
        previous_seconds: float | None = None,
        look_on_worker: bool = False,
        analysed_by_launchdarkly: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.project_key = project_key
        self.environment_key = environment_key
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.policy = dict(policy)
        self.poll_interval = poll_interval
        self.previous_seconds = previous_seconds
        self.look_on_worker = look_on_worker
        self.analysed_by_launchdarkly = analysed_by_launchdarkly

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
                "previous_seconds": self.previous_seconds,
                "look_on_worker": self.look_on_worker,
                "analysed_by_launchdarkly": self.analysed_by_launchdarkly,
            },
        )

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is a verdict; yield one event and end."""
        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        policy = Policy.from_json(self.policy)
        target = Target(hook.environment(), self.experiment_key, self.iteration_id)
        previous = None if self.previous_seconds is None else timedelta(seconds=self.previous_seconds)
        failures = 0
        delay = max(self.poll_interval, SECONDS_BEFORE_FIRST_POLL)
        while True:
            await asyncio.sleep(delay)
            # Sensors that start together drift apart, so that they do not poll together for weeks.
            delay = self.poll_interval * random.uniform(0.9, 1.0)  # noqa: S311
            try:
                found = await hook.arun(self._poll(target, policy, previous))
            except LaunchDarklyError as error:
                failures += 1
                if not error.retryable or failures >= MOST_FAILURES_IN_A_ROW:
                    yield _event(status=ERROR, error=type(error).__name__, message=str(error))
                    return
                self.log.warning("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
                continue
            failures = 0
            if isinstance(found, Occasion) or (self.look_on_worker and found.ends):
                yield _event(status=LOOK, previous_seconds=None if previous is None else previous.total_seconds())
                return
            previous = found.verdict.elapsed
            if found.read_results:
                self.log.info("%s", found.verdict.summary)
            if found.ends:
                evidence = evidence_to_json(found.evidence) if found.evidence else None
                yield _event(status=VERDICT, verdict=found.to_json(), evidence=evidence, looked_at=found.at.isoformat())
                return

    def _poll(self, target: Target, policy: Policy, previous: timedelta | None) -> Procedure[Look | Occasion]:
        interval = timedelta(seconds=self.poll_interval)
        if self.look_on_worker:
            return approach(
                target,
                policy,
                previous=previous,
                poll_interval=interval,
                analysed_by_launchdarkly=self.analysed_by_launchdarkly,
            )
        return take_look(target, policy, previous=previous, poll_interval=interval)


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
