"""The base of all sensors: poll once on the worker, then wait in a trigger that runs the same check."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Never

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue
from typing_extensions import override

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError, VersionMismatchError
from airflow_provider_launchdarkly.checks.arguments import LEAVE, validate_on_kill
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.retries import fail_unless_retryable
from airflow_provider_launchdarkly.telemetry import count
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates
from airflow_provider_launchdarkly.triggers._poll_interval import (
    configured_poll_interval as configured_poll_interval,  # noqa: PLC0414 - rollouts take it from here
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.evidence.source import Target
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger

# Airflow's timeout of the sensors that end by themselves: at a policy's maximum duration, at the end of a dwell time,
# or with an error if a change window never opens.
BACKSTOP = timedelta(days=366)


class LaunchDarklyBaseSensor(TypedTemplates, BaseSensorOperator):
    """Base of all sensors.

    A sensor says two things: the check that polls once (:meth:`make_check`), and the trigger that runs the same check
    in the triggerer (:meth:`trigger_class`). By default it polls once on the worker and then defers. With
    ``deferrable=False``, the modes ``poke`` and ``reschedule`` run the check on the worker. Safe to repeat: it only
    reads.

    Args:
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two polls. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task. Default: Airflow's, 7 days.
    """

    # Key of the output in the trigger's event. It repeats the trigger's, so that resuming a task imports no trigger.
    outcome: ClassVar[str] = "finding"
    template_fields: Sequence[str] = ("project_key", "environment_key", "launchdarkly_conn_id")
    ui_color = "#e5e9ff"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        poke_interval: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = configured_poll_interval()
        # Each entry of the output is an XCom of its own as well: `wait.output["status"]` works.
        super().__init__(poke_interval=poke_interval, **{"multiple_outputs": True} | kwargs)
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.deferrable = deferrable
        self._check: Check | None = None
        self._background: tuple[str, ...] = ()

    @abstractmethod
    def make_check(self, context: Context) -> Check:
        """Return the check, made from the rendered fields. It is made once for each process.

        Raises:
            ConfigurationError: A field is wrong.
        """

    @abstractmethod
    def trigger_class(self) -> type[PollingTrigger]:
        """Import and return the class of the trigger."""

    def trigger_arguments(self) -> dict[str, Any]:
        """Return those of the trigger's arguments that are not the sensor's fields of the same name."""
        project_key, environment_key = self.hook.environment()
        return {
            "project_key": project_key,
            "environment_key": environment_key,
            "poll_interval": self.poke_interval,
        }

    def make_trigger(self) -> PollingTrigger:
        """Make the trigger: each argument that it accepts is given above, or is the sensor's field of that name.

        Raises:
            ConfigurationError: An argument is wrong; the triggerer would only find out after the deferral.
        """
        kind = self.trigger_class()
        given = self.trigger_arguments()
        trigger = kind(**{name: given[name] if name in given else getattr(self, name) for name in kind.accepts})
        trigger.check()
        return trigger

    @cached_property
    def hook(self) -> LaunchDarklyHook:
        """The hook on the task's connection, with the task's project and environment as defaults."""
        # Imported here, as everything that only a running task needs: each DAG file is parsed anew every few seconds.
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)

    @override
    def execute(self, context: Context) -> Any:
        """Poll once, and defer unless that ends the waiting; or poke, if the sensor is not deferrable.

        Raises:
            AirflowFailException: Another try would end in the same error.
            LaunchDarklyError: Another try may succeed; Airflow's ``retries`` apply.
        """
        with fail_unless_retryable():
            self.read_fields()
            if not self.deferrable:
                return super().execute(context)
            return self._poll_or_defer(context)

    @override
    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once, for the modes that do not defer."""
        self.read_fields()
        result = self._poll(context)
        return PokeReturnValue(is_done=result.ends, xcom_value=result.output if result.ends else None)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the trigger's output, or raise its error here, where Airflow's retries apply.

        Raises:
            AirflowFailException: Another try would end in the same error.
            LaunchDarklyError: Another try may succeed; Airflow's ``retries`` apply.
        """
        with fail_unless_retryable():
            self.read_fields()
            return self._resume(context, event)

    def _resume(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the task's output, given the trigger's event."""
        output = event.get(self.outcome) if event else None
        match event:
            case {"status": "error", "error": str(kind), "message": str(message)}:
                raise error_of(kind, message)
            case {"status": self.outcome} if output and isinstance(output, Mapping):
                return self._after_trigger(context, output)
            case _:
                raise VersionMismatchError(
                    f"the trigger ended with {event!r}, which this version of the provider takes for neither a "
                    f"{self.outcome} nor an error: run the same version on workers and triggerers"
                )

    def _after_trigger(self, context: Context, output: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return the task's output, given the trigger's."""
        known = ", ".join(f"{name} {value}" for name, value in output.items() if value not in (None, "", [], {}))
        self.say("Found: %s", known)
        return dict(output)

    def _poll(self, context: Context) -> CheckResult:
        if self._check is None:
            self._check = self.make_check(context)
        result: CheckResult = self.hook.run(self._check())
        count("polls")
        self.say("%s", result.headline)
        if result.background != self._background:
            self._background = result.background
            for line in result.background:
                self.say("%s", line)
        if result.warning:
            self.warn("%s", result.warning)
        self._log_cautions(result.cautions)
        return result

    def _log_cautions(self, cautions: Iterable[str]) -> None:
        for caution in cautions:
            self.say("Caution: %s", caution)

    def _poll_or_defer(self, context: Context) -> dict[str, Any]:
        result = self._poll(context)
        return result.output if result.ends else self._defer(context)

    def _defer(self, context: Context) -> Never:
        self.defer(trigger=self.make_trigger(), method_name="execute_complete", timeout=self._time_left(context))

    def _time_left(self, context: Context) -> timedelta:
        """Return the time to Airflow's timeouts, counted from the start of this try: deferring again extends nothing.

        Airflow 3.1 gives a resumed task a new start, so there they count from the latest deferral.
        """
        backstops = [timedelta(seconds=self.timeout), *([self.execution_timeout] if self.execution_timeout else [])]
        started = getattr(context.get("ti"), "start_date", None)
        spent = datetime.now(UTC) - started if started else timedelta()
        return max(min(backstops) - spent, timedelta(seconds=1))


def error_of(kind: str, message: str) -> LaunchDarklyError:
    """Return the trigger's error as an exception of the class that its name names.

    A newer triggerer may name one that this version does not have.
    """
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, LaunchDarklyError):
        return found(message)
    return VersionMismatchError(
        f"{kind}: {message} (this version of the provider has no such error: upgrade workers and triggerers)"
    )


class LaunchDarklyIterationBaseSensor(LaunchDarklyBaseSensor):
    """Base of the sensors on one iteration.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        on_kill: What happens to the iteration if a person marks the task, or its run, failed while it waits in the
            triggerer. ``leave`` (default): it runs on. ``rollback``: the triggerer stops it on the baseline. This needs
            Airflow 3.3, and takes effect once a triggerer runs the trigger: not in the second after the deferral, nor
            while the task polls on a worker. Clearing the task, marking it as success, deleting the run and a timeout
            leave the iteration alone.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "experiment_key", "iteration_id")
    operator_extra_links = (LaunchDarklyExperimentLink(),)

    def __init__(self, *, experiment_key: str, iteration_id: str, on_kill: str = LEAVE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        validate_on_kill(on_kill, supported=on_kill == LEAVE or (self.deferrable and airflow_kills_triggers()))
        # Not `on_kill`: that is the name of a method of every Airflow task.
        self.when_killed = on_kill
        # The rollout that it belongs to, as the pages show it. `experiment_rollout` sets it.
        self.shown_as: dict[str, Any] | None = None
        self._has_note = False

    @override
    def execute(self, context: Context) -> Any:
        """Poll once, and defer unless that ends the waiting; or poke, if the sensor is not deferrable."""
        with self._noting_trouble(context):
            return super().execute(context)

    @override
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the trigger's output, or raise its error here, where Airflow's retries apply."""
        with self._noting_trouble(context):
            return super().execute_complete(context, event)

    @contextmanager
    def _noting_trouble(self, context: Context) -> Iterator[None]:
        """Let the pages say that the waiting has failed, if it fails."""
        from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

        try:
            yield
        except (LaunchDarklyError, AirflowFailException, OSError, ValueError) as error:
            from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError
            from airflow_provider_launchdarkly.sensors._notes import leave_note, now, own_note
            from airflow_provider_launchdarkly.views.notes import troubled

            try:
                about = self.target.to_json()
            except (LaunchDarklyError, AirflowException):  # the connection is gone, or does not name the environment
                raise error from None
            if before := own_note(context, about):
                broken = isinstance(error, BrokenRecordError)
                made = troubled(before, str(error), at=now(), broken_record=broken)
                leave_note(context, about, made, self.warn)
            raise

    def shown_policy(self) -> dict[str, Any] | None:
        """Return the policy for the pages; None if nothing is judged."""
        return None

    def looks_on_record(self) -> Iterable[Mapping[str, Any]]:
        """Return looks that are kept elsewhere, as a note has them: a try that was killed may have left them out."""
        return ()

    def leave_note(self, context: Context, result: CheckResult) -> None:
        """Let the pages show a poll: the first of this process, and each that has news.

        Args:
            context: The task's.
            result: The poll's result.
        """
        if not result.output or (self._has_note and not result.is_news):
            return
        from airflow_provider_launchdarkly.sensors._notes import earlier_note, leave_note, now, page_of
        from airflow_provider_launchdarkly.views.notes import watched

        found = result.output
        before = earlier_note(context, found, self.warn)
        looked_at = found.get("looked_at")
        made = watched(
            found,
            at=datetime.fromisoformat(looked_at) if looked_at else now(),
            page=page_of(self, context),
            policy=self.shown_policy(),
            before=before,
            looks=() if self._has_note else self.looks_on_record(),
            url=self.experiment_url,
            poll_seconds=self.poke_interval,
        )
        leave_note(context, found, made, self.warn)
        self._has_note = True

    @property
    def target(self) -> Target:
        """The pinned iteration."""
        from airflow_provider_launchdarkly.evidence.source import Target

        return Target(self.hook.environment(), self.experiment_key, self.iteration_id)

    @property
    def experiment_url(self) -> str:
        """Address of the experiment in LaunchDarkly's UI."""
        return self.hook.experiment_url(self.experiment_key)


def airflow_kills_triggers() -> bool:
    """Return True if this Airflow calls a trigger's ``on_kill`` when a person ends its task."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")
