"""Reads a metric or metric group by its key; one that does not exist is refused with the keys that are near."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.metrics import (
    get_metric,
    get_metric_group,
    list_metric_groups,
    list_metrics,
)
from airflow_provider_launchdarkly.api.errors import ConfigurationError, NotFoundError
from airflow_provider_launchdarkly.api.http.paging import collect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Metric, MetricGroup


def find_metric(project_key: str, key: str, *, is_group: bool) -> Procedure[Metric | MetricGroup]:
    """Read a metric that an iteration is to measure.

    Args:
        project_key: The project.
        key: Key of the metric or metric group.
        is_group: True for a metric group.

    Raises:
        ConfigurationError: The project has none of this key, or it is archived.
        LaunchDarklyError: As the calls raise.
    """
    what = "metric group" if is_group else "metric"
    try:
        found: Metric | MetricGroup = (
            yield (get_metric_group(project_key, key) if is_group else get_metric(project_key, key))
        ).value
    except NotFoundError:
        metrics = yield from collect(list_metrics(project_key))
        groups = yield from collect(list_metric_groups(project_key))
        own, other = (groups, metrics) if is_group else (metrics, groups)
        if key in {entry.key for entry in other}:
            hint = f"{key!r} is a {'metric' if is_group else 'metric group, written as {key: …, is_group: true}'}"
        else:
            hint = _near(key, (entry.key for entry in own), (entry.key for entry in other))
        raise ConfigurationError(f"project {project_key!r} has no {what} {key!r}; {hint}") from None
    if getattr(found, "archived", False):
        raise ConfigurationError(f"{what} {key!r} is archived, so nothing would be measured; restore it")
    return found


def _near(key: str, own: Iterable[str], other: Iterable[str]) -> str:
    """Return the keys that are near, or some if none is; a metric group's key is marked as one."""
    same_kind, other_kind = sorted(own), sorted(other)
    near = get_close_matches(key, same_kind, n=3, cutoff=0.5) or get_close_matches(key, other_kind, n=3, cutoff=0.7)
    if near:
        return f"near it {'is' if len(near) == 1 else 'are'} {', '.join(map(repr, near))}"
    return f"it has {', '.join(map(repr, same_kind[:10])) or 'none'}{', …' if len(same_kind) > 10 else ''}"
