"""Metrics as users define them: in a file such as ``metrics.yaml``, or in a description of results. Cheap to import."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.config.keys import check_text
from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import Direction, Duration, MetricKey
from airflow_provider_launchdarkly.evidence.warehouse.definition import (
    WHOLE_ROW,
    Aggregation,
    Cap,
    EventsTable,
    MetricDefinition,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Text = Annotated[str, Field(min_length=1), AfterValidator(check_text)]


def _window(value: Any) -> Any:
    """Read ``7d`` as from the first exposure on, and ``[1d, 7d]`` as from one time after it to the other."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"has {len(value)} times: write its end, such as 7d, or start and end, such as [1d, 7d]")
        start, end = (parse_duration(part) for part in value)
    else:
        start, end = timedelta(), parse_duration(value)
    if not timedelta() <= start < end:
        raise ValueError(
            f"is from {format_duration(start)} to {format_duration(end)} after the first exposure: it ends after it "
            "starts, and starts at 0 or later"
        )
    return start, end


def _plain_window(value: tuple[timedelta, timedelta] | None) -> Any:
    if value is None:
        return None
    start, end = value
    return [format_duration(start), format_duration(end)] if start else format_duration(end)


def _cap(value: Any) -> Any:
    """Read a number as the upper percentile."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"upper": value}
    return value


def _checked_cap(value: Cap | None) -> Cap | None:
    if value is None:
        return None
    bounds = [bound for bound in (value.lower, value.upper) if bound is not None]
    if not bounds:
        raise ValueError("has neither lower nor upper: write a percentile, such as 99")
    if any(not 0 < bound < 100 for bound in bounds) or bounds != sorted(set(bounds)):
        shown = " and ".join(f"{bound:g}" for bound in bounds)
        raise ValueError(f"is {shown}: percentiles lie between 0 and 100, such as 99, and lower is below upper")
    return value


def _after_zero(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("is not above 0; write for instance 28d")
    return value


def _missing(value: Any) -> Any:
    return None if value == "leave_out" else value


Window = Annotated[
    tuple[timedelta, timedelta],
    BeforeValidator(_window, json_schema_input_type=str | list[str]),
    PlainSerializer(_plain_window, return_type=str | list[str], when_used="json"),
]
CapSetting = Annotated[
    Cap | None, BeforeValidator(_cap, json_schema_input_type=float | Cap | None), AfterValidator(_checked_cap)
]
Before = Annotated[Duration, AfterValidator(_after_zero)]

_OF_VALUES = (Aggregation.SUM, Aggregation.AVERAGE)
_COLUMNS = ("table", "event_column", "unit", "unit_kind", "value", "at", "environment", "id")
# Null says that the table has no such column; in the others it is the same as nothing.
_NULLABLE = ("event_column", "unit_kind", "value", "environment", "id")
_OF_EVENTS = ("event", "aggregation", "missing", "window", "cap", "percentile", "covariate", *_COLUMNS)


class MetricSettings(StrictModel):
    """A metric over the events of a table, or the ratio of two metrics.

    Attributes:
        event: Key of its event. Several are the steps of a funnel: a unit counts if it has them all in this order. Not
            needed where each row of `table` is an event of the metric.
        aggregation: What the events of one unit become: ``occurrence``, 1 if there is any; ``count``, their number;
            ``sum`` or ``average`` of their values. Default: ``occurrence``.
        missing: The value of a unit without an event, or ``leave_out``. Default: 0; for ``average``, ``leave_out``.
        window: Time after a unit's first exposure in which its events count, such as ``7d``, or ``[1d, 7d]`` from the
            first to the seventh day. Only units whose window is over count. Default: every event up to the look.
        cap: Percentile, above 0 and below 100, pooled over the treatments, at which values are cut off, such as
            ``99``; or a mapping with ``lower``, ``upper`` and ``with_imputed``, which is True if units without events
            count in the percentiles. Default: the source's.
        percentile: Percentile of the units' values that is compared, 1 to 99. Default: their mean is.
        covariate: Time before a unit's first exposure from which its covariate for CUPED comes, such as ``28d``.
            Default: the source's `cuped`.
        numerator: Key of a metric, of these or of LaunchDarkly's, that is divided by `denominator`.
        denominator: Key of the metric by which `numerator` is divided.
        direction: ``higher`` or ``lower``: which way is better. Default: what the policy says; for a ratio, what
            LaunchDarkly says of the numerator.
        table: The table or view with the events; dots separate its parts. Default: the source's `events`.
        event_column: Column with the event's key. Default: ``event_key``; with a `table` and no `event`, none.
        unit: Column with the unit's key. Default: ``context_key``.
        unit_kind: Column with the context kind. Default: ``context_kind``; with a `table`, none, so that all rows are
            of the randomization unit.
        value: Column with the number, for ``sum`` and ``average`` alone. Default: ``event_value``.
        at: Column with the time of the event, in UTC. Default: ``received_time``.
        environment: Column with the environment's client-side id. Default: ``environment_id``; with a `table`, none.
        id: Column with the id of the event itself, by which rows that stand twice are found; ``*`` compares unit,
            event, time and value instead, and null finds none. Default: the source's; with a `table`, ``*``.
    """

    event: MetricKey | tuple[MetricKey, ...] | None = None
    aggregation: Aggregation | None = None
    missing: Annotated[
        Annotated[float, Field(strict=True)] | None,
        BeforeValidator(_missing, json_schema_input_type=float | Literal["leave_out"]),
    ] = None
    window: Window | None = None
    cap: CapSetting = None
    percentile: Annotated[float, Field(ge=1, le=99)] | None = None
    covariate: Before | None = None
    numerator: MetricKey | None = None
    denominator: MetricKey | None = None
    direction: Direction | None = None
    table: Text | None = None
    event_column: Text | None = None
    unit: Text | None = None
    unit_kind: Text | None = None
    value: Text | None = None
    at: Text | None = None
    environment: Text | None = None
    id: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.is_ratio:
            return self._check_ratio()
        if self.event is None and self.table is None:
            raise ValueError("has no event: write its key, or the table whose rows are its events")
        if self.event == ():
            raise FieldError(("event",), "is empty: write the event's key, or the steps of a funnel in order")
        if self.is_funnel and self.how is not Aggregation.OCCURRENCE:
            raise FieldError(("aggregation",), f"is {self.how.value}: a funnel counts units, so leave it out")
        if self.value is not None and self.how not in _OF_VALUES:
            raise FieldError(("value",), f"is not used by {self.how.value}: write aggregation: sum, or average")
        if self.percentile is not None and self.how is Aggregation.OCCURRENCE:
            raise FieldError(("percentile",), "of units that are 0 or 1: write an aggregation of numbers, such as sum")
        if self.cap is not None and self.how is Aggregation.OCCURRENCE:
            raise FieldError(("cap",), "cuts nothing off an occurrence, which is 0 or 1: leave it out")
        return self

    def _check_ratio(self) -> Self:
        for name in ("numerator", "denominator"):
            if getattr(self, name) is None:
                raise FieldError((name,), "is required in a ratio: write the key of a metric")
        if self.numerator == self.denominator:
            raise FieldError(("denominator",), f"is the numerator too, {self.numerator!r}: write another metric")
        for name in _OF_EVENTS:
            if name in self.model_fields_set:
                raise FieldError((name,), "says nothing of a ratio: write it in the numerator or the denominator")
        return self

    @property
    def is_ratio(self) -> bool:
        """True if it divides one metric by another."""
        return self.numerator is not None or self.denominator is not None

    @property
    def is_funnel(self) -> bool:
        """True if a unit counts that has several events in order."""
        return isinstance(self.event, tuple) and len(self.event) > 1

    @property
    def how(self) -> Aggregation:
        """The value that the events of one unit become."""
        return self.aggregation or Aggregation.OCCURRENCE

    @property
    def value_without_events(self) -> float | None:
        """The value of a unit without an event; None leaves such units out."""
        if "missing" in self.model_fields_set:
            return self.missing
        return None if self.how is Aggregation.AVERAGE else 0.0

    def definition(self, key: str, events: EventsTable, cuped: timedelta | None, cap: Cap | None) -> MetricDefinition:
        """Return what is computed; not for a ratio.

        Args:
            key: The metric's key.
            events: The source's table of events, where the metric names none of its own.
            cuped: The source's time for covariates.
            cap: The source's cap.
        """
        steps = self.event if isinstance(self.event, tuple) else (self.event or key,)
        takes_numbers = self.how is not Aggregation.OCCURRENCE
        return MetricDefinition(
            key,
            steps,
            self.how,
            missing=self.value_without_events,
            window=self.window,
            cap=self.cap or (cap if takes_numbers and self.percentile is None else None),
            percentile=self.percentile,
            covariate=self.covariate or (cuped if self.percentile is None else None),
            events_table=self._events_table(events),
            direction=self.direction,
        )

    def _events_table(self, events: EventsTable) -> EventsTable:
        if self.table is not None:
            of_lines = EventsTable()
            events = replace(
                of_lines,
                event_key=None if self.event is None else of_lines.event_key,
                unit_kind=None,
                value=of_lines.value if self.how in _OF_VALUES else None,
                environment=None,
                id=WHOLE_ROW,
            )
        named = {
            name: getattr(self, name)
            for name in _COLUMNS
            if getattr(self, name) is not None or (name in _NULLABLE and name in self.model_fields_set)
        }
        if "event_column" in named:
            named["event_key"] = named.pop("event_column")
        return replace(events, **named)


def read_settings(value: Any) -> Any:
    """Return metrics by key, checked together: each part of a ratio that is among them is no ratio itself.

    Raises:
        FieldError: A ratio's part is a ratio.
    """
    for key, settings in value.items():
        for name in ("numerator", "denominator"):
            part = value.get(getattr(settings, name) or "")
            if part is not None and part.is_ratio:
                raise FieldError((key, name), f"{getattr(settings, name)!r} is a ratio itself: name a metric of events")
    return value


Metrics = Annotated[dict[MetricKey, MetricSettings], AfterValidator(read_settings)]


class MetricsFile(StrictModel):
    """A file with metrics, such as ``metrics.yaml``.

    Attributes:
        metrics: Each metric by its key, by which the policy names it.
    """

    metrics: Annotated[dict[MetricKey, MetricSettings], Field(min_length=1), AfterValidator(read_settings)]


def define(
    key: str,
    metrics: Mapping[str, MetricSettings],
    other: Callable[[str], MetricDefinition],
    *,
    events: EventsTable,
    cuped: timedelta | None,
    cap: Cap | None,
) -> MetricDefinition:
    """Return what is computed for a key.

    Args:
        key: Key of a metric.
        metrics: The user's metrics.
        other: Returns LaunchDarkly's metric with a key that is not among them.
        events: The source's table of events.
        cuped: The source's time for covariates.
        cap: The source's cap.
    """
    settings = metrics.get(key)
    if settings is None:
        return other(key)
    if settings.numerator is None or settings.denominator is None:
        return settings.definition(key, events, cuped, cap)

    def part(name: str) -> MetricDefinition:
        return define(name, metrics, other, events=events, cuped=cuped, cap=cap)

    numerator, denominator = part(settings.numerator), part(settings.denominator)
    return replace(
        numerator,
        key=key,
        covariate=None,
        denominator=replace(denominator, covariate=None),
        direction=settings.direction or numerator.direction,
        version_id=None,
    )
