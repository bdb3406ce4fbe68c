"""What every trigger shares: sleep, look, decide whether that was all. Reads only, holds no secret.

The one exception, which has to be asked for, is what ``iteration`` does when a person ends the task.

What a look is, is the procedure that the trigger's ``make_check`` returns: the sensor's poke runs the very same one.
"""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._arguments import Argument, CheckedTrigger, number, optional, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_provider_launchdarkly.checks.result import Check

# A trigger that fires within about ten seconds of its deferral can get its task failed by the scheduler, which may
# see the resumed task before the executor's report that the deferring process has ended
# (https://github.com/apache/airflow/issues/71580).
SECONDS_BEFORE_FIRST_POLL = 10.0

# Each failed poll has spent the client's own retry budget already.
MOST_FAILURES_IN_A_ROW = 10

# A time that is almost there is not asked for over and over.
SHORTEST_DELAY = 1.0

ERROR = "error"


# Wrong arguments have one cause: a worker's version of the provider that is newer than the triggerer's.
CURE = (
    "If the worker runs another version of airflow-provider-launchdarkly than the triggerer, upgrade the triggerer "
    "first; then clear the task"
)


class PollingTrigger(CheckedTrigger):
    """Fire once: with what ended the waiting, or with the error that did.

    Safe to run twice, or to be taken over by another triggerer: it derives everything from its arguments and from
    LaunchDarkly. The event is ``{"status": outcome, outcome: …}`` or ``{"status": "error", "error": …, "message": …}``.
    Wrong arguments, too, end in such an error.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        project_key: The project; None where none is read.
        environment_key: The environment; None where none is read.
        poll_interval: Seconds between two polls, at most.
    """

    outcome: ClassVar[str] = "finding"
    accepts: ClassVar[Mapping[str, Argument]] = {
        "launchdarkly_conn_id": Argument(text),
        "project_key": Argument(optional(text)),
        "environment_key": Argument(optional(text)),
        "poll_interval": Argument(number(0, above=True)),
    }
    launchdarkly_conn_id: str
    project_key: str | None
    environment_key: str | None
    poll_interval: float

    @abstractmethod
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """A fresh watch: called once for each poll, it looks once."""

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until a look ends the waiting; yield one event and end."""
        try:
            self.check()
            hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
            look = self.make_check(hook)
        except ConfigurationError as error:
            await asyncio.sleep(SECONDS_BEFORE_FIRST_POLL)
            yield _event(status=ERROR, error=type(error).__name__, message=f"{error}. {CURE}")
            return
        failures = 0
        delay = max(self.poll_interval, SECONDS_BEFORE_FIRST_POLL)
        while True:
            await asyncio.sleep(delay)
            # Sensors that start together drift apart, so that they do not poll together for weeks.
            delay = self.poll_interval * random.uniform(0.9, 1.0)  # noqa: S311
            try:
                seen = await hook.arun(look())
            except LaunchDarklyError as error:
                failures += 1
                if not error.retryable or failures >= MOST_FAILURES_IN_A_ROW:
                    yield _event(status=ERROR, error=type(error).__name__, message=str(error))
                    return
                self.log.warning("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
                continue
            failures = 0
            if seen.left is not None:
                delay = min(delay, max(seen.left.total_seconds(), SHORTEST_DELAY))
            if seen.is_news:
                self.log.info("%s", seen.summary)
            if seen.ends:
                outcome = seen.outcome or self.outcome
                yield _event(status=outcome, **{outcome: seen.output})
                return


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
