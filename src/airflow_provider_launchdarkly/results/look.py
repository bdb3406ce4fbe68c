"""One look at an experiment: read its state, and if a look is due its results, and decide.

A pure procedure, run by the sensor's poke on a worker and by the trigger in the triggerer: both decide by this code.
It remembers nothing between two runs, so a restart, a retry or a clear decides as the process before would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.errors import ConfigurationError, UnexpectedAnswerError
from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS
from airflow_provider_launchdarkly.api.lifecycle.reading import pinned
from airflow_provider_launchdarkly.decision import EvidenceError, Reason, Verdict, decide, due_look, next_look, plan_for
from airflow_provider_launchdarkly.results.launchdarkly import evidence_from_results

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.api.procedure import Procedure
    from airflow_provider_launchdarkly.api.request import EnvironmentRef
    from airflow_provider_launchdarkly.decision import Plan, Policy


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked at.

    Attributes:
        environment: Project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration: another one under way is never judged in its place.
    """

    environment: EnvironmentRef
    experiment_key: str
    iteration_id: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found.

    Attributes:
        target: What was looked at.
        verdict: What follows.
        read_results: Whether results were read, or the verdict follows from the experiment's state and the clock.
    """

    target: Target
    verdict: Verdict
    read_results: bool = False

    @property
    def ends(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.verdict.ends

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain JSON, with what it is about."""
        project_key, environment_key = self.target.environment
        return {
            **self.verdict.to_json(),
            "project_key": project_key,
            "environment_key": environment_key,
            "experiment_key": self.target.experiment_key,
            "iteration_id": self.target.iteration_id,
        }


def take_look(
    target: Target, policy: Policy, *, previous: timedelta | None = None, poll_interval: timedelta
) -> Procedure[Look]:
    """Look once.

    Args:
        target: What to look at.
        policy: What is to be decided, and when results are looked at.
        previous: ``verdict.elapsed`` of the same process's look before; None in a fresh process. A look is due once its
            time has come since then; in a fresh process, if its time came a short while ago.
        poll_interval: Time to the next run of this procedure, so that a process for each poll misses no look.

    Returns:
        The look. ``invalid`` if the iteration was stopped or replaced, ``wait`` between looks, without reading results.

    Raises:
        ConfigurationError: The policy does not fit the experiment.
        IterationNotFoundError: The experiment has no such iteration.
        ResultsUnavailableError: LaunchDarkly does not serve results any more.
        LaunchDarklyError: As the calls raise.
    """
    answer = yield get_experiment(target.environment, target.experiment_key, expand=ITERATIONS)
    experiment: Experiment = answer.value
    _refuse_what_has_no_verdict(experiment)
    iteration = pinned(experiment, target.iteration_id)
    if iteration.started_at is None:
        return Look(target, _not_started(iteration))
    # A Date header has no fractions of a second. Without those of the start, a look at exactly one day is on time.
    elapsed = answer.server_time - iteration.started_at.replace(microsecond=0)
    if not iteration.running:
        return Look(target, _not_ours_any_more(experiment, iteration, elapsed))
    try:
        plan = plan_for(policy, iteration.started_at)
    except ValueError as error:
        raise ConfigurationError(f"policy: {error}") from error
    if not _is_due(plan, elapsed, previous, poll_interval):
        return Look(target, _between_looks(plan, elapsed))
    env, key = target.environment, target.experiment_key
    try:
        evidence = yield from evidence_from_results(env, key, iteration, policy, elapsed)
        return Look(target, decide(policy, evidence), read_results=True)
    except EvidenceError as error:
        raise UnexpectedAnswerError(f"the results of experiment {key!r}: {error}") from error


def _is_due(plan: Plan, elapsed: timedelta, previous: timedelta | None, poll_interval: timedelta) -> bool:
    if due_look(plan, elapsed, previous=previous) is not None:
        return True
    # One and a half intervals: a process for each poll comes at least once within it, however it is scheduled.
    return previous is None and due_look(plan, elapsed, tolerance=1.5 * poll_interval) is not None


def _refuse_what_has_no_verdict(experiment: Experiment) -> None:
    """A bandit moves its own allocation, and LaunchDarkly does not analyse what it only exports."""
    if experiment.type == "mab":
        raise ConfigurationError(
            f"experiment {experiment.key!r} is a multi-armed bandit: it moves traffic by itself, and no boundary holds "
            "for it; let it run, or make it an experiment"
        )
    if experiment.methodology == "export_only":
        raise ConfigurationError(
            f"experiment {experiment.key!r} has methodology export_only: LaunchDarkly computes no results for it"
        )


def _not_started(iteration: Iteration) -> Verdict:
    return Verdict.wait(Reason.NO_DATA, f"iteration {iteration.id} is {iteration.status}: wait", timedelta())


def _not_ours_any_more(experiment: Experiment, iteration: Iteration, elapsed: timedelta) -> Verdict:
    other = experiment.running
    if other is not None:
        summary = f"iteration {iteration.id} is {iteration.status}, and iteration {other.id} runs in its place: invalid"
        return Verdict.invalid(Reason.ITERATION_REPLACED, summary, elapsed)
    winner = iteration.treatment(iteration.winning_treatment_id or "")
    with_winner = f" with winner {winner.name!r}" if winner else ""
    summary = f"iteration {iteration.id} is {iteration.status}{with_winner}, not by this task: invalid"
    return Verdict.invalid(Reason.ITERATION_STOPPED, summary, elapsed)


def _between_looks(plan: Plan, elapsed: timedelta) -> Verdict:
    look, coming = plan.look_at(elapsed), next_look(plan, elapsed)
    summary = f"between looks {look} and {look + 1} of {len(plan.look_times)}: wait"
    return Verdict.wait(Reason.BETWEEN_LOOKS, summary, elapsed, look=look, looks=len(plan.look_times), next_look=coming)
