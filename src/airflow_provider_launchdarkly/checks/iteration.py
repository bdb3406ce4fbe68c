"""Where an iteration stands, and how much traffic it has had. Procedures without I/O of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import IterationStoppedError
from airflow_provider_launchdarkly.api.models import MetricGroupResults
from airflow_provider_launchdarkly.api.models.base import iso
from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment
from airflow_provider_launchdarkly.api.reads.results import metric_results
from airflow_provider_launchdarkly.checks.arguments import RUNNING
from airflow_provider_launchdarkly.checks.result import CheckResult

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Iteration, MetricResults


def check_iteration_status(
    env: EnvironmentRef, experiment_key: str, iteration_id: str, status: str
) -> Procedure[CheckResult]:
    """See whether an iteration has reached a status. It never goes back, so one that is past it has reached it.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration_id: The pinned iteration.
        status: ``running`` or ``stopped``.

    Raises:
        IterationNotFoundError: The experiment has no such iteration, or not any more.
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
    summary = f"iteration {iteration_id} of {experiment_key} is {iteration.status}"
    return CheckResult(reached, summary if reached else f"{summary}: waiting for {status}", output)


def check_traffic(
    env: EnvironmentRef, experiment_key: str, iteration_id: str, units: int, metric_key: str | None = None
) -> Procedure[CheckResult]:
    """See whether every treatment of an iteration has had enough units.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        iteration_id: The pinned iteration.
        units: Units that each treatment with a share of the traffic is to have.
        metric_key: By which metric's results they are counted. None for the primary one. All exposed units count; for a
            metric group, and where LaunchDarkly does not count these, the units that were measured.

    Raises:
        IterationStoppedError: The iteration is over, so the units will never come.
        MetricNotMeasuredError: The iteration does not measure the metric.
        ResultsUnavailableError: LaunchDarkly does not serve results any more.
        LaunchDarklyError: As the calls raise.
    """
    experiment = yield from read_experiment(env, experiment_key)
    iteration = pinned(experiment, iteration_id)
    if iteration.not_started:
        output = _about(env, experiment_key, iteration) | {"units": {}, "least": 0}
        return CheckResult(False, f"iteration {iteration_id} of {experiment_key} is not started", output)
    metric = iteration.measured_metric(metric_key)
    response = yield from metric_results(
        env, experiment_key, metric.key, iteration_id, is_group=metric.is_group, traffic=not metric.is_group
    )
    counted = _units(response.value)
    # A treatment without a share of the traffic gets nobody, however long one waits.
    expected = [treatment for treatment in iteration.treatments if treatment.allocation_percent != 0]
    found = {treatment.name: counted.get(treatment.id, 0) for treatment in expected}
    least = min(found.values(), default=0)
    reached = bool(found) and least >= units
    summary = f"iteration {iteration_id} of {experiment_key} has units {found}"
    if not reached and iteration.stopped:
        raise IterationStoppedError(
            f"{summary} and is stopped: {units} for each treatment will never come",
            winner=iteration.winning_treatment_id,
        )
    output = _about(env, experiment_key, iteration) | {"units": found, "least": least}
    return CheckResult(reached, summary if reached else f"{summary}: waiting for {units} each", output)


def _about(env: EnvironmentRef, experiment_key: str, iteration: Iteration) -> dict[str, Any]:
    return {
        "project_key": env.project_key,
        "environment_key": env.environment_key,
        "experiment_key": experiment_key,
        "iteration_id": iteration.id,
        "status": iteration.status,
    }


def _units(results: MetricResults | MetricGroupResults) -> dict[str, int]:
    """Units by treatment id; of a group's metrics, the one with the most counts: later steps of a funnel have fewer."""
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
