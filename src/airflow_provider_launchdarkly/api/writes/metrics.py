"""Changing fields of metrics and metric groups by a JSON patch, the one kind of patch that LaunchDarkly takes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ConfigurationError, Difference
from airflow_provider_launchdarkly.api.models import PatchOperation
from airflow_provider_launchdarkly.api.models.base import Read
from airflow_provider_launchdarkly.api.writes.create_by_key import lacking
from airflow_provider_launchdarkly.api.writes.ensure import Ensured, ensure, fields_as_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import Metric, MetricGroup

M = TypeVar("M", bound=Read)


def update_metric(project_key: str, metric_key: str, changes: Mapping[str, JsonValue]) -> Procedure[Ensured[Metric]]:
    """Set fields of a metric. LaunchDarkly makes a new version; running iterations keep theirs.

    Safe to repeat: fields that are as asked are left alone, and a patch only replaces whole fields.

    Args:
        project_key: The project.
        metric_key: The metric.
        changes: The new values by LaunchDarkly's field names, such as ``{"tags": ["checkout"]}``.

    Raises:
        ConfigurationError: There is no change.
        FieldsNotAppliedError: LaunchDarkly accepted the patch and ignored some of it.
        LaunchDarklyError: As the calls raise.
    """
    return _update(
        f"metric {metric_key!r}",
        endpoints.get_metric(project_key, metric_key),
        lambda operations: endpoints.patch_metric(project_key, metric_key, operations),
        changes,
    )


def update_metric_group(
    project_key: str, metric_group_key: str, changes: Mapping[str, JsonValue]
) -> Procedure[Ensured[MetricGroup]]:
    """Set fields of a metric group, such as its ``metrics``. Safe to repeat; raises as `update_metric` does."""
    return _update(
        f"metric group {metric_group_key!r}",
        endpoints.get_metric_group(project_key, metric_group_key),
        lambda operations: endpoints.patch_metric_group(project_key, metric_group_key, operations),
        changes,
    )


def _update(
    what: str,
    find: Request[M],
    patch: Callable[[Sequence[PatchOperation]], Request[M]],
    changes: Mapping[str, JsonValue],
) -> Procedure[Ensured[M]]:
    if not changes:
        raise ConfigurationError(f"changes is empty: name a field of {what} and its new value")

    def read() -> Procedure[M]:
        found: M = (yield find).value
        return found

    def differences(found: M) -> tuple[Difference, ...]:
        return tuple(lacking("", dict(changes), _shown(found)))

    def write(found: M) -> Request[M]:
        shown = _shown(found)
        wrong = [name for name, value in changes.items() if any(lacking("", value, shown.get(name)))]
        # "add" sets a member of an object whether it exists or not (RFC 6902, section 4.1).
        return patch([PatchOperation(op="add", path=f"/{_escaped(name)}", value=changes[name]) for name in wrong])

    return ensure(fields_as_asked(f"{what} is as asked", read=read, differences=differences, write=write))


def _shown(found: Read) -> dict[str, Any]:
    return found.model_dump(mode="json", by_alias=True)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
