"""Which fields of a task are known when its DAG file is parsed, and can be checked there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


def is_literal(value: Any) -> bool:
    """Whether a field is known when the DAG file is parsed: no Jinja in it, no other task's output."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(is_literal(part) for item in value.items() for part in item)
    if isinstance(value, list | tuple):
        return all(is_literal(part) for part in value)
    return value is None or isinstance(value, bool | int | float | timedelta)
