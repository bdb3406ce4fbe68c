"""Every dialect's statement, parsed as that dialect, and names as each database knows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlglot
from sqlglot import exp

from airflow_provider_launchdarkly.evidence.sql_statement import Statement
from airflow_provider_launchdarkly.evidence.warehouse.definition import (
    WHOLE_ROW,
    Aggregation,
    Cap,
    EventsTable,
    ExposuresTable,
    MetricDefinition,
)
from airflow_provider_launchdarkly.evidence.warehouse.dialects import DIALECTS, dialect_of
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from unit.evidence.warehouse.test_statement import FUNNEL, LOOK, PLAIN

DAY = timedelta(days=1)
ORDERS = EventsTable("shop.orders", None, "person", None, "paid", "paid_at", None, "order_id")
BILLS = replace(ORDERS, table="shop.bills", id=WHOLE_ROW)
EVERYTHING = [
    *PLAIN,
    FUNNEL,
    replace(PLAIN[2], key="cuped", covariate=28 * DAY, window=(timedelta(), 7 * DAY), cap=Cap(1, 99.5)),
    replace(PLAIN[2], key="ratio", denominator=PLAIN[1]),
    replace(PLAIN[3], key="p95", percentile=95),
    MetricDefinition("orders", (), Aggregation.AVERAGE, events_table=ORDERS),
    MetricDefinition("bills", (), Aggregation.SUM, events_table=BILLS),
]


def statement(dialect: str, schema: str = "launchdarkly") -> Statement:
    look = replace(LOOK, ended_at=LOOK.looked_at - DAY)
    return write_statement(EVERYTHING, look, ExposuresTable(), schema, dialect, where="context_attributes LIKE 'a%b?'")


def parsed(dialect: str, schema: str = "launchdarkly") -> exp.Select:
    """Parse a statement as its driver sends it: with a number for each placeholder, and without the doubled signs."""
    written, found = statement(dialect, schema), DIALECTS[dialect]
    sql = written.sql.replace("'a%b?'", "'a'").replace("'a%%b?'", "'a'")
    sql = sql.replace(found.placeholder, "1").replace("%%", "%")
    tree = sqlglot.parse_one(sql, read={"postgresql": "postgres"}.get(dialect, dialect))
    assert isinstance(tree, exp.Select)
    return tree


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_parses_its_statement(dialect: str) -> None:
    tree = parsed(dialect)
    assert {function.name for function in tree.find_all(exp.Anonymous)} <= {"EPOCH_US", "TO_UNIXTIME", "WITH_TIMEZONE"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_name_that_a_select_gives_is_that_of_a_column_in_its_other_expressions(dialect: str) -> None:
    """Databases disagree on which of the two such a name means."""
    for scan in parsed(dialect).find_all(exp.Select):
        computed = [one for one in scan.selects if isinstance(one, exp.Alias) and not isinstance(one.this, exp.Column)]
        parts = [*(one.this for one in computed), *(scan.args.get(name) for name in ("where", "group", "having"))]
        used = {column.name for part in parts if part is not None for column in part.find_all(exp.Column)}
        assert not used & {one.alias for one in computed}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_table_and_each_step_is_read_once(dialect: str) -> None:
    tree = parsed(dialect)
    names = [table.name.lower() for table in tree.find_all(exp.Table)]
    assert len(names) == len(set(names))
    assert {"evaluation_events", "metric_events", "orders"} <= set(names)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_is_a_value_for_each_placeholder(dialect: str) -> None:
    written, found = statement(dialect), DIALECTS[dialect]
    assert written.sql.replace("'a%b?'", "").replace("%%", "").count(found.placeholder) == len(written.parameters)
    assert "it-1" in written.parameters
    assert "it-1" not in written.sql


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - {"sqlite"}))
def test_each_table_is_restricted_by_its_own_column_of_time(dialect: str) -> None:
    for scan in parsed(dialect).find_all(exp.Select):
        source = scan.args.get("from_") or scan.args.get("from")
        table = source.this if source else None
        if isinstance(table, exp.Table) and not table.name.startswith("ld_"):
            compared = [
                condition.this.name.lower()
                for condition in scan.args["where"].find_all(exp.GTE, exp.LTE)
                if isinstance(condition.this, exp.Column)
            ]
            assert compared in (["received_time"] * 2, ["paid_at"] * 2), table.name


@pytest.mark.parametrize(
    ("dialect", "name", "quoted"),
    [
        ("snowflake", "launchdarkly.Events", '"LAUNCHDARKLY"."EVENTS"'),
        ("snowflake", '"launchdarkly".events', '"launchdarkly"."EVENTS"'),
        ("redshift", "LaunchDarkly", '"launchdarkly"'),
        ("postgresql", '"My ""own"" schema"', '"My ""own"" schema"'),
        ("postgresql", '"a.b".c', '"a.b"."c"'),
        ("bigquery", "my-project.Launch`Darkly", None),
        ("bigquery", "my-project.LaunchDarkly", "`my-project`.`LaunchDarkly`"),
        ("databricks", 'main."it`s"', "`main`.`it``s`"),
        ("databricks", "`it``s`", "`it``s`"),
        ("trino", "Hive.Default", '"hive"."default"'),
        ("duckdb", "Main", '"Main"'),
        ("sqlite", 'drop table; --"', None),
        ("sqlite", "drop table; --", "`drop table; --`"),
    ],
)
def test_names_are_quoted_as_each_database_knows_them(dialect: str, name: str, quoted: str | None) -> None:
    if quoted is None:
        with pytest.raises(Exception, match="is no name"):
            dialect_of(dialect).identifier(name)
    else:
        assert dialect_of(dialect).identifier(name) == quoted


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_that_names_its_schema_is_read_there(dialect: str) -> None:
    tables = {table.name.lower(): table.db.lower() for table in parsed(dialect, "ld").find_all(exp.Table)}
    assert (tables["orders"], tables["metric_events"]) == ("shop", "ld")
