"""Waits for a change window to open, or for an iteration to have run its time: both by LaunchDarkly's clock."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf
from typing_extensions import override

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.change_windows import CalendarError, ChangeWindow, NeverOpenError
from airflow_provider_launchdarkly.decision.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.results.clock import dwelling, server_time
from airflow_provider_launchdarkly.results.look import Target
from airflow_provider_launchdarkly.templates import is_literal
from airflow_provider_launchdarkly.triggers.clock import ClockTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

# Airflow's timeout is only a backstop: a window that never opens is found out by computing, not by waiting.
BACKSTOP = timedelta(days=366)


class LaunchDarklyClockSensor(BaseSensorOperator):
    """What both sensors share: one read on the worker, then waiting in the triggerer, and one read again.

    Args:
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two reads. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task. Default: 366 days.
    """

    template_fields: Sequence[str] = ("project_key", "environment_key", "launchdarkly_conn_id")
    ui_color = "#e5e9ff"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = LaunchDarklyHook.default_conn_name,
        deferrable: bool = True,
        poke_interval: timedelta | float | None = None,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = conf.getfloat("launchdarkly", "poll_interval", fallback=300.0)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> LaunchDarklyHook:
        """The hook on the task's connection, with the task's project and environment as defaults."""
        return LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)

    @abstractmethod
    def look(self) -> dict[str, Any] | None:
        """Read once: what XCom gets if the waiting is over, else None."""

    @abstractmethod
    def trigger(self) -> ClockTrigger:
        """What waits in the triggerer."""

    @override
    def execute(self, context: Context) -> Any:
        """Read once; if that is not the end, defer (or poke, where the sensor is not deferrable)."""
        if not self.deferrable:
            return super().execute(context)
        return self.look() or self._defer()

    @override
    def poke(self, context: Context) -> PokeReturnValue:
        """Read once, for the modes that do not defer."""
        found = self.look()
        return PokeReturnValue(is_done=found is not None, xcom_value=found)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Read again: only the worker says that the waiting is over. If it is not any more, wait on."""
        match event:
            case {"status": "over"}:
                return self.look() or self._defer()
            case {"status": "error", "error": str(kind), "message": str(message)}:
                found = getattr(errors, kind, None)
                is_ours = isinstance(found, type) and issubclass(found, LaunchDarklyError)
                raise found(message) if is_ours and found else LaunchDarklyError(f"{kind}: {message}")
            case _:
                raise LaunchDarklyError(f"the trigger ended with {event!r}, which is neither an end nor an error")

    def _defer(self) -> Never:
        backstops = [timedelta(seconds=self.timeout), *([self.execution_timeout] if self.execution_timeout else [])]
        self.defer(trigger=self.trigger(), method_name="execute_complete", timeout=min(backstops))


class LaunchDarklyChangeWindowSensor(LaunchDarklyClockSensor):
    """Wait until a change window is open, by LaunchDarkly's clock.

    Put it before what gives people something new. Never put it before a rollback. Safe to repeat: it only reads.

    Args:
        window: A :class:`~airflow_provider_launchdarkly.change_windows.ChangeWindow`, or the same as a mapping. Its
            calendar is read from the worker's file system each time the sensor looks.
        timezone: Overrides the window's, for instance with the time zone of a mapped market.
        kwargs: See :class:`LaunchDarklyClockSensor`, and what every task has.

    Returns:
        ``{"opened": …}``: the time at which it was seen open, in ISO 8601.

    Raises:
        ConfigurationError: The window is none, never opens, or its calendar cannot be read.
        LaunchDarklyError: LaunchDarkly's clock could not be read.
    """

    template_fields: Sequence[str] = (*LaunchDarklyClockSensor.template_fields, "window", "timezone")

    def __init__(self, *, window: ChangeWindow | Mapping[str, Any], timezone: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window.to_json() if isinstance(window, ChangeWindow) else dict(window)
        self.timezone = timezone
        if is_literal(self.window) and is_literal(timezone):
            self._window()

    @override
    def look(self) -> dict[str, Any] | None:
        """See whether it is open."""
        now = self.hook.run(server_time())
        try:
            if self._window().with_calendar().is_open(now):
                self.log.info("The change window is open at %s.", now.isoformat())
                return {"opened": now.isoformat()}
        except CalendarError as error:
            raise ConfigurationError(str(error)) from error
        return None

    @override
    def trigger(self) -> ClockTrigger:
        """Wait for the next opening."""
        now = self.hook.run(server_time())
        try:
            opening = self._window().with_calendar().next_opening(now)
        except (CalendarError, NeverOpenError) as error:
            raise ConfigurationError(str(error)) from error
        self.log.info("The change window is shut at %s; it opens at %s.", now.isoformat(), opening.isoformat())
        return ClockTrigger(
            launchdarkly_conn_id=self.launchdarkly_conn_id,
            poll_interval=self.poke_interval,
            until=opening.isoformat(),
        )

    def _window(self) -> ChangeWindow:
        return ChangeWindow.from_json({**self.window, **({"timezone": self.timezone} if self.timezone else {})})


class LaunchDarklyDwellSensor(LaunchDarklyClockSensor):
    """Wait until an iteration has run for a time. Judges nothing.

    The time is absolute: from the iteration's start, by LaunchDarkly's clock, so a retry, a clear or a restart does
    not begin it anew. Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration. If someone else stops or replaces it, that is ``invalid`` at once.
        dwell: How long it is to run: a timedelta, or text such as ``2d``.
        kwargs: See :class:`LaunchDarklyClockSensor`, and what every task has.

    Returns:
        A verdict as plain JSON: ``inconclusive`` with reason ``plan_ended`` when the time is over, or ``invalid``.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyClockSensor.template_fields,
        "experiment_key",
        "iteration_id",
        "dwell",
    )

    def __init__(self, *, experiment_key: str, iteration_id: str, dwell: timedelta | str, **kwargs: Any) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.dwell = format_duration(dwell) if isinstance(dwell, timedelta) else dwell
        if is_literal(self.dwell):
            parse_duration(self.dwell)

    @override
    def look(self) -> dict[str, Any] | None:
        """See whether its time is over."""
        target = Target(self.hook.environment(), self.experiment_key, self.iteration_id)
        found = self.hook.run(dwelling(target, parse_duration(self.dwell)))
        self.log.info("%s", found.verdict.summary)
        return found.to_json(target) if found.ends else None

    @override
    def trigger(self) -> ClockTrigger:
        """Wait for the end of its time."""
        env = self.hook.environment()
        return ClockTrigger(
            launchdarkly_conn_id=self.launchdarkly_conn_id,
            poll_interval=self.poke_interval,
            project_key=env.project_key,
            environment_key=env.environment_key,
            experiment_key=self.experiment_key,
            iteration_id=self.iteration_id,
            dwell_seconds=parse_duration(self.dwell).total_seconds(),
        )
