"""Convert a world to plain JSON and back, for snapshots.

A value of the data model becomes an object with its class under `is`. A ground truth becomes the data it was read from,
and the seed draws the same people again. A snapshot holds the emulator's tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.state import approval_models, flag_models, models, release_models
from airflow_provider_launchdarkly.emulator.state.clock import parse_time
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from airflow_provider_launchdarkly.emulator.state.typed_values import check_fields

if TYPE_CHECKING:
    from datetime import datetime

FORMAT = 1
_CLASSES: dict[str, type[Any]] = {
    name: value
    for name, value in {**vars(flag_models), **vars(models), **vars(release_models), **vars(approval_models)}.items()
    if isinstance(value, type) and is_dataclass(value)
}
_CLASS = "is"
_NAMES = {"Mapping": Mapping, "GroundTruth": GroundTruth, "Flag": flag_models.Flag, "JSON": Any}
_NAMES["Release"] = release_models.Release
_NAMES["ApprovalRequest"] = approval_models.ApprovalRequest


def to_json(world: models.World, now: datetime, settings: Settings) -> dict[str, Any]:
    """Return a snapshot: format, time, switches and world."""
    return {
        "launchdarkly-emulator-snapshot": FORMAT,
        "time": now.isoformat(),
        "settings": settings.to_json(),
        "world": _encoded(world),
    }


def from_json(data: Any) -> tuple[models.World, datetime, Settings]:
    """Read a snapshot.

    Raises:
        ValueError: The data is not a snapshot, has another format, or is broken.
    """
    if not isinstance(data, dict) or data.get("launchdarkly-emulator-snapshot") != FORMAT:
        raise ValueError(
            f"this is not a snapshot of the emulator in format {FORMAT}; use what `GET /__emulator__/snapshot` returns"
        )
    try:
        world = _decoded(data["world"])
        moment, settings = parse_time(data["time"]), Settings().changed(data["settings"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"the snapshot is broken: {error}") from None
    if not isinstance(world, models.World) or not world.members:
        raise ValueError("the snapshot is broken: it holds no world with a member")
    return world, moment, settings


def _encoded(value: Any) -> Any:
    if isinstance(value, GroundTruth):
        return {_CLASS: "GroundTruth", "source": value.source}
    if is_dataclass(value):
        return {_CLASS: type(value).__name__} | {f.name: _encoded(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        if _CLASS not in value and all(isinstance(name, str) for name in value):
            return {name: _encoded(inner) for name, inner in value.items()}
        return {_CLASS: "dict", "items": [[_encoded(name), _encoded(inner)] for name, inner in value.items()]}
    if isinstance(value, tuple):
        return {_CLASS: "tuple", "items": [_encoded(item) for item in value]}
    return [_encoded(item) for item in value] if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return [_decoded(item) for item in value] if isinstance(value, list) else value
    match value.get(_CLASS):
        case None:
            return {name: _decoded(inner) for name, inner in value.items()}
        case "GroundTruth":
            return GroundTruth.from_dict(value["source"])
        case "dict":
            return {_decoded(name): _decoded(inner) for name, inner in value["items"]}
        case "tuple":
            return tuple(_decoded(item) for item in value["items"])
        case str(name) if name in _CLASSES:
            given = {field: _decoded(inner) for field, inner in value.items() if field != _CLASS}
            check_fields(_CLASSES[name], given, _hints(name))
            return _CLASSES[name](**given)
        case name:
            raise ValueError(f"there is no {name!r}")


@cache
def _hints(name: str) -> dict[str, Any]:
    """Return the types of a class's fields. Resolving them takes ten times as long as the rest of a load."""
    return get_type_hints(_CLASSES[name], localns=_NAMES)
