"""Checks of time by LaunchDarkly's clock: the time itself, and how long an iteration has run. Pure procedures."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints import get_caller_identity, get_experiment
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
from airflow_provider_launchdarkly.checks.background import background_of
from airflow_provider_launchdarkly.checks.result import CheckResult, describe_time
from airflow_provider_launchdarkly.checks.significance import verdict_if_ended_elsewhere
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.evidence.source import Target


def server_time() -> Procedure[datetime]:
    """Read LaunchDarkly's clock.

    Raises:
        LaunchDarklyError: As the call raises.
    """
    response = yield get_caller_identity()
    time: datetime = response.server_time
    return time


def check_dwell(target: Target, dwell: timedelta) -> Procedure[CheckResult]:
    """Check whether an iteration has run for a time, by LaunchDarkly's clock.

    Args:
        target: The pinned iteration.
        dwell: The time, counted from the iteration's start.

    Returns:
        A verdict: ``wait`` before the time is over, ``inconclusive`` after it, ``invalid`` if someone else stopped or
        replaced the iteration.

    Raises:
        IterationNotFoundError: The experiment has no such iteration.
        LaunchDarklyError: As the call raises.
    """
    response = yield get_experiment(target.environment, target.experiment_key, expand=ITERATIONS)
    iteration = pinned(response.value, target.iteration_id)
    now: datetime = response.server_time
    if iteration.started_at is None:
        summary = f"waiting for the start of iteration {iteration.id}, which is {iteration.status}"
        verdict = Verdict.wait(Reason.NO_DATA, summary, timedelta())
    elif not iteration.running:
        verdict = verdict_if_ended_elsewhere(response.value, iteration, now - iteration.started_at)
    elif now - iteration.started_at < dwell:
        end = describe_time(iteration.started_at + dwell, now)
        summary = f"waiting until {end}: iteration {iteration.id} runs for {format_duration(dwell)}"
        verdict = Verdict.wait(Reason.MIN_DURATION, summary, now - iteration.started_at, next_look=dwell)
    else:
        summary = f"inconclusive: iteration {iteration.id} has run for {format_duration(dwell)}; nothing was judged"
        verdict = Verdict(Kind.INCONCLUSIVE, Reason.PLAN_ENDED, summary, now - iteration.started_at)
    output = {**verdict.to_json(), **target.to_json()}
    left, told = dwell - verdict.elapsed, () if verdict.ends else background_of(iteration, None)
    return CheckResult(
        verdict.ends, verdict.summary, output, is_news=verdict.ends, left=left, same_for=left, background=told
    )
