"""Waits for a change window to open, or for an iteration to have run its time: both by LaunchDarkly's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.change_windows.calendar import CalendarError
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, NeverOpenError
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger


class LaunchDarklyChangeWindowSensor(LaunchDarklyBaseSensor):
    """Wait until a change window is open, by LaunchDarkly's clock.

    Put it before what gives people something new. Never put it before a rollback. Safe to repeat: it only reads.

    Args:
        window: A :class:`ChangeWindow`, or the same as a mapping. Its
            calendar is read from the worker's file system each time the sensor looks.
        timezone: Overrides the window's, for instance with the time zone of a mapped market.
        timeout: Seconds after which Airflow fails the task. Default: 366 days.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``, ``poke_interval`` and
            what every task has.

    Returns:
        ``{"opened": …}``: the time at which it was seen open, in ISO 8601.

    Raises:
        ConfigurationError: The window is none, never opens, or its calendar cannot be read.
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
        self.window = window.to_json() if isinstance(window, ChangeWindow) else dict(window)
        self.timezone = timezone
        self._opening: datetime | None = None
        if is_literal(self.window) and is_literal(timezone):
            self._window()

    @override
    def trigger(self, **shared: Any) -> ClockTrigger:
        """The trigger that waits for the opening that the last look found."""
        from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger

        if self._opening is None:
            raise RuntimeError("the window's next opening is known only after a look")
        return ClockTrigger(until=self._opening.isoformat(), **shared)

    @override
    def _where(self) -> tuple[str | None, str | None]:
        # The clock is no project's, so a connection that names none will do.
        return self.project_key, self.environment_key

    @override
    def _look(self, context: Context) -> CheckResult:
        """See whether it is open. The calendar is a file of the worker's, so only the worker looks."""
        from airflow_provider_launchdarkly.checks.dwell import server_time
        from airflow_provider_launchdarkly.checks.result import CheckResult

        now = self.hook.run(server_time())
        try:
            self._opening = self._window().with_calendar().next_opening(now)
        except (CalendarError, NeverOpenError) as error:
            raise ConfigurationError(str(error)) from error
        is_open = self._opening <= now
        state = "open" if is_open else f"shut, and opens at {self._opening.isoformat()}"
        summary = f"At {now.isoformat()} the change window is {state}."
        self.log.info("%s", summary)
        return CheckResult(is_open, summary, {"opened": now.isoformat()})

    @override
    def _output(self, context: Context, found: Mapping[str, Any]) -> dict[str, Any]:
        """Look again, and wait on if it has shut meanwhile."""
        return self._look_or_defer(context)

    def _window(self) -> ChangeWindow:
        return ChangeWindow.from_json({**self.window, **({"timezone": self.timezone} if self.timezone else {})})
