"""Waits until an experiment's results are really significant, or until the plan ends without."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf
from typing_extensions import override

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.results.look import Look

# The plan's maximum duration ends the waiting with a verdict; Airflow's timeout is only a backstop behind it.
BACKSTOP = timedelta(days=366)


class LaunchDarklyWaitForSignificanceSensor(BaseSensorOperator):
    """Wait for the verdict on one iteration: ``ship``, ``rollback``, ``inconclusive`` or ``invalid``.

    Looks at the results when the policy's plan says so, by LaunchDarkly's clock, and nowhere between: the boundary at
    each look is computed from the plan alone, so a retry, a clear or a restart of the triggerer changes nothing. All
    verdicts end the task in success; what follows from them is the next task's business, and only ``ship`` ships.

    By default it defers: after one look on the worker it waits in the triggerer. With ``deferrable=False``, modes
    ``poke`` and ``reschedule`` decide by the same code; in ``reschedule`` mode keep ``poke_interval`` well below the
    spacing of the looks, since each poke is a process that remembers nothing.

    Safe to repeat: it only reads.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to judge. Another iteration under way, or this one stopped by someone else,
            is ``invalid`` at once.
        policy: What is to be decided and how: a :class:`~airflow_provider_launchdarkly.decision.Policy`, or the same
            as a mapping. Default: the default policy.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two reads of the experiment's state. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task, however the experiment stands. Default: 366 days, since
            the policy's maximum duration ends the waiting with a verdict.

    Returns:
        The verdict as plain JSON, with every number that it rests on.

    Raises:
        LaunchDarklyError: LaunchDarkly could not be read; ``ResultsUnavailableError`` where its results endpoints are
            gone, which is never taken for "not significant yet".
    """

    template_fields: Sequence[str] = (
        "experiment_key",
        "iteration_id",
        "policy",
        "project_key",
        "environment_key",
        "launchdarkly_conn_id",
    )
    operator_extra_links = (LaunchDarklyExperimentLink(),)
    ui_color = "#e5e9ff"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        experiment_key: str,
        iteration_id: str,
        policy: Policy | Mapping[str, Any] | None = None,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        poke_interval: timedelta | float | None = None,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = conf.getfloat("launchdarkly", "poll_interval")
        # Each entry of the verdict is an XCom of its own as well: `wait.output["verdict"]` works.
        super().__init__(poke_interval=poke_interval, timeout=timeout, **{"multiple_outputs": True} | kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.policy = policy.to_json() if isinstance(policy, Policy) else dict(policy or {})
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id
        self.deferrable = deferrable
        self._previous: timedelta | None = None
        if is_literal(self.policy):
            Policy.from_json(self.policy)

    @cached_property
    def hook(self) -> LaunchDarklyHook:
        """The hook on the task's connection, with the task's project and environment as defaults."""
        # Imported here, as everything that only a running task needs: each DAG file is parsed anew every few seconds.
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)

    @property
    def experiment_url(self) -> str:
        """Where LaunchDarkly's UI shows the experiment."""
        return self.hook.experiment_url(self.experiment_key)

    @override
    def execute(self, context: Context) -> Any:
        """Look once; if that is not the end, defer (or poke, where the sensor is not deferrable)."""
        if not self.deferrable:
            return super().execute(context)
        look = self._look()
        if look.ends:
            return look.to_json()
        return self._defer()

    @override
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, for the modes that do not defer."""
        look = self._look()
        return PokeReturnValue(is_done=look.ends, xcom_value=look.to_json() if look.ends else None)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Return the verdict that the trigger found, or raise its error here, where Airflow's retries apply."""
        match event:
            case {"status": "verdict", "verdict": {"verdict": str()} as verdict}:
                self.log.info("%s", verdict["summary"])
                return dict(verdict)
            case {"status": "error", "error": str(kind), "message": str(message)}:
                raise _error(kind, message)
            case _:
                raise LaunchDarklyError(f"the trigger ended with {event!r}, which is neither a verdict nor an error")

    def _look(self) -> Look:
        from airflow_provider_launchdarkly.results.look import Target, take_look

        policy = Policy.from_json(self.policy)
        target = Target(self.hook.environment(), self.experiment_key, self.iteration_id)
        interval = timedelta(seconds=self.poke_interval)
        look = self.hook.run(take_look(target, policy, previous=self._previous, poll_interval=interval))
        self._previous = look.verdict.elapsed
        self.log.info("%s", look.verdict.summary)
        return look

    def _defer(self) -> Never:
        from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

        env = self.hook.environment()
        backstops = [timedelta(seconds=self.timeout), *([self.execution_timeout] if self.execution_timeout else [])]
        self.defer(
            trigger=SignificanceTrigger(
                launchdarkly_conn_id=self.launchdarkly_conn_id,
                project_key=env.project_key,
                environment_key=env.environment_key,
                experiment_key=self.experiment_key,
                iteration_id=self.iteration_id,
                policy=self.policy,
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=min(backstops),
        )


def _error(kind: str, message: str) -> LaunchDarklyError:
    """The trigger's error again, as the class that it was."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, LaunchDarklyError):
        return found(message)
    return LaunchDarklyError(f"{kind}: {message}")
