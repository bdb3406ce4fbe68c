"""What every sensor shares: look once, then defer to a trigger that looks by the same code. Changes nothing itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Never

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf
from typing_extensions import override

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.checks.arguments import LEAVE, validate_on_kill
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import Check, CheckResult
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.triggers._base import PollingTrigger
# As declared in the provider's configuration.
SECONDS_BETWEEN_POLLS = 300.0

# Airflow's timeout of sensors that know an end of their own: a policy's maximum duration, the end of a dwell time, or
# that a window never opens, which is computed and not waited for.
BACKSTOP = timedelta(days=366)


class LaunchDarklyBaseSensor(BaseSensorOperator):
    """What every sensor shares.

    By default it defers: after one look on the worker it waits in the triggerer. With ``deferrable=False``, modes
    ``poke`` and ``reschedule`` decide by the same code. Safe to repeat: it only reads.

    Args:
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two looks. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task. Default: Airflow's, 7 days.
    """

    # The word for what the trigger finds; its own, repeated here so that resuming a task loads no trigger.
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
            # Airflow 3.1 does not always load what providers declare as their configuration's defaults.
            poke_interval = conf.getfloat("launchdarkly", "poll_interval", fallback=SECONDS_BETWEEN_POLLS)
        # Each entry of the output is an XCom of its own as well: `wait.output["status"]` works.
        super().__init__(poke_interval=poke_interval, **{"multiple_outputs": True} | kwargs)
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.deferrable = deferrable

    @abstractmethod
    def trigger(self, **shared: Any) -> PollingTrigger:
        """The trigger that waits, from the sensor's own fields and those that all triggers have."""

    @cached_property
    def hook(self) -> LaunchDarklyHook:
        """The hook on the task's connection, with the task's project and environment as defaults."""
        # Imported here, as everything that only a running task needs: each DAG file is parsed anew every few seconds.
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)

    @override
    def execute(self, context: Context) -> Any:
        """Look once; if that is not the end, defer (or poke, where the sensor is not deferrable)."""
        if not self.deferrable:
            return super().execute(context)
        return self._look_or_defer(context)

    @override
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, for the modes that do not defer."""
        seen = self._look(context)
        return PokeReturnValue(is_done=seen.ends, xcom_value=seen.output if seen.ends else None)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what the trigger found, or raise its error here, where Airflow's retries apply."""
        found = event.get(self.outcome) if event else None
        match event:
            case {"status": "error", "error": str(kind), "message": str(message)}:
                raise _error(kind, message)
            case {"status": self.outcome} if isinstance(found, Mapping) and self._is_output(found):
                self.log.info("%s", self._told(found))
                return self._output(context, found)
            case _:
                raise LaunchDarklyError(
                    f"the trigger ended with {event!r}, which is neither a {self.outcome} nor an error"
                )

    def _is_output(self, found: Mapping[str, Any]) -> bool:
        return bool(found)

    def _output(self, context: Context, found: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """What the task returns of what the trigger found."""
        return dict(found)

    def _told(self, output: Mapping[str, Any]) -> str:
        return f"Waited for and found: {dict(output)}"

    def _make_trigger(self) -> PollingTrigger:
        project_key, environment_key = self._where()
        trigger = self.trigger(
            launchdarkly_conn_id=self.launchdarkly_conn_id,
            project_key=project_key,
            environment_key=environment_key,
            poll_interval=self.poke_interval,
        )
        trigger.check()
        return trigger

    def _where(self) -> tuple[str | None, str | None]:
        """The project and the environment that the trigger reads."""
        return self.hook.environment()

    @cached_property
    def _make_check(self) -> Check:
        return self._make_trigger().make_check(self.hook)

    def _look_or_defer(self, context: Context) -> dict[str, Any]:
        seen = self._look(context)
        return seen.output if seen.ends else self._defer(context)

    def _look(self, context: Context) -> CheckResult:  # noqa: ARG002
        seen: CheckResult = self.hook.run(self._make_check())
        self.log.info("%s", seen.summary)
        return seen

    def _defer(self, context: Context) -> Never:
        self.defer(trigger=self._make_trigger(), method_name="execute_complete", timeout=self._time_left(context))

    def _time_left(self, context: Context) -> timedelta:
        """Until Airflow's backstops, from the start of this try: deferring again must not wind them up anew.

        Airflow 3.1 gives a resumed task a new start, so there they count from the latest deferral.
        """
        backstops = [timedelta(seconds=self.timeout), *([self.execution_timeout] if self.execution_timeout else [])]
        started = getattr(context.get("ti"), "start_date", None)
        spent = datetime.now(UTC) - started if started else timedelta()
        return max(min(backstops) - spent, timedelta(seconds=1))


def _error(kind: str, message: str) -> LaunchDarklyError:
    """The trigger's error again, as the class that it was."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, LaunchDarklyError):
        return found(message)
    return LaunchDarklyError(f"{kind}: {message}")


class LaunchDarklyIterationBaseSensor(LaunchDarklyBaseSensor):
    """What the sensors on an iteration share.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration, usually the output of the task that created or started it.
        on_kill: What becomes of the iteration when a person marks the task, or its run, failed while it waits in the
            triggerer. ``leave`` (default): it goes on. ``rollback``: the triggerer stops it on the baseline; needs
            Airflow 3.3, and a triggerer that has taken the waiting over: not in the second after the task deferred, nor
            while it looks on a worker. Clearing, marking as success, deleting the run and a timeout leave it alone.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "experiment_key", "iteration_id")
    operator_extra_links = (LaunchDarklyExperimentLink(),)

    def __init__(self, *, experiment_key: str, iteration_id: str, on_kill: str = LEAVE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        validate_on_kill(on_kill, heard=on_kill == LEAVE or (self.deferrable and _triggers_hear()))
        # Not `on_kill`: that is Airflow's name for a method of every task.
        self.when_killed = on_kill

    @property
    def pinned(self) -> dict[str, str]:
        """What every trigger on the iteration takes."""
        return {
            "experiment_key": self.experiment_key,
            "iteration_id": self.iteration_id,
            "when_killed": self.when_killed,
        }

    @property
    def experiment_url(self) -> str:
        """Where LaunchDarkly's UI shows the experiment."""
        return self.hook.experiment_url(self.experiment_key)


def _triggers_hear() -> bool:
    """Whether this Airflow tells a trigger that a person has ended its task."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")
