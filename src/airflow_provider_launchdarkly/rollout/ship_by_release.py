"""The internal tasks that ship a winner through a release, where `endings.ship` asks for one.

They keep the prefix ``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.api.writes.stop_for_release import SHIPS_BY_RELEASE
from airflow_provider_launchdarkly.assets import EVERY_RELEASE, emit_event
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.operators._approval import LaunchDarklyApprovedBaseOperator
from airflow_provider_launchdarkly.operators._awaited import IterationAwaited, ReleaseAwaited
from airflow_provider_launchdarkly.operators._base import audit_comment
from airflow_provider_launchdarkly.rollout.approved_writes import HandOver, WaitsForApproval
from airflow_provider_launchdarkly.rollout.options import Ending, ReleaseKind
from airflow_provider_launchdarkly.rollout.release_requests import design_of
from airflow_provider_launchdarkly.rollout.serving import served_while_released
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyRolloutBaseOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.errors import ApprovalRequiredError
    from airflow_provider_launchdarkly.api.models import Resolution
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.state_machine import Outcome


FALLTHROUGH = "fallthrough"
_BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"
# The flag was turned off or archived meanwhile: nothing of it is served by its rules.
_OFF = "reverted_discarded"
_ENDS = ("completed", "reverted")


class LaunchDarklyShipByReleaseOperator(WaitsForApproval, LaunchDarklyRolloutBaseOperator):
    """Stop the iteration on its baseline, and start the release of the winner; skip if nothing ships. Internal.

    Safe to repeat, and after a kill at any point: see :func:`.ship_by_release`.

    Where LaunchDarkly demands an approval for the stop or for the release, and the rollout names reviewers, the task
    waits until a person has made it. Before the stop, the winner is judged again.

    Args:
        rollout: The rollout.
        outcome: The outcome.
        experiment_key: Key of the experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        timezone: Time zone that replaces the change window's.

    Returns:
        The release as :class:`.LaunchDarklyReleaseSensor` returns it, and ``experiment_key``, ``iteration_id``,
        ``treatments``, ``treatment``, ``baseline``, ``rule_id``, ``url`` and ``changed``.
    """

    template_fields: Sequence[str] = ("outcome", "experiment_key", "project_key", "environment_key", "timezone")
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(
        self,
        *,
        outcome: Any,
        experiment_key: str,
        project_key: str | None = None,
        environment_key: str | None = None,
        timezone: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outcome = outcome
        self.experiment_key = experiment_key
        self.project_key = project_key
        self.environment_key = environment_key
        self.timezone = timezone
        self.outlets = [*self.outlets, EVERY_RELEASE]
        # The rollout as the pages show it. `experiment_rollout` sets it.
        self.shown_as: dict[str, Any] | None = None

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self._hook(self.rollout_spec).flag_url(self.rollout_spec.experiment.flag)

    @override
    def ends_waiting(self, rollout: Rollout, context: Context) -> bool:
        """Judge the winner while the stop waits."""
        from airflow_provider_launchdarkly.rollout.state_machine import Outcome

        return self.ship_ends_waiting(rollout, Outcome.from_json(self.outcome), context)

    @override
    def hand_over_of(self, rollout: Rollout, change: HandOver, wanted: IterationAwaited | ReleaseAwaited) -> HandOver:
        """Tell of the release with its whole design, and that everyone has the baseline until it starts."""
        if isinstance(wanted, IterationAwaited):
            return change._replace(details=wanted.details)
        now = f"everyone gets {rollout.experiment.baseline.label}, the baseline"
        what = f"start the release of flag {wanted.flag_key}"
        details = wanted.details
        if rollout.release is not None and rollout.release.kind is ReleaseKind.GUARDED_OR_PROGRESSIVE:
            details += "; or the same without metrics, if LaunchDarkly does not guard it"
        return change._replace(what=what, stage=None, ended_at=change.stage, now=now, details=details)

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Stop and start, or skip."""
        from airflow_provider_launchdarkly.operators._shipped import leave_note_of_release
        from airflow_provider_launchdarkly.rollout.state_machine import Outcome

        found = Outcome.from_json(self.outcome)
        if found.ending is not Ending.SHIP:
            raise AirflowSkipException(f"there is nothing to ship: {found.ending}, {found.why}")
        rollout = self.rollout_spec
        ships = _ShipsByRelease(
            task_id=self.task_id,
            launchdarkly_conn_id=rollout.connection,
            project_key=self.project_key,
            environment_key=self.environment_key,
            rollout=rollout,
            found=found,
            experiment_key=self.experiment_key,
            check_window=lambda: self.require_open_window(rollout, self._hook(rollout)),
        )
        if rollout.launchdarkly_approval is not None:
            self.confirm_ship(rollout, found, context)
        what = f"stop iteration {found.iteration_id} of {self.experiment_key}"
        change = HandOver(what, self.experiment_key, str(found.iteration_id), found.stage)
        output: dict[str, Any] = self.write(ships, rollout, change, context)
        emit_event(context, self.outlets, "release_started", output)
        flag_key = str(output["flag_key"])
        leave_note_of_release(
            self, context, output, self.log.warning, stage=found.stage, flag_url=self._hook(rollout).flag_url(flag_key)
        )
        self.log.info("People get now: %s.", served_while_released(rollout, output["treatment"]))
        return output


class _ShipsByRelease(LaunchDarklyApprovedBaseOperator):
    """The two writes of the task: what each of them waits for where LaunchDarkly demands an approval.

    Args:
        rollout: The rollout.
        found: The outcome, which ships.
        experiment_key: Key of the experiment.
        check_window: Raises if the change window is shut; called right before the start.
    """

    def __init__(
        self, *, rollout: Rollout, found: Outcome, experiment_key: str, check_window: Callable[[], None], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout
        self.found = found
        self.experiment_key = experiment_key
        self.check_window = check_window

    @override
    def awaited_change(self, demanded: ApprovalRequiredError | None) -> IterationAwaited | ReleaseAwaited:
        """Return the release, or the stop before it, by which of them was refused."""
        how = f"on {self.rollout.experiment.baseline.label!r}, with the reason {SHIPS_BY_RELEASE!r}"
        stop = IterationAwaited(self.experiment_key, str(self.found.iteration_id), "stopped", how)
        return super().awaited_change(demanded) or stop

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Stop the iteration, and start the release."""
        from airflow_provider_launchdarkly.api.writes.shipping import ship_by_release
        from airflow_provider_launchdarkly.operators._shipped import shipped_output
        from airflow_provider_launchdarkly.operators._winner import choose_winner

        iteration_id, why = str(self.found.iteration_id), self.found.why
        winner = choose_winner(self.found.winner, experiment_key=self.experiment_key, iteration_id=iteration_id)
        shipping = ship_by_release(
            self.hook.environment(),
            self.experiment_key,
            iteration_id,
            treatment_id=winner.treatment,
            design=design_of(self.rollout),
            reason=why,
            comment=audit_comment(None, context),
            any_description=self.rollout.launchdarkly_approval is not None,
            announce_stop=lambda effect: self.log.info("%s", effect),
            announce_start=self._announce_start,
            announce_unguarded=lambda refused: self.warn(
                "%s. The file says guarded_or_progressive, so the release starts without metrics.", refused
            ),
        )
        shipped = self.hook.run(shipping)
        url = self.hook.experiment_url(self.experiment_key)
        return shipped_output(self.hook.environment(), shipped, self.experiment_key, url)

    def _announce_start(self) -> None:
        self.check_window()
        self.log.info("Starting the release of %s.", self.found.why)


def end_release(
    task: WaitsForApproval,
    rollout: Rollout,
    found: Outcome,
    context: Context,
    *,
    started: Mapping[str, Any],
    ended: Mapping[str, Any],
) -> dict[str, Any]:
    """See to it that everyone gets the winner, or the baseline if the release went back.

    It acts on the release as it is now, which may be another than its sensor saw: a person can dismiss a regression, or
    stop it. A flag that is off serves nothing by its rules, so after a release that went back it is left alone.

    Safe to repeat: a release that waits after a regression is stopped once, and a rule that it has left behind is
    removed once. The rule serves the baseline to everyone, as the default rule does; it would keep the next experiment
    from having people.
    Where LaunchDarkly demands an approval for that, and the rollout names reviewers, the task asks for it and waits.

    Args:
        task: The ending.
        rollout: The rollout.
        found: The outcome.
        context: The task's.
        started: The output of the task that started the release.
        ended: The output of the sensor that waited for its end.

    Returns:
        The release as it is now.

    Raises:
        ApprovalRequiredError: LaunchDarkly demands an approval to stop the release.
        FlagServesUnexpectedVariationError: The flag serves something else.
        RolloutStateError: The release has gone on, or ended the other way, since its sensor saw it.
        ReleaseEndedError: It does so at this moment.
    """
    from airflow_provider_launchdarkly.operators._shipped import leave_note_of_end

    operator: Any = task
    ends = _EndsRelease(
        task_id=operator.task_id,
        launchdarkly_conn_id=rollout.connection,
        project_key=operator.project_key,
        environment_key=operator.environment_key,
        found=found,
        started=started,
        ended=ended,
    )
    what = f"end release {ended['release_id']} of flag {started['flag_key']}"
    change = HandOver(
        what,
        str(started["experiment_key"]),
        str(started["iteration_id"]),
        None,
        ended_at=found.stage,
        now=f"everyone gets {started['treatment' if found.ending is Ending.SHIP else 'baseline']}",
        ending=found.ending,
    )
    now: dict[str, Any] = task.write(ends, rollout, change, context)
    winner = started["treatment" if found.ending is Ending.SHIP else "baseline"]
    output = {**started, "winning_treatment": winner, "winning_reason": found.why}
    harmed = [] if found.ending is Ending.SHIP else [f"{metric}: {started['treatment']}" for metric in now["regressed"]]
    verdict = {"verdict": found.ending.value, "harmed": harmed}
    leave_note_of_end(operator, context, output, operator.log.warning, ended=now, verdict=verdict)
    return now


class _EndsRelease(LaunchDarklyApprovedBaseOperator):
    """The writes after a release: what they wait for where LaunchDarkly demands an approval.

    Args:
        found: The outcome.
        started: The output of the task that started the release.
        ended: The output of the sensor that waited for its end.
    """

    def __init__(self, *, found: Outcome, started: Mapping[str, Any], ended: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.found, self.started, self.ended = found, started, ended

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Stop a release that waits, remove the rule that it has left, and check what the flag serves."""
        from airflow_provider_launchdarkly.api.reads.flags import flag_that_serves, read_flag
        from airflow_provider_launchdarkly.api.writes.shipping import remove_rule

        hook, comment = self.hook, audit_comment(None, context)
        env = hook.environment()
        flag_key, rule_id = str(self.started["flag_key"]), str(self.started["rule_id"])
        ships = self.found.ending is Ending.SHIP
        now = _as_it_is(hook, self.found, self.ended, flag_key)
        if not ships and now["status"] == "waiting":
            hook.stop_release(flag_key, str(now["release_id"]), _BACK, comment=comment)
            now = _as_it_is(hook, self.found, self.ended, flag_key)  # as a try after a kill here reads it
        if not ships and rule_id == FALLTHROUGH:
            for phase in now["phases"]:
                hook.run(remove_rule(env, flag_key, str(phase["rule_id"]), comment=comment))
            self.flags_changed = (flag_key,)
        flag = hook.run(read_flag(env, flag_key))
        config = flag.environments[env.environment_key]
        on = config.on and not config.archived and not flag.archived
        if ships or (on and now["reason"] != _OFF):
            variation = now["target_variation_id" if ships else "original_variation_id"]
            hook.run(flag_that_serves(env, flag_key, rule_id, str(variation)))
        return now


def _as_it_is(hook: LaunchDarklyHook, found: Outcome, ended: Mapping[str, Any], flag_key: str) -> dict[str, Any]:
    """Return a release as it is now, as its sensor returns it; as it was then if LaunchDarkly has forgotten it.

    Raises:
        RolloutStateError: The rollout's ending does not fit it any more.
    """
    from airflow_provider_launchdarkly.api.errors import NotFoundError
    from airflow_provider_launchdarkly.operators._shipped import release_now
    from airflow_provider_launchdarkly.rollout.state_machine import RolloutStateError, waits_after_regression

    try:
        now = release_now(hook, flag_key, str(ended["release_id"]))
    except NotFoundError:
        if ended["status"] not in _ENDS:
            raise
        return dict(ended)
    ending = Ending.SHIP if now["status"] == "completed" else Ending.REGRESSED
    over = now["status"] in _ENDS or waits_after_regression(now)
    if not over or ending is not found.ending:
        raise RolloutStateError(
            f"release {ended['release_id']!r} of flag {flag_key!r} was {ended['status']} when `release.watch` ended, "
            f"and is {now['status']} ({now['reason'] or 'no reason shown'}) now: clear `release.watch` with all that "
            "follows"
        )
    return now
