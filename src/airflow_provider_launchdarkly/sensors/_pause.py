"""The sensor on a time by LaunchDarkly's clock, for pauses between the steps of a rollout."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.sensors._base import LaunchDarklyBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger


class LaunchDarklyPauseSensor(LaunchDarklyBaseSensor):
    """Wait for a time by LaunchDarkly's clock. Internal.

    Args:
        until: The time, in ISO 8601.
        kwargs: See :class:`LaunchDarklyBaseSensor`.

    Returns:
        ``{"now": …}``: the time of the poll that found the pause over.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "until")

    def __init__(self, *, until: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.until = until

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of LaunchDarkly's clock."""
        return self._check_clock

    def _check_clock(self) -> Procedure[CheckResult]:
        from airflow_provider_launchdarkly.checks.dwell import server_time
        from airflow_provider_launchdarkly.checks.result import CheckResult, describe_time

        now, end = (yield from server_time()), datetime.fromisoformat(self.until)
        return CheckResult(now >= end, f"pausing until {describe_time(end, now)}", {"now": now.isoformat()})

    @override
    def trigger_class(self) -> type[PollingTrigger]:
        """Import and return the trigger that waits for a time."""
        from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger

        return ClockTrigger


def server_now(connection: str, project: str | None, environment: str | None) -> datetime:
    """Return LaunchDarkly's time.

    Args:
        connection: The Airflow connection.
        project: Key of the project; None for the connection's.
        environment: Key of the environment; None for the connection's.
    """
    from airflow_provider_launchdarkly.checks.dwell import server_time
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

    with fail_unless_retryable():
        now: datetime = LaunchDarklyHook(connection, project, environment).run(server_time())
        return now
