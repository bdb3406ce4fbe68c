"""Create an experiment or an iteration, so that a repeat never makes a second one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import (
    Difference,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import APPEARING
from airflow_provider_launchdarkly.api.models import IterationStatus
from airflow_provider_launchdarkly.api.reads.experiments import find_experiment, read_experiment
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.writes.comparison import experiment_differences, iteration_differences
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.errors import InvalidRequestError, LaunchDarklyError
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import Experiment, ExperimentPost, Iteration, IterationInput


@dataclass(frozen=True, slots=True)
class CreatedExperiment:
    """An experiment that exists as asked.

    Attributes:
        experiment: The experiment, with its iterations and their treatments.
        iteration: The iteration with the content asked for.
        adopted: Whether it was there already, so that this call made nothing.
    """

    experiment: Experiment
    iteration: Iteration
    adopted: bool


@dataclass(frozen=True, slots=True)
class CreatedIteration:
    """An iteration that exists as asked, not started.

    Attributes:
        experiment: The experiment, with its iterations and their treatments.
        iteration: The iteration.
        adopted: Whether it was there already, so that this call made nothing.
    """

    experiment: Experiment
    iteration: Iteration
    adopted: bool


def create_experiment(env: EnvironmentRef, post: ExperimentPost) -> Procedure[CreatedExperiment]:
    """Create an experiment with its first iteration, or adopt the one that is there with the same content.

    Safe to repeat: the experiment's key is the caller's. It is read by that key before each write, and after a response
    that leaves the outcome open; LaunchDarkly itself refuses a second experiment with the key.

    Args:
        env: Where to create it.
        post: The experiment. A flag without ``flag_config_version`` is read just before each write to fill it in.

    Returns:
        The experiment and the iteration that has the content asked for: one that is not started if there is one, else
        the running one, else the newest.

    Raises:
        ExperimentDiffersError: It exists with other content; the differences are listed.
        FieldsNotAppliedError: LaunchDarkly accepted it and ignored some of it.
        LaunchDarklyError: As the calls raise.
    """
    also = ("analysisConfig",) if post.analysis_config else ()

    def reached(experiment: Experiment | None) -> CreatedExperiment | None:
        if experiment is None:
            return None
        return CreatedExperiment(experiment, _same_content(post, experiment), adopted=True)

    def write(_missing: Experiment | None) -> Procedure[Request[Experiment]]:
        iteration = yield from _with_flag_versions(env, post.iteration)
        return endpoints.create_experiment(env, post.model_copy(update={"iteration": iteration}))

    def confirmed(experiment: Experiment | None, _written: Written[Experiment | None]) -> CreatedExperiment | None:
        if experiment is None:
            return None
        return CreatedExperiment(experiment, _as_made(post, experiment), adopted=False)

    ensured = yield from ensure(
        DesiredState(
            what=f"experiment {post.key!r} exists",
            read=lambda: find_experiment(env, post.key, also=also),
            reached=reached,
            write=write,
            may_pass=_names_a_version,
            confirmed=confirmed,
            unconfirmed=lambda _experiment, _written: _not_shown(f"experiment {post.key!r}"),
            response_is_state=False,
            settling=APPEARING,
        )
    )
    return replace(ensured.value, adopted=not ensured.changed)


def create_iteration(
    env: EnvironmentRef, experiment_key: str, iteration: IterationInput
) -> Procedure[CreatedIteration]:
    """Create an iteration, or adopt the draft that is there with the same content.

    Safe to repeat until it is started: the experiment's drafts are read before each write, and after a response that
    leaves the outcome open. After this iteration starts, a repeat creates a second one: store the returned id. Of two
    made at the same time, LaunchDarkly may discard one; a second later each call reads which is left, and returns it.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration: The design. A flag without ``flag_config_version`` is read just before each write to fill it in.

    Returns:
        The experiment and its iteration, which is not started.

    Raises:
        ExperimentDiffersError: There is a draft with other content; the differences are listed.
        FieldsNotAppliedError: LaunchDarkly accepted it and ignored some of it.
        LaunchDarklyError: As the calls raise.
    """

    def reached(experiment: Experiment) -> CreatedIteration | None:
        draft = _same_draft(iteration, experiment)
        return CreatedIteration(experiment, draft, adopted=True) if draft else None

    def write(_experiment: Experiment) -> Procedure[Request[Iteration]]:
        complete = yield from _with_flag_versions(env, iteration)
        return endpoints.create_iteration(env, experiment_key, complete)

    def in_its_place(experiment: Experiment, written: Written[Experiment], made: str) -> list[Iteration]:
        """Iterations that somebody else has created since the read before the write; the alike ones first."""
        known = {made, *(one.id for one in written.before.iterations)}
        others = [one for one in _by_preference(experiment) if one.id not in known]
        return sorted(others, key=lambda one: bool(iteration_differences(iteration, one)))

    def confirmed(experiment: Experiment, written: Written[Experiment]) -> CreatedIteration | None:
        made = experiment.iteration(written.response.id)
        if made is None:
            others = in_its_place(experiment, written, written.response.id)
            alike = [one for one in others if not iteration_differences(iteration, one)]
            return CreatedIteration(experiment, alike[0], adopted=False) if alike else None
        differences = iteration_differences(iteration, made)
        if differences:
            raise _not_applied(f"iteration {made.id!r} of {experiment_key!r} was created", differences)
        return CreatedIteration(experiment, made, adopted=False)

    def unconfirmed(experiment: Experiment, written: Written[Experiment]) -> LaunchDarklyError:
        made = f"iteration {written.response.id!r} of {experiment_key!r}"
        others = in_its_place(experiment, written, written.response.id)
        if others:
            return _differs(
                f"{made} was created, and somebody put iteration {others[0].id!r} in its place, with other content",
                iteration_differences(iteration, others[0]),
            )
        return _not_shown(made)

    def survivor(experiment: Experiment, written: Written[Experiment], created: CreatedIteration) -> CreatedIteration:
        if experiment.iteration(created.iteration.id):
            return created
        others = in_its_place(experiment, written, created.iteration.id)
        if not others:  # the read lags behind
            return created
        if iteration_differences(iteration, others[0]):
            raise unconfirmed(experiment, written)
        return CreatedIteration(experiment, others[0], adopted=False)

    ensured = yield from ensure(
        DesiredState(
            what=f"the new iteration of experiment {experiment_key!r} exists",
            read=lambda: read_experiment(env, experiment_key),
            reached=reached,
            write=write,
            may_pass=_names_a_version,
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            response_is_state=False,
            settling=APPEARING,
            survivor=survivor,
        )
    )
    return replace(ensured.value, adopted=not ensured.changed)


def _names_a_version(refusal: InvalidRequestError) -> bool:
    """LaunchDarkly does not document how it refuses a stale flag version; a fresh read of the flag cures that one."""
    return "version" in refusal.message.lower()


def _not_shown(what: str) -> UnclearOutcomeError:
    return UnclearOutcomeError(f"{what} was created and does not show after {sum(APPEARING):.0f} s; a retry adopts it")


def _with_flag_versions(env: EnvironmentRef, iteration: IterationInput) -> Procedure[IterationInput]:
    flags = {}
    for key, flag in iteration.flags.items():
        version = flag.flag_config_version
        if version is None:
            read = yield from read_flag(env, key)
            version = read.environments[env.environment_key].version
            if version is None:
                raise StateError(f"flag {key!r} shows no version in environment {env.environment_key!r}")
        flags[key] = flag.model_copy(update={"flag_config_version": version})
    return iteration.model_copy(update={"flags": flags})


def _by_preference(experiment: Experiment) -> list[Iteration]:
    """Iterations in the order in which they are adopted: not started, running, then the newest of the rest."""
    order: dict[str, int] = {IterationStatus.NOT_STARTED: 0, IterationStatus.RUNNING: 1}

    def rank(iteration: Iteration) -> tuple[int, float]:
        age = -iteration.created_at.timestamp() if iteration.created_at else 0.0
        return order.get(iteration.status, 2), age

    return sorted(experiment.iterations, key=rank)


def _compare(post: ExperimentPost, experiment: Experiment) -> tuple[Iteration | None, tuple[Difference, ...]]:
    """The iteration with the content asked for, or the differences from the one that would be adopted."""
    own = experiment_differences(post, experiment)
    nearest: tuple[Difference, ...] | None = None
    for iteration in _by_preference(experiment):
        moving = experiment.type == "mab" and not iteration.not_started
        differences = iteration_differences(post.iteration, iteration, moving_allocations=moving)
        if not own and not differences:
            return iteration, ()
        if nearest is None:
            nearest = differences
    if nearest is None:
        nearest = (Difference("iteration", post.iteration.hypothesis, None),)
    return None, (*own, *nearest)


def _same_content(post: ExperimentPost, experiment: Experiment) -> Iteration:
    iteration, differences = _compare(post, experiment)
    if iteration:
        return iteration
    archived = " and is archived" if experiment.archived else ""
    raise _differs(
        f"experiment {post.key!r} exists already{archived}, with other content; choose another key, or change one of "
        "the two",
        differences,
    )


def _as_made(post: ExperimentPost, experiment: Experiment) -> Iteration:
    iteration, differences = _compare(post, experiment)
    if iteration:
        return iteration
    raise _not_applied(f"experiment {post.key!r} was created", differences)


def _same_draft(asked: IterationInput, experiment: Experiment) -> Iteration | None:
    nearest: tuple[Iteration, tuple[Difference, ...]] | None = None
    for draft in experiment.drafts:
        differences = iteration_differences(asked, draft)
        if not differences:
            return draft
        nearest = nearest or (draft, differences)
    if nearest:
        draft, differences = nearest
        raise _differs(
            f"experiment {experiment.key!r} has a draft already, iteration {draft.id!r}, with other content; start it, "
            "or change one of the two",
            differences,
        )
    return None


def _differs(what: str, differences: tuple[Difference, ...]) -> ExperimentDiffersError:
    return ExperimentDiffersError(f"{what}: {'; '.join(map(str, differences))}", differences=differences)


def _not_applied(what: str, differences: tuple[Difference, ...]) -> FieldsNotAppliedError:
    return FieldsNotAppliedError(
        f"{what}, and LaunchDarkly ignored a part of what was asked: {'; '.join(map(str, differences))}",
        differences=differences,
    )
