"""Read `filter` and `sort` of the list calls, in the two syntaxes that LaunchDarkly documents.

Flags, projects, environments and members take `field:value,field:value`; metrics and metric groups take
`field operator value and field operator value`. What LaunchDarkly does not document is a 400.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_provider_launchdarkly.emulator.errors import invalid_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
Predicate: TypeAlias = "Callable[[Any], bool]"
ColonFilters: TypeAlias = "Mapping[str, Callable[[str], Predicate]]"
"""By field, a function from the text after the colon to the test of an item. A wrong text is a ValueError."""
OperatorFilters: TypeAlias = "Mapping[str, tuple[tuple[str, ...], Callable[[str, Any], Predicate]]]"
"""By field, its operators, and a function from operator and value to the test. A wrong value is a ValueError."""

_BETWEEN_TERMS = re.compile(r",(?![^{]*\})")
_TERM = re.compile(
    r"""\s*(?P<field>\w+)\s+(?P<operator>\w+)\s+(?P<value>\[[^\]]*\]|"[^"]*"|'[^']*'|[^\s,]+)\s*(?:(?:,|and\b)\s*|$)"""
)


def filtered_by_colon(items: Iterable[T], text: str | None, fields: ColonFilters) -> list[T]:
    """Return the items that match every `field:value` of a filter; all items without a filter.

    Raises:
        ApiError: 400, a field is unknown or its value is wrong.
    """
    wanted = list(items)
    for field, value in colon_terms(text):
        matches = _test(field, value, partial(_known(field, fields), value))
        wanted = [item for item in wanted if matches(item)]
    return wanted


def colon_terms(text: str | None) -> list[tuple[str, str]]:
    """Return the fields and values of a filter `field:value,field:value`. A comma inside braces separates nothing."""
    terms = []
    for term in _BETWEEN_TERMS.split(text or ""):
        field, colon, value = term.strip().partition(":")
        if not colon and text:
            raise invalid_request(f"filter: {term!r} is not field:value")
        if colon:
            terms.append((field, value))
    return terms


def filtered_by_operator(items: Iterable[T], text: str | None, fields: OperatorFilters) -> list[T]:
    """Return the items that match every `field operator value` of a filter; all items without a filter.

    Raises:
        ApiError: 400, a field or operator is unknown, or a value is wrong.
    """
    wanted, place = list(items), 0
    while place < len(text or ""):
        term = _TERM.match(text or "", place)
        if term is None:
            raise invalid_request(f"filter: {(text or '')[place:]!r} is not field operator value")
        field, operator, value = term["field"], term["operator"], _value(term["value"])
        operators, make = _known(field, fields)
        if operator not in operators:
            raise invalid_request(f"filter: {field} takes {' or '.join(operators)}, not {operator!r}")
        matches = _test(field, value, partial(make, operator, value))
        wanted = [item for item in wanted if matches(item)]
        place = term.end()
    return wanted


def sorted_by(items: Sequence[T], text: str | None, keys: Mapping[str, Callable[[T], Any]], most: int = 9) -> list[T]:
    """Return the items in the order of `sort`: fields by comma, each descending after a dash; unsorted without it.

    Raises:
        ApiError: 400, a field is unknown, or there are more than `most`.
    """
    names = [name.strip() for name in text.split(",")] if text else []
    if len(names) > most:
        raise invalid_request(f"sort takes {most} field, not {text!r}")
    for name in names:
        if name.removeprefix("-") not in keys:
            raise invalid_request(f"sort: unknown field {name.removeprefix('-')!r}; use {', '.join(keys) or 'none'}")
    ordered = list(items)
    for name in reversed(names):
        ordered.sort(key=keys[name.removeprefix("-")], reverse=name.startswith("-"))
    return ordered


def boolean(value: Any) -> bool:
    """Return a truth value that is given as `true` or `false`.

    Raises:
        ValueError: It is neither.
    """
    if str(value).lower() not in ("true", "false"):
        raise ValueError("use true or false")
    return str(value).lower() == "true"


def one_of(*options: str) -> Callable[[Any], str]:
    """Return a function that returns its value if it is one of the options, and else raises a ValueError."""

    def read(value: Any) -> str:
        if value not in options:
            raise ValueError(f"use one of {', '.join(options)}")
        return str(value)

    return read


def texts(value: Any) -> list[str]:
    """Return a value, or each item of a list of values, as texts."""
    return [str(item) for item in value] if isinstance(value, list) else str(value).split(",")


def words_in(words: Iterable[str], *fields: str) -> bool:
    """Return whether every word is part of one of the fields, ignoring case."""
    return all(any(word.lower() in field.lower() for field in fields) for word in words)


def _known(field: str, fields: Mapping[str, T]) -> T:
    if field not in fields:
        raise invalid_request(f"filter: unknown field {field!r}; use {', '.join(fields)}")
    return fields[field]


def _test(field: str, value: Any, make: Callable[[], Predicate]) -> Predicate:
    try:
        return make()
    except ValueError as wrong:
        raise invalid_request(f"filter: {field}: {value!r}: {wrong}") from None


def _value(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return [item.strip().strip("\"'") for item in text[1:-1].split(",") if item.strip()]
