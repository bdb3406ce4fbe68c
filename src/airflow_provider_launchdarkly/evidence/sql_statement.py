"""What a query's template sees of the iteration: values that become the driver's placeholders when they are rendered.

So nobody pastes a value into SQL: ``{{ iteration_id }}`` renders as ``%s`` or ``?``, and the id travels beside. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.evidence.source import LookContext


class Template(Protocol):
    """What is needed of a Jinja template."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        """Render it with these variables."""
        ...


@dataclass(frozen=True, slots=True)
class Statement:
    """A query for a driver.

    Attributes:
        sql: Its text, with placeholders.
        parameters: The values for them, in order.
    """

    sql: str
    parameters: tuple[Any, ...]


@dataclass(slots=True)
class _Parameters:
    """Collects values in the order in which the template mentions them."""

    placeholder: str
    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        self.values.append(value)
        return self.placeholder


class Bound:
    """A value that renders as a placeholder."""

    def __init__(self, parameters: _Parameters, value: Any) -> None:
        self._parameters = parameters
        self._value = value

    @override
    def __str__(self) -> str:
        return self._parameters.bind(self._value)

    @override
    def __eq__(self, other: object) -> bool:
        return bool(self._value == (other._value if isinstance(other, Bound) else other))

    @override
    def __hash__(self) -> int:
        return hash(self._value)


class BoundMoment(Bound):
    """A moment; ``epoch`` and ``text`` are the same for databases without a type for it."""

    def __init__(self, parameters: _Parameters, value: datetime) -> None:
        super().__init__(parameters, value)
        #: Whole seconds since 1970.
        self.epoch = Bound(parameters, int(value.timestamp()))
        #: UTC, as ``2026-01-05 09:00:00``.
        self.text = Bound(parameters, value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"))


class BoundList:
    """Several values: ``IN {{ treatment_ids }}`` renders as ``IN (%s, %s)``, and a loop gets each by itself."""

    def __init__(self, parts: Iterable[Bound]) -> None:
        self._parts = tuple(parts)

    @override
    def __str__(self) -> str:
        return f"({', '.join(str(part) for part in self._parts)})"

    def __iter__(self) -> Iterator[Bound]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


@dataclass(frozen=True, slots=True)
class BoundTreatment:
    """A treatment in a template: id and name are bound; ``baseline`` is plain, for ``{% if %}``."""

    id: Bound
    name: Bound
    baseline: bool


def write_statement(
    template: Template, look_context: LookContext, placeholder: str, context: Mapping[str, Any]
) -> Statement:
    """Render a query for one look.

    Args:
        template: The query's template.
        look_context: The iteration and the moment.
        placeholder: What the driver takes for a positional parameter, ``%s`` or ``?``.
        context: What else the template may use: the task's context. The iteration's names win.
    """
    parameters = _Parameters(placeholder)
    sql = str(template.render({**context, **_names(look_context, parameters)}))
    return Statement(sql, tuple(parameters.values))


def _names(look_context: LookContext, parameters: _Parameters) -> dict[str, Any]:
    def bound(value: Any) -> Bound:
        return Bound(parameters, value)

    treatments = look_context.iteration.treatments
    return {
        **{name: bound(value) for name, value in look_context.target.to_json().items()},
        "iteration_started_at": BoundMoment(parameters, look_context.started_at),
        "looked_at": BoundMoment(parameters, look_context.at),
        "treatment_ids": BoundList(bound(treatment.id) for treatment in treatments),
        "treatments": tuple(
            BoundTreatment(bound(treatment.id), bound(treatment.name), treatment.baseline) for treatment in treatments
        ),
    }
