"""Waits in the triggerer for LaunchDarkly's clock, or for the end of an iteration's dwell time. Reads only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.results.clock import dwelling, server_time
from airflow_provider_launchdarkly.results.look import Target
from airflow_provider_launchdarkly.triggers.polling import MOST_FAILURES_IN_A_ROW, SECONDS_BEFORE_FIRST_POLL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OVER = "over"
ERROR = "error"


class ClockTrigger(BaseTrigger):
    """Fire once, when LaunchDarkly's clock has reached a time, or an iteration has left its dwell time.

    It only wakes the task: what the time means is asked again on the worker. Safe to run twice: it derives everything
    from its arguments and from LaunchDarkly's clock.

    Args:
        launchdarkly_conn_id: The Airflow connection.
        poll_interval: Seconds between two reads, at most; less when the time is nearer.
        until: The time to wait for, in ISO 8601; or
        project_key: project,
        environment_key: environment,
        experiment_key: experiment,
        iteration_id: and iteration whose time is waited for,
        dwell_seconds: which is this long, from its start.
    """

    def __init__(
        self,
        *,
        launchdarkly_conn_id: str,
        poll_interval: float,
        until: str | None = None,
        project_key: str | None = None,
        environment_key: str | None = None,
        experiment_key: str | None = None,
        iteration_id: str | None = None,
        dwell_seconds: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.poll_interval = poll_interval
        self.until = until
        self.project_key = project_key
        self.environment_key = environment_key
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.dwell_seconds = dwell_seconds

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class and its arguments, as plain JSON."""
        names = (
            "launchdarkly_conn_id",
            "poll_interval",
            "until",
            "project_key",
            "environment_key",
            "experiment_key",
            "iteration_id",
            "dwell_seconds",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the time has come; yield one event and end."""
        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        failures = 0
        delay = max(self.poll_interval, SECONDS_BEFORE_FIRST_POLL)
        while True:
            await asyncio.sleep(delay)
            try:
                left = await self._left(hook)
            except LaunchDarklyError as error:
                failures += 1
                if not error.retryable or failures >= MOST_FAILURES_IN_A_ROW:
                    yield _event(status=ERROR, error=type(error).__name__, message=str(error))
                    return
                self.log.warning("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
                continue
            failures = 0
            if left <= timedelta():
                yield _event(status=OVER)
                return
            delay = min(self.poll_interval, max(1.0, left.total_seconds()))

    async def _left(self, hook: LaunchDarklyHook) -> timedelta:
        """How long there is to wait; not above 0 if it is over."""
        if self.until is not None:
            now = await hook.arun(server_time())
            return datetime.fromisoformat(self.until).astimezone(UTC) - now
        await hook.load_settings()
        target = Target(hook.environment(), str(self.experiment_key), str(self.iteration_id))
        dwell = timedelta(seconds=float(self.dwell_seconds or 0))
        verdict = (await hook.arun(dwelling(target, dwell))).verdict
        return timedelta() if verdict.ends else dwell - verdict.elapsed


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
