"""Metrics and metric groups."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, JsonValue, model_validator

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Number, Page, Read, Table, Text, Write, YesNo


class SuccessCriteria(StrEnum):
    """The better direction of a metric."""

    HIGHER = "HigherThanBaseline"
    LOWER = "LowerThanBaseline"


class EventDefault(Read):
    """The value of a unit without an event."""

    disabled: bool | None = None
    value: Number = None


class MetricDataSource(Read):
    """The source of a metric's events."""

    key: Text = ""


class MetricDenominator(Read):
    """The denominator of a ratio metric. Windows are in milliseconds after a unit's first exposure."""

    event_name: str | None = None
    is_numeric: YesNo = False
    unit_aggregation_type: str | None = None
    unit_aggregation_field: str | None = None
    filters: Table[JsonValue] = Field(default_factory=dict)
    data_source: MetricDataSource | None = None
    window_start_offset: int | None = None
    window_end_offset: int | None = None
    winsor_lower_percentile: Number = None
    winsor_upper_percentile: Number = None
    winsor_include_imputed: YesNo = False


class Metric(Read):
    """One metric. ``version_id`` is the version that an iteration holds on to.

    Windows are in milliseconds after a unit's first exposure; percentiles lie above 0 and below 100.
    """

    id: Text = Field(default="", alias="_id")
    version_id: str | None = Field(default=None, alias="_versionId")
    version: int | None = Field(default=None, alias="_version")
    key: str
    name: Text = ""
    kind: Text = ""
    description: Text = ""
    is_numeric: YesNo = False
    is_active: bool | None = None
    success_criteria: str | None = None
    unit: str | None = None
    event_key: str | None = None
    unit_aggregation_type: str | None = None
    analysis_type: str | None = None
    percentile_value: int | None = None
    unit_aggregation_field: str | None = None
    event_default: EventDefault | None = None
    include_units_without_events: bool | None = None
    filters: Table[JsonValue] = Field(default_factory=dict)
    denominator: MetricDenominator | None = None
    data_source: MetricDataSource | None = None
    window_start_offset: int | None = None
    window_end_offset: int | None = None
    winsor_lower_percentile: Number = None
    winsor_upper_percentile: Number = None
    winsor_include_imputed: YesNo = False
    randomization_units: Many[str] = ()
    analysis_units: Many[str] = ()
    tags: Many[str] = ()
    archived: YesNo = False
    last_seen: Instant = None
    experiment_count: int | None = None
    active_experiment_count: int | None = None

    @property
    def lower_is_better(self) -> bool:
        """True if a smaller value is better; a metric that is not numeric is better when higher."""
        return self.success_criteria == SuccessCriteria.LOWER


class MetricPage(Page):
    """One page of metrics."""

    items: Many[Metric] = ()


class MetricInGroup(Read):
    """One metric of a group; in a funnel, one step."""

    key: Text = ""
    version_id: str | None = Field(default=None, alias="_versionId")
    name: Text = ""
    kind: Text = ""
    is_numeric: YesNo = False
    name_in_group: Text = ""
    event_key: str | None = None
    unit_aggregation_type: str | None = None


class MetricGroup(Read):
    """Metrics that are measured together; a funnel's metrics are in the order of its steps."""

    id: Text = Field(default="", alias="_id")
    key: str
    name: Text = ""
    kind: Text = ""
    description: Text = ""
    version: int | None = Field(default=None, validation_alias=AliasChoices("version", "_version"))
    creation_date: Instant = Field(default=None, alias="_creationDate")
    tags: Many[str] = ()
    metrics: Many[MetricInGroup] = ()
    experiment_count: int | None = None
    active_experiment_count: int | None = None


class MetricGroupPage(Page):
    """One page of metric groups."""

    items: Many[MetricGroup] = ()


class EventDefaultInput(Write):
    """The value of a unit without an event."""

    disabled: bool | None = None
    value: float | None = None


class UrlInput(Write):
    """A page that a click or page-view metric watches."""

    kind: Literal["exact", "canonical", "substring", "regex"]
    url: str | None = None
    substring: str | None = None
    pattern: str | None = None


class MetricPost(Write):
    """A new metric. A numeric custom metric has to say which direction is better, and its event."""

    key: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    kind: Literal["custom", "pageview", "click", "trace"]
    name: str | None = None
    description: str | None = None
    is_numeric: bool | None = None
    is_active: bool | None = None
    success_criteria: SuccessCriteria | None = None
    unit: str | None = None
    event_key: str | None = None
    selector: str | None = None
    urls: tuple[UrlInput, ...] | None = None
    trace_query: str | None = None
    trace_value_location: str | None = None
    unit_aggregation_type: Literal["average", "sum", "count_distinct"] | None = None
    analysis_type: Literal["mean", "percentile"] | None = None
    percentile_value: Annotated[int, Field(ge=1, le=99)] | None = None
    event_default: EventDefaultInput | None = None
    randomization_units: tuple[str, ...] | None = None
    analysis_units: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    unit_aggregation_field: str | None = None
    value_column: str | None = None
    window_start_offset: int | None = None
    window_end_offset: int | None = None
    winsor_lower_percentile: float | None = None
    winsor_upper_percentile: float | None = None
    winsor_include_imputed: bool | None = None
    maintainer_id: str | None = None
    filters: dict[str, JsonValue] | None = None
    data_source: dict[str, JsonValue] | None = None
    denominator: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _numeric_needs_a_direction(self) -> Self:
        if self.kind == "custom" and self.is_numeric:
            missing = [
                name
                for name, value in (("successCriteria", self.success_criteria), ("eventKey", self.event_key))
                if not value
            ]
            if missing:
                raise ValueError(f"a numeric custom metric also needs {' and '.join(missing)}")
        return self


class PatchOperation(Write):
    """One operation of a JSON patch (RFC 6902)."""

    op: Literal["add", "remove", "replace", "test"]
    path: Annotated[str, Field(pattern="^/")]
    value: JsonValue = None

    def to_operation(self) -> dict[str, JsonValue]:
        """Return the operation as JSON; ``value`` may be null, and a removal has none."""
        operation: dict[str, JsonValue] = {"op": self.op, "path": self.path}
        return operation if self.op == "remove" else {**operation, "value": self.value}


class MetricInGroupInput(Write):
    """One metric of a new group."""

    key: Annotated[str, Field(min_length=1)]
    name_in_group: str


class MetricGroupPost(Write):
    """A new metric group; for a funnel the metrics are its steps, in order."""

    key: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    name: Annotated[str, Field(min_length=1)]
    kind: Literal["funnel", "standard"]
    maintainer_id: str
    tags: tuple[str, ...] = ()
    metrics: Annotated[tuple[MetricInGroupInput, ...], Field(min_length=1)]
    description: str | None = None
