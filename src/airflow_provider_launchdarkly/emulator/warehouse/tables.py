"""The tables that the emulator fills: those of Data Export, those of the results dataset, and one of its own.

LaunchDarkly docs, "Warehouse schema reference", names the tables and the columns of `evaluation_events`. Other columns
are known from public queries, or follow from them; docs/emulator.md says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Cell: TypeAlias = str | float | None
"""A value of a row. Times are epoch milliseconds."""
Row: TypeAlias = tuple[Cell, ...]
Kind: TypeAlias = Literal["text", "json", "time", "number", "integer"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: Its name.
        columns: The kind of each column by name, in order.
        key: The columns of its primary key.
        of_results: Whether it belongs to the results dataset, and not to Data Export.
    """

    name: str
    columns: dict[str, Kind]
    key: tuple[str, ...]
    of_results: bool = False


EVALUATION_EVENTS = Table(
    "evaluation_events",
    {
        "event_id": "text",
        "flag_key": "text",
        "context_key": "text",
        "context_kind": "text",
        "context_attributes": "json",
        "variation_id": "text",
        "variation_value": "text",
        "reason_kind": "text",
        "reason_detail": "json",
        "experiment_iteration_id": "text",
        "received_time": "time",
        "environment_id": "text",
        "export_key": "text",
    },
    ("export_key",),
)
METRIC_EVENTS = Table(
    "metric_events",
    {
        "event_id": "text",
        "event_key": "text",
        "event_value": "number",
        "context_key": "text",
        "context_kind": "text",
        "context_attributes": "json",
        "received_time": "time",
        "environment_id": "text",
        "export_key": "text",
    },
    ("export_key",),
)
EXPERIMENT_ITERATIONS = Table(
    "experiment_iterations",
    {
        "experiment_iteration_id": "text",
        "experiment_key": "text",
        "flag_key": "text",
        "randomization_unit": "text",
        "environment_id": "text",
        "started_at": "time",
        "ended_at": "time",
    },
    ("experiment_iteration_id",),
)
FLAG_VARIATIONS = Table(
    "flag_variations",
    {
        "flag_key": "text",
        "variation_id": "text",
        "variation_name": "text",
        "variation_value": "text",
        "environment_id": "text",
    },
    ("environment_id", "flag_key", "variation_id"),
)
TRANSFER_STATUS = Table(
    "_transfer_status",
    {"table_name": "text", "environment_id": "text", "transferred_through": "time", "completed_at": "time"},
    ("table_name", "environment_id"),
)
ARM_AGGREGATES = Table(
    "computed_arm_aggregates",
    {
        "iteration_id": "text",
        "metric_version_id": "text",
        "arm_id": "text",
        "dimension_name": "text",
        "dimension_value": "text",
        "count_of_units": "integer",
        "count_of_units_with_measurements": "integer",
        "sum_of_unit_aggregates": "number",
        "sum_of_squares": "number",
        "metric_event_last_seen": "time",
        "analyzed_at": "time",
    },
    (),
    of_results=True,
)
EVENTS_LAST_SEEN = Table(
    "computed_events_last_seen",
    {
        "data_source_id": "text",
        "event_key": "text",
        "context_kinds": "json",
        "last_received_ts": "time",
        "analyzed_at": "time",
    },
    ("data_source_id", "event_key"),
    of_results=True,
)
PROGRESS = Table(
    "ld_internal_emulator",
    {
        "iteration_id": "text",
        "stream": "text",
        "environment_id": "text",
        "drawn_by": "text",
        "hours": "integer",
    },
    ("iteration_id", "stream"),
)
"""The rows written so far: for each iteration and stream of rows, the batches so far and what they were drawn by."""

TABLES = (
    EVALUATION_EVENTS,
    METRIC_EVENTS,
    EXPERIMENT_ITERATIONS,
    FLAG_VARIATIONS,
    TRANSFER_STATUS,
    ARM_AGGREGATES,
    EVENTS_LAST_SEEN,
    PROGRESS,
)
