"""One look at an experiment: read its state, and if a look is due its results, and decide.

A pure procedure, run by the sensor's poke on a worker and by the trigger in the triggerer: both decide by this code.
It remembers nothing between two runs, so a restart, a retry or a clear decides as the process before would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.errors import ConfigurationError, UnexpectedResponseError
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
from airflow_provider_launchdarkly.decision.evidence import Evidence, EvidenceError
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.schedule import due_look, next_look, schedule_looks
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_decidable
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results
from airflow_provider_launchdarkly.evidence.source import LookContext, Source, Target

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule


@dataclass(frozen=True, slots=True)
class SignificanceResult:
    """What one look found.

    Attributes:
        target: What was looked at.
        at: When, by LaunchDarkly's clock.
        verdict: What follows.
        evidence: What was measured; None where the verdict follows from the experiment's state and the clock.
    """

    target: Target
    at: datetime
    verdict: Verdict
    evidence: Evidence | None = None

    @property
    def read_results(self) -> bool:
        """Whether results were read."""
        return self.evidence is not None

    @property
    def ends(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.verdict.ends

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain JSON, with what it is about."""
        return {**self.verdict.to_json(), **self.target.to_json()}


def check_significance(
    target: Target,
    policy: Policy,
    *,
    previous: timedelta | None = None,
    poll_interval: timedelta,
    source: Source = evidence_from_results,
) -> Procedure[SignificanceResult]:
    """Look once.

    Args:
        target: What to look at.
        policy: What is to be decided, and when results are looked at.
        previous: ``verdict.elapsed`` of the same process's look before; None in a fresh process. A look is due once its
            time has come since then; in a fresh process, if its time came a short while ago.
        poll_interval: Time to the next run of this procedure, so that a process for each poll misses no look.
        source: Where evidence comes from. Default: LaunchDarkly's results endpoints.

    Returns:
        The look. ``invalid`` if the iteration was stopped or replaced, ``wait`` between looks, without reading results.

    Raises:
        ConfigurationError: The policy does not fit the experiment, or the experiment is a bandit, a holdout or, with
            LaunchDarkly's results, ``export_only``.
        IterationNotFoundError: The experiment has no such iteration.
        ResultsUnavailableError: LaunchDarkly does not serve results any more.
        LaunchDarklyError: As the calls raise.
    """
    analysed = source is evidence_from_results
    found = yield from find_due_look(
        target, policy, previous=previous, poll_interval=poll_interval, analysed_by_launchdarkly=analysed
    )
    if isinstance(found, SignificanceResult):
        return found
    try:
        evidence = yield from source(found, policy)
        return SignificanceResult(target, found.at, decide(policy, evidence), evidence)
    except EvidenceError as error:
        raise UnexpectedResponseError(f"the results of experiment {target.experiment_key!r}: {error}") from error


def find_due_look(
    target: Target,
    policy: Policy,
    *,
    previous: timedelta | None = None,
    poll_interval: timedelta,
    analysed_by_launchdarkly: bool = True,
) -> Procedure[SignificanceResult | LookContext]:
    """Say whether a look is due, without reading results: the first half of :func:`check_significance`.

    Args:
        target: What to look at.
        policy: What is to be decided, and when results are looked at.
        previous: As for :func:`check_significance`.
        poll_interval: As for :func:`check_significance`.
        analysed_by_launchdarkly: Whether the results are to be LaunchDarkly's: some experiments have none there.

    Returns:
        The occasion to look now; or a look that needs no results: ``wait`` between looks, or an ``invalid`` iteration.

    Raises:
        ConfigurationError: The policy does not fit the experiment, or the experiment is a bandit, a holdout or, with
            LaunchDarkly's results, ``export_only``.
        IterationNotFoundError: The experiment has no such iteration.
        LaunchDarklyError: As the call raises.
    """
    answer = yield get_experiment(target.environment, target.experiment_key, expand=ITERATIONS)
    experiment: Experiment = answer.value
    _require_decidable(experiment, launchdarkly_results=analysed_by_launchdarkly)
    iteration = pinned(experiment, target.iteration_id)
    if iteration.started_at is None:
        return SignificanceResult(target, answer.server_time, _not_started(iteration))
    look_context = LookContext(target, iteration, iteration.started_at, answer.server_time)
    if not iteration.running:
        return SignificanceResult(
            target, look_context.at, verdict_if_ended_elsewhere(experiment, iteration, look_context.elapsed)
        )
    try:
        plan = schedule_looks(policy, iteration.started_at)
    except ValueError as error:
        raise ConfigurationError(f"policy: {error}") from error
    if not _is_due(plan, look_context.elapsed, previous, poll_interval):
        return SignificanceResult(target, look_context.at, _between_looks(plan, look_context.elapsed))
    return look_context


def _is_due(plan: LookSchedule, elapsed: timedelta, previous: timedelta | None, poll_interval: timedelta) -> bool:
    if due_look(plan, elapsed, previous=previous) is not None:
        return True
    # One and a half intervals: a process for each poll comes at least once within it, however it is scheduled.
    return previous is None and due_look(plan, elapsed, tolerance=1.5 * poll_interval) is not None


def _require_decidable(experiment: Experiment, *, launchdarkly_results: bool) -> None:
    try:
        require_decidable(experiment.type, experiment.methodology, launchdarkly_results=launchdarkly_results)
    except UndecidableExperimentError as error:
        raise ConfigurationError(f"experiment {experiment.key!r} {error}") from None


def _not_started(iteration: Iteration) -> Verdict:
    return Verdict.wait(Reason.NO_DATA, f"iteration {iteration.id} is {iteration.status}: wait", timedelta())


def verdict_if_ended_elsewhere(experiment: Experiment, iteration: Iteration, elapsed: timedelta) -> Verdict:
    """What follows if somebody else stopped or replaced the iteration."""
    other = experiment.running
    if other is not None:
        summary = f"iteration {iteration.id} is {iteration.status}, and iteration {other.id} runs in its place: invalid"
        return Verdict.invalid(Reason.ITERATION_REPLACED, summary, elapsed)
    winner = iteration.treatment(iteration.winning_treatment_id or "")
    with_winner = f" with winner {winner.name!r}" if winner else ""
    summary = f"iteration {iteration.id} is {iteration.status}{with_winner}, not by this task: invalid"
    return Verdict.invalid(Reason.ITERATION_STOPPED, summary, elapsed)


def _between_looks(plan: LookSchedule, elapsed: timedelta) -> Verdict:
    look, coming = plan.look_at(elapsed), next_look(plan, elapsed)
    summary = f"between looks {look} and {look + 1} of {len(plan.look_times)}: wait"
    return Verdict.wait(Reason.BETWEEN_LOOKS, summary, elapsed, look=look, looks=len(plan.look_times), next_look=coming)
