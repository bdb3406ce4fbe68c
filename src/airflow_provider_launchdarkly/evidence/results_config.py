"""Reads the description of a source of results from plain JSON, by its field ``source``. Cheap to import."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults, WarehouseNativeResults

Results: TypeAlias = SqlResults | DataExportResults | WarehouseNativeResults

SOURCES = ("data_export", "warehouse_native", "sql")
"""The sources that a description may name in ``source``; without it, it is ``sql``."""


def read_results(value: Any) -> Results:
    """Read a description.

    Args:
        value: A description, or the same as plain JSON.

    Raises:
        InvalidSettingError: It is neither, has no such source, or a field is missing, unknown or wrong.
        ValueError: A field of a query is missing, unknown or wrong.
    """
    if isinstance(value, SqlResults | DataExportResults | WarehouseNativeResults):
        return value
    if not isinstance(value, Mapping):
        raise InvalidSettingError(
            f"results is {shown(value)}: write DataExportResults(conn_id=…, schema=…), WarehouseNativeResults(…), "
            "SqlResults(conn_id=…, sql=…), or a mapping"
        )
    source = value.get("source", "sql")
    match source:
        case "data_export":
            return DataExportResults.from_json(value)
        case "warehouse_native":
            return WarehouseNativeResults.from_json(value)
        case "sql":
            return SqlResults.from_json({name: field for name, field in value.items() if name != "source"})
        case _:
            near = get_close_matches(str(source), SOURCES, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise InvalidSettingError(f"results.source is {shown(source)}: write one of {', '.join(SOURCES)}{meant}")


def source_name(results: Results | Mapping[str, Any] | None) -> str:
    """Return the name of a source in decision records: ``launchdarkly``, where no other is described."""
    if results is None:
        return "launchdarkly"
    if isinstance(results, Mapping):
        return str(results.get("source", "sql"))
    return "sql" if isinstance(results, SqlResults) else results.source
