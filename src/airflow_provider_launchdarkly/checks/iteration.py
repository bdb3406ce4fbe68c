"""Checks of an iteration: its status and its traffic. Pure procedures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import IterationStoppedError
from airflow_provider_launchdarkly.api.models import MetricGroupResults
from airflow_provider_launchdarkly.api.models.base import iso
from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment
from airflow_provider_launchdarkly.api.reads.results import measured_results
from airflow_provider_launchdarkly.checks.arguments import RUNNING
from airflow_provider_launchdarkly.checks.result import WHILE_NOTHING_CHANGES, CheckResult

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Iteration, MeasuredResults


def check_iteration_status(
    env: EnvironmentRef, experiment_key: str, iteration_id: str, status: str
) -> Procedure[CheckResult]:
    """Check whether an iteration has reached a status. A status never goes back: a stopped one has reached both.

    Args:
        env: Project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        status: ``running`` or ``stopped``.

    Raises:
        IterationNotFoundError: The experiment has no such iteration.
        LaunchDarklyError: As the calls raise.
    """
    experiment = yield from read_experiment(env, experiment_key)
    iteration = pinned(experiment, iteration_id)
    reached = iteration.stopped or (status == RUNNING and iteration.running)
    winner = next((t.name for t in iteration.treatments if t.id == iteration.winning_treatment_id), None)
    output: dict[str, Any] = _about(env, experiment_key, iteration) | {
        "started_at": iso(iteration.started_at),
        "ended_at": iso(iteration.ended_at),
        "winning_treatment_id": iteration.winning_treatment_id,
        "winning_treatment": winner,
    }
    summary = f"{iteration.status}: iteration {iteration_id} of {experiment_key}"
    told = summary if reached else f"waiting for {status}, now {summary}"
    return CheckResult(reached, told, output, same_for=WHILE_NOTHING_CHANGES)


def check_traffic(
    env: EnvironmentRef,
    experiment_key: str,
    iteration_id: str,
    units_per_treatment: int,
    metric_key: str | None = None,
) -> Procedure[CheckResult]:
    """Check whether every treatment of an iteration has a number of units.

    Args:
        env: Project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration.
        units_per_treatment: Units in each treatment that has a share of the traffic.
        metric_key: Metric whose results give the counts; None for the primary one. All exposed units count; for a
            metric group, or if LaunchDarkly does not count exposures, the measured units.

    Raises:
        IterationStoppedError: The iteration is stopped, so the missing units will never come.
        MetricNotMeasuredError: The iteration does not measure the metric.
        ResultsUnavailableError: LaunchDarkly no longer serves results.
        LaunchDarklyError: As the calls raise.
    """
    experiment = yield from read_experiment(env, experiment_key)
    iteration = pinned(experiment, iteration_id)
    if iteration.not_started:
        output = _about(env, experiment_key, iteration) | {"units": {}, "least": 0}
        return CheckResult(False, f"waiting for the start of iteration {iteration_id} of {experiment_key}", output)
    metric = iteration.measured_metric(metric_key)
    response = yield from measured_results(
        env, experiment_key, metric.key, iteration_id, is_group=metric.is_group, traffic=not metric.is_group
    )
    counted = _units(response.value)
    # A treatment without a share of the traffic never gets units.
    expected = [treatment for treatment in iteration.treatments if treatment.allocation_percent != 0]
    found = {treatment.name: counted.get(treatment.id, 0) for treatment in expected}
    fewest = min(found, key=lambda name: found[name], default="")
    least = found.get(fewest, 0)
    reached = bool(found) and least >= units_per_treatment
    if not reached and iteration.stopped:
        raise IterationStoppedError(
            f"iteration {iteration_id!r} of experiment {experiment_key!r} is stopped with units {found}, so "
            f"{units_per_treatment} in each treatment will never come: wait for fewer units, or stop it later",
            winner=iteration.winning_treatment_id,
        )
    output = _about(env, experiment_key, iteration) | {"units": found, "least": least}
    state = "reached" if reached else "waiting for"
    return CheckResult(
        reached,
        f"{state} {units_per_treatment:,} units in each treatment of {experiment_key}: {fewest} has {least:,}",
        output,
    )


def _about(env: EnvironmentRef, experiment_key: str, iteration: Iteration) -> dict[str, Any]:
    return {
        "project_key": env.project_key,
        "environment_key": env.environment_key,
        "experiment_key": experiment_key,
        "iteration_id": iteration.id,
        "status": iteration.status,
    }


def _units(results: MeasuredResults | MetricGroupResults) -> dict[str, int]:
    """Return units by treatment id; for a group, the highest of its metrics: later steps of a funnel have fewer."""
    if isinstance(results, MetricGroupResults):
        most: dict[str, int] = {}
        for part in results.metrics:
            for treatment, units in _units(part.results).items():
                most[treatment] = max(units, most.get(treatment, 0))
        return most
    return {
        result.treatment_id: result.traffic if result.traffic is not None else result.units or 0
        for result in results.total
    }
