"""The pages on results from SQL and on the decision record: their examples run, their tables are complete."""

from __future__ import annotations

import re
import sqlite3
import uuid
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from typing import Any

import jinja2
import pytest
from airflow.sdk import DAG

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.decision.evidence import Evidence
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction, Primary
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.sql_rows import COLUMNS, SqlResultsError, evidence_from_rows
from airflow_provider_launchdarkly.evidence.sql_statement import BindingError, write_statement
from support.look_contexts import STARTED_AT, look_context
from support.surroundings import REPOSITORY

SQL_PAGE = (REPOSITORY / "docs" / "how-to" / "results-from-sql.md").read_text()
RECORD_PAGE = (REPOSITORY / "docs" / "how-to" / "decision-record.md").read_text()

MISTAKES = (REPOSITORY / "docs" / "reference" / "mistakes.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def names_in_table(page: str, heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    section = page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def run_on_sqlite(sql: str, metric: str, table: str, rows: list[tuple[Any, ...]]) -> Evidence:
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(sql)
    statement = write_statement(template, look_context(10), "?", {})
    parameters = [part.isoformat(" ") if isinstance(part, datetime) else part for part in statement.parameters]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE {table}")
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table.partition(' ')[0]} VALUES ({places})", rows)
        cursor = connection.execute(statement.sql, parameters)
        columns = [column[0] for column in cursor.description]
        policy = Policy(primary=Primary(metric=metric))
        return evidence_from_rows(look_context(10), policy, columns, cursor.fetchall(), {metric: Direction.HIGHER})


def test_the_first_query_counts_units_and_conversions() -> None:
    (example,) = blocks(SQL_PAGE, "python")
    scope: dict[str, Any] = {}
    with DAG("example", schedule=None):
        exec(example, scope)
    day = STARTED_AT.isoformat(" ")
    later = STARTED_AT.replace(year=2027).isoformat(" ")
    rows = [
        ("it-1", "id-classic", day, None),
        ("it-1", "id-classic", day, day),
        ("it-1", "id-bold", day, day),
        ("it-1", "id-bold", day, later),  # bought after the look
        ("it-1", "id-bold", later, None),  # exposed after the look
        ("it-0", "id-bold", day, day),  # of another iteration
    ]
    table = "exposed_people (iteration_id, treatment_id, exposed_at, bought_at)"
    found = run_on_sqlite(scope["wait"].results["sql"], "checkout-conversion", table, rows)
    (metric,) = found.metrics
    assert [(part.units, part.mean) for part in metric.measurements] == [(2, 0.5), (2, 0.5)]


def test_the_query_with_a_covariate_adjusts() -> None:
    mapping, covariate = blocks(SQL_PAGE, "sql")
    rows = [("id-classic", 10.0 * past, past) for past in (1.0, 2.0, 3.0)]
    rows += [("id-bold", 10.0 * past, past) for past in (2.0, 3.0, 4.0)]
    found = run_on_sqlite(covariate, "revenue-per-user", "people (treatment_id, revenue, revenue_before)", rows)
    (metric,) = found.metrics
    assert [part.mean for part in metric.measurements] == [pytest.approx(25.0), pytest.approx(25.0)]
    assert mapping.startswith("CASE variation")


def test_the_mapping_by_name_finds_the_treatment() -> None:
    mapping, _ = blocks(SQL_PAGE, "sql")
    sql = f"SELECT 'm' AS metric, {mapping}, COUNT(*) AS units, SUM(bought) AS conversions FROM seen GROUP BY variation"
    found = run_on_sqlite(sql, "m", "seen (variation, bought)", [("Classic", 0), ("Bold", 1), ("Bold", 0)])
    assert [part.units for part in found.metrics[0].measurements] == [1, 2]


def test_every_column_of_a_query_is_explained() -> None:
    assert names_in_table(SQL_PAGE, "What it returns") == set(COLUMNS)


def test_every_field_of_the_record_is_explained() -> None:
    assert names_in_table(RECORD_PAGE, "What is in it") == set(chain.FIELDS)


def test_every_name_that_a_query_sees_is_explained() -> None:
    names = names_in_table(SQL_PAGE, "What the query sees")
    statement = write_statement(
        jinja2.Template(", ".join(f"{{{{ {name} }}}}" for name in sorted(names - {"treatments"}))),
        look_context(),
        "?",
        {},
    )
    assert len(statement.parameters) == len(names)  # each is one, but treatment_ids are two, and treatments left out


def test_each_refusal_is_worded_as_in_the_page() -> None:
    section = SQL_PAGE.split("### What is bound, and what is refused\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.replace("\\|", "¦").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    checked = 0
    for refused, says, _ in rows:
        for text in re.findall(r"`([^`]*(?:\{\{|%s|\?|:name|%\()[^`]*)`", refused):
            if text.startswith("{% set"):
                continue
            setting = "{% set b %}{{ iteration_id }}{% endset %}{% set treatment = treatments[1] %}"
            asked = text.replace("¦", "|").replace('"…" %}', '"it-1" %}1{% endif %}')
            placeholder = "?" if text in ("?", ":name") else "%s"
            template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
                f"{setting}SELECT {{{{ experiment_key }}}}, {asked}"
            )
            with pytest.raises(BindingError) as error:
                write_statement(
                    template, look_context(10), placeholder, {"macros": {"uuid": uuid, "datetime": datetime}}
                )
            words = says.replace("'%s'", repr(text)).strip("`").split("'…'")
            assert all(word in str(error.value) for word in words), (text, str(error.value))
            checked += 1
    assert checked == 15


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"conversions": "1,000"},
        {"conversions": float("nan")},
        {"conversions": Decimal("1E+999999")},
        {"units": 8400, "sum": 8.4e12, "sum_squares": 8.4e21},
        {"sum": 20, "sum_squares": 39},
        {"mean": 1.5},
        {"sum": 9, "sum_squares": 41, "denominator_sum": 0, "denominator_sum_squares": 0, "denominator_product": 0},
        {"conversions": 1, "latest_event_at": "2026-01-05 09:00:00 CST"},
        {"conversions": 1, "latest_event_at": 0},
    ],
)
def test_the_mistakes_of_a_row_are_told_as_the_page_says(numbers: dict[str, Any]) -> None:
    row = {"metric": "checkout-conversion", "treatment_id": "id-bold", "units": 10, **numbers}
    with pytest.raises(SqlResultsError) as raised:
        evidence_from_rows(look_context(), Policy(), list(row), [list(row.values())], {"checkout-conversion": None})
    told = re.sub(r"^metric .*?, column '\w+': (\S*e\+\d+: |39: )?", "", str(raised.value))
    assert f"`{told}`" in MISTAKES


def test_a_path_with_a_blank_is_refused_as_the_page_says() -> None:
    with pytest.raises(ValueError, match="a path has no blanks") as raised:
        SqlResults("warehouse", "my queries/results.sql")
    assert f"`{raised.value}`" in MISTAKES
