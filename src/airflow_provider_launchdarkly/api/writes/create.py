"""Creating an experiment and creating an iteration, so that a repeat never makes a second one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    Difference,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    InvalidRequestError,
    LaunchDarklyError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import Pause, Procedure
from airflow_provider_launchdarkly.api.models import IterationStatus
from airflow_provider_launchdarkly.api.reads.experiments import find_experiment, read_experiment
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.writes.comparison import experiment_differences, iteration_differences
from airflow_provider_launchdarkly.api.writes.ensure import APPEARING, SETTLING, TRIES, pause_before_retry

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
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

    Safe to repeat: the experiment's key is the caller's. It is read by that key before each write, and after an answer
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
    waits: tuple[float, ...] = ()
    made_here = False
    for number in range(TRIES):
        existing = yield from find_experiment(env, post.key, also=also, waits=waits)
        if existing:
            return CreatedExperiment(existing, _same_content(post, existing), adopted=not made_here)
        iteration = yield from _with_flag_versions(env, post.iteration)
        try:
            yield endpoints.create_experiment(env, post.model_copy(update={"iteration": iteration}))
        except (UnclearOutcomeError, ConflictError, InvalidRequestError) as error:
            if _is_last(number) or not _may_be_tried_again(error):
                raise
            # A 409 is a second one under this key, or a flag that changed since it was read: both show on a read.
            made_here = isinstance(error, UnclearOutcomeError)
            waits = SETTLING if made_here else APPEARING[:2]
            continue
        made = yield from find_experiment(env, post.key, also=also, waits=APPEARING)
        if made is None:
            raise UnclearOutcomeError(
                f"experiment {post.key!r} was created and does not show after {sum(APPEARING):.0f} s; a retry adopts it"
            )
        return CreatedExperiment(made, _as_made(post, made), adopted=False)
    raise AssertionError("the last try returns or raises")


def create_iteration(
    env: EnvironmentRef, experiment_key: str, iteration: IterationInput
) -> Procedure[CreatedIteration]:
    """Create an iteration, or adopt the draft that is there with the same content.

    Safe to repeat until it is started: the experiment's drafts are read before each write, and after an answer that
    leaves the outcome open. LaunchDarkly has no key for iterations, so once started it is another one's turn: keep the
    id that this returns.

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
    for number in range(TRIES):
        experiment = yield from read_experiment(env, experiment_key)
        draft = _same_draft(iteration, experiment)
        if draft:
            return CreatedIteration(experiment, draft, adopted=True)
        complete = yield from _with_flag_versions(env, iteration)
        try:
            answer = yield endpoints.create_iteration(env, experiment_key, complete)
        except UnclearOutcomeError:
            settled = yield from _settled_draft(env, experiment_key, iteration)
            if settled:
                return settled
            if _is_last(number):
                raise
        except (ConflictError, InvalidRequestError) as error:
            if _is_last(number) or not _may_be_tried_again(error):
                raise
            yield pause_before_retry(number)
        else:
            return (yield from _shown_iteration(env, experiment_key, iteration, answer.value.id))
    raise AssertionError("the last try returns or raises")


def _is_last(number: int) -> bool:
    return number == TRIES - 1


def _may_be_tried_again(error: LaunchDarklyError) -> bool:
    """Whether a fresh read may cure it. LaunchDarkly does not document what a stale flag version is answered with."""
    return not isinstance(error, InvalidRequestError) or "version" in error.message.lower()


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


def _settled_draft(
    env: EnvironmentRef, experiment_key: str, asked: IterationInput
) -> Procedure[CreatedIteration | None]:
    for seconds in SETTLING:
        yield Pause(seconds, f"looking whether the iteration of {experiment_key} was created")
        experiment = yield from read_experiment(env, experiment_key)
        draft = _same_draft(asked, experiment)
        if draft:
            return CreatedIteration(experiment, draft, adopted=False)
    return None


def _shown_iteration(
    env: EnvironmentRef, experiment_key: str, asked: IterationInput, iteration_id: str
) -> Procedure[CreatedIteration]:
    for seconds in (0.0, *APPEARING):
        if seconds:
            yield Pause(seconds, f"iteration {iteration_id} of {experiment_key} does not show yet")
        experiment = yield from read_experiment(env, experiment_key)
        iteration = experiment.iteration(iteration_id)
        if iteration:
            differences = iteration_differences(asked, iteration)
            if differences:
                raise _not_applied(f"iteration {iteration_id!r} of {experiment_key!r} was created", differences)
            return CreatedIteration(experiment, iteration, adopted=False)
    raise UnclearOutcomeError(
        f"iteration {iteration_id!r} of {experiment_key!r} was created and does not show after {sum(APPEARING):.0f} s; "
        "a retry adopts it"
    )


def _differs(what: str, differences: tuple[Difference, ...]) -> ExperimentDiffersError:
    return ExperimentDiffersError(f"{what}: {'; '.join(map(str, differences))}", differences=differences)


def _not_applied(what: str, differences: tuple[Difference, ...]) -> FieldsNotAppliedError:
    return FieldsNotAppliedError(
        f"{what}, and LaunchDarkly ignored a part of what was asked: {'; '.join(map(str, differences))}",
        differences=differences,
    )
