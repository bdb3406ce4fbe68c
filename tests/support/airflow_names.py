"""Names that have moved between Airflow's minors."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MISSING = object()


def first_of(*names: str, default: Any = _MISSING) -> Any:
    """Return the first of these that this Airflow has, each with its module in front.

    Raises:
        ImportError: This Airflow has none of them, and there is no default.
    """
    for name in names:
        module, _, attribute = name.rpartition(".")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError):
            continue
    if default is _MISSING:
        raise ImportError(f"this Airflow has none of {', '.join(names)}")
    return default
