"""The descriptions of results in LaunchDarkly's own tables, which DAG files hold: cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import Field, PlainSerializer, WrapValidator, model_validator

from airflow_provider_launchdarkly.config.keys import check_text
from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Duration, MetricKey
from airflow_provider_launchdarkly.evidence.warehouse.definition import STRICT, EventsTable, ExposuresTable
from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import Before, CapSetting, Metrics, Text


def _path_or(value: Any, read: Callable[[Any], Any]) -> Any:
    """Take text as the path of a file with metrics. Not a union: its errors would name branches of types."""
    return check_text(value) if isinstance(value, str) else read(value)


def _arms(value: Any, read: Callable[[Any], Any]) -> Any:
    if not isinstance(value, str):
        return read(value)
    if value not in get_args(ArmsAre):
        raise ValueError(
            f"is {value!r}: write treatment_id, variation_id, or a mapping from each arm's id to the treatment"
        )
    return value


def _plain_metrics(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return {key: settings.model_dump(mode="json", exclude_unset=True) for key, settings in value.items()}


ArmsAre = Literal["treatment_id", "variation_id"]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    MetricsOrPath: TypeAlias = Metrics | str
    Arms: TypeAlias = ArmsAre | dict[str, str]
else:
    MetricsOrPath = Annotated[
        Metrics, WrapValidator(_path_or, json_schema_input_type=Metrics | Text), PlainSerializer(_plain_metrics)
    ]
    Arms = Annotated[
        dict[Text, Text],
        WrapValidator(_arms, json_schema_input_type=ArmsAre | dict[str, str]),
        PlainSerializer(lambda value: value),
    ]


class _WarehouseResults(StrictModel):
    """The base of both descriptions: plain JSON in and out."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; :meth:`from_json` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"source": self.source_name}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a description from plain JSON.

        Raises:
            InvalidSettingError: A field is missing, unknown or wrong.
        """
        return cls.read(value)

    @property
    def source_name(self) -> str:
        """The name of the source in files and decision records."""
        return str(type(self).model_fields["source"].default)


class DataExportResults(_WarehouseResults):
    """Results computed from the tables that LaunchDarkly's Data Export writes into the user's warehouse.

    LaunchDarkly's metrics are computed by their definitions there, in the versions that the iteration holds on to. A
    unit counts from its first exposure in the iteration, and units that were served several variations are left out.

    Attributes:
        source: ``data_export``.
        conn_id: The Airflow connection of the warehouse.
        schema: The schema with the tables; dots separate its parts, as in ``database.schema``.
        exposures: The table of exposures and its columns.
        events: The table or view of metric events and its columns, for all metrics that name none of their own.
        metrics: Metrics that LaunchDarkly does not have, by key, or the path of a file with them. One with the key of a
            metric of LaunchDarkly's takes its place.
        where: A condition in SQL on the table of exposures: only rows that meet it count. It is pasted as it is.
        cuped: Time before a unit's first exposure from which its covariate for CUPED comes, such as ``28d``. Default:
            no covariate. A metric may have its own.
        cap: Percentile at which numbers are cut off, as in a metric, for metrics without one.
        environment_id: The environment's client-side id. Default: read from LaunchDarkly.

    Raises:
        InvalidSettingError: A field is missing, unknown or wrong.
    """

    source: Literal["data_export"] = "data_export"
    conn_id: Text
    schema_name: Text = Field(alias="schema")
    exposures: ExposuresTable = ExposuresTable()
    events: EventsTable = EventsTable()
    metrics: MetricsOrPath = Field(default_factory=dict)
    where: Text | None = None
    cuped: Before | None = None
    cap: CapSetting = None
    environment_id: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("exposures", "events"):
            table = getattr(self, name)
            for column in fields(table):
                value = getattr(table, column.name)
                if value is not None and not value.strip():
                    raise FieldError((name, column.name), "is blank: write the name of a table or a column")
        return self


@dataclass(frozen=True, slots=True)
class AggregatesTable:
    """The table in which LaunchDarkly keeps the sums of each analysis, one row for each metric, arm and dimension.

    Attributes:
        table: Its name.
        iteration: Column with the id of the iteration.
        metric_version: Column with the id of the metric's version.
        arm: Column with the id of the arm.
        dimension: Column with the name of a dimension; NULL in the rows over everyone.
        units: Column with the number of units.
        units_with_events: Column with the number of units that have an event.
        total: Column with the sum of the units' values.
        squares: Column with the sum of their squares.
        last_event: Column with the time of the metric's last event; UTC.
        analyzed_at: Column with the time of the analysis; UTC.
    """

    __pydantic_config__: ClassVar[Any] = STRICT

    table: str = "computed_arm_aggregates"
    iteration: str = "iteration_id"
    metric_version: str = "metric_version_id"
    arm: str = "arm_id"
    dimension: str = "dimension_name"
    units: str = "count_of_units"
    units_with_events: str = "count_of_units_with_measurements"
    total: str = "sum_of_unit_aggregates"
    squares: str = "sum_of_squares"
    last_event: str = "metric_event_last_seen"
    analyzed_at: str = "analyzed_at"


class WarehouseNativeResults(_WarehouseResults):
    """Results from the sums that LaunchDarkly's warehouse-native experiments leave in the user's warehouse.

    The newest analysis of the iteration is read. Numbers of several analyses are never mixed.

    Attributes:
        source: ``warehouse_native``.
        conn_id: The Airflow connection of the warehouse.
        schema: The schema with the results, which was chosen when the experiments were set up; dots separate its parts.
        aggregates: The table of sums and its columns.
        arms: ``treatment_id`` if an arm's id is the treatment's, ``variation_id`` if it is the id of the variation that
            the treatment serves, or a mapping from each arm's id to the treatment's id or name.
        metric_versions: The id of a metric's version by the metric's key, where it is not the version that the
            iteration holds on to (``_versionId`` in LaunchDarkly's API).
        stale_after: Age of the newest analysis from which on it is too old for a look.

    Raises:
        InvalidSettingError: A field is missing, unknown or wrong.
    """

    source: Literal["warehouse_native"] = "warehouse_native"
    conn_id: Text
    schema_name: Text = Field(alias="schema")
    aggregates: AggregatesTable = AggregatesTable()
    arms: Arms = "treatment_id"
    metric_versions: dict[MetricKey, Text] = Field(default_factory=dict)
    stale_after: Duration = DAY

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stale_after <= timedelta():
            raise FieldError(("stale_after",), "is not above 0; write for instance 6h")
        if isinstance(self.arms, dict) and len(set(self.arms.values())) < len(self.arms):
            raise FieldError(("arms",), "has a treatment twice; map each arm to a treatment of its own")
        return self
