"""Definitions of metrics, their events' place and the look in a warehouse's tables. Pure, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.decision.policy_parts import Direction


# A description that users write holds these, and no field of it may be misspelt.
STRICT = {"extra": "forbid"}

WHOLE_ROW = "*"
"""In place of a column with an event's id: rows with the same unit, event, time and value are one that stands twice."""


class Aggregation(StrEnum):
    """How the events of one unit become its value."""

    OCCURRENCE = "occurrence"
    """1 for a unit with an event, else 0."""
    COUNT = "count"
    """The number of its events."""
    SUM = "sum"
    """The sum of their values."""
    AVERAGE = "average"
    """The mean of their values."""


@dataclass(frozen=True, slots=True)
class EventsTable:
    """A table or view with one row for each event.

    Attributes:
        table: Its name, without the schema unless it is in another one; dots separate the parts.
        event_key: Column with the event's key; None if each row is an event of the metric.
        unit: Column with the unit's key.
        unit_kind: Column with the context kind; None if all rows are of the randomization unit.
        value: Column with the number; None if the table has none.
        at: Column with the time at which LaunchDarkly, or the user's own system, received the event; UTC.
        environment: Column with the environment's id; None if the table is of one environment.
        id: Column with the id of the event itself, by which rows that stand twice are found; ``*`` compares unit,
            event, time and value instead; None finds none.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    table: str = "metric_events"
    event_key: str | None = "event_key"
    unit: str = "context_key"
    unit_kind: str | None = "context_kind"
    value: str | None = "event_value"
    at: str = "received_time"
    environment: str | None = "environment_id"
    id: str | None = "export_key"


@dataclass(frozen=True, slots=True)
class Cap:
    """Percentiles, 0 to 100, pooled over all treatments, at which values are cut off (winsorising).

    Attributes:
        lower: Values below this percentile become it; None cuts nothing.
        upper: Values above this percentile become it; None cuts nothing.
        with_imputed: Whether units without events count in the percentiles, where they have a value.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    lower: float | None = None
    upper: float | None = None
    with_imputed: bool = False


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A metric over the events of a table.

    Attributes:
        key: Its key.
        events: Keys of its events. Several are the steps of a funnel: a unit counts if it has them all in this order.
        aggregation: How the events of one unit become its value.
        missing: The value of a unit without an event; None leaves such units out.
        window: Start and end of the time after a unit's first exposure in which its events count. Only units whose
            window is over count. None is open-ended: every event up to the look.
        cap: Percentiles at which values are cut off.
        percentile: Percentile of the units' values that is compared, 1 to 99; None compares means.
        covariate: Time before a unit's first exposure from which its covariate for CUPED comes; None has none.
        denominator: The metric by which this one is divided; None is no ratio.
        events_table: Where the events are.
        direction: The better direction; None where nothing says it.
        version_id: LaunchDarkly's id of the metric's version; None for a metric that LaunchDarkly does not have.
    """

    key: str
    events: tuple[str, ...]
    aggregation: Aggregation
    missing: float | None = None
    window: tuple[timedelta, timedelta] | None = None
    cap: Cap | None = None
    percentile: float | None = None
    covariate: timedelta | None = None
    denominator: MetricDefinition | None = None
    events_table: EventsTable = field(default_factory=EventsTable)
    direction: Direction | None = None
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExposuresTable:
    """The table with one row for each evaluation of a flag.

    Attributes:
        table: Its name, without the schema unless it is in another one; dots separate the parts.
        unit: Column with the unit's key.
        unit_kind: Column with the context kind.
        variation: Column with the id of the variation that was served.
        iteration: Column with the id of the iteration.
        at: Column with the time at which LaunchDarkly received the evaluation; UTC.
        flag: Column with the flag's key.
        environment: Column with the environment's id; None if the table is of one environment.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    table: str = "evaluation_events"
    unit: str = "context_key"
    unit_kind: str = "context_kind"
    variation: str = "variation_id"
    iteration: str = "experiment_iteration_id"
    at: str = "received_time"
    flag: str = "flag_key"
    environment: str | None = "environment_id"


@dataclass(frozen=True, slots=True)
class ExportLook:
    """The iteration and the time of a look, as the tables know them.

    Attributes:
        iteration_id: The iteration.
        flag_key: The flag whose variations are its treatments.
        unit_kind: The iteration's randomization unit, a context kind.
        treatments: Treatment id for each variation id.
        started_at: Start of the iteration.
        looked_at: Time of the look, by LaunchDarkly's clock: no later row counts.
        exposed_after: Only units first exposed from then on count.
        exposed_before: Only units first exposed until then count.
        ended_at: End of the iteration; None while it runs.
        environment_id: The environment's client-side id; None does not restrict the rows by it.
    """

    iteration_id: str
    flag_key: str
    unit_kind: str
    treatments: Mapping[str, str]
    started_at: datetime
    looked_at: datetime
    exposed_after: datetime
    exposed_before: datetime
    ended_at: datetime | None = None
    environment_id: str | None = None
