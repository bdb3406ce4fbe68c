"""The sensor on a change window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, NeverOpenError
from airflow_provider_launchdarkly.checks.arguments import LEAVE, validate_on_kill
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyBaseSensor, airflow_kills_triggers
from airflow_provider_launchdarkly.sensors._ended_wait import ENDED_BY, verdict_that_ended
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.evidence.results_config import Results
    from airflow_provider_launchdarkly.sensors._harm_watch import WaitingHarmWatch, WatchedIteration
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger


class LaunchDarklyChangeWindowSensor(LaunchDarklyBaseSensor):
    """Wait until a change window is open, by LaunchDarkly's clock.

    Put it before a task that gives people something new. Never put it before a rollback. Safe to repeat: it only reads.

    The window's calendar is a file on the worker, so only the worker decides whether the window is open. The trigger
    waits for the opening that the worker computed, and the worker then checks again.

    With ``watch`` the guardrails of a running iteration are watched meanwhile. Harm, a broken split, or an iteration
    that someone else ended, ends the waiting; a worker judges the data afresh before. Results that cannot be read
    never end it: the log says so.

    Args:
        window: A :class:`ChangeWindow`, or the same as a mapping. Its calendar is read at each poll.
        timezone: Time zone that replaces the window's, for instance that of a mapped market.
        watch: What is watched for harm meanwhile: a mapping of ``policy`` (a mapping itself) and ``verdict``, the
            output of the sensor or operator that judged last. Default: nothing.
        results: Where the results of what is watched come from, as for
            :class:`LaunchDarklyWaitForSignificanceSensor`. Default: LaunchDarkly's results endpoints.
        question: The output of a question that was asked before. If harm closed it, nothing is waited for.
        on_kill: ``rollback`` stops the watched iteration on the baseline if a person marks the task failed while
            it waits (Airflow 3.3); ``leave``, the default, does nothing.
        timeout: Seconds after which Airflow fails the task. Default: 366 days.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``, ``poke_interval`` and
            the arguments of every task.

    Returns:
        ``{"opened": …}``: the time of the poll that found the window open, in ISO 8601. If harm ended the waiting,
        ``opened`` is None and ``ended_by`` is the verdict.

    Raises:
        ConfigurationError: The window is not valid, never opens, or its calendar cannot be read.
        LaunchDarklyError: LaunchDarkly's clock could not be read.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyBaseSensor.template_fields,
        "window",
        "timezone",
        "watch",
        "question",
    )

    def __init__(
        self,
        *,
        window: ChangeWindow | Mapping[str, Any],
        timezone: str | None = None,
        watch: Any = None,
        results: Results | Mapping[str, Any] | None = None,
        question: Any = None,
        on_kill: str = LEAVE,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.watch = watch
        self.results = None if results is None else _plain(results)
        self.question = question
        validate_on_kill(on_kill, supported=on_kill == LEAVE or (self.deferrable and airflow_kills_triggers()))
        self.when_killed = on_kill
        self._harm_watch: WaitingHarmWatch | None = None
        self._look: Mapping[str, Any] | None = None
        self.window: Any = window.to_json() if isinstance(window, ChangeWindow) else window
        self.timezone = timezone
        self._opening: datetime | None = None
        self._shown_opening: datetime | None = None
        if is_literal(self.window) and is_literal(timezone):
            self._read_window()

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of the window, by LaunchDarkly's clock."""
        return self._check_window

    @override
    def trigger_class(self) -> type[PollingTrigger]:
        """Import and return the trigger that waits for a time, and watches the guardrails if it has to."""
        from airflow_provider_launchdarkly.triggers.change_window import ClockTrigger, WatchedClockTrigger

        return ClockTrigger if self._harm_watch is None else WatchedClockTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments of the trigger, which waits for the opening that the latest poll computed."""
        if self._opening is None:
            raise RuntimeError("the next opening is computed by the first poll")
        until = {"until": self._opening.isoformat()}
        if self._harm_watch is not None:
            return {**self._harm_watch.trigger_arguments(), "when_killed": self.when_killed, **until}
        return {
            # LaunchDarkly's clock belongs to no project, so a connection that names none will do.
            "project_key": self.project_key,
            "environment_key": self.environment_key,
            "poll_interval": self.poke_interval,
            **until,
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
    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once, for the modes that do not defer."""
        self.read_fields()
        output = self._poll_for_all(context)
        return PokeReturnValue(is_done=output is not None, xcom_value=output)

    @override
    def _poll_or_defer(self, context: Context) -> dict[str, Any]:
        """Return what ended the waiting, or defer."""
        output = self._poll_for_all(context)
        return self._defer(context) if output is None else output

    def _poll_for_all(self, context: Context) -> dict[str, Any] | None:
        """Poll once for the window and for harm; return the output, or None to wait on."""
        harm = verdict_that_ended(self.question)
        if harm is None:
            result = self._poll(context)
            if result.ends:
                return result.output
            self._show_opening(context)
            watch = self._watching(context)
            harm = watch.find_harm(self._look) if watch else None
            self._look = None
        if harm is None:
            return None
        self.say("The window is not awaited any more: %s", harm.get("summary"))
        return {"opened": None, ENDED_BY: harm}

    def _show_opening(self, context: Context) -> None:
        """Let the pages show when the window opens: whenever that changes, in this process."""
        from airflow_provider_launchdarkly.sensors._notes import leave_opening

        if self._opening is not None and self._opening != self._shown_opening:
            leave_opening(context, self._opening, self.warn)
            self._shown_opening = self._opening

    def _watching(self, context: Context) -> WaitingHarmWatch | None:
        """Return the watch of the guardrails, made once for each process; None if nothing is watched."""
        if self._harm_watch is None and (watched := self.watched(context)) is not None:
            self._harm_watch = watched.on_worker(self, context)
        return self._harm_watch

    def watched(self, context: Context) -> WatchedIteration | None:  # noqa: ARG002 - for a rollout's own window
        """Return what runs while the window is awaited; None watches nothing."""
        if self.watch is None:
            return None
        from airflow_provider_launchdarkly.sensors._harm_watch import WatchedIteration

        if not isinstance(self.watch, Mapping) or set(self.watch) != {"policy", "verdict"}:
            raise InvalidSettingError(f"watch is {shown(self.watch)}: write a mapping of policy and verdict")
        return WatchedIteration(
            self.watch["verdict"],
            self.watch["policy"],
            self.results,
            self.launchdarkly_conn_id,
            self.poke_interval,
            self.when_killed,
        )

    @override
    def _resume(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Take the look that is due; or check the window again, or raise the trigger's error."""
        match event:
            case {"status": "look", "look": Mapping() as look}:
                self._look = look
                return self._poll_or_defer(context)
            case _:
                return super()._resume(context, event)

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


def _plain(results: Results | Mapping[str, Any]) -> dict[str, Any]:
    from airflow_provider_launchdarkly.evidence.results_config import read_results

    return dict(read_results(results).to_json())
