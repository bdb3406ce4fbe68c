"""Finds the fields of a task that can be checked when its DAG file is parsed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


def is_literal(value: Any) -> bool:
    """Return True if a field has no Jinja and no other task's output, so that it can be checked at parse time."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(is_literal(part) for item in value.items() for part in item)
    if isinstance(value, list | tuple):
        return all(is_literal(part) for part in value)
    return value is None or isinstance(value, bool | int | float | timedelta)
