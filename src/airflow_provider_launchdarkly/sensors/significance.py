"""The sensor on an experiment's significance."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import VersionMismatchError
from airflow_provider_launchdarkly.checks.crossing import check_standing
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import FieldError, InvalidSettingError, field_name
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Clock
from airflow_provider_launchdarkly.sensors._base import BACKSTOP, LaunchDarklyIterationBaseSensor
from airflow_provider_launchdarkly.telemetry import count
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context
    from airflow.sdk.definitions.asset import AssetNameRef, AssetUriRef

    from airflow_provider_launchdarkly.checks.on_data import DataLooks
    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.checks.significance import SignificanceCheck
    from airflow_provider_launchdarkly.decision.evidence import Standing
    from airflow_provider_launchdarkly.evidence.arrival import DataArrival
    from airflow_provider_launchdarkly.evidence.results_config import Results
    from airflow_provider_launchdarkly.evidence.source import Source
    from airflow_provider_launchdarkly.sensors._history import RecordedLooks, StoredLooks
    from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger


class LaunchDarklyWaitForSignificanceSensor(LaunchDarklyIterationBaseSensor):
    """Wait for the verdict on one iteration: ``ship``, ``rollback``, ``inconclusive`` or ``invalid``.

    The sensor looks at the results at the times that the policy plans, by LaunchDarkly's clock, and otherwise only
    for harm. The boundary of each look follows from the plan and from what the looks before it measured, which the
    decision record keeps, or the task's state (Airflow 3.3), so a retry, a clear or a restart of the triggerer
    changes nothing. Every verdict ends the task in success; the next task acts on it, and only ``ship`` ships.

    By default it defers: after one poll on the worker it waits in the triggerer. With ``deferrable=False``, the modes
    ``poke`` and ``reschedule`` decide by the same code. In ``reschedule`` mode keep ``poke_interval`` well below the
    spacing of the looks, since each poke is a process without memory.

    With ``results`` or ``record_path``, and on Airflow 3.3, a worker takes each look: the triggerer then only watches
    the clock and the iteration's state, runs no query and writes to no storage. On Airflow 3.1 and 3.2 without
    ``record_path`` nothing keeps the earlier looks, and the boundaries follow from the plan alone.

    If the policy has `harm_looks`, harm is also looked at between the planned looks. Only ``rollback``, or ``invalid``
    for a sample ratio mismatch, may come of it. Each poll then reads the results of one metric at most, in turn, in the
    triggerer too. With ``results`` a worker starts for each of these looks and runs all queries.

    Safe to repeat: it only reads, apart from the record. There, a repeated look with the same result changes nothing.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to judge. If another iteration runs, or someone else stopped this one, the
            verdict is ``invalid`` at once.
        policy: What to decide and how: a :class:`Policy`, or the same as a mapping. Default: the default policy.
        results: Where results come from: a :class:`DataExportResults`, a :class:`WarehouseNativeResults` or a
            :class:`SqlResults`, or the same as a mapping with ``source``. Default: LaunchDarkly's results endpoints.
        record_path: Folder for decision records, as a path or a URL that Airflow's ``ObjectStoragePath`` takes, such as
            ``s3://conn_id@bucket/decisions``. Default: ``[launchdarkly] record_path``; empty keeps none. A look that
            cannot be recorded fails the task: nothing is decided off the record.
        standing: The output of an earlier sensor on this iteration, for instance of one before an approval. If it is
            ``ship``, its treatment ships at the next look without crossing the boundary once more, unless something is
            harmed or its effect is gone (nominal one-sided p above 0.05): then the sensor waits on. No other treatment
            ships. A verdict on another iteration, or by another policy, counts for nothing. Default: where a decision
            record is kept, the crossing that stands on it, so that a retry or a clear does not lose it.
        arrival: Where the sensor learns up to when data have arrived, for a policy with ``looks: on_data``: a
            :class:`DataArrival`, the same as a mapping, or ``analyzed_at``. The warehouse, or Airflow's asset events,
            are asked from a worker, and only once a look's time has come. A decision record is required: it says which
            looks were taken.
        once: True to take the look that is due and end, for a DAG that an asset's events start: if that is no ending,
            or none is due, the task is skipped. It needs ``looks: on_data``.
        on_kill: ``leave`` (default) or ``rollback``: what happens to the experiment if a person marks the task failed,
            see :class:`LaunchDarklyIterationBaseSensor`.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        deferrable: False occupies a worker (``mode="poke"``) or starts a process for each poke (``"reschedule"``).
        poke_interval: Seconds between two reads of the experiment's state. Default: ``[launchdarkly] poll_interval``.
        timeout: Seconds after which Airflow fails the task. Default: 366 days, since the policy's maximum duration
            ends the waiting with a verdict.

    Returns:
        The verdict as plain JSON, with every number that it rests on. ``record`` locates it in the decision record:
        ``path``, number of ``entries`` and the hash of the last, ``head``.

    Raises:
        SqlResultsError: The rows of a query or of LaunchDarkly's tables cannot be the iteration's results.
        NoExposuresError, StaleAnalysisError: LaunchDarkly's tables have nothing of the iteration, or nothing new. A
            retry may find it.
        UncomputableMetricError: LaunchDarkly's definition of a metric cannot be computed from its tables.
        BindingError: A query's template puts a value of the iteration where it cannot be bound, or does not leave out
            the units that the policy leaves out.
        DataNotArrivedError: The data of a look have not arrived by its deadline, and the policy fails then.
        BrokenRecordError: The record was changed by someone else; it is left as it is.
        ConfigurationError: The policy has a `portfolio`, and there is no ``record_path`` or no share left.
        ResultsUnavailableError: LaunchDarkly no longer serves results. This never counts as "not significant yet".
        LaunchDarklyError: LaunchDarkly could not be read.
    """

    outcome: ClassVar[str] = "verdict"
    template_fields: Sequence[str] = (
        *LaunchDarklyIterationBaseSensor.template_fields,
        "policy",
        "record_path",
        "standing",
    )

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | None = None,
        results: Results | Mapping[str, Any] | None = None,
        record_path: str | None = None,
        standing: Any = None,
        arrival: DataArrival | Mapping[str, Any] | str | None = None,
        once: bool = False,
        timeout: timedelta | float = BACKSTOP,
        **kwargs: Any,
    ) -> None:
        self.arrival = None if arrival is None else _read(arrival)
        if self.arrival is not None and self.arrival.asset is not None:
            # Airflow lets a task read the events of its inlets only.
            kwargs["inlets"] = [*kwargs.get("inlets", ()), asset_ref(self.arrival.asset)]
        super().__init__(timeout=timeout, **kwargs)
        self.once = once
        self.deferrable = self.deferrable or once  # which never waits, in whatever mode
        self.policy: Any = policy.to_json() if isinstance(policy, Policy) else ({} if policy is None else policy)
        # Not a template field: the query is rendered at each look, with values that only exist then.
        self.results = None if results is None else _plain(results)
        computed = self.results is not None and self.results.get("source") != "warehouse_native"
        self.record_path = record_path
        self.standing = standing
        self._previous: timedelta | None = None
        self._data: DataLooks | None = None
        self._ask_from = timedelta()
        self._has_share = False
        self._looks: RecordedLooks | StoredLooks | None = None
        if is_literal(self.policy):
            read = Policy.from_json(self.policy)
            self._require_polls_for_harm(read)
            self._require_arrival(read)
            if not computed:
                _require_source_of_mature_units(read, native=results is not None)
        if standing is not None and is_literal(standing):
            check_standing(standing)

    def _require_polls_for_harm(self, policy: Policy) -> None:
        """Refuse looks for harm that are more frequent than the polls."""
        harm_looks = policy.harm_looks
        if harm_looks is not None and harm_looks < timedelta(seconds=self.poke_interval):
            raise InvalidSettingError(
                f"policy.harm_looks {format_duration(harm_looks)} is shorter than poke_interval {self.poke_interval:g} "
                "s: harm is looked at when the sensor polls, so make harm_looks longer, or poke_interval (by default "
                "[launchdarkly] poll_interval) shorter"
            )

    def _require_arrival(self, policy: Policy) -> None:
        """Refuse looks on data without a place to learn of the data from, and the other way round."""
        if self.once and policy.looks.on_data is None:
            raise InvalidSettingError("once takes a look whose data have arrived: write looks: on_data in the policy")
        if self.arrival is not None or policy.looks.on_data is not None:
            from airflow_provider_launchdarkly.evidence.arrival import require_arrival

            try:
                require_arrival(policy, self.arrival)
            except FieldError as error:
                raise InvalidSettingError(str(error)) from None
        if self.arrival is None or self.deferrable or self.mode != "reschedule":
            return
        if self.poke_interval < self.arrival.ask_every.total_seconds():
            raise InvalidSettingError(
                f"poke_interval {self.poke_interval:g} s is shorter than arrival.ask_every "
                f"{format_duration(self.arrival.ask_every)}: in reschedule mode each poke is a new process, which asks "
                "whether data have arrived, so make poke_interval longer, or let the sensor defer"
            )

    @override
    def make_check(self, context: Context) -> SignificanceCheck:
        """Return the check, with the source of its evidence."""
        from airflow_provider_launchdarkly.checks.significance import SignificanceCheck, no_looks
        from airflow_provider_launchdarkly.sensors._decision_record import latest_recorded_wait, recorded_spent

        policy, folder = self._policy, self._record_folder
        self._require_polls_for_harm(policy)
        self._require_arrival(policy)
        self._data = self._data_looks(context)
        self._looks = self._kept_looks(context)
        if self._previous is None and folder is not None:
            self._previous = latest_recorded_wait(self.target, policy, folder)
        return SignificanceCheck(
            self.target,
            policy,
            previous=self._previous,
            poll_interval=timedelta(seconds=self.poke_interval),
            source=self._source(context),
            looks=self._looks or no_looks,
            standing=self._crossing,
            spent=None if folder is None else recorded_spent(self.target, policy, folder),
            data=self._data,
        )

    def _data_looks(self, context: Context) -> DataLooks | None:
        """Return what is known of the looks, if they wait for their data."""
        if self._policy.looks.on_data is None or self.arrival is None:
            return None
        from airflow_provider_launchdarkly.checks.on_data import DataLooks
        from airflow_provider_launchdarkly.sensors._on_data import ask_asset, ask_warehouse, recorded_looks

        if self.arrival.asset is not None:
            ask = ask_asset(self.arrival, asset_ref(self.arrival.asset), context, only_triggering=self.once)
        else:
            ask = ask_warehouse(self.arrival, self.results, self, context, lambda: self.hook.get_environment().id)
        latest, ended = recorded_looks(self.target, self._policy, self._record_folder)
        return DataLooks(latest, ask, self.arrival.ask_every, self._ask_from, ended)

    def _kept_looks(self, context: Context) -> RecordedLooks | StoredLooks | None:
        """Return where the earlier looks are, if the policy's clock needs them and they are kept."""
        from airflow_provider_launchdarkly.sensors._history import looks_of

        if self._policy.clock is not Clock.INFORMATION:
            return None
        return looks_of(self.target, self._record_folder, context, self.warn)

    @cached_property
    def _crossing(self) -> Standing | None:
        """The crossing that stands: the earlier sensor's, or else the one on record."""
        from airflow_provider_launchdarkly.checks.crossing import read_crossing
        from airflow_provider_launchdarkly.sensors._decision_record import recorded_standing

        if self.standing is None:
            folder = self._record_folder
            return recorded_standing(self.target, folder) if folder is not None else None
        found = read_crossing(self.standing, self.target)
        if found.warning:
            self.warn("%s", found.warning)
        return found.standing

    def _source(self, context: Context) -> Source:
        if self.results is None:
            from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results

            return evidence_from_results
        from airflow_provider_launchdarkly.sensors._sources import source_of

        return source_of(self.results, self, context, self._policy)

    @override
    def trigger_class(self) -> type[SignificanceTrigger]:
        """Import and return the trigger that looks at the results, or fires when a look on a worker is due."""
        from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

        return SignificanceTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the trigger's arguments: Airflow stores only flat ones, so the policy goes as JSON text."""
        on_worker = self.results is not None or self._record_folder is not None or self._looks is not None
        # A trigger that takes looks itself gets no `previous`: after a failover it would repeat the looks since then.
        previous = self._previous if on_worker else None
        return super().trigger_arguments() | {
            "policy": json.dumps(self.policy or {}),
            "previous_seconds": None if previous is None else previous.total_seconds(),
            "look_on_worker": on_worker,
            "analysed_by_launchdarkly": self.results is None,
            "taken_seconds": None if self._data is None else self._data.taken.total_seconds(),
            "ask_from_seconds": None if self._data is None else self._data.ask_from.total_seconds(),
            "standing": None if on_worker or self._crossing is None else json.dumps(self._crossing._asdict()),
        }

    @override
    def _resume(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Take the look that is due; or return the trigger's output, or raise its error, as every sensor does."""
        match event:
            case {"status": "look", "look": {"previous_seconds": float() | int() | None as seconds} as look}:
                self._previous = None if seconds is None else timedelta(seconds=seconds)
                self._ask_from = timedelta(seconds=look.get("ask_from_seconds") or 0.0)
                return self._poll_or_defer(context)
            case _:
                return super()._resume(context, event)

    @override
    def _after_trigger(self, context: Context, output: Mapping[str, Any]) -> dict[str, Any]:
        """Record the look that ended the waiting."""
        if not isinstance(output.get("verdict"), str):
            raise VersionMismatchError(
                f"the trigger ended with {dict(output)!r}, which this version of the provider takes for neither a "
                "verdict nor an error: run the same version on workers and triggerers"
            )
        from airflow_provider_launchdarkly.checks.result import CheckResult

        ended = CheckResult(True, str(output.get("summary")), dict(output))
        self.say("%s", ended.headline)
        count(f"verdicts.{output['verdict']}")
        self._log_cautions(output.get("cautions") or ())
        return self._recorded(context, ended).output

    @override
    def _poll_or_defer(self, context: Context) -> dict[str, Any]:
        """Poll once; then return an ending, or defer, or skip what follows."""
        if not self.once:
            return super()._poll_or_defer(context)
        from airflow.providers.common.compat.sdk import AirflowSkipException

        result = self._poll(context)
        if result.ends:
            return result.output
        from airflow_provider_launchdarkly.checks.significance_result import NOT_IN_A_VERDICT

        context["ti"].xcom_push(
            key="return_value",
            value={name: value for name, value in result.output.items() if name not in NOT_IN_A_VERDICT},
        )
        raise AirflowSkipException(result.summary)

    @override
    def _poll(self, context: Context) -> CheckResult:
        """Poll once, and record the look if results were read or the waiting is over."""
        result = super()._poll(context)
        self._previous = cast("SignificanceCheck", self._check).previous
        self._take_portfolio_share(result.output)
        if not result.is_news:
            self.leave_note(context, result)
            return result
        measured = result.output["evidence"]
        if measured is not None:
            count("looks")
        if result.ends:
            count(f"verdicts.{result.output['verdict']}")
        recorded = self._recorded(context, result)
        if self._looks is not None and measured is not None:
            self._looks.keep(measured)
        return recorded

    def _recorded(self, context: Context, result: CheckResult) -> CheckResult:
        """Put a look on record, and let the pages show it."""
        recorded = self._record(result.output)
        self.leave_note(context, replace(result, output={**result.output, "record": recorded["record"]}))
        return replace(result, output=recorded)

    @override
    def shown_policy(self) -> dict[str, Any]:
        """Return the policy for the pages."""
        return self._policy.to_json()

    @override
    def looks_on_record(self) -> list[dict[str, Any]]:
        """Return the looks of the decision record."""
        folder = self._record_folder
        if folder is None:
            return []
        from airflow_provider_launchdarkly.audit_log.store import is_claim, read_record
        from airflow_provider_launchdarkly.sensors._decision_record import open_storage
        from airflow_provider_launchdarkly.views.notes import looks_of_record

        entries = read_record(self.target.to_json(), folder, open_storage)
        return looks_of_record(entry for entry in entries if not is_claim(entry))

    def _take_portfolio_share(self, found: Mapping[str, Any]) -> None:
        """Take the share of the policy's portfolio, once in this process and before any verdict leaves the task."""
        policy = self._policy
        if policy.portfolio is None or self._has_share:
            return
        from airflow_provider_launchdarkly.sensors._decision_record import take_portfolio_share

        share = take_portfolio_share(found, self.target, policy, source=self._source_name, folder=self._record_folder)
        self._has_share = True
        if share is not None:
            self.say(
                "Share %s of %s of portfolio %s: alpha %g", share, policy.portfolio.experiments, policy.portfolio.name,
                policy.alpha,
            )  # fmt: skip

    def _record(self, found: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider_launchdarkly.sensors._decision_record import record_look

        return record_look(
            found,
            self.target,
            self._policy,
            source=self._source_name,
            folder=self._record_folder,
            log=self.say,
        )

    @property
    def _source_name(self) -> str:
        if self.results is None:
            return "launchdarkly"
        from airflow_provider_launchdarkly.evidence.results_config import source_name

        return source_name(self.results)

    @property
    def _policy(self) -> Policy:
        return Policy.from_json(self.policy or {})

    @property
    def _record_folder(self) -> str | None:
        from airflow_provider_launchdarkly.sensors._decision_record import record_folder

        return record_folder(self.record_path)


def _read(arrival: DataArrival | Mapping[str, Any] | str) -> DataArrival | None:
    from airflow_provider_launchdarkly.evidence.arrival import read_arrival

    return read_arrival(arrival)


def asset_ref(named: str) -> AssetNameRef | AssetUriRef:
    """Return Airflow's reference to an asset by its name or its URI."""
    from airflow.sdk import Asset

    return Asset.ref(uri=named) if "://" in named else Asset.ref(name=named)


def _require_source_of_mature_units(policy: Policy, *, native: bool) -> None:
    from airflow_provider_launchdarkly.decision.suitability import (
        UndecidableExperimentError,
        require_source_of_mature_units,
    )

    try:
        require_source_of_mature_units(policy, native=native)
    except UndecidableExperimentError as error:
        raise InvalidSettingError(f"policy.{field_name(error.path)} {error}") from None


def _plain(results: Results | Mapping[str, Any]) -> dict[str, Any]:
    from airflow_provider_launchdarkly.evidence.results_config import read_results

    return dict(read_results(results).to_json())
