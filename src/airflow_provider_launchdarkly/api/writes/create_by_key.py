"""Create flags, metrics, metric groups, holdouts and layers by key, so that a repeat adopts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    Difference,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    NotFoundError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models.base import Read, Write
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import (
        FeatureFlag,
        FlagPost,
        Holdout,
        HoldoutPost,
        Layer,
        LayerPost,
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
        "valueColumn",
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
        lambda: _if_found(endpoints.get_flag(project_key, post.key)),
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
        lambda: _if_found(endpoints.get_metric(project_key, post.key)),
        endpoints.create_metric(project_key, post),
        post,
    )


def create_metric_group(project_key: str, post: MetricGroupPost) -> Procedure[Existing[MetricGroup]]:
    """Create a metric group, or adopt the one with its key and content. Safe to repeat; raises as `create_metric`."""
    return _create(
        f"metric group {post.key!r}",
        lambda: _if_found(endpoints.get_metric_group(project_key, post.key)),
        endpoints.create_metric_group(project_key, post),
        post,
    )


def create_holdout(env: EnvironmentRef, post: HoldoutPost) -> Procedure[Existing[Holdout]]:
    """Create a holdout, or adopt the one with its key and content.

    Safe to repeat, as `create_metric` is, whose errors it raises too. Name, description and amount are
    compared; LaunchDarkly shows the name, the metrics and the flag in the holdout's base experiment.

    Raises:
        ConfigurationError: The holdout has no key, so that a repeat could not find it.
    """
    if not post.key:
        raise ConfigurationError("key is missing: a holdout needs one, so that a repeat finds it")
    comparable = {
        "description": post.description,
        "holdoutAmount": post.holdout_amount,
        "baseExperiment": None if post.name is None else {"name": post.name},
    }
    return _create(
        f"holdout {post.key!r}",
        lambda: _if_found(endpoints.get_holdout(env, post.key or "")),
        endpoints.create_holdout(env, post),
        post,
        shown={name: value for name, value in comparable.items() if value is not None},
    )


def create_layer(project_key: str, post: LayerPost) -> Procedure[Existing[Layer]]:
    """Create a layer, or adopt the one with its key and content. Safe to repeat; raises as `create_metric` does."""

    def find() -> Procedure[Layer | None]:
        # LaunchDarkly has no call for one layer.
        layers = (yield endpoints.list_layers(project_key)).value.items
        found: Layer | None = next((layer for layer in layers if layer.key == post.key), None)
        return found

    return _create(f"layer {post.key!r}", find, endpoints.create_layer(project_key, post), post)


def _if_found(find: Request[T]) -> Procedure[T | None]:
    try:
        found: T = (yield find).value
    except NotFoundError:
        return None
    return found


def _create(
    what: str,
    read: Callable[[], Procedure[T | None]],
    create: Request[T],
    post: Write,
    *,
    shown: Mapping[str, Any] | None = None,
) -> Procedure[Existing[T]]:
    def differences(found: T) -> tuple[Difference, ...]:
        return _wire_differences(post, found) if shown is None else _differences(shown, found)

    def reached(found: T | None) -> T | None:
        others = differences(found) if found is not None else ()
        if others:
            raise ExperimentDiffersError(
                f"{what} exists already, with other content; choose another key, or change one of the two: "
                f"{'; '.join(map(str, others))}",
                differences=others,
            )
        return found

    def confirmed(found: T | None, _written: Written[T | None]) -> T | None:
        ignored = differences(found) if found is not None else ()
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
    return _differences(wire, found)


def _differences(asked: Mapping[str, Any], found: Read) -> tuple[Difference, ...]:
    return tuple(lacking("", asked, found.model_dump(mode="json", by_alias=True)))


def lacking(where: str, asked: Any, found: Any) -> Iterable[Difference]:
    """Yield each part of an asked value that a found one does not have; ``where`` is its path in messages."""
    if isinstance(asked, Mapping) and isinstance(found, Mapping):
        for field, value in asked.items():
            yield from lacking(f"{where}.{field}" if where else field, value, found.get(field))
    elif _is_list(asked) and _is_list(found) and len(asked) == len(found):
        if all(isinstance(item, str) for item in (*asked, *found)):
            asked, found = sorted(asked), sorted(found)
        for index, (wanted, shown) in enumerate(zip(asked, found, strict=True)):
            yield from lacking(f"{where}[{index}]", wanted, shown)
    elif asked != found and not (found is None and asked in ("", False, [])):
        yield Difference(where, asked, found)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
