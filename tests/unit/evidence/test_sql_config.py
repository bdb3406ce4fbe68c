"""The description of a results query: which text is a file's path, and which is the query itself."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.evidence.sql_config import SqlResults


@pytest.mark.parametrize("sql", ["results.sql", "queries/results.sql", "results.sql\n", " ./q.v2.sql "])
def test_one_line_without_blanks_that_ends_in_sql_is_a_path(sql: str) -> None:
    assert SqlResults("warehouse", sql).path == sql.strip()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 -- see queries/results.sql",
        "SELECT 1\n-- as in results.sql",
        "SELECT 1 /* results */ FROM a.sql",
        "select * from shop.sql",
        "WITH a AS (SELECT 1) TABLE a.sql",
        "-- results.sql",
        "{% include 'parts.sql' %} -- parts.sql",
        "FROM results.sql",
        "SELECT 1",
        "results.SQL",
    ],
)
def test_everything_else_is_a_query(sql: str) -> None:
    assert SqlResults("warehouse", sql).path is None


@pytest.mark.parametrize("sql", ["my queries/results.sql", "results of today.sql"])
def test_a_path_with_a_blank_is_refused_with_the_rule(sql: str) -> None:
    with pytest.raises(ValueError, match=r"reads like the path of a file; a path has no blanks: rename"):
        SqlResults("warehouse", sql)
