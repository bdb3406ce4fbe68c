"""The base of all triggers: sleep, poll, and fire once the waiting is over.

Triggers only read and hold no secret. The one exception, which a DAG has to ask for, is ``on_kill`` of the triggers on
an iteration. Each poll runs the check that ``make_check()`` returns; the sensor's ``poke()`` runs the same check.
"""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError, VersionMismatchError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._arguments import Argument, CheckedTrigger, number, optional, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_provider_launchdarkly.checks.result import Check

# If a trigger fires within about ten seconds of its deferral, the scheduler can fail its task: it may see the resumed
# task before the executor's report that the deferring process has ended
# (https://github.com/apache/airflow/issues/71580).
SECONDS_BEFORE_FIRST_POLL = 10.0

# Each failed poll has spent the client's own retry budget already.
MAX_FAILURES_IN_A_ROW = 10

# Shortly before the time is over, poll once more instead of over and over.
SHORTEST_DELAY = 1.0

ERROR = "error"

# Wrong arguments have one cause: the worker's version of the provider is newer than the triggerer's.
CURE = (
    "The worker that deferred runs another version of airflow-provider-launchdarkly than this triggerer. Upgrade "
    "triggerers first; the task's retries wait for that, or clear it then"
)


class PollingTrigger(CheckedTrigger):
    """Fire once: with the result that ended the waiting, or with an error.

    It is safe to run a trigger twice, or to move it to another triggerer: it derives everything from its arguments and
    from LaunchDarkly. The event is ``{"status": outcome, outcome: …}`` or ``{"status": "error", "error": …, "message":
    …}``. Wrong arguments end in such an error, too.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        project_key: The project; None if none is read.
        environment_key: The environment; None if none is read.
        poll_interval: Seconds between two polls, at most.
    """

    outcome: ClassVar[str] = "finding"
    accepts: ClassVar[Mapping[str, Argument]] = {
        "launchdarkly_conn_id": Argument(text),
        "project_key": Argument(optional(text)),
        "environment_key": Argument(optional(text)),
        "poll_interval": Argument(number(0, above=True)),
    }
    # Arguments of the trigger itself; the check takes all others, by the same names.
    not_for_the_check: ClassVar[frozenset[str]] = frozenset(accepts)
    launchdarkly_conn_id: str
    project_key: str | None
    environment_key: str | None
    poll_interval: float

    @abstractmethod
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return a fresh check, whose every call polls once."""

    def check_arguments(self) -> dict[str, Any]:
        """Return the check's arguments by name."""
        return {name: getattr(self, name) for name in self.accepts if name not in self.not_for_the_check}

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until a result ends the waiting; yield one event and end."""
        try:
            self._check_version()
            hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
            check = self.make_check(hook)
        except (ConfigurationError, VersionMismatchError) as error:
            await asyncio.sleep(SECONDS_BEFORE_FIRST_POLL)
            yield _event(status=ERROR, error=type(error).__name__, message=str(error))
            return
        failures = 0
        delay = max(self.poll_interval, SECONDS_BEFORE_FIRST_POLL)
        while True:
            await asyncio.sleep(delay)
            # Sensors that start together drift apart, so that they do not poll together for weeks.
            delay = self.poll_interval * random.uniform(0.9, 1.0)  # noqa: S311
            try:
                result = await hook.arun(check())
            except LaunchDarklyError as error:
                failures += 1
                if not error.retryable or failures >= MAX_FAILURES_IN_A_ROW:
                    yield _event(status=ERROR, error=type(error).__name__, message=str(error))
                    return
                self.log.warning("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
                continue
            failures = 0
            if result.left is not None:
                delay = min(delay, max(result.left.total_seconds(), SHORTEST_DELAY))
            if result.is_news:
                self.log.info("%s", result.summary)
                for caution in result.cautions:
                    self.log.info("Caution: %s", caution)
            if result.warning:
                self.log.warning("%s", result.warning)
            if result.ends:
                outcome = result.outcome or self.outcome
                yield _event(status=outcome, **{outcome: result.output})
                return

    def _check_version(self) -> None:
        """Raise if the arguments are wrong. The sensor has checked them, so its version is another one."""
        try:
            self.check()
        except ConfigurationError as error:
            raise VersionMismatchError(f"{error}. {CURE}") from error


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)
