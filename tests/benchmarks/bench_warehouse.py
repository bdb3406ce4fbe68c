"""What a look on LaunchDarkly's exported rows costs in DuckDB and PostgreSQL, beside one naive statement per metric.

Usage: python tests/benchmarks/bench_warehouse.py [--rows 100000] [--repeats 3]; ROWS=10000000 in the environment is the
same. The rows are made inside the database: a tenth as many people, each with exposures and events of three kinds. The
naive statements join each person's events, restricted by neither iteration nor time. PostgreSQL takes part where
it answers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_provider_launchdarkly.evidence.warehouse.definition import Aggregation, ExposuresTable, MetricDefinition
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from support.export_tables import ExportTables, open_export_tables
from support.warehouse import backends
from unit.evidence.warehouse.test_statement import LOOK

VISITS = MetricDefinition("visits", ("visit",), Aggregation.COUNT, 0.0)
REVENUE = MetricDefinition("revenue", ("order",), Aggregation.SUM, 0.0)
METRICS = [
    replace(REVENUE, key="conversion", aggregation=Aggregation.OCCURRENCE),
    VISITS,
    REVENUE,
    replace(REVENUE, key="first-days", window=(timedelta(), timedelta(days=3))),
    replace(REVENUE, key="revenue-per-visit", denominator=VISITS),
]


def fill(tables: ExportTables, rows: int) -> None:
    """Make a fifth of the rows exposures, of two iterations, and the others events."""
    people = max(rows // 10, 10)
    moment = f"CAST('{LOOK.started_at.isoformat()}' AS TIMESTAMPTZ) + (CAST(i AS BIGINT) * 7919 % 777600) * {{0}}"
    at = moment.format("INTERVAL '1 second'")
    half = "CASE WHEN i % 2 = 0 THEN 'v-classic' ELSE 'v-bold' END"
    tables.execute(
        f"INSERT INTO {tables.table('evaluation_events')} SELECT CAST(i AS TEXT), '{LOOK.flag_key}', "
        f"'person-' || CAST(i % {people // 2 * 2} AS TEXT), 'user', '{{}}', {half}, "
        f"CASE WHEN i % 3 = 0 THEN 'it-0' ELSE 'it-1' END, {at}, 'env-1' FROM generate_series(1, {rows // 5}) s(i)"
    )
    tables.execute(
        f"INSERT INTO {tables.table('metric_events')} SELECT CAST(i AS TEXT), CASE i % 4 WHEN 0 THEN 'order' WHEN 1 "
        f"THEN 'load' ELSE 'visit' END, 'person-' || CAST(CAST(i AS BIGINT) * 31 % {people} AS TEXT), 'user', i % 97, "
        f"{at}, 'env-1' FROM generate_series(1, {rows - rows // 5}) s(i)"
    )
    tables.connection.commit()
    tables.execute("ANALYZE")


def naive(tables: ExportTables, metric: MetricDefinition) -> str:
    """What is often written by hand: an average over each person's events, whenever they were."""
    return (
        "SELECT variation_id, COUNT(*), AVG(total), STDDEV(total) FROM (SELECT u.variation_id, u.context_key, "
        f"COALESCE(SUM(e.event_value), 0) AS total FROM (SELECT DISTINCT context_key, variation_id FROM "
        f"{tables.table('evaluation_events')}) u LEFT JOIN {tables.table('metric_events')} e ON e.context_key = "
        f"u.context_key AND e.event_key = '{metric.events[0]}' GROUP BY u.variation_id, u.context_key) p "
        "GROUP BY variation_id"
    )


def run_naive(tables: ExportTables) -> None:
    for metric in METRICS:
        tables.execute(naive(tables, metric)).fetchall()


def median(run: Callable[[], object], repeats: int) -> float:
    """Seconds."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=int(os.environ.get("ROWS", "100000")))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for kind in ["duckdb", *(kind for kind in backends() if kind == "postgres")]:
        with open_export_tables(kind) as tables:
            fill(tables, arguments.rows)
            look = write_statement(METRICS, LOOK, ExposuresTable(), tables.schema, tables.dialect)
            ours = median(partial(tables.rows, look), arguments.repeats)
            theirs = median(partial(run_naive, tables), arguments.repeats)
            print(
                f"{tables.dialect}: {arguments.rows:,} rows, {len(METRICS)} metrics: one statement {ours:.2f} s, naive "
                f"statements {theirs:.2f} s, ratio {ours / theirs:.2f} (medians of {arguments.repeats})"
            )


if __name__ == "__main__":
    main()
