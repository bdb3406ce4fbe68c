"""Stop the pinned iteration with a winner, which ships the winner. A repeat never stops another one.

LaunchDarkly sets the flag's rule to the winner's variation, for everyone whom the rule matches. So there is no default
winner. The instruction: https://launchdarkly.com/docs/api/experiments/patch-experiment
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from airflow_provider_launchdarkly.api.endpoints.experiments import patch_experiment
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    IterationNotStartedError,
    IterationReplacedError,
    IterationStoppedError,
    StateError,
    WrongIterationStoppedError,
)
from airflow_provider_launchdarkly.api.http.procedure import SETTLING
from airflow_provider_launchdarkly.api.models import StopIterationWithWinner, Variation
from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment
from airflow_provider_launchdarkly.api.reads.flags import read_flag, what_is_served
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration, Treatment

BASELINE = "baseline"
"""The winner's name when no treatment beat it: an inconclusive or harmful experiment stops on it."""


@dataclass(frozen=True, slots=True)
class StopEffect:
    """The effect of a stop on the flag.

    Attributes:
        environment: Project and environment.
        experiment_key: The experiment.
        iteration_id: The iteration.
        winner: The treatment named as the winner.
        flag_key: The flag whose rule is rewritten.
        rule_id: The rule, ``fallthrough`` for the default rule.
        variation: What everyone whom the rule matches is served from then on.
    """

    environment: EnvironmentRef
    experiment_key: str
    iteration_id: str
    winner: Treatment
    flag_key: str
    rule_id: str
    variation: Variation

    @override
    def __str__(self) -> str:
        role = "the baseline" if self.winner.baseline else "the treatment"
        return (
            f"stopping iteration {self.iteration_id} of experiment {self.experiment_key} with {role} "
            f"{self.winner.name!r}: rule {self.rule_id} of flag {self.flag_key} in {self.environment} will serve "
            f"variation {self.variation.name or self.variation.id!r} ({self.variation.value!r}) to everyone it matches"
        )


@dataclass(frozen=True, slots=True)
class StoppedIteration:
    """The pinned iteration is stopped with the winner asked for.

    Attributes:
        experiment: The experiment, with its iterations.
        iteration: The iteration, with its treatments.
        effect: The change of the flag.
        already_stopped: Whether it was stopped so before, so that nothing was written.
    """

    experiment: Experiment
    iteration: Iteration
    effect: StopEffect
    already_stopped: bool


def stop_iteration(
    env: EnvironmentRef,
    experiment_key: str,
    iteration_id: str,
    *,
    winner: str,
    reason: str,
    comment: str | None = None,
    announce: Callable[[StopEffect], None] = lambda _effect: None,
) -> Procedure[StoppedIteration]:
    """Stop an iteration, which ships its winner to everyone whom the flag's rule matches.

    Safe to repeat: the iteration is pinned by its id and read before each write and after a response that leaves the
    outcome open. If it is already stopped with the same winner, this succeeds without a write; with another, it fails.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration_id: The iteration to stop.
        winner: ``baseline``, or a treatment's id or name.
        reason: Why this winner, for LaunchDarkly's record.
        comment: Text for LaunchDarkly's audit log.
        announce: Called with the effect just before the write; not called if nothing is written.

    Raises:
        ConfigurationError: The winner is not one of the iteration's treatments.
        IterationNotFoundError: The experiment has no such iteration.
        IterationNotStartedError: It was never started.
        IterationStoppedError: It was stopped with another winner, or without one.
        WrongIterationStoppedError: LaunchDarkly stopped another iteration, which someone had put in its place.
        IterationReplacedError: LaunchDarkly accepted the stop, and the iteration does not show as stopped.
        LaunchDarklyError: As the calls raise.
    """
    effect: StopEffect | None = None
    ended_before: frozenset[str] | None = None

    def reached(experiment: Experiment) -> tuple[Experiment, Iteration] | None:
        nonlocal ended_before
        if ended_before is None:
            ended_before = frozenset(iteration.id for iteration in experiment.iterations if iteration.stopped)
        iteration = pinned(experiment, iteration_id)
        _check_stoppable(experiment, iteration, _winning(iteration, winner))
        return (experiment, iteration) if iteration.stopped else None

    def write(experiment: Experiment) -> Procedure[Request[Experiment]]:
        nonlocal effect
        iteration = pinned(experiment, iteration_id)
        treatment = _winning(iteration, winner)
        before, effect = effect, (yield from _effect(env, experiment_key, iteration, treatment))
        if effect != before:
            announce(effect)
        return patch_experiment(
            env,
            experiment_key,
            [StopIterationWithWinner(winning_treatment_id=treatment.id, winning_reason=reason)],
            comment=comment,
        )

    def confirmed(experiment: Experiment, written: Written[Experiment]) -> tuple[Experiment, Iteration] | None:
        # The instruction names no iteration, so another one may be stopped now, or this one with another winner.
        iteration = experiment.iteration(iteration_id)
        if iteration is None or not iteration.stopped:
            return None
        before = pinned(written.before, iteration_id)
        iteration = iteration.model_copy(update={"treatments": iteration.treatments or before.treatments})
        _check_stoppable(experiment, iteration, _winning(before, winner))
        return experiment, iteration

    def unconfirmed(experiment: Experiment, _written: Written[Experiment]) -> IterationReplacedError:
        return IterationReplacedError(
            f"LaunchDarkly accepted the stop of iteration {iteration_id!r} of experiment {experiment_key!r}, and it "
            f"does not show as stopped after {sum(SETTLING):.0f} s: look at the experiment in LaunchDarkly before "
            "anything else",
            pinned=iteration_id,
            found=experiment.running.id if experiment.running else None,
        )

    desired = DesiredState(
        what=f"iteration {iteration_id} is stopped",
        read=lambda: read_experiment(env, experiment_key),
        reached=reached,
        write=write,
        confirmed=confirmed,
        unconfirmed=unconfirmed,
    )
    try:
        ensured = yield from ensure(desired)
    except (IterationStoppedError, IterationReplacedError):
        if effect is not None:  # so the write was sent
            yield from _raise_if_another_was_stopped(effect, reason, ended_before or frozenset())
        raise
    experiment, iteration = ensured.value
    if effect is None:
        effect = yield from _effect(env, experiment_key, iteration, _winning(iteration, winner))
    return StoppedIteration(experiment, iteration, effect, already_stopped=not ensured.changed)


def _raise_if_another_was_stopped(effect: StopEffect, reason: str, ended_before: frozenset[str]) -> Procedure[None]:
    """Raise if the stop that was sent ended another iteration than the pinned one.

    Args:
        effect: What was to be stopped, and with which winner.
        reason: The reason that was sent.
        ended_before: Ids of the iterations that had ended before.

    Raises:
        WrongIterationStoppedError: It did.
    """
    experiment = yield from read_experiment(effect.environment, effect.experiment_key)
    for iteration in experiment.iterations:
        sent = iteration.winning_treatment_id == effect.winner.id and iteration.winning_reason in (None, reason)
        if not iteration.stopped or not sent or iteration.id in (effect.iteration_id, *ended_before):
            continue
        flag = yield from read_flag(effect.environment, effect.flag_key)
        now = what_is_served(effect.environment, flag, effect.rule_id)
        raise WrongIterationStoppedError(
            f"the stop of iteration {effect.iteration_id!r} of experiment {effect.experiment_key!r} took effect on "
            f"iteration {iteration.id!r}, which someone had started in its place: {now}. Decide in LaunchDarkly what "
            "everyone is to be served; another try changes nothing",
            pinned=effect.iteration_id,
            stopped=iteration.id,
        )


def _winning(iteration: Iteration, winner: str) -> Treatment:
    """The treatment that a caller means. A name that fits two, or `baseline` for another than it, is refused."""
    fitting = [treatment for treatment in iteration.treatments if treatment.id and treatment.id == winner]
    if not fitting:
        fitting = [treatment for treatment in iteration.treatments if treatment.name == winner]
        if winner == BASELINE:
            fitting += [
                treatment for treatment in iteration.treatments if treatment.baseline and treatment not in fitting
            ]
    if len(fitting) == 1 and fitting[0].id:
        return fitting[0]
    choices = ", ".join(
        f"{treatment.name!r} (id {treatment.id!r}{', the baseline' if treatment.baseline else ''})"
        for treatment in iteration.treatments
    )
    problem = f"fits {len(fitting)} treatments" if fitting else "is none of the treatments"
    raise ConfigurationError(
        f"winner is {winner!r}, which {problem} of iteration {iteration.id!r}: name one of {choices or 'none shown'}, "
        f"or {BASELINE!r}"
    )


def _check_stoppable(experiment: Experiment, iteration: Iteration, treatment: Treatment) -> None:
    where = f"iteration {iteration.id!r} of experiment {experiment.key!r}"
    if iteration.not_started:
        raise IterationNotStartedError(f"{where} was never started, so there is nothing to stop")
    if iteration.stopped and iteration.winning_treatment_id != treatment.id:
        shipped = next((t.name for t in iteration.treatments if t.id == iteration.winning_treatment_id), None)
        found = f"with winner {shipped!r}" if shipped else f"with winner {iteration.winning_treatment_id!r}"
        if not iteration.winning_treatment_id:
            found = "without a winner"
        successor = f"; iteration {experiment.running.id!r} runs now" if experiment.running else ""
        raise IterationStoppedError(
            f"{where} is stopped {found}, not with {treatment.name!r}{successor}. The flag serves what that stop, or a "
            "later change, has set",
            winner=iteration.winning_treatment_id,
        )
    if not iteration.running and not iteration.stopped:
        raise StateError(
            f"{where} has status {iteration.status!r}, which this version does not support; nothing was sent"
        )


def _effect(
    env: EnvironmentRef, experiment_key: str, iteration: Iteration, treatment: Treatment
) -> Procedure[StopEffect]:
    if len(iteration.flags) != 1:
        raise StateError(
            f"iteration {iteration.id!r} of experiment {experiment_key!r} shows {len(iteration.flags)} flags "
            f"({', '.join(iteration.flags) or 'none'}); what stopping ships is defined for exactly one. Stop it in "
            "LaunchDarkly"
        )
    flag_key, rule = next(iter(iteration.flags.items()))
    variation_id = treatment.variation_of(flag_key)
    if variation_id is None:
        raise StateError(f"treatment {treatment.name!r} names no variation of flag {flag_key!r}; nothing was sent")
    flag = yield from read_flag(env, flag_key)
    return StopEffect(
        environment=env,
        experiment_key=experiment_key,
        iteration_id=iteration.id,
        winner=treatment,
        flag_key=flag_key,
        rule_id=rule.targeting_rule,
        variation=flag.variation(variation_id) or Variation(id=variation_id),
    )
