"""The internal tasks that ship a winner through a release, where `endings.ship` asks for one.

They keep the prefix ``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.assets import EVERY_RELEASE, emit_event
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.release_requests import design_of
from airflow_provider_launchdarkly.rollout.serving import served_while_released
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyRolloutBaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import BaseOperator, Context

    from airflow_provider_launchdarkly.api.models import Resolution
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.rollout.state_machine import Outcome


FALLTHROUGH = "fallthrough"
_BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"
# The flag was turned off or archived meanwhile: nothing of it is served by its rules.
_OFF = "reverted_discarded"
_ENDS = ("completed", "reverted")


class LaunchDarklyShipByReleaseOperator(LaunchDarklyRolloutBaseOperator):
    """Stop the iteration on its baseline, and start the release of the winner; skip if nothing ships. Internal.

    Safe to repeat, and after a kill at any point: see :func:`.ship_by_release`.

    Args:
        rollout: The rollout.
        outcome: The outcome.
        experiment_key: Key of the experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.

    Returns:
        The release as :class:`.LaunchDarklyReleaseSensor` returns it, and ``experiment_key``, ``iteration_id``,
        ``treatments``, ``treatment``, ``baseline``, ``rule_id``, ``url`` and ``changed``.
    """

    template_fields: Sequence[str] = ("outcome", "experiment_key", "project_key", "environment_key")
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(
        self,
        *,
        outcome: Any,
        experiment_key: str,
        project_key: str | None = None,
        environment_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outcome = outcome
        self.experiment_key = experiment_key
        self.project_key = project_key
        self.environment_key = environment_key
        self.outlets = [*self.outlets, EVERY_RELEASE]
        # The rollout as the pages show it. `experiment_rollout` sets it.
        self.shown_as: dict[str, Any] | None = None

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self._hook().flag_url(self.rollout_spec.experiment.flag)

    def _hook(self) -> LaunchDarklyHook:
        return self.hook_of(self.rollout_spec, self.project_key, self.environment_key)

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Stop and start, or skip."""
        from airflow_provider_launchdarkly.api.writes.shipping import ship_by_release
        from airflow_provider_launchdarkly.operators._base import audit_comment
        from airflow_provider_launchdarkly.operators._shipped import leave_note_of_release, shipped_output
        from airflow_provider_launchdarkly.operators._winner import choose_winner
        from airflow_provider_launchdarkly.rollout.state_machine import Outcome

        found = Outcome.from_json(self.outcome)
        if found.ending is not Ending.SHIP:
            raise AirflowSkipException(f"there is nothing to ship: {found.ending}, {found.why}")
        rollout, hook = self.rollout_spec, self._hook()
        iteration_id = str(found.iteration_id)
        winner = choose_winner(found.winner, experiment_key=self.experiment_key, iteration_id=iteration_id)
        shipping = ship_by_release(
            hook.environment(),
            self.experiment_key,
            iteration_id,
            treatment_id=winner.treatment,
            design=design_of(rollout),
            reason=found.why,
            comment=audit_comment(None, context),
            announce_stop=lambda effect: self.log.info("%s", effect),
            announce_start=lambda: self.log.info("Starting the release of %s.", found.why),
        )
        shipped = hook.run(shipping)
        output = shipped_output(
            hook.environment(), shipped, self.experiment_key, hook.experiment_url(self.experiment_key)
        )
        emit_event(context, self.outlets, "release_started", output)
        leave_note_of_release(self, context, output, self.log.warning)
        self.log.info("People get now: %s.", served_while_released(rollout, output["treatment"]))
        return output


def end_release(
    task: BaseOperator,
    hook: LaunchDarklyHook,
    found: Outcome,
    context: Context,
    *,
    started: Mapping[str, Any],
    ended: Mapping[str, Any],
) -> dict[str, Any]:
    """See to it that everyone gets the winner, or the baseline if the release went back.

    It acts on the release as it is now, which may be another than its sensor saw: a person can dismiss a regression, or
    stop it. A flag that is off serves nothing by its rules, so after a release that went back it is left alone.

    Safe to repeat: a release that waits is stopped once, and a rule that it has left behind is removed once. The rule
    serves the baseline to everyone, as the default rule does; it would keep the next experiment from having people.

    Args:
        task: The ending.
        hook: The hook.
        found: The outcome.
        context: The task's.
        started: The output of the task that started the release.
        ended: The output of the sensor that waited for its end.

    Returns:
        The release as it is now.

    Raises:
        FlagServesUnexpectedVariationError: The flag serves something else.
        RolloutStateError: The release has gone on, or ended the other way, since its sensor saw it.
        ReleaseEndedError: It does so at this moment.
    """
    from airflow_provider_launchdarkly.api.reads.flags import flag_that_serves, read_flag
    from airflow_provider_launchdarkly.api.writes.shipping import remove_rule
    from airflow_provider_launchdarkly.operators._base import audit_comment
    from airflow_provider_launchdarkly.operators._shipped import leave_note_of_end

    env, comment = hook.environment(), audit_comment(None, context)
    flag_key, rule_id = str(started["flag_key"]), str(started["rule_id"])
    ships = found.ending is Ending.SHIP
    now = _as_it_is(hook, found, ended, flag_key)
    if not ships and now["status"] == "waiting":
        hook.stop_release(flag_key, str(now["release_id"]), _BACK, comment=comment)
        now = _as_it_is(hook, found, ended, flag_key)  # as a try after a kill here reads it
    if not ships and rule_id == FALLTHROUGH:
        for phase in now["phases"]:
            hook.run(remove_rule(env, flag_key, str(phase["rule_id"]), comment=comment))
    flag = hook.run(read_flag(env, flag_key))
    config = flag.environments[env.environment_key]
    on = config.on and not config.archived and not flag.archived
    if ships or (on and now["reason"] != _OFF):
        variation = now["target_variation_id" if ships else "original_variation_id"]
        hook.run(flag_that_serves(env, flag_key, rule_id, str(variation)))
    winner = started["treatment" if ships else "baseline"]
    output = {**started, "winning_treatment": winner, "winning_reason": found.why}
    harmed = [f"{metric}: {started['treatment']}" for metric in now["regressed"]]
    leave_note_of_end(
        task, context, output, {"verdict": found.ending.value, "harmed": [] if ships else harmed}, task.log.warning
    )
    return now


def _as_it_is(hook: LaunchDarklyHook, found: Outcome, ended: Mapping[str, Any], flag_key: str) -> dict[str, Any]:
    """Return a release as it is now, as its sensor returns it; as it was then if LaunchDarkly has forgotten it.

    Raises:
        RolloutStateError: The rollout's ending does not fit it any more.
    """
    from airflow_provider_launchdarkly.api.errors import NotFoundError
    from airflow_provider_launchdarkly.operators._shipped import release_now
    from airflow_provider_launchdarkly.rollout.state_machine import RolloutStateError

    try:
        now = release_now(hook, flag_key, str(ended["release_id"]))
    except NotFoundError:
        if ended["status"] not in _ENDS:
            raise
        return dict(ended)
    ending = Ending.SHIP if now["status"] == "completed" else Ending.REGRESSED
    if now["status"] not in (*_ENDS, "waiting") or ending is not found.ending:
        raise RolloutStateError(
            f"release {ended['release_id']!r} of flag {flag_key!r} was {ended['status']} when `release.watch` ended, "
            f"and is {now['status']} ({now['reason'] or 'no reason shown'}) now: clear `release.watch` with all that "
            "follows"
        )
    return now
