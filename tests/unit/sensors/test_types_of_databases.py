"""Results in the column types that databases really have: the sensor reads them from SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Missing, MissingAction
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.sql_rows import SqlResultsError
from support.failing import fails_at_once
from support.warehouse import Warehouse, backends
from unit.sensors.conftest import Underway

METRIC = "'checkout-conversion'"
Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def judge(underway: Underway, warehouse: Warehouse) -> Judge:
    """Judge, on the plan's last day, 8,400 units a treatment by the columns that a test writes for each."""
    underway.emulator.clock.advance("P28D")

    def run(*columns: str, metric: str = METRIC, treatment_id: str = "{}") -> dict[str, Any]:
        sql = _query(columns, metric, treatment_id)
        verdict: dict[str, Any] = underway.sensor(results=SqlResults("warehouse", sql)).execute({})
        return verdict

    return run


def _query(columns: Sequence[str], metric: str = METRIC, treatment_id: str = "{}") -> str:
    return " UNION ALL ".join(
        f"SELECT {metric} AS metric, {treatment_id.format(f'{{{{ treatments[{number}].id }}}}')} AS treatment_id, "
        f"8400 AS units, {row}"
        for number, row in enumerate(columns)
    )


BETTER = ("840 AS conversions", "1200 AS conversions")


@pytest.mark.parametrize("metric", [METRIC, "'CHECKOUT-CONVERSION'", "'checkout-conversion   '"])
@pytest.mark.parametrize("treatment_id", ["{}", "UPPER({})", "LOWER({})", "{} || '   '"])
def test_ids_and_keys_in_another_case_and_with_blanks_match(judge: Judge, metric: str, treatment_id: str) -> None:
    assert judge(*BETTER, metric=metric, treatment_id=treatment_id)["verdict"] == "ship"


on_postgres = pytest.mark.parametrize("database", backends()[1:])


@on_postgres
@pytest.mark.parametrize(
    "treatment_id",
    ["CAST({} AS uuid)", "CAST({} AS char(60))", "CAST({} AS bytea)", "uuid_send(CAST({} AS uuid))"],
)
def test_postgresql_s_types_of_ids_match(judge: Judge, treatment_id: str) -> None:
    assert judge(*BETTER, metric=f"CAST({METRIC} AS char(40))", treatment_id=treatment_id)["verdict"] == "ship"


@on_postgres
def test_a_column_of_uuids_is_joined_with_bound_ids(underway: Underway, warehouse: Warehouse) -> None:
    warehouse.fill(underway.iteration_id, underway.emulator.clock.now(), {"Classic": 0.10, "Bold": 0.14})
    for name, treatment_id in underway.treatments.items():
        warehouse.execute("UPDATE exposures SET treatment_id = %s WHERE treatment_id = %s", [(treatment_id, name)])
    warehouse.execute("ALTER TABLE exposures ALTER treatment_id TYPE uuid USING treatment_id::uuid")
    underway.emulator.clock.advance("P28D")
    assert underway.sensor(results=SqlResults("warehouse", warehouse.query)).execute({})["verdict"] == "ship"


# 8,400 units with a mean of 1e9, half of them 10 below it and half 10 above; and the same with a mean of 1 more.
LARGE = [
    f"{mean * 8400} AS sum, CAST('{8400 * (mean * mean + 100)}' AS NUMERIC) AS sum_squares"
    for mean in (10**9, 10**9 + 1)
]


@on_postgres
def test_the_variance_of_large_exact_sums_decides(judge: Judge) -> None:
    comparison = judge(*LARGE)["metrics"][0]["comparisons"][0]
    assert comparison["standard_error"] == pytest.approx(10 * (2 / 8400) ** 0.5, rel=0.01)
    assert comparison["z"] == pytest.approx(6.48, abs=0.05)


def test_large_sums_of_floats_are_refused_with_the_cure(judge: Judge) -> None:
    floats = [row.replace("NUMERIC", "DOUBLE PRECISION") for row in LARGE]
    with fails_at_once(
        SqlResultsError, match=r"column 'sum_squares': .* sum values of a DECIMAL .* or return mean and"
    ):
        judge(*floats)


NOTHING = "SUM(value) AS sum, SUM(value * value) AS sum_squares FROM (SELECT 1 AS value) AS nobody WHERE value > 1"
SOMETHING = "900 AS sum, 2700 AS sum_squares"


@pytest.mark.parametrize("columns", [(NOTHING, NOTHING), (NOTHING, SOMETHING), (SOMETHING, NOTHING)])
def test_a_sum_over_nobody_is_waited_for(underway: Underway, warehouse: Warehouse, columns: tuple[str, str]) -> None:
    underway.emulator.clock.advance("P20D")
    policy = Policy(missing=Missing(action=MissingAction.HOLD))
    task = underway.sensor(results=SqlResults("warehouse", _query(columns)), policy=policy, deferrable=False)
    assert not task.poke({}).is_done
    underway.emulator.clock.advance("P8D")
    verdict = task.poke({}).xcom_value
    assert verdict is not None
    assert (verdict["verdict"], verdict["reason"]) == ("invalid", "no_traffic")


@pytest.mark.parametrize(
    "latest",
    [
        "{}",
        "CAST({} AS BIGINT) * 1000",
        "CAST({} AS VARCHAR(20))",
        "'2025-01-20 09:00:00.000 +0000'",
        "'2025-01-20 09:00:00 UTC'",
    ],
)
def test_the_latest_event_in_any_form_holds_a_verdict_on_old_counts(judge: Judge, latest: str) -> None:
    """The latest event is as old as the experiment: nothing is decided on its counts."""
    columns = [f"{row}, {latest.format('{{ iteration_started_at.epoch }}')} AS latest_event_at" for row in BETTER]
    assert judge(*columns)["reason"] == "stale_results"
