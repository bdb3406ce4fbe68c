"""Queries through the real providers of Snowflake, BigQuery, Databricks and Trino, with the wire stubbed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

import pytest

from contract.environments import REPOSITORY, python_with
from unit.evidence.warehouse.test_dialects import statement

WAREHOUSES = ("snowflake", "google_cloud_platform", "gcpbigquery", "databricks", "trino")
MOMENT = datetime(2026, 1, 5, 9, tzinfo=UTC)
NAME = 'it\'s \\ 100% "Bold"'


REFUSED = [
    ("snowflake", "Object 'D.LD.EVENTS' does not exist or not authorized.", "a table is missing"),
    ("snowflake", "SQL compilation error: Schema 'D.LD' does not exist or not authorized.", "a schema is missing"),
    ("snowflake", "invalid identifier 'RECEIVED_TIME'", "a column is missing"),
    ("gcpbigquery", "Not found: Table demo:ld.events was not found in location EU", "a table is missing"),
    ("google_cloud_platform", "Not found: Dataset demo:ld was not found", "a schema is missing"),
    ("databricks", "[TABLE_OR_VIEW_NOT_FOUND] The table or view `ld`.`events` cannot be found", "a table is"),
    ("databricks", "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column `x` cannot be resolved", "a column is missing"),
    ("trino", "line 1:15: Table 'hive.ld.events' does not exist", "a table is missing"),
    ("trino", "Access Denied: Cannot select from table ld.events", "a right is missing"),
]


def dialect_of(conn_type: str) -> str:
    return {"google_cloud_platform": "bigquery", "gcpbigquery": "bigquery"}.get(conn_type, conn_type)


class Asked(NamedTuple):
    """A query, in which ``<>`` is a placeholder, and what the warehouse refuses it with."""

    sql: str
    parameters: list[Any]
    fails: str | None = None


def questions(conn_type: str) -> dict[str, Asked]:
    """Everything that is asked of a warehouse: one process answers it all."""
    look = statement(dialect_of(conn_type))
    return {
        "values": Asked("SELECT <> AS a, <>, <>", [NAME, 1767603600000000, 0.5]),
        "look": Asked(look.sql, list(look.parameters)),
        "nothing": Asked("SELECT 1", []),
        "moment": Asked("SELECT <> AS at", [{"moment": MOMENT.isoformat()}]),
        **{said: Asked("SELECT <>", ["x"], said) for of, said, _ in REFUSED if of == conn_type},
    }


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, dict[str, Any]]]:
    """What each warehouse's provider made of the questions."""
    python = python_with("warehouses")

    @cache
    def ask(conn_type: str) -> dict[str, dict[str, Any]]:
        home = tmp_path_factory.mktemp(conn_type)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        done = subprocess.run(
            [python, REPOSITORY / "tests" / "contract" / "warehouse_drive.py", conn_type],
            env={**kept, "AIRFLOW_HOME": str(home), "PYTHONPATH": str(REPOSITORY / "src")},
            input=json.dumps([asked._asdict() for asked in questions(conn_type).values()]),
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[{")))
        return dict(zip(questions(conn_type), told, strict=True))

    return ask


def sent_of(told: dict[str, Any]) -> dict[str, Any]:
    """The statement as it went over the wire, beside which drivers send their own."""
    [sent] = [
        each.get("data", each)
        for each in told["wire"]
        if "SELECT" in json.dumps(each) and "'SELECT 1'" not in json.dumps(each)
    ]
    found: dict[str, Any] = sent
    return found


Answers = Callable[[str], dict[str, dict[str, Any]]]


@pytest.mark.parametrize("conn_type", WAREHOUSES)
def test_values_are_bound_and_rows_come_back(answers: Answers, conn_type: str) -> None:
    told = answers(conn_type)["values"]
    assert told.get("error") is None
    assert [name.lower() for name in told["columns"]] == ["metric", "treatment_id", "units", "sum"]
    assert told["rows"] == [["checkout-conversion", "id-bold", 1000, 12.5]]
    sent = sent_of(told)
    match conn_type:
        case "snowflake":
            # Its connector puts the values into the text itself, escaped.
            assert sent["sql"] == "SELECT 'it\\'s \\\\ 100% \"Bold\"' AS a, 1767603600000000, 0.5"
        case "databricks":
            assert sent["sql"] == "SELECT ? AS a, ?, ?"
            assert [value for _, value in sent["parameters"]] == [NAME, "1767603600000000", "0.5"]
            assert [kind for kind, _ in sent["parameters"]] == ["STRING", "BIGINT", "DOUBLE"]
            assert told["wire"][0]["session"] == {"ANSI_MODE": "true", "TIMEZONE": "UTC"}
        case "trino":
            assert sent["sql"] == (
                "EXECUTE IMMEDIATE 'SELECT ? AS a, ?, ?' USING 'it''s \\ 100% \"Bold\"',1767603600000000,DOUBLE '0.5'"
            )
        case _:
            assert sent["query"] == "SELECT ? AS a, ?, ?"
            assert sent["useLegacySql"] is False
            values = [each["parameterValue"]["value"] for each in sent["queryParameters"]]
            assert values == [NAME, "1767603600000000", 0.5]
            assert [each["parameterType"]["type"] for each in sent["queryParameters"]] == ["STRING", "INT64", "FLOAT64"]


@pytest.mark.parametrize("conn_type", WAREHOUSES)
def test_the_statement_of_a_look_reaches_the_warehouse_whole(answers: Answers, conn_type: str) -> None:
    told, dialect = answers(conn_type)["look"], dialect_of(conn_type)
    assert told.get("error") is None
    assert told["dialect"] == dialect
    sent = json.dumps(sent_of(told))
    assert "a%b?" in sent
    assert "a%%b" not in sent
    assert told["rows"]


@pytest.mark.parametrize("conn_type", WAREHOUSES)
def test_moments_and_queries_without_values(answers: Answers, conn_type: str) -> None:
    assert answers(conn_type)["nothing"].get("error") is None
    told = answers(conn_type)["moment"]
    assert told.get("error") is None
    assert "2026-01-05" in json.dumps(told["wire"])


@pytest.mark.parametrize(("conn_type", "said", "meaning"), REFUSED)
def test_what_the_warehouse_refuses_is_named_with_the_cure(
    answers: Answers, conn_type: str, said: str, meaning: str
) -> None:
    name, message = answers(conn_type)[said]["error"]
    assert name == "WarehouseError"
    assert f"connection 'warehouse': {meaning}" in message
    assert "Cure: " in message
