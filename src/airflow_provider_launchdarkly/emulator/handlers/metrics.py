"""Metrics and metric groups. LaunchDarkly REST docs, Metrics and Metrics (beta)."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers.call import Call, Reply
from airflow_provider_launchdarkly.emulator.rules import factories
from airflow_provider_launchdarkly.emulator.rules.request_body import Body
from airflow_provider_launchdarkly.emulator.serializers import metrics as show


def get_metric(call: Call) -> Reply:
    """GET one metric."""
    change = call.change()
    return Reply(200, show.metric(change, change.metric(call.params["metricKey"]), call.every("expand")))


def get_metrics(call: Call) -> Reply:
    """GET a project's metrics."""
    change = call.change()
    page, paging = call.page(list(change.project.metrics.values()), highest=50)
    items = [show.listed_metric(change, metric, call.every("expand")) for metric in page]
    return Reply(200, {"items": items, "totalCount": len(change.project.metrics), "_links": paging})


def post_metric(call: Call) -> Reply:
    """POST a metric: 201 with the metric."""
    change = call.change()
    shown = show.metric(change, factories.metric(change, Body(call.body)))
    change.commit()
    return Reply(201, shown, change.effects)


def create_metric_group(call: Call) -> Reply:
    """POST a metric group: 201 with the group."""
    change = call.change()
    shown = show.metric_group(change, factories.metric_group(change, Body(call.body)))
    change.commit()
    return Reply(201, shown, change.effects)


def get_metric_group(call: Call) -> Reply:
    """GET one metric group."""
    change = call.change()
    group = change.metric_group(call.params["metricGroupKey"])
    return Reply(200, show.metric_group(change, group, call.every("expand")))


def get_metric_groups(call: Call) -> Reply:
    """GET a project's metric groups."""
    change = call.change()
    page, paging = call.page(list(change.project.metric_groups.values()), highest=50)
    items = [show.metric_group(change, group) for group in page]
    return Reply(200, {"items": items, "totalCount": len(change.project.metric_groups), "_links": paging})
