"""Serialize metrics and metric groups, alone and in an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.serializers.links import (
    experiments_path,
    link,
    metrics_path,
    page_link,
    project_path,
    resource_links,
)
from airflow_provider_launchdarkly.emulator.serializers.members import maintainer
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Metric, MetricGroup, MetricUse
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_NOT_SHOWN = frozenset({"valueColumn"})
"""The fields that creating a metric takes and no published model of a metric has."""


def metric(transaction: Transaction, metric: Metric, expand: Collection[str] = ()) -> dict[str, JSON]:
    """Return the JSON of a metric; `expand` adds what uses it (LaunchDarkly REST docs, Get metric)."""
    groups = [
        g for g in transaction.project.metric_groups.values() if any(item.key == metric.key for item in g.metrics)
    ]
    using = transaction.using_metric(metric.key)
    parts: dict[str, Callable[[], JSON]] = {
        "experiments": lambda: [_dependent_experiment(transaction, e) for e in using],
        "experimentCount": lambda: len(using),
        "metricGroups": lambda: [_dependent_group(transaction, group) for group in groups],
        "metricGroupCount": lambda: len(groups),
    }
    representation = _metric(transaction, metric, using) | {"isActive": True}
    return representation | {name: make() for name, make in parts.items() if name in expand}


def listed_metric(transaction: Transaction, metric: Metric, expand: Collection[str] = ()) -> dict[str, JSON]:
    """Return the JSON of a metric in a list (`MetricListingRep`)."""
    using = transaction.using_metric(metric.key)
    return _metric(transaction, metric, using) | (
        {"experimentCount": len(using)} if "experimentCount" in expand else {}
    )


def _dependent_experiment(transaction: Transaction, experiment: Experiment) -> dict[str, JSON]:
    environment_key = experiment.environment_key
    representation: dict[str, JSON] = {
        "key": experiment.key,
        "name": experiment.name,
        "environmentId": transaction.project.environments[environment_key].id,
        "environmentKey": environment_key,
        "creationDate": experiment.created_at,
        "_links": resource_links(experiments_path(transaction.project.key, environment_key), experiment.key),
    }
    return representation | ({"archivedDate": experiment.archived_at} if experiment.archived_at is not None else {})


def _dependent_group(transaction: Transaction, group: MetricGroup) -> dict[str, JSON]:
    here = f"{project_path(transaction.project.key)}/metric-groups"
    return {"key": group.key, "name": group.name, "kind": group.kind, "_links": resource_links(here, group.key)}


def _metric(transaction: Transaction, metric: Metric, using: list[Experiment]) -> dict[str, JSON]:
    representation: dict[str, JSON] = {
        "_id": metric.id,
        "_versionId": metric.version_id,
        "_version": metric.version,
        "key": metric.key,
        "name": metric.name,
        "kind": metric.kind,
        "description": metric.description,
        "tags": list(metric.tags),
        "_creationDate": metric.created_at,
        "lastModified": {"date": _date(metric.last_modified or metric.created_at)},
        "isNumeric": metric.is_numeric,
        "successCriteria": "HigherThanBaseline" if metric.higher_is_better else "LowerThanBaseline",
        "eventKey": metric.event_key,
        "unit": metric.unit,
        "unitAggregationType": metric.unit_aggregation,
        "analysisType": metric.analysis_type,
        "analysisUnits": list(metric.randomization_units),
        "randomizationUnits": list(metric.randomization_units),
        "eventDefault": _event_default(metric),
        "dataSource": {"key": metric.data_source_key},
        "maintainerId": metric.maintainer_id,
        "archived": metric.archived_at is not None,
        "archivedAt": metric.archived_at,
        "activeExperimentCount": sum(e.running is not None for e in using),
        "_links": resource_links(metrics_path(transaction.project.key), metric.key),
        "_site": page_link(f"/projects/{quote(transaction.project.key)}/metrics/{quote(metric.key)}/details"),
    }
    shown = {name: value for name, value in representation.items() if value is not None}
    shown |= {name: value for name, value in metric.details.items() if name not in _NOT_SHOWN}
    return transaction.settings.api.metric_resource(shown)


def metric_group(transaction: Transaction, group: MetricGroup, expand: Collection[str] = ()) -> dict[str, JSON]:
    """Return the JSON of a metric group; `expand` adds the experiments that use it."""
    member = transaction.world.members[group.maintainer_id]
    using = transaction.using_group(group.key)
    representation: dict[str, JSON] = {
        "_id": group.id,
        "key": group.key,
        "name": group.name,
        "kind": group.kind,
        "description": group.description,
        "tags": list(group.tags),
        "_creationDate": group.created_at,
        "_lastModified": group.last_modified or group.created_at,
        "maintainer": maintainer(member, transaction.settings.api),
        "metrics": metrics_in_group(transaction, group),
        "_version": group.version,
        "activeExperimentCount": sum(e.running is not None for e in using),
        "_links": resource_links(f"{project_path(transaction.project.key)}/metric-groups", group.key),
    }
    if "experiments" in expand:
        representation["experiments"] = [_dependent_experiment(transaction, e) for e in using]
    if "experimentCount" in expand:
        representation["experimentCount"] = len(using)
    return transaction.settings.api.metric_resource(representation)


def metrics_in_group(transaction: Transaction, group: MetricGroup) -> list[dict[str, JSON]]:
    """Return the JSON of a group's metrics in their order."""
    return [
        {**metric_v2(transaction, transaction.metric(item.key)), "nameInGroup": item.name_in_group}
        for item in group.metrics
    ]


def metric_v2(transaction: Transaction, metric: Metric) -> dict[str, JSON]:
    """Return the JSON of a primary, secondary or group's metric (`MetricV2Rep`)."""
    used = _used_metric(transaction, metric) | {"unitAggregationType": metric.unit_aggregation}
    return transaction.settings.api.metric(used)


def _used_metric(transaction: Transaction, metric: Metric) -> dict[str, JSON]:
    representation: dict[str, JSON] = {
        "key": metric.key,
        "_versionId": metric.version_id,
        "name": metric.name,
        "kind": metric.kind,
        "isNumeric": metric.is_numeric,
        "analysisType": metric.analysis_type,
        "_links": {"self": link(f"{metrics_path(transaction.project.key)}/{quote(metric.key, safe='')}")},
    }
    if metric.event_key is not None:
        representation["eventKey"] = metric.event_key
    return representation


def dependent_metric(transaction: Transaction, use: MetricUse) -> dict[str, JSON]:
    """Return the JSON of a metric or metric group in an iteration's list of metrics."""
    if use.is_group:
        group = transaction.metric_group(use.key)
        representation = {**group_with_metrics(transaction, group), "_versionId": group.version_id, "isGroup": True}
    else:
        representation = {**_used_metric(transaction, transaction.metric(use.key)), "isGroup": False}
    if use.analysis_unit is not None:
        representation["analysisUnit"] = use.analysis_unit
    return transaction.settings.api.metric(representation)


def group_with_metrics(transaction: Transaction, group: MetricGroup) -> dict[str, JSON]:
    """Return the JSON of a metric group as an iteration's primary funnel."""
    here = f"{project_path(transaction.project.key)}/metric-groups/{quote(group.key, safe='')}"
    return {
        "key": group.key,
        "name": group.name,
        "kind": group.kind,
        "_links": {"self": link(here)},
        "metrics": metrics_in_group(transaction, group),
    }


def _event_default(metric: Metric) -> dict[str, JSON]:
    return {"disabled": False, "value": 0} if metric.missing_counts_as_zero else {"disabled": True}


def _date(milliseconds: int) -> str:
    return from_milliseconds(milliseconds).isoformat().replace("+00:00", "Z")
