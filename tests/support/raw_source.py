"""`DataExportResults` on a database of tests, asked for one look as the sensor asks it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from airflow_provider_launchdarkly.decision.evidence import Evidence
from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults
from airflow_provider_launchdarkly.evidence.warehouse.data_export import DataExportSource, Export
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from support.raw_looks import look_context_of, policy_of, results_of
from support.raw_rows import RawExperiment
from support.warehouse import Warehouse

SCHEMAS = {"sqlite": "main", "postgres": "public", "duckdb": "main"}


def find(warehouse: Warehouse, experiment: RawExperiment) -> Evidence:
    """Return the evidence that `DataExportResults` finds: by Airflow's hook, but for DuckDB, which has none."""
    described = results_of(experiment, "raw_rows", SCHEMAS[warehouse.kind])
    results = DataExportResults.from_json(described)
    return _run(
        experiment, _in_duckdb(warehouse, results) if warehouse.kind == "duckdb" else _by_hook(warehouse, results)
    )


def _run(experiment: RawExperiment, source: DataExportSource) -> Evidence:
    procedure = source(look_context_of(experiment), policy_of(experiment))
    try:
        request = next(procedure)
    except StopIteration as stop:
        found: Evidence = stop.value
        return found
    raise AssertionError(f"everything is in the description, and yet LaunchDarkly was asked: {request}")


def _by_hook(warehouse: Warehouse, results: DataExportResults) -> DataExportSource:
    from airflow_provider_launchdarkly.sensors._sources import export_source

    os.environ["AIRFLOW_CONN_RAW_ROWS"] = warehouse.connection
    return export_source(results)


def _in_duckdb(warehouse: Warehouse, results: DataExportResults) -> DataExportSource:
    def query(export: Export) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        statement = write_statement(
            export.metrics, export.look, results.exposures, results.schema_name, "duckdb", where=results.where
        )
        with closing(warehouse.connect()) as connection:
            cursor = connection.execute(statement.sql, list(statement.parameters))
            return [column[0] for column in cursor.description], cursor.fetchall()

    assert not isinstance(results.metrics, str)
    return DataExportSource(results, results.metrics, query)
