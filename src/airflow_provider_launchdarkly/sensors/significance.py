"""Waits until an experiment's results are really significant, or until the plan ends without."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
    from airflow_provider_launchdarkly.results.sql import SqlResults
    from airflow_provider_launchdarkly.sensors.looking import Looking

# The plan's maximum duration ends the waiting with a verdict; Airflow's timeout is only a backstop behind it.
BACKSTOP = timedelta(days=366)

# Seconds, where Airflow has not read the provider's configuration: Airflow 3.1 does not do so in every process.
POLL_INTERVAL = 300.0


class LaunchDarklyWaitForSignificanceSensor(BaseSensorOperator):
    """Wait for the verdict on one iteration: ``ship``, ``rollback``, ``inconclusive`` or ``invalid``.

    Looks at the results when the policy's plan says so, by LaunchDarkly's clock, and nowhere between: the boundary at
    each look is computed from the plan alone, so a retry, a clear or a restart of the triggerer changes nothing. All
    verdicts end the task in success; what follows from them is the next task's business, and only ``ship`` ships.

    By default it defers: after one look on the worker it waits in the triggerer. With ``deferrable=False``, modes
    ``poke`` and ``reschedule`` decide by the same code; in ``reschedule`` mode keep ``poke_interval`` well below the
    spacing of the looks, since each poke is a process that remembers nothing.

    With ``results`` or ``record_path`` each look is taken on a worker: the triggerer then only watches the clock and
    the iteration's state, and neither runs a query nor writes to storage.

    Safe to repeat: it only reads, apart from the record; there a look that is taken again, and finds the same, changes
    nothing.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to judge. Another iteration under way, or this one stopped by someone else,
            is ``invalid`` at once.
        policy: What is to be decided and how: a :class:`~airflow_provider_launchdarkly.decision.Policy`, or the same
            as a mapping. Default: the default policy.
        results: Where results come from: a :class:`~airflow_provider_launchdarkly.results.sql.SqlResults`, or the same
            as a mapping. Default: LaunchDarkly's results endpoints.
        record_path: Where decision records are kept: a folder, as a path or a URL that Airflow's ``ObjectStoragePath``
            takes, such as ``s3://conn_id@bucket/decisions``. Default: ``[launchdarkly] record_path``, where empty keeps
            none. A look that cannot be recorded fails the task: nothing is decided off the record.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two reads of the experiment's state. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task, however the experiment stands. Default: 366 days, since
            the policy's maximum duration ends the waiting with a verdict.

    Returns:
        The verdict as plain JSON, with every number that it rests on. ``record`` says where it is on record: ``path``,
        number of ``entries`` and the hash of the last, ``head``.

    Raises:
        SqlResultsError: The rows of a query cannot be the iteration's results.
        BrokenRecordError: The record was changed by someone else; it is left as it is.
        LaunchDarklyError: LaunchDarkly could not be read; ``ResultsUnavailableError`` where its results endpoints are
            gone, which is never taken for "not significant yet".
    """

    template_fields: Sequence[str] = (
        "experiment_key",
        "iteration_id",
        "policy",
        "record_path",
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
        results: SqlResults | Mapping[str, Any] | None = None,
        record_path: str | None = None,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        poke_interval: timedelta | float | None = None,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = conf.getfloat("launchdarkly", "poll_interval", fallback=POLL_INTERVAL)
        # Each entry of the verdict is an XCom of its own as well: `wait.output["verdict"]` works.
        super().__init__(poke_interval=poke_interval, timeout=timeout, **{"multiple_outputs": True} | kwargs)
        self.experiment_key = experiment_key
        self.iteration_id = iteration_id
        self.policy = policy.to_json() if isinstance(policy, Policy) else dict(policy or {})
        # No template field: the query is rendered anew for each look, with values that only the look knows.
        self.results = None if results is None else _plain(results)
        self.record_path = record_path
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
        return self._look_or_defer(context)

    @override
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, for the modes that do not defer."""
        look, answer = self._look(context)
        return PokeReturnValue(is_done=look.ends, xcom_value=answer if look.ends else None)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the look that is due, return the verdict that the trigger found, or raise its error here.

        Here is where Airflow's retries apply.
        """
        match event:
            case {"status": "look", "previous_seconds": float() | int() | None as seconds}:
                self._previous = None if seconds is None else timedelta(seconds=seconds)
                return self._look_or_defer(context)
            case {"status": "verdict", "verdict": {"verdict": str()} as verdict, **more}:
                self.log.info("%s", verdict["summary"])
                evidence: Any = more.get("evidence")
                return self._looking.record(verdict, evidence, str(more.get("looked_at")))
            case {"status": "error", "error": str(kind), "message": str(message)}:
                raise _error(kind, message)
            case _:
                raise LaunchDarklyError(
                    f"the trigger ended with {event!r}, which is neither a verdict nor an error nor a look"
                )

    def _look_or_defer(self, context: Context) -> dict[str, Any]:
        look, answer = self._look(context)
        if look.ends:
            return answer
        return self._defer(context)

    def _look(self, context: Context) -> tuple[Look, dict[str, Any]]:
        look, answer = self._looking.look(context, self._previous)
        self._previous = look.verdict.elapsed
        return look, answer

    @property
    def _looking(self) -> Looking:
        from airflow_provider_launchdarkly.sensors.looking import Looking

        return Looking(self, self._record_folder)

    @property
    def _record_folder(self) -> str | None:
        return self.record_path or conf.get("launchdarkly", "record_path", fallback="") or None

    def _defer(self, context: Context) -> Never:
        from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

        env = self.hook.environment()
        self.defer(
            trigger=SignificanceTrigger(
                launchdarkly_conn_id=self.launchdarkly_conn_id,
                project_key=env.project_key,
                environment_key=env.environment_key,
                experiment_key=self.experiment_key,
                iteration_id=self.iteration_id,
                policy=self.policy,
                poll_interval=self.poke_interval,
                previous_seconds=None if self._previous is None else self._previous.total_seconds(),
                look_on_worker=self.results is not None or self._record_folder is not None,
                analysed_by_launchdarkly=self.results is None,
            ),
            method_name="execute_complete",
            timeout=self._time_left(context),
        )

    def _time_left(self, context: Context) -> timedelta:
        """Until Airflow's backstops, from the first start of this try: deferring again must not wind them up anew."""
        backstops = [timedelta(seconds=self.timeout), *([self.execution_timeout] if self.execution_timeout else [])]
        started = getattr(context.get("ti"), "start_date", None)
        spent = datetime.now(UTC) - started if started else timedelta()
        return max(min(backstops) - spent, timedelta(seconds=1))


def _plain(results: SqlResults | Mapping[str, Any]) -> dict[str, Any]:
    from airflow_provider_launchdarkly.results.sql import SqlResults

    return (results if isinstance(results, SqlResults) else SqlResults.from_json(results)).to_json()


def _error(kind: str, message: str) -> LaunchDarklyError:
    """The trigger's error again, as the class that it was."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, LaunchDarklyError):
        return found(message)
    return LaunchDarklyError(f"{kind}: {message}")
