"""The iteration's names and values in a query's template, shown plain or bound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import total_ordering
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.evidence.source import LookContext


class Value(NamedTuple):
    """A value, and the name under which a template reaches it, such as ``treatments[0].id``."""

    name: str
    value: Any


@total_ordering
class Bound:
    """A value that prints as its marker, and compares as itself.

    It is no text. A filter that needs one, such as a length, fails or prints something else than the plain value, and
    the check of the two renderings finds it.
    """

    def __init__(self, value: Any, marker: str) -> None:
        self._value = value
        self._marker = marker

    @override
    def __str__(self) -> str:
        return self._marker

    @override
    def __repr__(self) -> str:
        return self._marker

    def __bool__(self) -> bool:
        return bool(self._value)

    @override
    def __eq__(self, other: object) -> bool:
        return bool(self._value == _value(other))

    def __lt__(self, other: object) -> bool:
        return bool(self._value < _value(other))

    @override
    def __hash__(self) -> int:
        return hash(self._value)


def _value(of: Any) -> Any:
    return of._value if isinstance(of, Bound) else of  # noqa: SLF001 - its own class


class Moment(datetime):
    """A moment that can carry ``epoch`` and ``text``."""


class _Listed(tuple[Any, ...]):
    """Several values: ``IN {{ treatment_ids }}`` prints ``IN (…, …)``, and a loop gets each by itself."""

    __slots__ = ()

    @override
    def __str__(self) -> str:
        return f"({', '.join(str(part) for part in self)})"


@dataclass(frozen=True, slots=True)
class QueryTreatment:
    """A treatment in a template: id and name are bound; ``baseline`` is plain, for ``{% if %}``."""

    id: Any
    name: Any
    baseline: bool


def plain(_: str, value: Any) -> Any:
    """Show a value as itself."""
    return Moment.combine(value.date(), value.timetz()) if isinstance(value, datetime) else value


def values_of(look_context: LookContext, show: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return the names that a query's template may use.

    Args:
        look_context: The iteration and the time of the look.
        show: Returns what the template gets for a value, from the value's name and the value.
    """

    def moment(name: str, value: datetime) -> Any:
        """Show a time, with ``epoch`` and ``text`` for databases without a type for it."""
        shown = show(name, value)
        #: Whole seconds since 1970.
        shown.epoch = show(f"{name}.epoch", int(value.timestamp()))
        #: UTC, as ``2026-01-05 09:00:00``.
        shown.text = show(f"{name}.text", value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"))
        return shown

    treatments = look_context.iteration.treatments
    return {
        **{name: show(name, value) for name, value in look_context.target.to_json().items()},
        "iteration_started_at": moment("iteration_started_at", look_context.started_at),
        "looked_at": moment("looked_at", look_context.at),
        "exposed_after": moment("exposed_after", look_context.exposed_after),
        "exposed_before": moment("exposed_before", look_context.exposed_before),
        "treatment_ids": _Listed(show("treatment_ids", treatment.id) for treatment in treatments),
        "treatments": tuple(
            QueryTreatment(
                show(f"treatments[{number}].id", treatment.id),
                show(f"treatments[{number}].name", treatment.name),
                treatment.baseline,
            )
            for number, treatment in enumerate(treatments)
        ),
    }
