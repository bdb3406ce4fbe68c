"""The sensor on a change window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, NeverOpenError
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger


class LaunchDarklyChangeWindowSensor(LaunchDarklyBaseSensor):
    """Wait until a change window is open, by LaunchDarkly's clock.

    Put it before a task that gives people something new. Never put it before a rollback. Safe to repeat: it only reads.

    The window's calendar is a file on the worker, so only the worker decides whether the window is open. The trigger
    waits for the opening that the worker computed, and the worker then checks again.

    Args:
        window: A :class:`ChangeWindow`, or the same as a mapping. Its calendar is read at each poll.
        timezone: Time zone that replaces the window's, for instance that of a mapped market.
        timeout: Seconds after which Airflow fails the task. Default: 366 days.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``, ``poke_interval`` and
            the arguments of every task.

    Returns:
        ``{"opened": …}``: the time of the poll that found the window open, in ISO 8601.

    Raises:
        ConfigurationError: The window is not valid, never opens, or its calendar cannot be read.
        LaunchDarklyError: LaunchDarkly's clock could not be read.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "window", "timezone")

    def __init__(
        self,
        *,
        window: ChangeWindow | Mapping[str, Any],
        timezone: str | None = None,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.window: Any = window.to_json() if isinstance(window, ChangeWindow) else window
        self.timezone = timezone
        self._opening: datetime | None = None
        if is_literal(self.window) and is_literal(timezone):
            self._read_window()

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of the window, by LaunchDarkly's clock."""
        return self._check_window

    @override
    def trigger_class(self) -> type[ClockTrigger]:
        """Import and return the trigger that waits for a time."""
        from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger

        return ClockTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger, which waits for the opening that the latest poll computed."""
        if self._opening is None:
            raise RuntimeError("the next opening is computed by the first poll")
        return {
            # LaunchDarkly's clock belongs to no project, so a connection that names none will do.
            "project_key": self.project_key,
            "environment_key": self.environment_key,
            "poll_interval": self.poke_interval,
            "until": self._opening.isoformat(),
        }

    def _check_window(self) -> Procedure[CheckResult]:
        from airflow_provider_launchdarkly.checks.dwell import server_time
        from airflow_provider_launchdarkly.checks.result import CheckResult, describe_time

        now = yield from server_time()
        try:
            opening = self._opening = self._read_window().with_calendar().next_opening(now)
        except (CalendarError, NeverOpenError, InvalidSettingError) as error:
            raise ConfigurationError(str(error)) from error
        is_open = opening <= now
        summary = "the change window is open"
        if not is_open:
            summary = f"waiting for the change window, which opens at {describe_time(opening, now)}"
        return CheckResult(is_open, summary, {"opened": now.isoformat()})

    @override
    def _after_trigger(self, context: Context, output: Mapping[str, Any]) -> dict[str, Any]:
        """Check again, and wait on if the window has shut meanwhile."""
        return self._poll_or_defer(context)

    def _read_window(self) -> ChangeWindow:
        if not isinstance(self.window, Mapping):
            raise InvalidSettingError(
                f"window is {shown(self.window)}: write a ChangeWindow, or a mapping of its fields"
            )
        return ChangeWindow.from_json({**self.window, **({"timezone": self.timezone} if self.timezone else {})})
