"""Reads mappings that templates made: text where a model wants a number, a truth value, a list or a mapping.

A model that users write in code is strict: ``alpha: "0.05"`` is an error there. A template, a trigger's form or another
task may only be able to give text, so there the text is read by the field's type.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.config.problems import InvalidSettingError

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.config.strict_yaml import Path

# Corrections may uncover values that were not validated before: a mapping as text has fields of its own.
_ROUNDS = 5

_UNREADABLE = object()


def correct_types(value: Mapping[str, Any], validate: Callable[[Mapping[str, Any]], object]) -> dict[str, Any]:
    """Return the value with text in place of other types read by what its model wants.

    Args:
        value: Plain JSON, in which any value may be text.
        validate: Reads the value strictly.

    Raises:
        InvalidSettingError: A field is wrong, or its text cannot be read.
    """
    content: Any = _copy(value)
    for _ in range(_ROUNDS):
        try:
            validate(content)
        except InvalidSettingError as error:
            changed = False
            for flaw in error.flaws:
                new = _read(flaw.kind, flaw.value)
                changed |= new is not _UNREADABLE and _replace(content, flaw.path, new)
            if not changed:
                raise
        else:
            break
    validate(content)
    return dict(content)


def _read(kind: str, value: Any) -> Any:
    """Return a value as the type whose absence pydantic reports under a kind of error."""
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return _UNREADABLE
    text = value.strip()
    if text.lower() in {"none", "null"}:
        return None
    reader = _READERS.get(kind)
    return _UNREADABLE if reader is None else reader(text)


def _number(kind: type[float | int], text: str) -> Any:
    try:
        number = kind(text)
        is_finite = math.isfinite(number)
    except (ValueError, OverflowError):  # digits by the hundred are a whole number that is no float
        return _UNREADABLE
    return number if is_finite else _UNREADABLE


def _literal(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, dict | list | tuple) else _UNREADABLE
    return _UNREADABLE


_READERS: dict[str, Callable[[str], Any]] = {
    "float_type": partial(_number, float),
    "int_type": partial(_number, int),
    "bool_type": lambda text: {"true": True, "false": False}.get(text.lower(), _UNREADABLE),
    **dict.fromkeys(("tuple_type", "list_type", "dict_type", "model_type", "model_attributes_type"), _literal),
}


def _replace(content: Any, path: Path, new: Any) -> bool:
    """Set the value at a path, and return False if the content has no such place."""
    *parents, last = path or (None,)
    try:
        for step in parents:
            content = content[step]
        content[last]
    except (KeyError, IndexError, TypeError):
        return False
    content[last] = new
    return True


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list | tuple) else value
