"""Waits until an experiment's results are really significant, or until the plan ends without."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import conf
from typing_extensions import override

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyIterationBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
    from airflow_provider_launchdarkly.sensors._significance_check import SignificanceCheck
    from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger


class LaunchDarklyWaitForSignificanceSensor(LaunchDarklyIterationBaseSensor):
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
        policy: What is to be decided and how: a :class:`Policy`, or the same
            as a mapping. Default: the default policy.
        results: Where results come from: a :class:`SqlResults`, or the same
            as a mapping. Default: LaunchDarkly's results endpoints.
        record_path: Where decision records are kept: a folder, as a path or a URL that Airflow's ``ObjectStoragePath``
            takes, such as ``s3://conn_id@bucket/decisions``. Default: ``[launchdarkly] record_path``, where empty keeps
            none. A look that cannot be recorded fails the task: nothing is decided off the record.
        on_kill: ``leave`` (default) or ``rollback``: what becomes of the experiment when a person marks the task
            failed, see :class:`LaunchDarklyIterationBaseSensor`.
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
        BindingError: A query's template puts a value of the iteration where it cannot be bound.
        BrokenRecordError: The record was changed by someone else; it is left as it is.
        LaunchDarklyError: LaunchDarkly could not be read; ``ResultsUnavailableError`` where its results endpoints are
            gone, which is never taken for "not significant yet".
    """

    outcome: ClassVar[str] = "verdict"
    template_fields: Sequence[str] = (*LaunchDarklyIterationBaseSensor.template_fields, "policy", "record_path")

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | None = None,
        results: SqlResults | Mapping[str, Any] | None = None,
        record_path: str | None = None,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.policy = policy.to_json() if isinstance(policy, Policy) else dict(policy or {})
        # No template field: the query is rendered anew for each look, with values that only the look knows.
        self.results = None if results is None else _plain(results)
        self.record_path = record_path
        self._previous: timedelta | None = None
        if is_literal(self.policy):
            Policy.from_json(self.policy)

    @override
    def trigger(self, **shared: Any) -> SignificanceTrigger:
        """The trigger that looks at the results when the plan says so, or fires then for a look on a worker."""
        from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

        on_worker = self.results is not None or self._record_folder is not None
        # Where the trigger looks itself, a triggerer that takes over must not know of the first look alone: it would
        # take what others looked at since for new.
        previous = self._previous if on_worker else None
        return SignificanceTrigger(
            policy=json.dumps(self.policy),
            previous_seconds=None if previous is None else previous.total_seconds(),
            look_on_worker=on_worker,
            analysed_by_launchdarkly=self.results is None,
            **self.pinned,
            **shared,
        )

    @override
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the look that is due; else as every sensor: return what was found, or raise the error."""
        match event:
            case {"status": "look", "look": {"previous_seconds": float() | int() | None as seconds}}:
                self._previous = None if seconds is None else timedelta(seconds=seconds)
                return self._look_or_defer(context)
            case _:
                return super().execute_complete(context, event)

    @override
    def _is_output(self, found: Mapping[str, Any]) -> bool:
        return isinstance(found.get("verdict"), str)

    @override
    def _told(self, output: Mapping[str, Any]) -> str:
        return str(output["summary"])

    @override
    def _output(self, context: Context, found: Mapping[str, Any]) -> dict[str, Any]:
        verdict = dict(found)
        evidence, looked_at = verdict.pop("evidence", None), verdict.pop("looked_at", None)
        return self._looking.record(verdict, evidence, str(looked_at))

    @override
    def _look(self, context: Context) -> CheckResult:
        """Look once on this worker, and put the look on record."""
        from airflow_provider_launchdarkly.checks.result import CheckResult

        look, answer = self._looking.look(context, self._previous)
        self._previous = look.verdict.elapsed
        return CheckResult(look.ends, look.verdict.summary, answer)

    @property
    def _looking(self) -> SignificanceCheck:
        from airflow_provider_launchdarkly.sensors._significance_check import SignificanceCheck

        return SignificanceCheck(self, self._record_folder)

    @property
    def _record_folder(self) -> str | None:
        return self.record_path or conf.get("launchdarkly", "record_path", fallback="") or None


def _plain(results: SqlResults | Mapping[str, Any]) -> dict[str, Any]:
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults

    return (results if isinstance(results, SqlResults) else SqlResults.from_json(results)).to_json()
