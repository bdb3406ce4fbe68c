"""Reads rendered template fields by the type of each field. Pure.

A template gives text where the field wants a number, a truth value, a list or a mapping; a trigger's form and other
tasks do so too. :data:`FIELDS` has the type of every template field. A literal of a DAG file is checked strictly, when
the file is parsed; a template's value is read here, before anything is sent.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from os import PathLike
from typing import Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown

Reader = Callable[[Any], Any]
"""Returns a value as its field wants it, or raises ValueError with the cure."""

_NOTHING = ("", "none", "null")
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


class _PartError(ValueError):
    """A value within a field that its part of the field does not take."""

    def __init__(self, path: str, value: Any, reason: str) -> None:
        super().__init__(reason)
        self.path, self.value = path, value


def read_field(name: str, value: Any) -> Any:
    """Read a template field's value.

    Args:
        name: The field.
        value: Its value, rendered. None stays None, and so does text that says None, except in free text.

    Returns:
        The value by the field's type; the value itself if the field has no type.

    Raises:
        ConfigurationError: The field does not take the value.
    """
    reader = FIELDS.get(name)
    if reader is None or value is None:
        return value
    try:
        return reader(value)
    except _PartError as error:
        raise ConfigurationError(f"{name}{error.path} is {shown(error.value)}: {error}") from None
    except InvalidSettingError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{name} is {shown(value)}: {error}") from None


def _optional(reader: Reader) -> Reader:
    def read(value: Any) -> Any:
        says_nothing = isinstance(value, str) and value.strip().lower() in _NOTHING
        return None if value is None or says_nothing else reader(value)

    return read


def anything(value: Any) -> Any:
    """Return the value as it is."""
    return value


def prose(value: Any) -> str:
    """Read free text: any value has a text."""
    return value if isinstance(value, str) else str(value)


def key(value: Any) -> str:
    """Read a key, a name or an id. A number counts as its text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise ValueError("write text")


def path(value: Any) -> Any:
    """Read a path: text, or an object that is a path."""
    return value if isinstance(value, PathLike) or hasattr(value, "joinpath") else key(value)


def boolean(value: Any) -> bool:
    """Read a truth value: True, False, or one of the two as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise ValueError("write True or False")


def whole(value: Any) -> int:
    """Read a whole number, or one as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    raise ValueError("write a whole number")


def number(value: Any) -> Any:
    """Read a finite number; one as text stays text, since its digits count."""
    if isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        try:
            if math.isfinite(float(value)):
                return str(value).strip() if isinstance(value, str | Decimal) else value
        except (ValueError, OverflowError):
            pass
    raise ValueError("write a number")


def seconds(value: Any) -> Any:
    """Read a timedelta, or a number of seconds."""
    return value if isinstance(value, timedelta) else number(value)


def duration(value: Any) -> Any:
    """Check a duration: a timedelta, or text such as ``7d``."""
    from airflow_provider_launchdarkly.config.durations import parse_duration

    parse_duration(value)
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Read a mapping, or one as JSON or as Python writes it."""
    content = _parsed(value)
    if not isinstance(content, Mapping):
        raise ValueError("write a mapping")  # noqa: TRY004 - every reader raises ValueError
    return content


def sequence(value: Any) -> list[Any]:
    """Read a list, or one as JSON or as Python writes it."""
    content = _parsed(value)
    if isinstance(content, str | bytes) or not isinstance(content, Sequence):
        raise ValueError("write a list")  # noqa: TRY004 - every reader raises ValueError
    return list(content)


def list_of(reader: Reader) -> Reader:
    """Return a reader of lists."""
    return lambda value: [_part(f"[{number}]", reader, item) for number, item in enumerate(sequence(value))]


def mapping_of(reader: Reader) -> Reader:
    """Return a reader of mappings with values of one type."""
    return lambda value: {name: _part(f"[{name!r}]", reader, item) for name, item in mapping(value).items()}


def record(**readers: Reader) -> Reader:
    """Return a reader of mappings with a type for each key; values of other keys stay as they are."""
    return lambda value: {
        name: _part(f".{name}", readers.get(name, anything), item) for name, item in mapping(value).items()
    }


def _part(place: str, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except _PartError as error:
        raise _PartError(place + error.path, error.value, str(error)) from None
    except ValueError as error:
        raise _PartError(place, value, str(error)) from None


def _parsed(value: Any) -> Any:
    """Return what a text says in JSON or in Python; any other value as it is."""
    if not isinstance(value, str):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _metric(value: Any) -> Any:
    content = _parsed(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    return record(key=key, is_group=boolean)(content) if isinstance(content, Mapping) else key(content)


def _guardrail(value: Any) -> Any:
    content = _parsed(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    return record(metric=key, auto_rollback=boolean)(content) if isinstance(content, Mapping) else key(content)


def _winner(value: Any) -> Any:
    content = _parsed(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    return content if isinstance(content, Mapping | bool) else key(content)


def _change(reader: Reader) -> Reader:
    """Return a reader of one field's change: the new value, or a mapping with ``operation`` and ``value``."""

    def read(value: Any) -> Any:
        if isinstance(value, Mapping) and "operation" in value:
            return record(operation=key, value=reader)(value)
        return reader(value)

    return read


def _policy(value: Any) -> Any:
    from airflow_provider_launchdarkly.config.rendered import correct_types
    from airflow_provider_launchdarkly.decision.policy import Policy

    return value if isinstance(value, Policy) else correct_types(mapping(value), Policy.from_json)


def _window(value: Any) -> Any:
    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
    from airflow_provider_launchdarkly.config.rendered import correct_types

    return value if isinstance(value, ChangeWindow) else correct_types(mapping(value), ChangeWindow.from_json)


_TREATMENT = record(allocation_percent=number, allocationPercent=number, baseline=boolean, name=_optional(key))
_CHANGES = record(
    **{name: _change(prose) for name in ("name", "description", "hypothesis")},
    **{name: _change(key) for name in ("maintainerId", "methodology", "randomizationUnit", "covariateId")},
    **{name: _change(list_of(key)) for name in ("tags", "attributes")},
    treatments=_change(list_of(_TREATMENT)),
    canReshuffleTraffic=_change(boolean),
    reallocationFrequencyMillis=_change(whole),
)

_KEYS = (
    *("experiment_key", "flag_key", "iteration_id", "metric_key", "project_key", "environment_key"),
    *("launchdarkly_conn_id", "rule_id", "primary_metric", "primary_funnel", "randomization_unit", "covariate_id"),
    *("context_kind", "bucket_by", "variation_id", "attribute", "status", "method", "methodology", "maintainer_id"),
    *("holdout_id", "timezone", "data_source", "experiment_type", "if_running", "mode"),
    *("release_id", "release_plan_key", "before_rule_id", "advancement_mode", "cleanup_behavior", "resolution"),
)
_PROSE = ("name", "experiment_name", "description", "hypothesis", "comment", "change_justification", "reason")

FIELDS: dict[str, Reader] = {
    **dict.fromkeys(_KEYS, _optional(key)),
    **dict.fromkeys(_PROSE, prose),
    **dict.fromkeys(("attributes", "tags", "lifecycle_state", "judged_metrics"), _optional(list_of(key))),
    **dict.fromkeys(("bypass_health_checks", "ends_on", "reviewers"), _optional(list_of(key))),
    "original": anything,
    "target": anything,
    "phases": _optional(
        list_of(record(steps=list_of(record(percent=number)), rule_id=_optional(key), description=_optional(key)))
    ),
    "guardrails": _optional(list_of(_guardrail)),
    "on": _optional(boolean),
    "judged": _optional(boolean),
    "turn_flag_on": _optional(boolean),
    "can_reshuffle_traffic": _optional(boolean),
    "variation": anything,
    "not_in_experiment_variation": anything,
    "rollout": _optional(mapping_of(number)),
    "treatments": _optional(list_of(_TREATMENT)),
    "metrics": _optional(list_of(_metric)),
    "reallocation_frequency": _optional(seconds),
    "analysis_config": _optional(mapping),
    "changes": _optional(_CHANGES),
    "randomization_units": _optional(list_of(record(randomization_unit=key, default=boolean))),
    "winner": _optional(_winner),
    "stopped": _optional(mapping),
    "standing": _optional(mapping),
    "watch": _optional(mapping),
    "question": _optional(mapping),
    "opened": _optional(mapping),
    "policy": _optional(_policy),
    "record_path": _optional(path),
    "window": _optional(_window),
    "served_for": _optional(duration),
    "max_duration": _optional(duration),
    "traffic_after": _optional(duration),
    "plans": _optional(mapping_of(duration)),
    "environments": _optional(list_of(key)),
    "require_code_references": _optional(boolean),
    "require_approval_requests": _optional(boolean),
    "units_per_treatment": _optional(whole),
    "dwell": _optional(duration),
    "approval_timeout": duration,
}
"""The type of each template field, by its name."""
