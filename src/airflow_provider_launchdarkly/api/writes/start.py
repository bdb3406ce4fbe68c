"""Start the pinned iteration, so that a repeat never starts another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.experiments import patch_experiment
from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    ExperimentArchivedError,
    FlagOffError,
    IterationReplacedError,
    IterationStoppedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import SETTLING
from airflow_provider_launchdarkly.api.models import StartIteration
from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure
from airflow_provider_launchdarkly.api.writes.flags import raise_if_owned, turn_flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration


@dataclass(frozen=True, slots=True)
class StartedIteration:
    """The pinned iteration is running.

    Attributes:
        experiment: The experiment, with its iterations.
        iteration: The iteration, with its treatments.
        already_running: Whether it was running before, so that nothing was written.
        flag_turned_on: Whether this call turned the flag on.
    """

    experiment: Experiment
    iteration: Iteration
    already_running: bool
    flag_turned_on: bool


def start_iteration(
    env: EnvironmentRef,
    experiment_key: str,
    iteration_id: str,
    *,
    turn_flag_on: bool = False,
    justification: str | None = None,
    comment: str | None = None,
    announce: Callable[[Iteration], None] = lambda _iteration: None,
) -> Procedure[StartedIteration]:
    """Start an iteration. LaunchDarkly notifies the experiment's maintainer and followers.

    Safe to repeat: the iteration is pinned by its id and read before each write and after a response that leaves the
    outcome open. If it is already running, this succeeds without a write.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration_id: The iteration to start.
        turn_flag_on: Turn the flag on in this environment first if it is off; LaunchDarkly starts nothing on a flag
            that is off.
        justification: Why a running iteration of this experiment may end by this start. Without it, a running one is
            an error.
        comment: Text for LaunchDarkly's audit log.
        announce: Called just before the write that starts it; not called if nothing is written.

    Raises:
        IterationNotFoundError: The experiment has no such iteration.
        IterationStoppedError: It is over; a stopped iteration never starts again.
        IterationReplacedError: Another iteration is running, or would be started in its place.
        ExperimentArchivedError: The experiment is archived.
        FlagOffError: The flag is off, and it was not asked to turn it on; or it is archived.
        RuleOwnedError: Another experiment runs on the flag's rule.
        LaunchDarklyError: As the calls raise.
    """
    turned_on = False

    def reached(experiment: Experiment) -> StartedIteration | None:
        iteration = pinned(experiment, iteration_id)
        if iteration.running:
            return StartedIteration(experiment, iteration, already_running=True, flag_turned_on=turned_on)
        _check_startable(experiment, iteration, justification)
        return None

    def write(experiment: Experiment) -> Procedure[Request[Experiment]]:
        nonlocal turned_on
        iteration = pinned(experiment, iteration_id)
        for flag_key in iteration.flags:
            turned_on |= yield from _flag_on(env, flag_key, turn_on=turn_flag_on, comment=comment)
        announce(iteration)
        return patch_experiment(
            env, experiment_key, [StartIteration(change_justification=justification)], comment=comment
        )

    def explain(error: LaunchDarklyError, experiment: Experiment) -> Procedure[LaunchDarklyError | None]:
        better: LaunchDarklyError | None = None
        for flag_key, flag in pinned(experiment, iteration_id).flags.items():
            if isinstance(error, ConflictError):
                what = f"iteration {iteration_id!r} of experiment {experiment_key!r} cannot start"
                better = yield from raise_if_owned(
                    env, flag_key, flag.targeting_rule, error, doing=what, myself=experiment_key
                )
            else:
                yield from _flag_on(env, flag_key, turn_on=False, comment=None)
        return better

    def confirmed(experiment: Experiment, written: Written[Experiment]) -> StartedIteration | None:
        # The instruction names no iteration, so another one may run now.
        iteration = experiment.iteration(iteration_id)
        if iteration and iteration.running:
            treatments = iteration.treatments or pinned(written.before, iteration_id).treatments
            iteration = iteration.model_copy(update={"treatments": treatments})
            return StartedIteration(experiment, iteration, already_running=False, flag_turned_on=turned_on)
        other = experiment.running
        if other:
            raise IterationReplacedError(
                f"iteration {iteration_id!r} of experiment {experiment_key!r} was to start, and {other.id!r} runs now",
                pinned=iteration_id,
                found=other.id,
            )
        return None

    def unconfirmed(_experiment: Experiment, _written: Written[Experiment]) -> UnclearOutcomeError:
        return UnclearOutcomeError(
            f"LaunchDarkly accepted the start of iteration {iteration_id!r} of experiment {experiment_key!r}, and does "
            f"not show it as running after {sum(SETTLING):.0f} s"
        )

    ensured = yield from ensure(
        DesiredState(
            what=f"iteration {iteration_id} is running",
            read=lambda: read_experiment(env, experiment_key),
            reached=reached,
            write=write,
            explain=explain,
            confirmed=confirmed,
            unconfirmed=unconfirmed,
        )
    )
    return replace(ensured.value, already_running=not ensured.changed)


def _check_startable(experiment: Experiment, iteration: Iteration, justification: str | None) -> None:
    where = f"iteration {iteration.id!r} of experiment {experiment.key!r}"
    if iteration.stopped:
        raise IterationStoppedError(
            f"{where} is stopped (winner: {iteration.winning_treatment_id}); a stopped iteration never starts again, "
            "create a new one",
            winner=iteration.winning_treatment_id,
        )
    if not iteration.not_started:
        raise StateError(
            f"{where} has status {iteration.status!r}, which this version does not support; nothing was sent"
        )
    if experiment.archived:
        raise ExperimentArchivedError(f"experiment {experiment.key!r} is archived: restore it before starting {where}")
    running = experiment.running
    if running and not justification:
        raise IterationReplacedError(
            f"{where} cannot start: iteration {running.id!r} is running. Stop that one first, or give a justification, "
            "and starting ends it",
            pinned=iteration.id,
            found=running.id,
        )
    # startIteration names no iteration: it starts the experiment's draft.
    draft = experiment.draft_iteration
    if draft and draft.not_started and draft.id != iteration.id:
        raise IterationReplacedError(
            f"{where} is not the one that a start would run: the experiment's draft is iteration {draft.id!r}",
            pinned=iteration.id,
            found=draft.id,
        )


def _flag_on(env: EnvironmentRef, flag_key: str, *, turn_on: bool, comment: str | None) -> Procedure[bool]:
    """Make sure that a flag is on; True if this turned it on."""
    if turn_on:
        return (yield from turn_flag(env, flag_key, on=True, comment=comment)).changed
    flag = yield from read_flag(env, flag_key)
    config = flag.environments[env.environment_key]
    if flag.archived or config.archived:
        raise FlagOffError(f"flag {flag_key!r} is archived: no iteration starts on it")
    if not config.on:
        raise FlagOffError(
            f"flag {flag_key!r} is off in environment {env.environment_key!r}, and an iteration starts only on a flag "
            "that is on: turn it on, or ask for it with turn_flag_on=True"
        )
    return False
