"""Apply a JSON patch to a metric or a metric group: patch its JSON, and read the result as a creation is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.rules import factories, json_patch, metric_fields
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers import metrics as serialize

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_launchdarkly.emulator.state.models import Metric, MetricGroup
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_UNITS: Final = ("analysisUnits", "randomizationUnits")
_METRIC_FIELDS: Final = {
    *("name", "description", "tags", "successCriteria", "eventKey", "unit", "unitAggregationType", "analysisType"),
    *("eventDefault", "maintainerId", "archived", *_UNITS, *metric_fields.DETAILS),
}
_GROUP_FIELDS: Final = {"name", "description", "tags", "metrics", "maintainerId"}


def patch_metric(transaction: Transaction, key: str, operations: Any) -> Metric:
    """Apply a JSON patch to a metric, which gets a new version if anything changes.

    Raises:
        ApiError: 400 for a patch that is malformed or changes a fixed field, 409 for a failed `test`.
    """
    before = transaction.metric(key)
    present = serialize.metric(transaction, before)
    # Shown in no response, and still a field that a patch can set.
    hidden = {name: value for name, value in before.details.items() if name not in present}
    wanted = _patched(present | hidden, operations, _METRIC_FIELDS)
    if wanted.get(_UNITS[0]) == present[_UNITS[0]] and wanted.get(_UNITS[1]) != present[_UNITS[1]]:
        wanted[_UNITS[0]] = wanted.get(_UNITS[1])
    if "dataSource" not in before.details and wanted.get("dataSource") == present["dataSource"]:
        del wanted["dataSource"]
    body = RequestBody(wanted)
    after = metric_fields.with_fields(transaction, replace(before, maintainer_id=None), body)
    archived_at = (before.archived_at or transaction.now) if body.flag("archived", default=False) else None
    after = replace(after, archived_at=archived_at)
    if after != before:
        after = replace(
            after,
            version=before.version + 1,
            version_id=transaction.world.new_uuid("metric-version"),
            last_modified=transaction.now,
        )
        transaction.put_metric(after)
        transaction.put_old_metric(before)
        transaction.record("metric.changed", metric=key)
    return after


def patch_metric_group(transaction: Transaction, key: str, operations: Any) -> MetricGroup:
    """Apply a JSON patch to a metric group, which gets a new version if anything changes.

    Raises:
        ApiError: 400 for a patch that is malformed or changes a fixed field, 409 for a failed `test`.
    """
    before = transaction.metric_group(key)
    present = serialize.metric_group(transaction, before) | {"maintainerId": before.maintainer_id}
    present["metrics"] = [{"key": item.key, "nameInGroup": item.name_in_group} for item in before.metrics]
    body = RequestBody(_patched(present, operations, _GROUP_FIELDS))
    check_member(transaction, body.text("maintainerId"))
    after = replace(
        before,
        name=body.text("name"),
        description=body.optional_text("description") or "",
        tags=tuple(dict.fromkeys(body.texts("tags"))),
        metrics=factories.metrics_in_group(transaction, body, before.kind),
        maintainer_id=body.text("maintainerId"),
    )
    if after != before:
        after = replace(
            after,
            version=before.version + 1,
            version_id=transaction.world.new_uuid("metric-group-version"),
            last_modified=transaction.now,
        )
        transaction.put_metric_group(after)
        transaction.record("metric_group.changed", metric_group=key)
    return after


def _patched(present: dict[str, Any], operations: Any, editable: Collection[str]) -> dict[str, Any]:
    wanted = json_patch.applied(present, operations)
    for name in present.keys() | wanted.keys():
        if wanted.get(name) != present.get(name) and name not in editable:
            raise invalid_request(f"/{name} cannot be changed by a JSON patch; use {', '.join(sorted(editable))}")
    return wanted
