"""What LaunchDarkly answers about metrics and metric groups, alone and inside an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.clock import from_milliseconds
from airflow_provider_launchdarkly.emulator.rendering.links import (
    link,
    metrics_path,
    page_link,
    project_path,
    resource_links,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.change import Change
    from airflow_provider_launchdarkly.emulator.state import JSON, Metric, MetricGroup, MetricUse


def metric(change: Change, metric: Metric) -> dict[str, JSON]:
    """A metric, alone or in a list."""
    using = [e for e in change.experiments() if any(_measures(change, use, metric.key) for use in e.current.metrics)]
    shown: dict[str, JSON] = {
        "_id": metric.id,
        "_versionId": metric.version_id,
        "_version": metric.version,
        "key": metric.key,
        "name": metric.name,
        "kind": metric.kind,
        "description": metric.description,
        "tags": list(metric.tags),
        "_creationDate": metric.created_at,
        "lastModified": {"date": from_milliseconds(metric.created_at).isoformat().replace("+00:00", "Z")},
        "isNumeric": metric.is_numeric,
        "successCriteria": "HigherThanBaseline" if metric.higher_is_better else "LowerThanBaseline",
        "eventKey": metric.event_key,
        "unit": metric.unit,
        "unitAggregationType": metric.unit_aggregation,
        "analysisType": metric.analysis_type,
        "analysisUnits": list(metric.randomization_units),
        "randomizationUnits": list(metric.randomization_units),
        "eventDefault": _event_default(metric),
        "dataSource": {"key": "launchdarkly"},
        "maintainerId": metric.maintainer_id,
        "archived": False,
        "isActive": True,
        "experimentCount": len(using),
        "activeExperimentCount": sum(e.running is not None for e in using),
        "metricGroupCount": sum(
            any(item.key == metric.key for item in group.metrics) for group in change.project.metric_groups.values()
        ),
        "_links": resource_links(metrics_path(change.project.key), metric.key),
        "_site": page_link(f"/projects/{quote(change.project.key)}/metrics/{quote(metric.key)}/details"),
    }
    return {name: value for name, value in shown.items() if value is not None}


def metric_group(change: Change, group: MetricGroup) -> dict[str, JSON]:
    """A metric group, alone or in a list."""
    member = change.world.members[group.maintainer_id]
    using = [e for e in change.experiments() if any(u.is_group and u.key == group.key for u in e.current.metrics)]
    return {
        "_id": group.id,
        "_versionId": group.version_id,
        "key": group.key,
        "name": group.name,
        "kind": group.kind,
        "description": group.description,
        "tags": list(group.tags),
        "_creationDate": group.created_at,
        "_lastModified": group.created_at,
        "maintainer": {
            "key": member.id,
            "kind": "member",
            "_member": {
                "_id": member.id,
                "firstName": member.first_name,
                "lastName": member.last_name,
                "role": member.role,
                "email": member.email,
                "_links": resource_links("/api/v2/members", member.id),
            },
        },
        "metrics": metrics_in_group(change, group),
        "_version": group.version,
        "experimentCount": len(using),
        "activeExperimentCount": sum(e.running is not None for e in using),
        "_links": resource_links(f"{project_path(change.project.key)}/metric-groups", group.key),
    }


def metrics_in_group(change: Change, group: MetricGroup) -> list[dict[str, JSON]]:
    """The metrics of a group, in its order."""
    return [{**metric_v2(change, change.metric(item.key)), "nameInGroup": item.name_in_group} for item in group.metrics]


def metric_v2(change: Change, metric: Metric) -> dict[str, JSON]:
    """A metric as it is shown inside an iteration or a group."""
    shown: dict[str, JSON] = {
        "key": metric.key,
        "_versionId": metric.version_id,
        "name": metric.name,
        "kind": metric.kind,
        "isNumeric": metric.is_numeric,
        "unitAggregationType": metric.unit_aggregation,
        "analysisType": metric.analysis_type,
        "_links": {"self": link(f"{metrics_path(change.project.key)}/{quote(metric.key, safe='')}")},
    }
    if metric.event_key is not None:
        shown["eventKey"] = metric.event_key
    return shown


def dependent_metric(change: Change, use: MetricUse) -> dict[str, JSON]:
    """A metric or metric group as an iteration's list of metrics shows it."""
    if not use.is_group:
        return {**metric_v2(change, change.metric(use.key)), "isGroup": False}
    group = change.metric_group(use.key)
    return {**group_with_metrics(change, group), "_versionId": group.version_id, "isGroup": True}


def group_with_metrics(change: Change, group: MetricGroup) -> dict[str, JSON]:
    """A metric group as an iteration's primary funnel shows it."""
    here = f"{project_path(change.project.key)}/metric-groups/{quote(group.key, safe='')}"
    return {
        "key": group.key,
        "name": group.name,
        "kind": group.kind,
        "_links": {"self": link(here)},
        "metrics": metrics_in_group(change, group),
    }


def _measures(change: Change, use: MetricUse, metric_key: str) -> bool:
    if not use.is_group:
        return use.key == metric_key
    return any(item.key == metric_key for item in change.project.metric_groups[use.key].metrics)


def _event_default(metric: Metric) -> dict[str, JSON]:
    return {"disabled": False, "value": 0} if metric.missing_counts_as_zero else {"disabled": True}
