"""Create flags, metrics and metric groups by key, so that a repeat adopts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import (
    Difference,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    NotFoundError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models.base import Read, Write
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import (
        FeatureFlag,
        FlagPost,
        Metric,
        MetricGroup,
        MetricGroupPost,
        MetricPost,
    )

T = TypeVar("T", bound=Read)

# What LaunchDarkly takes when a flag or metric is made and does not show under the same name afterwards.
# A maintainer shows as `_maintainer`, a flag's purpose as `_purpose`.
_NOT_SHOWN = frozenset(
    {
        "initialPrerequisites",
        "isActive",
        "isFlagOn",
        "maintainerId",
        "maintainerTeamKey",
        "migrationSettings",
        "purpose",
    }
)


@dataclass(frozen=True, slots=True)
class Existing(Generic[T]):
    """A resource that exists as asked.

    Attributes:
        value: What LaunchDarkly shows.
        adopted: Whether it was there already, so that this call made nothing.
    """

    value: T
    adopted: bool


def create_flag(project_key: str, post: FlagPost) -> Procedure[Existing[FeatureFlag]]:
    """Create a flag, or adopt the one with its key and content. Safe to repeat; raises as `create_metric` does."""
    return _create(
        f"flag {post.key!r}",
        endpoints.get_flag(project_key, post.key),
        endpoints.create_flag(project_key, post),
        post,
    )


def create_metric(project_key: str, post: MetricPost) -> Procedure[Existing[Metric]]:
    """Create a metric, or adopt the one with its key and content.

    Safe to repeat: the key is the caller's, it is read before each write and after a response that leaves the outcome
    open, and LaunchDarkly itself refuses a second one.

    Args:
        project_key: The project.
        post: The metric.

    Raises:
        ExperimentDiffersError: It exists with other content; the differences are listed.
        FieldsNotAppliedError: LaunchDarkly accepted it and ignored some of it.
        LaunchDarklyError: As the calls raise.
    """
    return _create(
        f"metric {post.key!r}",
        endpoints.get_metric(project_key, post.key),
        endpoints.create_metric(project_key, post),
        post,
    )


def create_metric_group(project_key: str, post: MetricGroupPost) -> Procedure[Existing[MetricGroup]]:
    """Create a metric group, or adopt the one with its key and content. Safe to repeat; raises as `create_metric`."""
    return _create(
        f"metric group {post.key!r}",
        endpoints.get_metric_group(project_key, post.key),
        endpoints.create_metric_group(project_key, post),
        post,
    )


def _create(what: str, find: Request[T], create: Request[T], post: Write) -> Procedure[Existing[T]]:
    def read() -> Procedure[T | None]:
        try:
            found: T = (yield find).value
        except NotFoundError:
            return None
        return found

    def reached(found: T | None) -> T | None:
        differences = _wire_differences(post, found) if found is not None else ()
        if differences:
            raise ExperimentDiffersError(
                f"{what} exists already, with other content; choose another key, or change one of the two: "
                f"{'; '.join(map(str, differences))}",
                differences=differences,
            )
        return found

    def confirmed(found: T | None, _written: Written[T | None]) -> T | None:
        ignored = _wire_differences(post, found) if found is not None else ()
        if ignored:
            raise FieldsNotAppliedError(
                f"{what} was created, and LaunchDarkly ignored a part of what was asked: "
                f"{'; '.join(map(str, ignored))}",
                differences=ignored,
            )
        return found

    ensured = yield from ensure(
        DesiredState(
            what=f"{what} exists",
            read=read,
            reached=reached,
            write=lambda _missing: create,
            confirmed=confirmed,
            unconfirmed=lambda _found, _written: UnclearOutcomeError(f"{what} was created and does not show"),
        )
    )
    return Existing(ensured.value, adopted=not ensured.changed)


def _wire_differences(asked: Write, found: Read) -> tuple[Difference, ...]:
    """Return the written fields that LaunchDarkly does not show, in LaunchDarkly's spelling.

    Args:
        asked: What was written.
        found: What LaunchDarkly shows; it may show more.
    """
    wire = {field: value for field, value in asked.to_wire().items() if field not in _NOT_SHOWN}
    return tuple(_lacking("", wire, found.model_dump(mode="json", by_alias=True)))


def _lacking(where: str, asked: Any, found: Any) -> Iterable[Difference]:
    if isinstance(asked, Mapping) and isinstance(found, Mapping):
        for field, value in asked.items():
            yield from _lacking(f"{where}.{field}" if where else field, value, found.get(field))
    elif _is_list(asked) and _is_list(found) and len(asked) == len(found):
        if all(isinstance(item, str) for item in (*asked, *found)):
            asked, found = sorted(asked), sorted(found)
        for index, (wanted, shown) in enumerate(zip(asked, found, strict=True)):
            yield from _lacking(f"{where}[{index}]", wanted, shown)
    elif asked != found and not (found is None and asked in ("", False, [])):
        yield Difference(where, asked, found)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
