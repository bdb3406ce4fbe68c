"""Handle metrics and metric groups (LaunchDarkly REST docs, Metrics and Metrics (beta))."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import factories, filters
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import metrics as serialize


def get_metric(request: Request) -> Response:
    """GET one metric."""
    transaction = request.transaction()
    return Response(
        200,
        serialize.metric(transaction, transaction.metric(request.params["metricKey"]), request.query_values("expand")),
    )


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
    representation = serialize.metric(transaction, factories.metric(transaction, RequestBody(request.body)))
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
