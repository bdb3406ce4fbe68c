"""Waits until an experiment's results are really significant, or until the plan ends without."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf
from typing_extensions import override

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.decision import Policy
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.hooks.warehouse import query_warehouse
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.record.chain import Content, canonical
from airflow_provider_launchdarkly.record.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.record.store import keep, last_waited
from airflow_provider_launchdarkly.results.launchdarkly import evidence_from_results
from airflow_provider_launchdarkly.results.look import Target, take_look
from airflow_provider_launchdarkly.results.sql import SqlResults, evidence_from_sql
from airflow_provider_launchdarkly.results.statement import Statement, write_statement
from airflow_provider_launchdarkly.templates import is_literal
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.procedure import Procedure
    from airflow_provider_launchdarkly.decision import Evidence
    from airflow_provider_launchdarkly.record.store import Kept, StoragePath
    from airflow_provider_launchdarkly.results.look import Look, Occasion, Source

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
        launchdarkly_conn_id: str = LaunchDarklyHook.default_conn_name,
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
        self.results = results if results is None or isinstance(results, SqlResults) else SqlResults.from_json(results)
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
        look, kept = self._look(context)
        return PokeReturnValue(is_done=look.ends, xcom_value=_answer(look.to_json(), kept) if look.ends else None)

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
                return _answer(verdict, self._record(verdict, evidence, str(more.get("looked_at"))))
            case {"status": "error", "error": str(kind), "message": str(message)}:
                raise _error(kind, message)
            case _:
                raise LaunchDarklyError(
                    f"the trigger ended with {event!r}, which is neither a verdict nor an error nor a look"
                )

    def _look_or_defer(self, context: Context) -> dict[str, Any]:
        look, kept = self._look(context)
        if look.ends:
            return _answer(look.to_json(), kept)
        return self._defer(context)

    def _look(self, context: Context) -> tuple[Look, Kept | None]:
        policy = Policy.from_json(self.policy)
        target = self._target
        interval = timedelta(seconds=self.poke_interval)
        previous = self._previous if self._previous is not None else self._waited_on_record(target, policy)
        look = self.hook.run(
            take_look(target, policy, previous=previous, poll_interval=interval, source=self._source(context))
        )
        self._previous = look.verdict.elapsed
        self.log.info("%s", look.verdict.summary)
        if not (look.read_results or look.ends):
            return look, None
        evidence = evidence_to_json(look.evidence) if look.evidence else None
        return look, self._record(look.to_json(), evidence, look.at.isoformat())

    @property
    def _target(self) -> Target:
        return Target(self.hook.environment(), self.experiment_key, self.iteration_id)

    def _source(self, context: Context) -> Source:
        if self.results is None:
            return evidence_from_results

        def from_warehouse(occasion: Occasion, policy: Policy) -> Procedure[Evidence]:
            return evidence_from_sql(occasion, policy, lambda due: self._query(context, due))

        return from_warehouse

    def _query(self, context: Context, occasion: Occasion) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Run the results query for one look."""
        from jinja2 import StrictUndefined

        if self.results is None:
            raise ConfigurationError("there is no results query to run")
        # A name that is misspelt in a query must not become an empty place in it.
        environment = self.get_template_env().overlay(undefined=StrictUndefined)
        sql = self.results.sql
        template = environment.get_template(sql) if sql.endswith(".sql") else environment.from_string(sql)

        def write(placeholder: str) -> Statement:
            return write_statement(template, occasion, placeholder, context)

        return query_warehouse(self.render_template(self.results.conn_id, context), write)

    @property
    def _record_folder(self) -> str | None:
        return self.record_path or conf.get("launchdarkly", "record_path", fallback="") or None

    def _waited_on_record(self, target: Target, policy: Policy) -> timedelta | None:
        folder = self._record_folder
        return last_waited(target.to_json(), policy.to_json(), folder, _storage) if folder else None

    def _record(self, verdict: Mapping[str, Any], evidence: Mapping[str, Any] | None, looked_at: str) -> Kept:
        """Put one look on record, and say so in the log."""
        target = self._target.to_json()
        content = Content(
            at=looked_at,
            target=target,
            source="launchdarkly" if self.results is None else "sql",
            policy=Policy.from_json(self.policy).to_json(),
            evidence=evidence,
            verdict={name: value for name, value in verdict.items() if name not in target},
        )
        kept = keep(content, self._record_folder, _storage)
        if kept.path is None:
            self.log.info("No record_path is set. This look's entry: %s", canonical(kept.entry))
        else:
            self.log.info("Recorded in %s: entry %s, head %s", kept.path, kept.entries, kept.head)
        return kept

    def _defer(self, context: Context) -> Never:
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
        task_instance = context.get("ti")
        started = getattr(task_instance, "start_date", None)
        spent = datetime.now(UTC) - started if started else timedelta()
        return max(min(backstops) - spent, timedelta(seconds=1))


def _storage(folder: str) -> StoragePath:
    from airflow.sdk import ObjectStoragePath

    path: StoragePath = ObjectStoragePath(folder)
    return path


def _answer(verdict: Mapping[str, Any], kept: Kept | None) -> dict[str, Any]:
    return {**verdict, "record": kept.to_json() if kept else None}


def _error(kind: str, message: str) -> LaunchDarklyError:
    """The trigger's error again, as the class that it was."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, LaunchDarklyError):
        return found(message)
    return LaunchDarklyError(f"{kind}: {message}")
