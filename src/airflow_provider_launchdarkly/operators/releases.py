"""Operators on environment releases: start, stop and read one. They only call ``api/writes`` and ``api/reads``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, NotFoundError
from airflow_provider_launchdarkly.api.variations import find_variation
from airflow_provider_launchdarkly.assets import EVERY_RELEASE, emit_event
from airflow_provider_launchdarkly.operators._approval import LaunchDarklyApprovedBaseOperator
from airflow_provider_launchdarkly.operators._base import audit_comment
from airflow_provider_launchdarkly.operators._release import LaunchDarklyReleaseBaseOperator
from airflow_provider_launchdarkly.operators._release_design import ReleaseArguments
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import FeatureFlag, ReleasePost
    from airflow_provider_launchdarkly.operators._release import ReleaseOutput

# How far Airflow's clock and LaunchDarkly's may differ.
CLOCKS_DIFFER_BY = timedelta(minutes=10)

# Key in Airflow's task state store: since when a person is to start the release in this task's place.
HANDED_OVER = "handed_over_since"


class LaunchDarklyStartReleaseOperator(LaunchDarklyApprovedBaseOperator, LaunchDarklyReleaseBaseOperator):
    """Start a release: a rule of a flag moves from one variation to another, step by step, guarded by metrics or not.

    Safe to repeat: a DAG run starts at most one release in this task. The flag's releases are read first, and the one
    that is the same is adopted: while it is active, and after it has ended if an earlier try of this run started it. A
    new rule's description names the run, and tells its release apart; with a description of your own, or on an existing
    rule, the time of its start does. Another active release fails the task and is named. The task ends as soon as the
    release has started: let :class:`LaunchDarklyReleaseSensor` wait for its end. Killing the task does not stop the
    release.

    Where an earlier release of a task or a rollout has left a rule with the clauses of a new one, which LaunchDarkly
    takes no second time, the release runs on that rule if it serves ``original`` to everyone; else the task fails and
    says what to do.

    Where LaunchDarkly demands an approval, a task with ``reviewers`` waits for a person who starts the release there,
    since its API takes no request for one. The descriptions of new rules are not compared then.

    Args:
        flag_key: Key of the flag. It has to be on.
        original: The variation to move from: its name, value or id.
        target: The variation to move to.
        phases: What to move, in order. Each is a mapping with ``steps``, a list of
            ``{"percent": 10, "duration": "1d"}`` with rising percents, and either ``rule_id`` of an existing rule (in a
            release of one phase alone) or ``clauses`` and ``description`` of a new one. The clause that LaunchDarkly
            demands of a new rule, on the kind of context, is added if it is missing; without ``clauses`` the rule
            matches all contexts of that kind.
        guardrails: Metrics that guard the release: keys, or mappings of ``metric`` and ``auto_rollback``. A regression
            reverts the release, or with ``auto_rollback`` False lets it wait. Percents are at most 50 then. Default:
            none, a progressive release.
        randomization_unit: Kind of context by which the rules split. Default: ``user``.
        advancement_mode: ``automatic`` or ``manual``: whether the next of several phases starts by itself.
        cleanup_behavior: ``leave_rules_in_place`` (LaunchDarkly's default), or
            ``remove_rules_and_update_default_rule``: once completed, the rules go and the default rule serves the
            target.
        before_rule_id: Rule before which new rules are inserted. Default: at the end.
        release_plan_key: A release plan of LaunchDarkly's, in place of phases, guardrails, unit, mode and cleanup.
        bypass_health_checks: Kinds of health checks that may fail (see the error's message).
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
        emit_asset: Emit the event ``release_started`` on the flag's asset (see ``assets``) whenever the task succeeds.
        kwargs: ``reviewers`` and ``approval_timeout`` (see :class:`LaunchDarklyApprovedBaseOperator`), ``project_key``,
            ``environment_key``, ``launchdarkly_conn_id`` and the arguments of every task.

    Returns:
        :class:`.ReleaseOutput`, with ``changed`` False if the release was there already, or a person has started it.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyReleaseBaseOperator.template_fields,
        "reviewers",
        "approval_timeout",
        "original",
        "target",
        "phases",
        "guardrails",
        "randomization_unit",
        "advancement_mode",
        "cleanup_behavior",
        "before_rule_id",
        "release_plan_key",
        "bypass_health_checks",
        "comment",
    )

    def __init__(
        self,
        *,
        original: Any,
        target: Any,
        phases: Sequence[Mapping[str, Any]] | None = None,
        guardrails: Sequence[str | Mapping[str, Any]] = (),
        randomization_unit: str | None = None,
        advancement_mode: str | None = None,
        cleanup_behavior: str | None = None,
        before_rule_id: str | None = None,
        release_plan_key: str | None = None,
        bypass_health_checks: Sequence[str] = (),
        comment: str | None = None,
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.original = original
        self.target = target
        self.phases = phases
        self.guardrails = guardrails
        self.randomization_unit = randomization_unit
        self.advancement_mode = advancement_mode
        self.cleanup_behavior = cleanup_behavior
        self.before_rule_id = before_rule_id
        self.release_plan_key = release_plan_key
        self.bypass_health_checks = bypass_health_checks
        self.comment = comment
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_RELEASE]
        ReleaseArguments.of(self).check()

    @override
    def act(self, context: Context) -> ReleaseOutput:
        """Start the release, or adopt the one that this run has started."""
        flag = self.hook.get_flag(self.flag_key)
        by_person, since = self._handed_over(context)
        started = self.hook.start_release(
            self.flag_key,
            self._post(flag, context),
            since=since or self._since(context),
            by_description=self._names_the_run(),
            any_description=by_person,
            announce=self.before_start,
        )
        if started.adopted and self.handed_over_since is not None:
            self.say("A person has started release %s in this task's place.", started.release.id)
        elif started.adopted:
            self.say("Release %s is there already: nothing to do.", started.release.id)
        output = self._describe(started.release, changed=not started.adopted)
        if self.emit_asset:
            emit_event(context, self.outlets, "release_started", output)
        return output

    def before_start(self) -> None:
        """Say that the release starts. Called just before the request, and not if there is nothing to start."""
        self.say("Starting a release of flag %s.", self.flag_key)

    @override
    def note_hand_over(self, context: Context) -> None:
        """Note since when a person is to start the release in this task's place, for a try after a kill."""
        store = context.get("task_state_store")
        if store is not None and self.handed_over_since is not None:
            store.set(HANDED_OVER, self.handed_over_since.isoformat())

    def _handed_over(self, context: Context) -> tuple[bool, datetime | None]:
        """Return whether a person may have started the release in this task's place, and since when if it is known."""
        if self.handed_over_since is not None:
            return True, self.handed_over_since
        if self.reviewers is None:
            return False, None
        store = context.get("task_state_store")
        if store is None:  # before Airflow 3.3
            return getattr(context["ti"], "try_number", 1) > 1, None
        noted = store.get(HANDED_OVER)
        return noted is not None, None if noted is None else datetime.fromisoformat(str(noted))

    def _post(self, flag: FeatureFlag, context: Context) -> ReleasePost:
        return ReleaseArguments.of(self).post(
            find_variation(flag, self.original).id,
            find_variation(flag, self.target).id,
            run=audit_comment(None, context),
            comment=audit_comment(self.comment, context),
        )

    def _names_the_run(self) -> bool:
        """Return whether the description of the first rule is this operator's own, which names the DAG run."""
        first: Mapping[str, Any] = self.phases[0] if self.phases else {"description": "a plan's"}
        return first.get("rule_id") is None and not first.get("description")

    def _since(self, context: Context) -> datetime | None:
        """Return the time from which on an ended release is this run's own, for a try that is not the first."""
        run: Any = context.get("dag_run")
        started = getattr(run, "start_date", None)
        if started is None or getattr(context["ti"], "try_number", 1) < 2:
            return None
        since: datetime = started - CLOCKS_DIFFER_BY
        return since


class LaunchDarklyStopReleaseOperator(LaunchDarklyReleaseBaseOperator):
    """Stop a release: forward to its target, or back to its original.

    Safe to repeat: the release is pinned by its id. If it has ended the same way, the task succeeds without a write;
    the other way, it fails, since LaunchDarkly changes no release that has ended.

    Args:
        flag_key: Key of the flag.
        release_id: Id of the release, usually the output of the task that started it.
        resolution: ``roll_forward_all_phases``, ``roll_forward_current_phase_and_remove_pending_phases``,
            ``roll_back_all_phases_and_remove_pending_phases`` or
            ``roll_back_current_phase_and_remove_pending_phases``.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
        emit_asset: Emit the event ``release_completed`` or ``release_reverted`` on the flag's asset (see ``assets``)
            whenever the task succeeds.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id`` and the arguments of every task.

    Returns:
        :class:`.ReleaseOutput`, with ``changed`` False if the release had ended so already.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyReleaseBaseOperator.template_fields,
        "release_id",
        "resolution",
        "comment",
    )

    def __init__(
        self,
        *,
        release_id: str,
        resolution: str,
        comment: str | None = None,
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id
        self.resolution = resolution
        self.comment = comment
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_RELEASE]
        if is_literal(resolution):
            self._validate()

    @override
    def act(self, context: Context) -> ReleaseOutput:
        """Stop the release, unless it has ended so already."""
        self._validate()
        resolution: Any = self.resolution
        stopped = self.hook.stop_release(
            self.flag_key,
            self.release_id,
            resolution,
            comment=audit_comment(self.comment, context),
            announce=lambda release: self.say("Stopping release %s: %s.", release.id, resolution),
        )
        output = self._describe(stopped.release, changed=not stopped.already_ended)
        if self.emit_asset:
            emit_event(
                context,
                self.outlets,
                "release_completed" if stopped.release.completed else "release_reverted",
                output,
            )
        return output

    def _validate(self) -> None:
        from typing import get_args

        from airflow_provider_launchdarkly.api.models import Resolution

        if self.resolution not in get_args(Resolution):
            raise ConfigurationError(
                f"resolution is {self.resolution!r}: write one of {', '.join(get_args(Resolution))}"
            )


class LaunchDarklyGetReleaseOperator(LaunchDarklyReleaseBaseOperator):
    """Read a release: where it is, and what its metrics are. Safe to repeat: it only reads.

    Args:
        flag_key: Key of the flag.
        release_id: Id of the release. Default: the flag's newest one in the environment.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id`` and the arguments of every task.

    Returns:
        :class:`.ReleaseOutput`, with ``changed`` False.
    """

    template_fields: Sequence[str] = (*LaunchDarklyReleaseBaseOperator.template_fields, "release_id")

    def __init__(self, *, release_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id

    @override
    def act(self, context: Context) -> ReleaseOutput:
        """Read the release."""
        if self.release_id is not None:
            return self._describe(self.hook.get_release(self.flag_key, self.release_id), changed=False)
        found = self.hook.list_releases(self.flag_key, max_items=1)
        if not found:
            raise NotFoundError(f"flag {self.flag_key!r} has had no release in {self.hook.environment()} for 90 days")
        return self._describe(found[0], changed=False)
