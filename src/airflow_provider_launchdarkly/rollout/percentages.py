"""The percentages of a stage's allocation, read from plain JSON and written back. Pure; imports no Airflow."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from airflow_provider_launchdarkly.api.variations import as_text

HUNDRED = Decimal(100)


def _percent(value: Any) -> Decimal:
    # A float counts as its shortest text: 0.1 is a tenth of a percent, not the binary fraction next to it.
    percent = Decimal(str(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
    if percent is None or not percent.is_finite() or not 0 <= percent <= 100:
        raise ValueError(f"{value!r} is not a percentage: write a number from 0 to 100")
    return percent


def _allocation(value: Any) -> Decimal | dict[str, Decimal]:
    if isinstance(value, dict):
        return {as_text(label): _percent(share) for label, share in value.items()}
    return _percent(value)


def as_number(value: Decimal) -> int | float:
    """Return a percentage as a plain number: a whole one without decimals."""
    return int(value) if value == value.to_integral_value() else float(value)


def _as_json(value: Decimal | dict[str, Decimal]) -> int | float | dict[str, int | float]:
    if isinstance(value, dict):
        return {label: as_number(part) for label, part in value.items()}
    return as_number(value)


def _step(value: Any) -> Decimal:
    percent = _percent(value)
    if not percent or percent % Decimal("0.001"):
        raise ValueError(f"{value!r} is no step: write a percentage above 0, with three decimals at most")
    return percent


StepPercent = Annotated[
    Decimal,
    PlainValidator(_step, json_schema_input_type=float),
    PlainSerializer(as_number, when_used="json"),
]
"""Percent of people who get the winner in one step of a release."""

Allocation = Annotated[
    Decimal | dict[str, Decimal],
    PlainValidator(_allocation, json_schema_input_type=float | dict[str, float]),
    PlainSerializer(_as_json, when_used="json"),
]
"""Percent of people who are served something new: one number, or each treatment's by its name."""
