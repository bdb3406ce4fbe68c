"""The looks of an iteration that is under way or over, taken again from a source that knows the past."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints import get_experiment
from airflow_provider_launchdarkly.api.errors import ConfigurationError, IterationNotStartedError
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
from airflow_provider_launchdarkly.checks.significance import take_look
from airflow_provider_launchdarkly.decision.evidence import EarlierLook, as_earlier
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.evidence.source import LookContext, Target

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, Metric
    from airflow_provider_launchdarkly.checks.significance_result import SignificanceResult
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import Source


def take_past_looks(
    environment: EnvironmentRef, experiment_key: str, iteration_id: str | None, policy: Policy, source: Source
) -> Procedure[tuple[SignificanceResult, ...]]:
    """Take each planned look of an iteration again, up to the one that ends it, its own end, or now.

    Each look sees what was there at its time, and the looks before it are its history, as they would have been for a
    sensor. Only reads. A repeat gives the same, as far as the source's rows are the same.

    Args:
        environment: Project and environment.
        experiment_key: The experiment.
        iteration_id: The iteration. None for the running one, else the one that was started last.
        policy: The policy by which it is judged.
        source: Where evidence comes from: one that leaves out what came after a look.

    Raises:
        IterationNotFoundError, IterationNotStartedError: There is no such iteration, or it has not been started.
        ConfigurationError: The policy does not fit it, or no look's time has come.
        LaunchDarklyError: As reading the experiment and the source raise.
    """
    response = yield get_experiment(environment, experiment_key, expand=ITERATIONS)
    experiment: Experiment = response.value
    iteration = pinned(experiment, iteration_id) if iteration_id else experiment.latest_started
    if iteration is None or iteration.started_at is None:
        raise IterationNotStartedError(
            f"experiment {experiment_key!r} has no iteration that was started: nothing to judge"
        )
    started_at = iteration.started_at
    target = Target(environment, experiment_key, iteration.id)
    try:
        schedule = schedule_looks(policy, started_at)
    except ValueError as error:
        raise ConfigurationError(f"policy: {error}") from error
    end = min(response.server_time, iteration.ended_at or response.server_time)
    found: list[SignificanceResult] = []
    earlier: list[EarlierLook] = []
    definitions: dict[str, Metric] = {}
    for time in schedule.look_times:
        at = started_at.replace(microsecond=0) + time
        if at > end:
            break
        look = LookContext(
            target,
            iteration,
            started_at,
            at,
            definitions=definitions,
            burn_in=policy.burn_in,
            maturity=policy.maturity,
            unbroken_since=experiment.unbroken_since(iteration),
        )
        result = yield from take_look(
            look, policy, poll_interval=timedelta(0), source=source, looks=lambda: tuple(earlier)
        )
        found.append(result)
        if result.evidence is not None:
            earlier.append(as_earlier(result.evidence))
        if result.ends:
            break
    if not found:
        raise ConfigurationError(
            f"iteration {iteration.id!r} ran until {end:%Y-%m-%d %H:%M} UTC, and the policy's first look comes later: "
            "choose another iteration, or a policy that looks earlier"
        )
    return tuple(found)
