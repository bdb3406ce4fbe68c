"""The check of an experiment's significance: read its state, read its results if a look is due, and decide.

The sensor's poke on a worker and the trigger in the triggerer run these same pure procedures. A restart, a retry or a
clear comes to the same decisions, because nothing but the time of the latest poll is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ResultsUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
from airflow_provider_launchdarkly.checks.background import background_of
from airflow_provider_launchdarkly.checks.flag_seen import see_flag
from airflow_provider_launchdarkly.checks.harm_looks import due_for_harm, metrics_that_roll_back
from airflow_provider_launchdarkly.checks.on_data import cautions_of
from airflow_provider_launchdarkly.checks.planned_looks import describe_lateness, is_due
from airflow_provider_launchdarkly.checks.result import describe_time
from airflow_provider_launchdarkly.checks.same_question import count_repeats, require_allowed
from airflow_provider_launchdarkly.checks.significance_result import SignificanceResult
from airflow_provider_launchdarkly.config.problems import field_name
from airflow_provider_launchdarkly.decision.evidence import EarlierLook, EvidenceError
from airflow_provider_launchdarkly.decision.information import known_looks
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy_parts import Clock
from airflow_provider_launchdarkly.decision.schedule import next_look, schedule_looks
from airflow_provider_launchdarkly.decision.suitability import (
    UndecidableExperimentError,
    require_decidable,
    require_mean,
    require_one_role,
    require_source_of_mature_units,
)
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results
from airflow_provider_launchdarkly.evidence.releases import measure
from airflow_provider_launchdarkly.evidence.source import AS_IT_IS_NOW, LookContext, Source, Target

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration, Metric
    from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen
    from airflow_provider_launchdarkly.checks.on_data import DataLooks
    from airflow_provider_launchdarkly.checks.result import CheckResult
    from airflow_provider_launchdarkly.decision.evidence import Spent, Standing
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule


Looks: TypeAlias = Callable[[], Iterable[EarlierLook]]
"""Reads what the earlier looks of an iteration measured, from wherever they are kept."""


def no_looks() -> tuple[EarlierLook, ...]:
    """Return no earlier look: nothing is known of them."""
    return ()


class SignificanceCheck:
    """The check that the sensor and its trigger run. It remembers the time of its latest poll.

    Args:
        target: The iteration.
        policy: What to decide, and when to look at the results.
        previous: ``verdict.elapsed`` of an earlier poll; None in a fresh process.
        poll_interval: Time between two polls.
        source: Where evidence comes from. Default: LaunchDarkly's results endpoints.
        looks: Reads what the earlier looks measured. Default: nothing is known of them.
        standing: A crossing of the boundary at an earlier look, which stands.
        spent: The error that other policies have spent on the iteration.
        data: What is known of the looks, if they wait for their data.

    Attributes:
        previous: Time of the latest poll, after the iteration's start; None before the first.
    """

    def __init__(
        self,
        target: Target,
        policy: Policy,
        *,
        previous: timedelta | None = None,
        poll_interval: timedelta,
        source: Source = evidence_from_results,
        looks: Looks = no_looks,
        standing: Standing | None = None,
        spent: Spent | None = None,
        data: DataLooks | None = None,
    ) -> None:
        self._target = target
        self._policy = policy
        self._poll_interval = poll_interval
        self._source = source
        self._definitions: dict[str, Metric] = {}
        self._looks = looks
        self._standing = standing
        self._spent = spent
        self._data = data
        self._flag: FlagSeen | None = None
        self.previous = previous

    def __call__(self) -> Procedure[CheckResult]:
        """Poll once.

        Returns:
            The verdict as plain JSON, with ``evidence`` and ``looked_at``, from which the look is put on record.
        """
        found = yield from check_significance(
            self._target,
            self._policy,
            previous=self.previous,
            poll_interval=self._poll_interval,
            source=self._source,
            definitions=self._definitions,
            looks=self._looks,
            standing=self._standing,
            spent=self._spent,
            data=self._data,
        )
        taken = found.evidence.taken if found.evidence else None
        self.previous = found.verdict.elapsed if taken is None else taken.at
        if self._data is not None and taken is not None:
            self._data.taken = found.verdict.elapsed
        result = found.to_check_result()
        self._flag = found.flag or self._flag
        if not found.ends:
            result = replace(result, background=background_of(found.iteration, self._policy, self._flag))
        return result if has_only_planned_looks(self._policy) else replace(result, same_for=None)


def has_only_planned_looks(policy: Policy) -> bool:
    """Return True if looks come at their planned times alone: none between them for harm, none when data arrive."""
    return policy.harm_looks is None and policy.looks.on_data is None


def check_significance(
    target: Target,
    policy: Policy,
    *,
    previous: timedelta | None = None,
    poll_interval: timedelta,
    source: Source = evidence_from_results,
    definitions: dict[str, Metric] | None = None,
    looks: Looks = no_looks,
    standing: Standing | None = None,
    spent: Spent | None = None,
    data: DataLooks | None = None,
) -> Procedure[SignificanceResult]:
    """Poll an experiment once, and look at its results if a look is due.

    Args:
        target: The iteration.
        policy: What to decide, and when to look at the results.
        previous: ``verdict.elapsed`` of the same process's poll before; None in a fresh process. A look is due if its
            time has come since then; in a fresh process, if its time came a short while ago.
        poll_interval: Time to the next poll. A look whose time came within one and a half intervals counts as due in a
            fresh process, so that a process for each poll misses none.
        source: Where evidence comes from. Default: LaunchDarkly's results endpoints.
        definitions: The metrics' definitions that earlier polls of the same process have read; this one adds to them.
        looks: Reads what the earlier looks measured. Default: nothing is known of them.
        standing: A crossing of the boundary at an earlier look of this iteration, which stands. It is evidence only
            where the data do not cross by themselves, so a repeat of the look that crossed is the same decision.
        spent: The error that other policies have spent on the iteration; None if it was only judged by this one.
        data: What is known of the looks that wait for their data; None takes the look whose time has come, whatever the
            policy says: for a judgement of what is there now.

    Returns:
        ``invalid`` if the iteration was stopped or replaced; ``wait`` between looks, without reading results; else the
        verdict on the results. If the policy has `harm_looks`, a poll between looks may read results too, and find
        harm.

    Raises:
        ConfigurationError: The policy does not fit the experiment, or the experiment is a bandit, a holdout or, with
            LaunchDarkly's results, ``export_only``.
        IterationNotFoundError: The experiment has no such iteration.
        ResultsUnavailableError: LaunchDarkly no longer serves results.
        DataNotArrivedError: The data of a look have not arrived by its deadline, and the policy fails then.
        LaunchDarklyError: As the calls raise.
    """
    found = yield from find_due_look(
        target,
        policy,
        previous=previous,
        poll_interval=poll_interval,
        analysed_by_launchdarkly=source is evidence_from_results,
        data=data,
    )
    if isinstance(found, SignificanceResult):
        return found
    found = replace(found, definitions={} if definitions is None else definitions)
    look = take_look(
        found,
        policy,
        previous=previous,
        poll_interval=poll_interval,
        source=source,
        looks=looks,
        standing=standing,
        spent=spent,
    )
    taken = yield from look
    if found.only_harm:
        return taken
    return replace(taken, flag=(yield from see_flag(target.environment, found.iteration)))


def take_look(
    look_context: LookContext,
    policy: Policy,
    *,
    previous: timedelta | None = None,
    poll_interval: timedelta,
    source: Source = evidence_from_results,
    looks: Looks = no_looks,
    standing: Standing | None = None,
    spent: Spent | None = None,
) -> Procedure[SignificanceResult]:
    """Read results and judge them, planned look or not: the second half of :func:`check_significance`.

    Args:
        look_context: The look that :func:`find_due_look` has found due.
        policy: As for :func:`check_significance`, and so the others.
        previous: Time of the poll before.
        poll_interval: Time to the next poll.
        source: Where evidence comes from.
        looks: Reads what the earlier looks measured.
        standing: As for :func:`check_significance`.
        spent: As for :func:`check_significance`.

    Raises:
        ResultsUnavailableError: LaunchDarkly no longer serves results.
        PolicyChangedError: The policy's `on_change` refuses what other policies have judged before.
        QuestionRepeatedError: The policy's `on_repeat` refuses a question that was asked before.
        LaunchDarklyError: As the calls raise.
    """
    target = look_context.target
    require_allowed(policy, look_context.repeats, spent)
    try:
        if look_context.only_harm:
            return (yield from _look_for_harm(look_context, policy, source, spent))
        evidence = yield from measure(source, look_context, policy)
        evidence = evidence._replace(repeats=look_context.repeats, spent=spent)
        plan = schedule_looks(policy, look_context.started_at)
        lateness = ""
        if look_context.taken is not None:
            now = (AS_IT_IS_NOW,) if source is evidence_from_results else ()
            cautions = (*evidence.cautions, *now, *cautions_of(look_context.taken))
            evidence = evidence._replace(taken=look_context.taken, cautions=cautions)
        else:
            lateness = describe_lateness(plan, look_context.elapsed, previous, 2 * poll_interval)
        if policy.clock is Clock.INFORMATION and not evidence.only_harm:
            evidence = evidence._replace(earlier=known_looks(plan, looks(), evidence))
        verdict = decide(policy, evidence)
        if standing is not None and verdict.treatment_id != standing.treatment_id:
            evidence = evidence._replace(standing=standing)
            verdict = decide(policy, evidence)
        return SignificanceResult(
            target, look_context.now, verdict, evidence, lateness, iteration=look_context.iteration
        )
    except EvidenceError as error:
        raise UnexpectedResponseError(f"the results of experiment {target.experiment_key!r}: {error}") from error


def _look_for_harm(
    look_context: LookContext, policy: Policy, source: Source, spent: Spent | None
) -> Procedure[SignificanceResult]:
    """Read results between two planned looks and judge harm alone. Without results it waits: the next look says why."""
    try:
        evidence = (yield from measure(source, look_context, policy))._replace(only_harm=True, spent=spent)
    except (ResultsUnavailableError, UnexpectedResponseError) as error:
        waiting = _between_looks(schedule_looks(policy, look_context.started_at), look_context)
        names = ", ".join(look_context.harm_of or ("the releases' metrics",))
        trouble = f"harm to {names} could not be looked at: {error}"
        return SignificanceResult(look_context.target, look_context.at, waiting, trouble=trouble)
    return SignificanceResult(look_context.target, look_context.at, decide(policy, evidence), evidence)


def find_due_look(
    target: Target,
    policy: Policy,
    *,
    previous: timedelta | None = None,
    poll_interval: timedelta,
    analysed_by_launchdarkly: bool = True,
    data: DataLooks | None = None,
) -> Procedure[SignificanceResult | LookContext]:
    """Check whether a look is due, without reading results: the first half of :func:`check_significance`.

    Args:
        target: The iteration.
        policy: What to decide, and when to look at the results.
        previous: As for :func:`check_significance`.
        poll_interval: As for :func:`check_significance`.
        analysed_by_launchdarkly: True if the results are LaunchDarkly's, which has none for some experiments.
        data: As for :func:`check_significance`.

    Returns:
        The context of the look that is due now, with `harm_of` if it is none of the planned ones; else a result without
        a new look: ``wait``, ``invalid``, or the ending that is on record.

    Raises:
        ConfigurationError: The policy does not fit the experiment, or the experiment is a bandit, a holdout or, with
            LaunchDarkly's results, ``export_only``.
        IterationNotFoundError: The experiment has no such iteration.
        LaunchDarklyError: As the call raises.
    """
    response = yield get_experiment(target.environment, target.experiment_key, expand=ITERATIONS)
    experiment: Experiment = response.value
    _require_decidable(experiment, launchdarkly_results=analysed_by_launchdarkly)
    iteration = pinned(experiment, target.iteration_id)
    _require_one_role(policy, iteration)
    if analysed_by_launchdarkly:
        _require_source_of_mature_units(policy)
        _require_means(policy, iteration)
    if iteration.started_at is None:
        return SignificanceResult(target, response.server_time, _not_started(iteration))
    look_context = LookContext(
        target,
        iteration,
        iteration.started_at,
        response.server_time,
        burn_in=policy.burn_in,
        maturity=policy.maturity,
        repeats=count_repeats(experiment, iteration, policy),
        unbroken_since=experiment.unbroken_since(iteration),
    )
    if not iteration.running:
        return SignificanceResult(
            target, look_context.at, verdict_if_ended_elsewhere(experiment, iteration, look_context.elapsed)
        )
    try:
        schedule = schedule_looks(policy, iteration.started_at)
    except ValueError as error:
        raise ConfigurationError(f"policy: {error}") from error
    found = look_context if is_due(schedule, look_context.elapsed, previous, poll_interval) else None
    waiting = None
    if data is not None and policy.looks.on_data is not None:
        if data.ended is not None:
            return SignificanceResult(target, look_context.at, decide(policy, data.ended), data.ended)
        found = data.due(look_context, schedule, policy.looks.on_data)
        waiting = data.awaiting(look_context, schedule, policy.looks.on_data)
    if found is None and policy.harm_looks is not None and look_context.elapsed > policy.lag:
        harm_of = due_for_harm(
            metrics_that_roll_back(policy, look_context.primary_metric(policy)),
            policy.harm_looks,
            look_context.elapsed,
            previous=previous,
            poll_interval=poll_interval,
            one_by_one=analysed_by_launchdarkly,
        )
        found = None if harm_of is None else replace(look_context, harm_of=harm_of)
    waiting = waiting or _between_looks(schedule, look_context)
    return found or SignificanceResult(target, look_context.at, waiting, iteration=iteration)


def _require_decidable(experiment: Experiment, *, launchdarkly_results: bool) -> None:
    try:
        require_decidable(experiment.type, experiment.methodology, launchdarkly_results=launchdarkly_results)
    except UndecidableExperimentError as error:
        raise ConfigurationError(f"experiment {experiment.key!r} {error}") from None


def _require_one_role(policy: Policy, iteration: Iteration) -> None:
    try:
        require_one_role(policy, iteration.primary.key if iteration.primary else None)
    except UndecidableExperimentError as error:
        raise ConfigurationError(f"policy.{field_name(error.path)}: {error}") from None


def _require_source_of_mature_units(policy: Policy) -> None:
    try:
        require_source_of_mature_units(policy)
    except UndecidableExperimentError as error:
        raise ConfigurationError(f"policy.{field_name(error.path)} {error}") from None


def _require_means(policy: Policy, iteration: Iteration) -> None:
    """Refuse a percentile before the first look, where the iteration says how its metrics are analysed."""
    own = iteration.primary.key if iteration.primary else None
    judged = {part.metric or own for part in policy.parts}
    for metric in iteration.measured:
        if metric.key in judged:
            last = metric.metrics[-1] if metric.metrics else metric
            try:
                require_mean(last.key, last.analysis_type)
            except UndecidableExperimentError as error:
                raise ConfigurationError(str(error)) from None


def _not_started(iteration: Iteration) -> Verdict:
    summary = f"waiting for the start of iteration {iteration.id}, which is {iteration.status}"
    return Verdict.wait(Reason.NO_DATA, summary, timedelta())


def verdict_if_ended_elsewhere(experiment: Experiment, iteration: Iteration, elapsed: timedelta) -> Verdict:
    """Return the verdict on an iteration that someone else stopped or replaced."""
    other = experiment.running
    if other is not None:
        summary = f"invalid: iteration {iteration.id} is {iteration.status}, and iteration {other.id} runs in its place"
        return Verdict.invalid(Reason.ITERATION_REPLACED, summary, elapsed)
    winner = iteration.treatment(iteration.winning_treatment_id or "")
    with_winner = f" with winner {winner.name!r}" if winner else ""
    summary = f"invalid: iteration {iteration.id} is {iteration.status}{with_winner}, not by this task"
    return Verdict.invalid(Reason.ITERATION_STOPPED, summary, elapsed)


def _between_looks(schedule: LookSchedule, look_context: LookContext) -> Verdict:
    elapsed, looks = look_context.elapsed, len(schedule.look_times)
    look, coming = schedule.look_at(elapsed), next_look(schedule, elapsed)
    when = f" at {describe_time(look_context.at - elapsed + coming, look_context.at)}" if coming is not None else ""
    summary = f"waiting for look {look + 1} of {looks}{when}"
    return Verdict.wait(Reason.BETWEEN_LOOKS, summary, elapsed, look=look, looks=looks, next_look=coming)
