"""What the waiting sensor does at a look, on a worker: get results, decide, put it on record.

Apart from the sensor, and imported when a task runs: a DAG file that is parsed does not pay for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.audit_log.chain import Decision, canonical
from airflow_provider_launchdarkly.audit_log.store import StoragePath, latest_wait, store_decision
from airflow_provider_launchdarkly.checks.significance import SignificanceResult, check_significance
from airflow_provider_launchdarkly.decision.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results
from airflow_provider_launchdarkly.evidence.source import LookContext, Source, Target
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.sql_rows import evidence_from_sql
from airflow_provider_launchdarkly.evidence.sql_statement import Statement, write_statement
from airflow_provider_launchdarkly.sensors._warehouse import query_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.sensors.significance import LaunchDarklyWaitForSignificanceSensor


class SignificanceCheck:
    """The looks of one task.

    Args:
        sensor: The task, with its fields rendered.
        record_folder: Where records are kept; None keeps none.
    """

    def __init__(self, sensor: LaunchDarklyWaitForSignificanceSensor, record_folder: str | None) -> None:
        self._sensor = sensor
        self._folder = record_folder
        self._policy = Policy.from_json(sensor.policy)
        self._target = Target(sensor.hook.environment(), sensor.experiment_key, sensor.iteration_id)

    def look(self, context: Context, previous: timedelta | None) -> tuple[SignificanceResult, dict[str, Any]]:
        """Look once, and put it on record if results were read or it is the end.

        Args:
            context: The task's context.
            previous: Time after the iteration's start of this process's look before; None if there was none.

        Returns:
            The look, and what the task returns if it is the end.
        """
        if previous is None and self._folder is not None:
            previous = latest_wait(self._target.to_json(), self._policy.to_json(), self._folder, _storage)
        interval = timedelta(seconds=self._sensor.poke_interval)
        procedure = check_significance(
            self._target, self._policy, previous=previous, poll_interval=interval, source=self._source(context)
        )
        look = self._sensor.hook.run(procedure)
        self._sensor.log.info("%s", look.verdict.summary)
        if not (look.read_results or look.ends):
            return look, look.to_json()
        evidence = evidence_to_json(look.evidence) if look.evidence else None
        return look, self.record(look.to_json(), evidence, look.at.isoformat())

    def record(self, verdict: Mapping[str, Any], evidence: Mapping[str, Any] | None, looked_at: str) -> dict[str, Any]:
        """Put one look on record, and say so in the log. Safe to repeat.

        Args:
            verdict: The verdict as plain JSON, with its target.
            evidence: What it rests on, as plain JSON.
            looked_at: When, by LaunchDarkly's clock, ISO 8601.

        Returns:
            The verdict, which says where it is on record.
        """
        target = self._target.to_json()
        decision = Decision(
            at=looked_at,
            target=target,
            source="launchdarkly" if self._sensor.results is None else "sql",
            policy=self._policy.to_json(),
            evidence=evidence,
            verdict={name: value for name, value in verdict.items() if name not in target},
        )
        stored = store_decision(decision, self._folder, _storage)
        if stored.path is None:
            self._sensor.log.info("No record_path is set. This look's entry: %s", canonical(stored.entry))
        else:
            self._sensor.log.info("Recorded in %s: entry %s, head %s", stored.path, stored.entries, stored.head)
        return {**verdict, "record": stored.to_json()}

    def _source(self, context: Context) -> Source:
        if self._sensor.results is None:
            return evidence_from_results
        results = SqlResults.from_json(self._sensor.results)

        def from_warehouse(look_context: LookContext, policy: Policy) -> Procedure[Evidence]:
            return evidence_from_sql(look_context, policy, lambda due: self._query(results, due, context))

        return from_warehouse

    def _query(
        self, results: SqlResults, look_context: LookContext, context: Context
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Run the results query for one look."""
        from jinja2 import StrictUndefined, TemplateNotFound

        # A name that is misspelt in a query must not become an empty place in it.
        environment = self._sensor.get_template_env().overlay(undefined=StrictUndefined)
        path = results.path
        try:
            template = environment.get_template(path) if path else environment.from_string(results.sql)
        except TemplateNotFound:
            raise ConfigurationError(
                f"results: the DAG's folder and its template_searchpath have no file {path!r}; sql is taken for a path "
                "since it is one line without blanks that ends in .sql"
            ) from None

        def write(placeholder: str) -> Statement:
            return write_statement(template, look_context, placeholder, context)

        return query_warehouse(self._sensor.render_template(results.conn_id, context), write)


def _storage(folder: str) -> StoragePath:
    from airflow.sdk import ObjectStoragePath

    path: StoragePath = ObjectStoragePath(folder)
    return path
