"""What time it is at LaunchDarkly, and whether a pinned iteration still runs. A pure procedure: one read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints import get_caller_identity, get_experiment
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
from airflow_provider_launchdarkly.checks.significance import verdict_if_ended_elsewhere
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Verdict

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.evidence.source import Target


def server_time() -> Procedure[datetime]:
    """Read LaunchDarkly's clock.

    Raises:
        LaunchDarklyError: As the call raises.
    """
    answer = yield get_caller_identity()
    time: datetime = answer.server_time
    return time


def check_dwell(target: Target, dwell: timedelta) -> Procedure[Verdict]:
    """Read how long an iteration has run, by LaunchDarkly's clock.

    Args:
        target: The pinned iteration.
        dwell: How long it is to run, from its start.

    Returns:
        ``wait`` while it is to run on; ``inconclusive`` when its time is over; ``invalid`` if it was stopped or
        replaced by someone else.

    Raises:
        IterationNotFoundError: The experiment has no such iteration.
        LaunchDarklyError: As the call raises.
    """
    answer = yield get_experiment(target.environment, target.experiment_key, expand=ITERATIONS)
    iteration = pinned(answer.value, target.iteration_id)
    if iteration.started_at is None:
        return Verdict.wait(Reason.NO_DATA, f"iteration {iteration.id} is {iteration.status}", dwell * 0)
    elapsed = answer.server_time - iteration.started_at
    if not iteration.running:
        return verdict_if_ended_elsewhere(answer.value, iteration, elapsed)
    if elapsed < dwell:
        summary = f"iteration {iteration.id} has run for {elapsed} of {dwell}: wait"
        return Verdict.wait(Reason.MIN_DURATION, summary, elapsed, next_look=dwell)
    summary = f"iteration {iteration.id} has run for {elapsed}, its time is over; nothing was judged"
    return Verdict(Kind.INCONCLUSIVE, Reason.PLAN_ENDED, summary, elapsed)
