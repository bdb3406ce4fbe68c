"""Check values against the annotations of the data model, for data that comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

_LARGEST = 250_000_000_000_000
"""The largest whole number: as a time in milliseconds it is in the year 9892, which a datetime can still hold."""


def check_fields(kind: type[Any], values: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Reject values that do not have the types that a data class declares.

    Args:
        kind: The data class.
        values: Its fields and their values.
        hints: The types of its fields, as `typing.get_type_hints` returns them.

    Raises:
        ValueError: A value has another type; the message names the field.
    """
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name], bounded=name != "seed"):
            raise ValueError(f"{kind.__name__}.{name} cannot be {str(value)[:50]!r}")


def _fits(value: Any, hint: Any, *, bounded: bool = True) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        fits = True
    elif origin in (Union, UnionType):
        fits = any(_fits(value, option, bounded=bounded) for option in arguments)
    elif origin is Literal:
        fits = isinstance(value, str) and value in arguments
    elif origin is tuple:
        fits = isinstance(value, tuple) and _fit_each(value, arguments)
    elif origin in (dict, Mapping):
        fits = isinstance(value, Mapping) and all(map(_fits, value, repeat(arguments[0])))
        fits = fits and all(map(_fits, value.values(), repeat(arguments[1])))
    elif hint in (int, float):
        number = isinstance(value, int) or (hint is float and isinstance(value, float))
        fits = number and not isinstance(value, bool) and (not bounded or abs(value) <= _LARGEST)
    else:
        fits = isinstance(value, hint)
    return fits


def _fit_each(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    each = [hints[0]] * len(values) if hints[-1] is Ellipsis else list(hints)
    return len(each) == len(values) and all(map(_fits, values, each))
