"""The descriptions of results in LaunchDarkly's tables: what they take, what they refuse, and plain JSON."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly import DataExportResults, SqlResults, WarehouseNativeResults
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.evidence.results_config import read_results, source_name
from airflow_provider_launchdarkly.evidence.warehouse.definition import Cap, EventsTable, ExposuresTable

EXPORT: dict[str, Any] = {"source": "data_export", "conn_id": "warehouse", "schema": "launchdarkly"}
NATIVE: dict[str, Any] = {"source": "warehouse_native", "conn_id": "warehouse", "schema": "launchdarkly_results"}


def export(**fields: Any) -> DataExportResults:
    results = read_results({**EXPORT, **fields})
    assert isinstance(results, DataExportResults)
    return results


@pytest.mark.parametrize(
    "results",
    [
        DataExportResults(conn_id="warehouse", schema="launchdarkly"),
        read_results(
            {
                **EXPORT,
                "exposures": {"table": "exposures", "unit": "user_id"},
                "events": {"table": "analytics.events", "environment": None},
                "metrics": {
                    "revenue": {"table": "orders", "value": "amount", "aggregation": "sum", "window": ["1d", "8d"]},
                    "orders": {"event": "order", "aggregation": "count", "missing": "leave_out", "cap": 99},
                    "revenue-per-order": {"numerator": "revenue", "denominator": "orders", "direction": "higher"},
                },
                "where": "reason_kind <> 'BOT'",
                "cuped": "28d",
                "cap": {"lower": 1, "upper": 99, "with_imputed": True},
                "environment_id": "6af1",
            }
        ),
        DataExportResults(conn_id="warehouse", schema="launchdarkly", metrics="metrics.yaml"),
        WarehouseNativeResults(conn_id="warehouse", schema="launchdarkly_results"),
        WarehouseNativeResults(
            conn_id="warehouse",
            schema="launchdarkly_results",
            arms={"1": "Classic", "2": "Bold"},
            metric_versions={"checkout-conversion": "v2"},
            stale_after=timedelta(hours=6),
        ),
        SqlResults(conn_id="warehouse", sql="SELECT 1"),
    ],
)
def test_a_description_comes_back_from_plain_json(results: Any) -> None:
    plain = json.loads(json.dumps(results.to_json()))
    assert read_results(plain) == results
    assert source_name(plain) == source_name(results)
    assert read_results(results) is results


def test_the_defaults_are_the_tables_of_launchdarkly() -> None:
    results = DataExportResults(conn_id="warehouse", schema="launchdarkly")
    assert (results.exposures, results.events) == (ExposuresTable(), EventsTable())
    assert results.events.id == "export_key"
    assert (results.metrics, results.cap, results.cuped, results.where) == ({}, None, None, None)


@pytest.mark.parametrize("plain", [EXPORT, NATIVE])
def test_a_part_of_a_mapping_keeps_the_defaults_of_what_it_leaves_out(plain: dict[str, Any]) -> None:
    defaults = read_results(plain)
    assert not isinstance(defaults, SqlResults)
    tables = {name for name in type(defaults).model_fields if is_dataclass(getattr(defaults, name))}
    assert tables == ({"exposures", "events"} if plain is EXPORT else {"aggregates"})
    for name in tables:
        for column in fields(getattr(defaults, name)):
            changed = read_results({**plain, name: {column.name: "other"}})
            assert getattr(changed, name) == replace(getattr(defaults, name), **{column.name: "other"})


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        ({"event": "x"}, EventsTable()),
        ({"event": "x", "id": "*"}, EventsTable(id="*")),
        ({"event": "x", "id": None}, EventsTable(id=None)),
        ({"event": "x", "environment": None, "unit_kind": None}, EventsTable(environment=None, unit_kind=None)),
        ({"event": "x", "unit": None, "at": None, "table": None}, EventsTable()),
        ({"table": "t"}, EventsTable("t", None, unit_kind=None, value=None, environment=None, id="*")),
        ({"table": "t", "id": None}, EventsTable("t", None, unit_kind=None, value=None, environment=None, id=None)),
        ({"table": "t", "id": "no"}, EventsTable("t", None, unit_kind=None, value=None, environment=None, id="no")),
    ],
)
def test_the_table_of_a_metric(settings: dict[str, Any], table: EventsTable) -> None:
    metrics = export(metrics={"m": settings}).to_json()["metrics"]
    read = export(metrics=metrics).metrics
    assert not isinstance(read, str)
    assert read["m"].definition("m", EventsTable(), None, None).events_table == table


def test_a_number_is_the_upper_percentile_of_a_cap() -> None:
    assert export(cap=99.5).cap == Cap(upper=99.5)


def test_a_duration_is_one() -> None:
    assert export(cuped="28d").cuped == timedelta(days=28)


def test_a_mapping_without_source_is_a_query_as_ever() -> None:
    assert read_results({"conn_id": "warehouse", "sql": "SELECT 1"}) == SqlResults("warehouse", "SELECT 1")
    assert read_results({"source": "sql", "conn_id": "w", "sql": "SELECT 1"}) == SqlResults("w", "SELECT 1")


def test_the_names_of_the_sources_on_record() -> None:
    names = [source_name(value) for value in (None, {"conn_id": "w", "sql": "SELECT 1"}, EXPORT, NATIVE)]
    assert names == ["launchdarkly", "sql", "data_export", "warehouse_native"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": None}, "schema: write text"),
        ({"schema": " "}, "schema: is blank: write a text here"),
        ({"shema": "x"}, "shema: is not known"),
        ({"exposures": {"unit_key": "x"}}, "exposures.unit_key: is not known"),
        ({"events": {"at": " "}}, "events.at: is blank: write the name of a table or a column"),
        ({"cuped": "28"}, "cuped: '28' is no duration; write for instance 7d"),
        ({"cuped": "0d"}, "cuped: is not above 0; write for instance 28d"),
        ({"cap": 100}, "cap: is 100: percentiles lie between 0 and 100, such as 99"),
        ({"cap": {"lower": 99, "upper": 1}}, "cap: is 99 and 1: percentiles lie between 0 and 100"),
        ({"cap": {}}, "cap: has neither lower nor upper: write a percentile, such as 99"),
        ({"cap": {"top": 99}}, "cap.top: is not known"),
        ({"metrics": 5}, "metrics: write a mapping"),
        ({"metrics": {"two words": {"event": "x"}}}, "is no key: a key has no blanks"),
        ({"metrics": {"m": {}}}, "metrics.m: has no event: write its key, or the table whose rows are its events"),
        ({"metrics": {"m": {"event": []}}}, "metrics.m.event: is empty"),
        ({"metrics": {"m": {"evnt": "x"}}}, "metrics.m.evnt: is not known"),
        ({"metrics": {"m": {"event": "x", "aggregation": "max"}}}, "metrics.m.aggregation: write 'occurrence'"),
        ({"metrics": {"m": {"event": "x", "value": "amount"}}}, "metrics.m.value: is not used by occurrence"),
        ({"metrics": {"m": {"event": "x", "cap": 99}}}, "metrics.m.cap: cuts nothing off an occurrence"),
        ({"metrics": {"m": {"event": "x", "percentile": 95}}}, "metrics.m.percentile: of units that are 0 or 1"),
        ({"metrics": {"m": {"event": "x", "missing": "zero"}}}, "metrics.m.missing: write a number"),
        ({"metrics": {"m": {"event": "x", "window": ["7d", "1d"]}}}, "metrics.m.window: is from 7d to 1d after"),
        ({"metrics": {"m": {"event": "x", "window": ["7d"]}}}, "metrics.m.window: has 1 times: write its end"),
        (
            {"metrics": {"m": {"event": ["a", "b"], "aggregation": "sum"}}},
            "metrics.m.aggregation: is sum: a funnel counts units, so leave it out",
        ),
        ({"metrics": {"r": {"numerator": "m"}}}, "metrics.r.denominator: is required in a ratio"),
        ({"metrics": {"r": {"numerator": "m", "denominator": "m"}}}, "metrics.r.denominator: is the numerator too"),
        (
            {"metrics": {"r": {"numerator": "a", "denominator": "b", "cap": 99}}},
            "metrics.r.cap: says nothing of a ratio: write it in the numerator or the denominator",
        ),
        (
            {"metrics": {"r": {"numerator": "a", "denominator": "b"}, "q": {"numerator": "r", "denominator": "b"}}},
            "metrics.q.numerator: 'r' is a ratio itself: name a metric of events",
        ),
    ],
)
def test_what_is_wrong_in_an_export_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        read_results({**EXPORT, **change})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": "treatment"}, "arms: is 'treatment': write treatment_id, variation_id, or a mapping"),
        ({"arms": {"1": "Bold", "2": "Bold"}}, "arms: has a treatment twice"),
        ({"stale_after": "0h"}, "stale_after: is not above 0; write for instance 6h"),
        ({"aggregates": {"arms": "arm_id"}}, "aggregates.arms: is not known"),
        ({"metrics": {}}, "metrics: is not known"),
        ({"source": "data-export"}, "write one of data_export, warehouse_native, sql; did you mean data_export?"),
    ],
)
def test_what_is_wrong_in_native_results_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        read_results({**NATIVE, **change})
    assert message in str(refused.value)


def test_a_description_cannot_be_changed() -> None:
    results = DataExportResults(conn_id="warehouse", schema="launchdarkly")
    with pytest.raises(InvalidSettingError, match="cannot be changed; make another"):
        results.conn_id = "other"  # type: ignore[misc]
