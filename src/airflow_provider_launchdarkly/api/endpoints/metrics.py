"""Metrics and metric groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.request import BETA, Request, path_of, query_of
from airflow_provider_launchdarkly.api.models import (
    Metric,
    MetricGroup,
    MetricGroupPage,
    MetricPage,
)
from airflow_provider_launchdarkly.api.models.base import NoContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.models import (
        MetricGroupPost,
        MetricPost,
        PatchOperation,
    )


def get_metric(
    project_key: str, metric_key: str, *, version_id: str | None = None, expand: Iterable[str] = ()
) -> Request[Metric]:
    """Read a metric.

    Args:
        project_key: The project.
        metric_key: The metric.
        version_id: A past version, such as the one that an iteration holds on to.
        expand: ``experiments``, ``experimentCount``, ``metricGroups``, ``metricGroupCount``.
    """
    return Request(
        operation="get_metric",
        method="GET",
        path=path_of("metrics", "{project_key}", "{metric_key}", project_key=project_key, metric_key=metric_key),
        response_model=Metric,
        query=query_of(expand=expand, versionId=version_id),
    )


def list_metrics(
    project_key: str,
    *,
    filters: str | None = None,
    sort: str | None = None,
    expand: Iterable[str] = (),
    limit: int | None = None,
    offset: int | None = None,
) -> Request[MetricPage]:
    """Read one page of metrics.

    Args:
        project_key: The project.
        filters: LaunchDarkly's filter, ``field op value``, such as ``query equals "checkout"``.
        sort: A field, with ``-`` for the other way.
        expand: ``experimentCount``.
        limit: Items a page, at most `paging.LARGEST_PAGE`.
        offset: Items to skip.
    """
    return Request(
        operation="list_metrics",
        method="GET",
        path=path_of("metrics", "{project_key}", project_key=project_key),
        response_model=MetricPage,
        query=query_of(expand=expand, limit=limit, offset=offset, sort=sort, filter=filters),
    )


def create_metric(project_key: str, post: MetricPost) -> Request[Metric]:
    """Create a metric. Its key makes a repeat safe: LaunchDarkly refuses a second one with 409."""
    return Request(
        operation="create_metric",
        method="POST",
        path=path_of("metrics", "{project_key}", project_key=project_key),
        response_model=Metric,
        body=post.to_wire(),
    )


def get_metric_group(project_key: str, metric_group_key: str, *, expand: Iterable[str] = ()) -> Request[MetricGroup]:
    """Read a metric group (beta in LaunchDarkly).

    Args:
        project_key: The project.
        metric_group_key: The group.
        expand: ``experiments``, ``experimentCount``.
    """
    return Request(
        operation="get_metric_group",
        method="GET",
        path=_group(project_key, metric_group_key),
        response_model=MetricGroup,
        query=query_of(expand=expand),
        api_version=BETA,
    )


def list_metric_groups(
    project_key: str,
    *,
    filters: str | None = None,
    sort: str | None = None,
    expand: Iterable[str] = (),
    limit: int | None = None,
    offset: int | None = None,
) -> Request[MetricGroupPage]:
    """Read one page of metric groups (beta in LaunchDarkly); parameters as in `list_metrics`."""
    return Request(
        operation="list_metric_groups",
        method="GET",
        path=path_of("projects", "{project_key}", "metric-groups", project_key=project_key),
        response_model=MetricGroupPage,
        query=query_of(filter=filters, sort=sort, expand=expand, limit=limit, offset=offset),
        api_version=BETA,
    )


def create_metric_group(project_key: str, post: MetricGroupPost) -> Request[MetricGroup]:
    """Create a metric group (beta in LaunchDarkly)."""
    return Request(
        operation="create_metric_group",
        method="POST",
        path=path_of("projects", "{project_key}", "metric-groups", project_key=project_key),
        response_model=MetricGroup,
        body=post.to_wire(),
        api_version=BETA,
    )


def patch_metric(project_key: str, metric_key: str, operations: Sequence[PatchOperation]) -> Request[Metric]:
    """Change a metric by a JSON patch: all operations take effect, or none.

    Raises:
        ConfigurationError: There is no operation.
    """
    return Request(
        operation="patch_metric",
        method="PATCH",
        path=path_of("metrics", "{project_key}", "{metric_key}", project_key=project_key, metric_key=metric_key),
        response_model=Metric,
        body=_operations(operations),
    )


def delete_metric(project_key: str, metric_key: str) -> Request[NoContent]:
    """Delete a metric. It cannot be restored."""
    return Request(
        operation="delete_metric",
        method="DELETE",
        path=path_of("metrics", "{project_key}", "{metric_key}", project_key=project_key, metric_key=metric_key),
        response_model=NoContent,
    )


def patch_metric_group(
    project_key: str, metric_group_key: str, operations: Sequence[PatchOperation]
) -> Request[MetricGroup]:
    """Change a metric group by a JSON patch: all operations take effect, or none.

    Raises:
        ConfigurationError: There is no operation.
    """
    return Request(
        operation="patch_metric_group",
        method="PATCH",
        path=_group(project_key, metric_group_key),
        response_model=MetricGroup,
        body=_operations(operations),
        api_version=BETA,
    )


def delete_metric_group(project_key: str, metric_group_key: str) -> Request[NoContent]:
    """Delete a metric group. It cannot be restored."""
    return Request(
        operation="delete_metric_group",
        method="DELETE",
        path=_group(project_key, metric_group_key),
        response_model=NoContent,
        api_version=BETA,
    )


def _operations(operations: Sequence[PatchOperation]) -> list[JsonValue]:
    if not operations:
        raise ConfigurationError("operations is empty: a patch needs at least one")
    return [operation.to_operation() for operation in operations]


def _group(project_key: str, metric_group_key: str) -> str:
    return path_of(
        "projects",
        "{project_key}",
        "metric-groups",
        "{metric_group_key}",
        project_key=project_key,
        metric_group_key=metric_group_key,
    )
