"""Reading results, and telling "no such thing" from "LaunchDarkly does not serve results any more"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import (
    ApiError,
    ApprovalRequiredError,
    IterationNotStartedError,
    NotFoundError,
    ResultsUnavailableError,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import MeasuredResults, MetricGroupResults, MetricResults

T = TypeVar("T", bound="MeasuredResults")

_CURE = (
    "The results endpoints left LaunchDarkly's published API in client 18.0.0 (October 2025) and have no successor. "
    "This is not the same as 'no data yet', and waiting does not help: read results from your warehouse by SQL instead"
)


def metric_results(
    env: EnvironmentRef,
    experiment_key: str,
    metric_key: str,
    iteration_id: str,
    *,
    is_group: bool = False,
    traffic: bool = False,
) -> Procedure[Response[MetricResults | MetricGroupResults]]:
    """Read all results of a metric or a metric group in one iteration; parameters as for `measured_results`."""
    from airflow_provider_launchdarkly.api.models import MetricResults

    return _read(env, experiment_key, metric_key, iteration_id, is_group=is_group, traffic=traffic, model=MetricResults)


def measured_results(
    env: EnvironmentRef,
    experiment_key: str,
    metric_key: str,
    iteration_id: str,
    *,
    is_group: bool = False,
    traffic: bool = False,
) -> Procedure[Response[MeasuredResults | MetricGroupResults]]:
    """Read what a decision takes from the results of a metric or a metric group in one iteration.

    A refusal is explained by reading the experiment and the metric, so that each error means one thing.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        metric_key: The metric, or with ``is_group`` the metric group.
        iteration_id: The iteration.
        is_group: Whether ``metric_key`` is a metric group: LaunchDarkly has a route of its own for these.
        traffic: Also count all exposed units; single metrics only.

    Returns:
        The response, with the server's time. A group's results are in the order of its metrics.

    Raises:
        NotFoundError: There is no such experiment, or no such metric.
        IterationNotFoundError: The experiment has no such iteration.
        IterationNotStartedError: The iteration has not been started.
        MetricNotMeasuredError: The iteration does not measure the metric.
        ResultsUnavailableError: LaunchDarkly does not serve results any more.
        LaunchDarklyError: As the calls raise.
    """
    from airflow_provider_launchdarkly.api.models import MeasuredResults

    return _read(
        env, experiment_key, metric_key, iteration_id, is_group=is_group, traffic=traffic, model=MeasuredResults
    )


def _read(
    env: EnvironmentRef,
    experiment_key: str,
    metric_key: str,
    iteration_id: str,
    *,
    is_group: bool,
    traffic: bool,
    model: type[T],
) -> Procedure[Response[T | MetricGroupResults]]:
    try:
        response: Response[Any]
        if is_group:
            response = yield endpoints.get_metric_group_results(
                env, experiment_key, metric_key, iteration_id=iteration_id
            )
        else:
            request: Request[Any] = endpoints.get_metric_results(
                env,
                experiment_key,
                metric_key,
                iteration_id=iteration_id,
                expand=("traffic",) if traffic else (),
            )
            response = yield replace(request, response_model=model)
    except ApiError as refused:
        if refused.status not in {404, 405, 410} or isinstance(refused, ApprovalRequiredError):
            raise
        if refused.status == 404:
            yield from _explain(env, experiment_key, metric_key, iteration_id, is_group=is_group)
        raise ResultsUnavailableError(
            f"LaunchDarkly responded {refused.status} to {refused.call}, although experiment and metric exist. {_CURE}",
            call=refused.call,
            refusal=refused.refusal,
        ) from refused
    else:
        return response


def _explain(
    env: EnvironmentRef, experiment_key: str, metric_key: str, iteration_id: str, *, is_group: bool
) -> Procedure[None]:
    """Raise the reason for a 404 if it is anything but a route that is gone."""
    from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment

    try:
        experiment = yield from read_experiment(env, experiment_key)
    except NotFoundError as missing:
        raise _missing(f"experiment {experiment_key!r} in {env}", missing) from None
    iteration = pinned(experiment, iteration_id)
    what = "metric group" if is_group else "metric"
    try:
        if is_group:
            yield endpoints.get_metric_group(env.project_key, metric_key)
        else:
            yield endpoints.get_metric(env.project_key, metric_key)
    except NotFoundError as missing:
        raise _missing(f"{what} {metric_key!r} in project {env.project_key!r}", missing) from None
    if iteration.measured:
        iteration.measured_metric(metric_key)
    if iteration.not_started:
        raise IterationNotStartedError(
            f"iteration {iteration_id!r} of experiment {experiment_key!r} has not been started, so it has no results"
        )


def _missing(what: str, error: NotFoundError) -> NotFoundError:
    return NotFoundError(f"there is no {what}", call=error.call, refusal=error.refusal)
