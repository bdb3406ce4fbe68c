"""Experiment results. LaunchDarkly published these routes up to client 17.2.0 and no successor since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.request import (
    BETA,
    EnvironmentRef,
    Request,
    in_environment,
    path_of,
    query_of,
)
from airflow_provider_launchdarkly.api.models import LegacyResults, MetricGroupResults, MetricResults

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


def get_metric_results(
    env: EnvironmentRef,
    experiment_key: str,
    metric_key: str,
    *,
    iteration_id: str | None = None,
    expand: Iterable[str] = (),
) -> Request[MetricResults]:
    """Read the results of one metric.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        metric_key: A single metric; groups have `get_metric_group_results`.
        iteration_id: Of which iteration; LaunchDarkly takes the current one when it is missing.
        expand: ``traffic`` to count all exposed units.
    """
    return Request(
        operation="get_metric_results",
        method="GET",
        path=in_environment(
            env,
            "experiments",
            "{experiment_key}",
            "metrics",
            "{metric_key}",
            "results",
            experiment_key=experiment_key,
            metric_key=metric_key,
        ),
        response_model=MetricResults,
        query=query_of(iterationId=iteration_id, expand=expand),
        api_version=BETA,
        version_is_configurable=True,
    )


def get_metric_group_results(
    env: EnvironmentRef, experiment_key: str, metric_group_key: str, *, iteration_id: str | None = None
) -> Request[MetricGroupResults]:
    """Read the results of a metric group, one entry for each of its metrics.

    Args:
        env: Where the experiment lives.
        experiment_key: Its key.
        metric_group_key: The group.
        iteration_id: Of which iteration; LaunchDarkly takes the current one when it is missing.
    """
    return Request(
        operation="get_metric_group_results",
        method="GET",
        path=in_environment(
            env,
            "experiments",
            "{experiment_key}",
            "metric-groups",
            "{metric_group_key}",
            "results",
            experiment_key=experiment_key,
            metric_group_key=metric_group_key,
        ),
        response_model=MetricGroupResults,
        query=query_of(iterationId=iteration_id),
        api_version=BETA,
        version_is_configurable=True,
    )


def get_legacy_results(
    env: EnvironmentRef,
    flag_key: str,
    metric_key: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Request[LegacyResults]:
    """Read the results of a legacy experiment, one that is attached to a flag. LaunchDarkly's last client: 17.1.0.

    Args:
        env: Project and environment.
        flag_key: The flag.
        metric_key: The metric.
        start: From when, aware.
        end: Until when, aware.

    Raises:
        ConfigurationError: A time has no zone.
    """
    return Request(
        operation="get_legacy_results",
        method="GET",
        path=path_of(
            "flags",
            "{project_key}",
            "{flag_key}",
            "experiments",
            "{environment_key}",
            "{metric_key}",
            project_key=env.project_key,
            flag_key=flag_key,
            environment_key=env.environment_key,
            metric_key=metric_key,
        ),
        response_model=LegacyResults,
        query=query_of(**{"from": _unix_millis("start", start), "to": _unix_millis("end", end)}),
        api_version=BETA,
        version_is_configurable=True,
    )


def _unix_millis(name: str, time: datetime | None) -> int | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise ConfigurationError(f"{name} is {time.isoformat()}: a time with a zone is needed")
    return round(time.timestamp() * 1000)
