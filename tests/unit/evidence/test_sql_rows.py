"""How a query's rows become evidence, and which rows are refused, by metric, treatment and column."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.evidence import Evidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction, Guardrail, Primary
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
from airflow_provider_launchdarkly.evidence.sql_rows import SqlResultsError, evidence_from_rows, evidence_from_sql
from support.look_contexts import METRIC, STARTED_AT, look_context

BOTH = CLASSIC, BOLD = "id-classic", "id-bold"
Row = dict[str, Any]


def conversions(treatment: str, units: Any = 1000, converted: Any = 100, **more: Any) -> Row:
    return {"metric": METRIC, "treatment_id": treatment, "units": units, "conversions": converted, **more}


def evidence(*rows: Row, policy: Policy | None = None, days: float = 10) -> Evidence:
    policy = policy or Policy()
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["metric", "treatment_id", "units"]
    keys = [policy.primary.metric or METRIC, *(guardrail.metric for guardrail in policy.guardrails)]
    values = [[row.get(name) for name in names] for row in rows]
    return evidence_from_rows(look_context(days), policy, names, values, dict.fromkeys(keys, Direction.HIGHER))


def measured(found: Evidence, treatment: str, metric: str = METRIC) -> tuple[int, float | None, float | None]:
    measurement = next(part for part in found.metric(metric).measurements if part.treatment_id == treatment)
    return measurement.units, measurement.mean, measurement.std_dev


def test_units_and_conversions() -> None:
    found = evidence(conversions(CLASSIC), conversions(BOLD, 1010, 120))
    assert measured(found, CLASSIC) == pytest.approx((1000, 0.1, 0.3), rel=1e-3)
    assert measured(found, BOLD) == pytest.approx((1010, 120 / 1010, 0.3236), rel=1e-3)


def test_units_mean_and_variance() -> None:
    row = {"metric": METRIC, "units": 50, "mean": 12.5, "variance": 4.0}
    found = evidence({**row, "treatment_id": CLASSIC}, {**row, "treatment_id": BOLD})
    assert measured(found, BOLD) == pytest.approx((50, 12.5, 2.0))


def test_units_sum_and_sum_of_squares() -> None:
    row = {"metric": METRIC, "units": 3, "sum": Decimal("6.0"), "sum_squares": Decimal("14.0")}
    found = evidence({**row, "treatment_id": CLASSIC}, {**row, "treatment_id": BOLD})
    assert measured(found, CLASSIC) == pytest.approx((3, 2.0, 1.0))


def test_metrics_of_different_forms_may_share_a_result() -> None:
    policy = Policy(guardrails=(Guardrail(metric="page-load-ms"),))
    load = {"metric": "page-load-ms", "units": 10, "mean": 800.0, "variance": 100.0}
    found = evidence(
        conversions(CLASSIC),
        conversions(BOLD),
        {**load, "treatment_id": CLASSIC},
        {**load, "treatment_id": BOLD},
        policy=policy,
    )
    assert measured(found, BOLD, "page-load-ms") == pytest.approx((10, 800.0, 10.0))


def test_a_covariate_adjusts_means_and_deviations() -> None:
    # Bold's units were better by 1 before already, and all that differs is explained by that.
    left = {"sum": 60.0, "sum_squares": 1400.0, "covariate_sum": 6.0, "covariate_sum_squares": 14.0}
    right = {"sum": 90.0, "sum_squares": 2900.0, "covariate_sum": 9.0, "covariate_sum_squares": 29.0}
    rows = [
        {"metric": METRIC, "treatment_id": CLASSIC, "units": 3, **left, "covariate_product": 140.0},
        {"metric": METRIC, "treatment_id": BOLD, "units": 3, **right, "covariate_product": 290.0},
    ]
    found = evidence(*rows)
    assert measured(found, CLASSIC) == pytest.approx((3, 25.0, 0.0))
    assert measured(found, BOLD) == pytest.approx((3, 25.0, 0.0))


def test_a_ratio_metric_goes_by_the_delta_method() -> None:
    row = {"metric": METRIC, "units": 3, "sum": 9.0, "sum_squares": 41.0}
    row |= {"denominator_sum": 45.0, "denominator_sum_squares": 725.0, "denominator_product": 140.0}
    found = evidence({**row, "treatment_id": CLASSIC}, {**row, "treatment_id": BOLD})
    # numerators 1, 2, 6 over denominators 10, 20, 15: residuals -1, -2, 3, over a mean denominator of 15
    assert measured(found, BOLD) == pytest.approx((3, 0.2, (14 / 2) ** 0.5 / 15))


def test_column_names_are_taken_in_any_case() -> None:
    rows = [[METRIC, CLASSIC, 10, 1], [METRIC, BOLD, 10, 2]]
    columns = ["METRIC", "TREATMENT_ID", "UNITS", "CONVERSIONS"]
    found = evidence_from_rows(look_context(), Policy(), columns, rows, {METRIC: Direction.HIGHER})
    assert measured(found, BOLD)[:2] == (10, 0.2)


def test_exposed_units_are_what_the_split_is_tested_on() -> None:
    found = evidence(conversions(CLASSIC, exposed=1500), conversions(BOLD, exposed=1400))
    assert [treatment.exposed for treatment in found.treatments] == [1500, 1400]


LOAD = Policy(guardrails=(Guardrail(metric="page-load-ms"),))


def loads(units: int, **more: Any) -> list[Row]:
    row = {"metric": "page-load-ms", "units": units, "mean": 800.0, "variance": 100.0, **more}
    return [{**row, "treatment_id": treatment} for treatment in BOTH]


@pytest.mark.parametrize(
    ("primary", "load", "exposed"),
    [
        ({}, [], 1000),
        ({}, loads(800), 1000),
        ({}, loads(1200), 1200),
        ({}, loads(800, exposed=1300), 1300),
        ({"exposed": 1250}, loads(1200), 1250),
    ],
)
def test_without_exposed_units_the_most_units_of_any_metric_stand_in(
    primary: Row, load: list[Row], exposed: int
) -> None:
    rows = [conversions(CLASSIC, **primary), conversions(BOLD, **primary), *load]
    found = evidence(*rows, policy=LOAD if load else None)
    assert [treatment.exposed for treatment in found.treatments] == [exposed, exposed]


def test_a_metric_with_more_units_than_were_exposed_is_refused_with_both_numbers() -> None:
    told = "metric 'page-load-ms', treatment 'id-classic', column 'units': 1200 units, but only 1000 exposed"
    with pytest.raises(SqlResultsError, match=told):
        evidence(conversions(CLASSIC, exposed=1000), conversions(BOLD, exposed=1000), *loads(1200), policy=LOAD)


def test_without_maturity_the_card_says_that_young_units_were_judged_too() -> None:
    rows = conversions(CLASSIC), conversions(BOLD)
    (caution,) = evidence(*rows).cautions
    assert caution.startswith("only what had happened by the look was judged, unless the query leaves young units out")
    assert evidence(*rows, policy=Policy(maturity=timedelta(days=7))).cautions == ()


def test_a_treatment_without_a_row_has_no_units() -> None:
    assert measured(evidence(conversions(CLASSIC)), BOLD) == (0, None, None)


def test_a_row_of_zero_units_needs_no_other_numbers() -> None:
    assert measured(evidence(conversions(CLASSIC), conversions(BOLD, 0, None)), BOLD) == (0, None, None)


def test_no_rows_at_all_are_no_data_and_no_error() -> None:
    assert decide(Policy(), evidence()).kind is Kind.WAIT


def test_the_evidence_is_bound_to_the_iteration_s_start() -> None:
    found = evidence(conversions(CLASSIC), conversions(BOLD), days=3)
    assert (found.started_at, found.elapsed) == (STARTED_AT, timedelta(days=3))


@pytest.mark.parametrize(
    "latest",
    [
        datetime(2026, 1, 12, 9, tzinfo=UTC),
        datetime(2026, 1, 12, 9),  # noqa: DTZ001 - warehouses return UTC without saying so
        "2026-01-12T09:00:00+00:00",
        "2026-01-12 09:00:00",
        datetime(2026, 1, 12, 9, tzinfo=UTC).timestamp(),
    ],
)
def test_the_latest_event_tells_how_long_the_counts_have_stood_still(latest: object) -> None:
    found = evidence(conversions(CLASSIC, latest_event_at=latest), conversions(BOLD, latest_event_at=None))
    assert found.unchanged_for == timedelta(days=3)


def test_without_a_latest_event_staleness_is_unknown() -> None:
    assert evidence(conversions(CLASSIC), conversions(BOLD)).unchanged_for is None


def test_an_event_from_before_the_start_is_as_old_as_the_iteration() -> None:
    early = STARTED_AT - timedelta(days=30)
    assert evidence(conversions(CLASSIC, latest_event_at=early)).unchanged_for == timedelta(days=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treatment_id": "id-other"}, "treatment 'id-other', column 'treatment_id': iteration it-1 has no such"),
        ({"treatment_id": None}, "column 'treatment_id'"),
        ({"metric": None}, "column 'metric': None is no key; return text"),
        ({"units": -5}, "column 'units': -5 is no count"),
        ({"units": 10.5}, "column 'units': 10.5 is no count"),
        ({"units": None}, "column 'units': there is no value"),
        ({"units": "1,000"}, "column 'units': '1,000' is no number"),
        ({"units": True}, "column 'units': True is no number"),
        ({"units": float("nan")}, "column 'units': nan is not finite"),
        ({"conversions": -1}, "column 'conversions': -1 is no count"),
        ({"conversions": 1001}, "column 'conversions': 1001 of 1000 units"),
        ({"mean": 0.1, "variance": 0.1}, "column 'mean': the row has numbers in more than one form"),
        ({"exposed": 900}, "column 'units': 1000 units, but only 900 exposed"),
        ({"latest_event_at": "yesterday"}, "column 'latest_event_at': 'yesterday' is no ISO 8601 time"),
        ({"latest_event_at": b"x"}, "column 'latest_event_at': b'x' is no time"),
    ],
)
def test_a_row_that_cannot_be_true_is_refused(change: Row, message: str) -> None:
    with pytest.raises(SqlResultsError) as raised:
        evidence(conversions(CLASSIC), {**conversions(BOLD), **change})
    assert message in str(raised.value)
    assert "metric " in str(raised.value)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"mean": 1.0}, "column 'variance': there is no value: fewer than two of the 10 units have one. AVG and VAR_"),
        (
            {"sum": 1e10, "sum_squares": 1e19},
            "column 'sum_squares': 1e+19: the variance of 10 values with sum 1e+10 is",
        ),
        ({"sum": None, "sum_squares": 14.0}, "column 'sum': there is no value"),
        ({"sum": 14.0, "sum_squares": None}, "column 'sum_squares': there is no value"),
        ({"mean": 1.0, "variance": -1.0}, "column 'variance': -1 is negative"),
        ({"sum": 20.0, "sum_squares": 39.0}, "column 'sum_squares': 39: 10 values with sum 20 have squares of 40"),
        ({"sum": 20.0, "sum_squares": 60.0, "covariate_sum": 1.0}, "column 'covariate_sum_squares': there is no value"),
        (
            {"sum": 9.0, "sum_squares": 41.0}
            | {"denominator_sum": 0.0, "denominator_sum_squares": 0.0, "denominator_product": 0.0},
            "column 'denominator_sum': the denominator is 0",
        ),
        (
            {"sum": 9.0, "sum_squares": 41.0, "covariate_sum": 1.0, "denominator_sum": 1.0},
            "a ratio metric takes no covariate",
        ),
    ],
)
def test_numbers_that_cannot_be_true_are_refused(numbers: Row, message: str) -> None:
    with pytest.raises(SqlResultsError) as raised:
        evidence({"metric": METRIC, "treatment_id": BOLD, "units": 10, **numbers})
    assert f"metric {METRIC!r}, treatment {BOLD!r}" in str(raised.value)
    assert message in str(raised.value)


def test_a_result_without_any_column_of_numbers_is_refused() -> None:
    with pytest.raises(
        SqlResultsError, match=r"the row has no numbers; it takes conversions; or mean and variance; or"
    ):
        evidence({"metric": METRIC, "treatment_id": BOLD, "units": 10})


def test_an_unknown_treatment_is_told_which_there_are() -> None:
    with pytest.raises(SqlResultsError, match=r"it has id-classic \(Classic\), id-bold \(Bold\)"):
        evidence(conversions("Bold"))


def test_two_rows_for_one_metric_and_treatment_are_refused() -> None:
    with pytest.raises(SqlResultsError, match=f"metric '{METRIC}', treatment '{BOLD}': the query returned two rows"):
        evidence(conversions(BOLD), conversions(CLASSIC), conversions(BOLD))


@pytest.mark.parametrize("same", [BOLD.upper(), f"{BOLD}   ", BOLD.encode()])
def test_two_rows_for_one_treatment_are_found_however_its_id_is_written(same: object) -> None:
    with pytest.raises(SqlResultsError, match="the query returned two rows; group by the treatment alone"):
        evidence(conversions(BOLD), {**conversions(BOLD), "treatment_id": same}, conversions(CLASSIC))


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(SqlResultsError) as raised:
        evidence({**conversions(BOLD), "units": "x" * 10_000})
    assert len(str(raised.value)) < 300


def test_a_metric_of_the_policy_without_any_row_is_an_error_while_others_have_some() -> None:
    policy = Policy(guardrails=(Guardrail(metric="page-load-ms"),))
    with pytest.raises(SqlResultsError, match=f"metric 'page-load-ms': the query returned no row; it has {METRIC}"):
        evidence(conversions(CLASSIC), conversions(BOLD), policy=policy)


def test_a_metric_that_the_policy_does_not_judge_is_passed_over() -> None:
    extra = {**conversions(CLASSIC), "metric": "something-else"}
    assert len(evidence(conversions(CLASSIC), conversions(BOLD), extra).metrics) == 1


def test_a_covariate_in_one_treatment_alone_is_refused() -> None:
    covariate = {"covariate_sum": 10.0, "covariate_sum_squares": 20.0, "covariate_product": 1.0}
    with pytest.raises(SqlResultsError, match=r"some treatments have a covariate .* COALESCE"):
        evidence(conversions(CLASSIC), conversions(BOLD, **covariate))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["metric", "units", "conversions"], "column 'treatment_id' is missing; the query returned metric, units"),
        (["metric", "treatment_id", "units", "sum_square"], "column 'sum_square' is not known; there are metric"),
        (["metric", "treatment_id", "units", "units"], "column 'units' is returned twice"),
    ],
)
def test_columns_are_checked_even_when_there_are_no_rows(columns: list[str], message: str) -> None:
    with pytest.raises(SqlResultsError, match=message):
        evidence_from_rows(look_context(), Policy(), columns, [], {METRIC: Direction.HIGHER})


def test_a_direction_that_the_policy_sets_is_not_asked_for() -> None:
    policy = Policy(primary=Primary(metric="only-in-the-warehouse", direction=Direction.HIGHER))
    rows = [["only-in-the-warehouse", CLASSIC, 10, 1], ["only-in-the-warehouse", BOLD, 10, 2]]
    columns = ["metric", "treatment_id", "units", "conversions"]
    procedure = evidence_from_sql(look_context(), policy, lambda _: (columns, rows))
    with pytest.raises(StopIteration) as finished:
        next(procedure)
    assert finished.value.value.primary_metric == "only-in-the-warehouse"


@pytest.mark.parametrize("scale", [1, Decimal("0.01"), Decimal("1e-9")])
def test_exact_sums_of_large_numbers_keep_their_variance(scale: Any) -> None:
    """A mean of 1e9 with a deviation of 10, as bigint and as DECIMAL: 1,000 units below and 1,000 above."""
    low, high = (10**9 - 10) * scale, (10**9 + 10) * scale
    sums = {"metric": METRIC, "units": 2000, "sum": 1000 * (low + high)}
    with localcontext(prec=60):
        sums["sum_squares"] = 1000 * (low * low + high * high)
    found = evidence({**sums, "treatment_id": CLASSIC}, {**sums, "treatment_id": BOLD})
    assert measured(found, BOLD)[2] == pytest.approx(float(10 * scale) * (2000 / 1999) ** 0.5)


def test_numbers_may_come_as_text() -> None:
    row = {"metric": METRIC, "units": "3", "sum": "6.0", "sum_squares": "14.0"}
    found = evidence({**row, "treatment_id": CLASSIC}, {**row, "treatment_id": BOLD})
    units, mean, std_dev = measured(found, BOLD)
    assert (units, mean) == (3, 2.0)
    assert std_dev == pytest.approx(1.0)


def test_ids_and_metrics_in_another_case_and_with_blanks_are_found() -> None:
    rows = [conversions(treatment.upper() + "   ") for treatment in (CLASSIC, BOLD)]
    found = evidence(*({**row, "metric": METRIC.upper() + " "} for row in rows))
    assert measured(found, BOLD)[:2] == (1000, 0.1)


NULLS = {"conversions": None, "mean": None, "variance": None, "sum": None, "sum_squares": None}
REVENUE: Row = {"metric": METRIC, "units": 5000, "sum": Decimal(900), "sum_squares": Decimal(2700)}


@pytest.mark.parametrize("without", [(CLASSIC,), (BOLD,), (CLASSIC, BOLD)])
def test_a_metric_that_nobody_has_in_a_treatment_yet_is_waited_for(without: tuple[str, ...]) -> None:
    """It neither ships nor rolls back: a treatment whose sum is NULL is not taken for one of zeros."""
    rows = [{**REVENUE, **(NULLS if treatment in without else {}), "treatment_id": treatment} for treatment in BOTH]
    verdict = decide(Policy(), evidence(*rows, days=20))
    assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)
    assert f"{METRIC} has no data for {'Classic' if CLASSIC in without else 'Bold'}: wait" in verdict.summary


def test_a_guardrail_that_nobody_has_yet_is_waited_for_and_the_others_are_judged() -> None:
    policy = Policy(guardrails=(Guardrail(metric="refunds"),))
    refunds = {"metric": "refunds", "units": 5000, **NULLS}
    rows = [{**refunds, "treatment_id": treatment} for treatment in BOTH]
    better = [conversions(CLASSIC, 5000, 500), conversions(BOLD, 5000, 900)]
    verdict = decide(policy, evidence(*better, *rows, policy=policy, days=20))
    assert decide(Policy(), evidence(*better, days=20)).kind is Kind.SHIP
    assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)
    assert "refunds has no data for Classic" in verdict.summary
    worse = [conversions(CLASSIC, 5000, 900), conversions(BOLD, 5000, 500)]
    assert decide(policy, evidence(*worse, *rows, policy=policy, days=20)).kind is Kind.ROLLBACK


def test_units_without_the_metric_still_count_as_exposed() -> None:
    rows = [{**REVENUE, **NULLS, "treatment_id": CLASSIC}, {**REVENUE, "units": 4000, "treatment_id": BOLD}]
    found = evidence(*rows)
    assert [treatment.exposed for treatment in found.treatments] == [5000, 4000]
    assert measured(found, CLASSIC) == (0, None, None)


NO_VIEWS = {"denominator_sum": 0, "denominator_sum_squares": 0, "denominator_product": 0}
VIEWS = {"denominator_sum": 10000, "denominator_sum_squares": 30000, "denominator_product": 2000}


@pytest.mark.parametrize(
    "nothing",
    [
        {"sum": 0, "sum_squares": 0, **NO_VIEWS},
        {"sum": 0, "sum_squares": 0, **dict.fromkeys(NO_VIEWS)},
        {"sum": None, "sum_squares": None, **dict.fromkeys(NO_VIEWS)},
        {"sum": None, "sum_squares": None, **NO_VIEWS},
        {"sum": None, "sum_squares": None, **VIEWS},
    ],
)
def test_a_ratio_that_nobody_has_yet_is_waited_for(nothing: Row) -> None:
    for rows in ((nothing, VIEWS), (VIEWS, nothing), (nothing, nothing)):
        named = [{**REVENUE, **row, "treatment_id": treatment} for row, treatment in zip(rows, BOTH, strict=True)]
        verdict = decide(Policy(), evidence(*named, days=20))
        assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)


def test_a_variance_that_a_database_calls_nan_for_one_unit_is_not_read() -> None:
    row = {"metric": METRIC, "units": 1, "mean": 2.0, "variance": float("nan")}
    assert measured(evidence({**row, "treatment_id": BOLD}), BOLD) == (1, 2.0, None)


@pytest.mark.parametrize("value", [{}, {"conn_id": "w"}, {"conn_id": "w", "sql": " "}, {"conn_id": 1, "sql": "x"}])
def test_a_description_that_is_not_whole_is_refused(value: Row) -> None:
    with pytest.raises(ValueError, match="results: "):
        SqlResults.from_json(value)


def test_an_unknown_field_of_the_description_is_refused() -> None:
    with pytest.raises(ValueError, match="no such field: 'query'"):
        SqlResults.from_json({"conn_id": "w", "query": "SELECT 1"})


def test_a_description_survives_json() -> None:
    results = SqlResults("warehouse", "SELECT 1")
    assert SqlResults.from_json(results.to_json()) == results
