"""Handle metrics and metric groups (LaunchDarkly REST docs, Metrics and Metrics (beta))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import conflict
from airflow_provider_launchdarkly.emulator.handlers import metric_json_patch
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import factories, filters
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import metrics as serialize

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def get_metric(request: Request) -> Response:
    """GET one metric, or the version that `versionId` names."""
    transaction = request.transaction()
    metric = transaction.metric_version(request.params["metricKey"], request.query_value("versionId"))
    return Response(200, serialize.metric(transaction, metric, request.query_values("expand")))


def get_metrics(request: Request) -> Response:
    """GET a project's metrics, by `filter` and `sort`."""
    transaction = request.transaction()
    found = filters.metrics(transaction, request.query_value("filter"), request.query_value("sort"))
    page, paging = request.page(found, highest=50)
    items = [serialize.listed_metric(transaction, metric, request.query_values("expand")) for metric in page]
    return Response(200, {"items": items, "totalCount": len(found), "_links": paging})


def post_metric(request: Request) -> Response:
    """POST a metric. The response is a 201 with the metric."""
    transaction = request.transaction()
    body = RequestBody(request.settings.api.read_metric(request.body))
    representation = serialize.metric(transaction, factories.metric(transaction, body))
    transaction.commit()
    return Response(201, representation, transaction.effects)


def create_metric_group(request: Request) -> Response:
    """POST a metric group. The response is a 201 with the group."""
    transaction = request.transaction()
    representation = serialize.metric_group(transaction, factories.metric_group(transaction, RequestBody(request.body)))
    transaction.commit()
    return Response(201, representation, transaction.effects)


def get_metric_group(request: Request) -> Response:
    """GET one metric group."""
    transaction = request.transaction()
    group = transaction.metric_group(request.params["metricGroupKey"])
    return Response(200, serialize.metric_group(transaction, group, request.query_values("expand")))


def get_metric_groups(request: Request) -> Response:
    """GET a project's metric groups, by `filter` and `sort`."""
    transaction = request.transaction()
    found = filters.metric_groups(transaction, request.query_value("filter"), request.query_value("sort"))
    page, paging = request.page(found, highest=50)
    items = [serialize.metric_group(transaction, group) for group in page]
    return Response(200, {"items": items, "totalCount": len(found), "_links": paging})


def patch_metric(request: Request) -> Response:
    """PATCH a metric with a JSON patch. Its past versions stay."""
    transaction = request.transaction()
    metric = metric_json_patch.patch_metric(transaction, request.params["metricKey"], request.body)
    representation = serialize.metric(transaction, metric)
    transaction.commit()
    return Response(200, representation, transaction.effects)


def delete_metric(request: Request) -> Response:
    """DELETE a metric that no experiment and no metric group uses. The response is a 204."""
    transaction = request.transaction()
    metric = transaction.metric(request.params["metricKey"])
    for group in transaction.project.metric_groups.values():
        if any(item.key == metric.key for item in group.metrics):
            raise conflict(f"metric {metric.key!r} is used by metric group {group.key!r}")
    _check_unused(transaction, metric.key, is_group=False)
    transaction.delete_metric(metric.key)
    transaction.record("metric.deleted", metric=metric.key)
    transaction.commit()
    return Response(204, None, transaction.effects)


def patch_metric_group(request: Request) -> Response:
    """PATCH a metric group with a JSON patch."""
    transaction = request.transaction()
    group = metric_json_patch.patch_metric_group(transaction, request.params["metricGroupKey"], request.body)
    representation = serialize.metric_group(transaction, group)
    transaction.commit()
    return Response(200, representation, transaction.effects)


def delete_metric_group(request: Request) -> Response:
    """DELETE a metric group that no experiment uses. The response is a 204."""
    transaction = request.transaction()
    group = transaction.metric_group(request.params["metricGroupKey"])
    _check_unused(transaction, group.key, is_group=True)
    transaction.delete_metric_group(group.key)
    transaction.record("metric_group.deleted", metric_group=group.key)
    transaction.commit()
    return Response(204, None, transaction.effects)


def _check_unused(transaction: Transaction, key: str, *, is_group: bool) -> None:
    """Raise a 409 if an iteration, past ones and those of holdouts included, measures a metric or group."""
    for experiment in (*transaction.experiments(), *(h.base for h in transaction.project.holdouts.values())):
        if any((use.key, use.is_group) == (key, is_group) for i in experiment.iterations for use in i.metrics):
            raise conflict(f"{key!r} is used by experiment {experiment.key!r}")
