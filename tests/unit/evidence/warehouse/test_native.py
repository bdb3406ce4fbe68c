"""Evidence from LaunchDarkly's sums: what a unit without an event is worth, and units that contradict the arms."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly import Policy, WarehouseNativeResults
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.procedure import Response
from airflow_provider_launchdarkly.api.models import Metric
from airflow_provider_launchdarkly.decision.evidence import Evidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.evidence.warehouse.absence import StaleAnalysisError
from airflow_provider_launchdarkly.evidence.warehouse.native import WarehouseNativeSource
from support.look_contexts import METRIC, look_context

REVENUE = {"isNumeric": True, "unitAggregationType": "sum"}


def evidence(
    sums: dict[str, tuple[float, ...]],
    *,
    shares: tuple[int, ...] = (50, 50),
    metric: dict[str, Any] | None = None,
    first: datetime | None = None,
    version: str = "v1",
) -> Evidence:
    """Read the sums of each arm: units, units with an event, sum and sum of squares."""
    look = look_context(10)
    treatments = tuple(
        treatment.model_copy(update={"allocation_percent": share})
        for treatment, share in zip(look.iteration.treatments, shares, strict=True)
    )
    look = replace(look, iteration=look.iteration.model_copy(update={"treatments": treatments}))
    at = look.at - timedelta(hours=1)
    rows = [(version, arm, *numbers, at, at, first or at) for arm, numbers in sums.items()]
    results = WarehouseNativeResults(conn_id="warehouse", schema="x", arms={"id-classic": "Classic", "id-bold": "Bold"})
    procedure = WarehouseNativeSource(results, lambda _: rows)(look, Policy())
    found = Metric.model_validate({"key": METRIC, "_versionId": "v1", **(metric or {})})
    next(procedure)
    with pytest.raises(StopIteration) as ended:
        procedure.send(Response(found, look.at, 200))
    result: Evidence = ended.value.value
    return result


def means(found: Evidence) -> list[tuple[int, float | None]]:
    return [(measured.units, measured.mean) for measured in found.metric(METRIC).measurements]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ({}, [(1000, 0.1), (1000, 0.2)]),
        ({**REVENUE, "eventDefault": {"disabled": True}}, [(100, 1.0), (200, 1.0)]),
        ({**REVENUE, "eventDefault": {"disabled": False, "value": 0}}, [(1000, 0.1), (1000, 0.2)]),
        ({**REVENUE, "eventDefault": {"disabled": False, "value": 2}}, [(1000, 1.9), (1000, 1.8)]),
    ],
)
def test_units_without_an_event_count_as_the_metric_says(
    metric: dict[str, Any], expected: list[tuple[int, float]]
) -> None:
    found = evidence({"id-classic": (1000, 100, 100, 100), "id-bold": (1000, 200, 200, 200)}, metric=metric)
    assert means(found) == expected
    assert [treatment.exposed for treatment in found.treatments] == [1000, 1000]


def test_an_arm_without_events_has_nulls_for_sums() -> None:
    nothing: Any = (1000, 0, None, None)
    found = evidence({"id-classic": nothing, "id-bold": (1000, 200, 200, 200)})
    assert means(found) == [(1000, 0.0), (1000, 0.2)]


@pytest.mark.parametrize("days", [0, 1])
def test_a_treatment_that_no_analysis_has_may_be_half_written_within_grace(days: int) -> None:
    first = look_context(10).at - timedelta(days=days)
    with pytest.raises(
        StaleAnalysisError, match="has no sums of treatment Bold on metric version 'v1': it may be half"
    ):
        evidence({"id-classic": (1000, 100, 100, 100)}, first=first)


def test_a_treatment_that_no_analysis_has_after_grace_has_no_units() -> None:
    found = evidence({"id-classic": (1000, 100, 100, 100)}, first=look_context(10).at - timedelta(days=1, minutes=1))
    assert [treatment.exposed for treatment in found.treatments] == [1000, 0]
    assert decide(Policy.from_json({"primary": {"direction": "higher"}}), found).kind is Kind.INVALID


@pytest.mark.parametrize("days", [0, 1])
def test_a_metric_that_the_first_analyses_lack_is_waited_for_within_grace(days: int) -> None:
    first = look_context(10).at - timedelta(days=days)
    with pytest.raises(StaleAnalysisError, match="have v2: the first one may be half written"):
        evidence({"id-classic": (1000, 1, 1, 1), "id-bold": (1000, 1, 1, 1)}, first=first, version="v2")


def test_a_metric_that_analyses_lack_after_grace_is_an_error_that_names_it() -> None:
    first = look_context(10).at - timedelta(days=1, minutes=1)
    with pytest.raises(ConfigurationError, match=f"metric '{METRIC}' has version 'v1', and .* have v2: set metric_v"):
        evidence({"id-classic": (1000, 1, 1, 1), "id-bold": (1000, 1, 1, 1)}, first=first, version="v2")


def test_the_sums_say_which_units_have_no_event_and_when_the_last_one_was() -> None:
    found = evidence({"id-classic": (1000, 100, 100, 100), "id-bold": (1000, 200, 200, 200)}).coverage
    assert found is not None
    assert dict(found.without_events) == {METRIC: 1700}
    assert found.last_event == look_context(10).at - timedelta(hours=1)
    assert (found.crossovers, found.last_batch, found.lateness) == (None, None, None)


def test_a_treatment_that_nobody_is_allocated_to_may_be_missing() -> None:
    assert means(evidence({"id-classic": (1000, 100, 100, 100)}, shares=(100, 0))) == [(1000, 0.1), (0, None)]


def test_arms_that_fit_only_in_another_order_are_refused() -> None:
    with pytest.raises(ConfigurationError) as refused:
        evidence({"id-classic": (1000, 1, 1, 1), "id-bold": (9000, 9, 9, 9)}, shares=(90, 10))
    assert "results.arms does not fit the units: Classic with 90 % has 1000 units, Bold with 10 % has 9000" in str(
        refused.value
    )


def test_a_split_that_no_order_explains_is_left_to_the_test_of_the_split() -> None:
    found = evidence({"id-classic": (6000, 1, 1, 1), "id-bold": (4000, 9, 9, 9)}, shares=(90, 10))
    assert [treatment.exposed for treatment in found.treatments] == [6000, 4000]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ({"denominator": {"eventName": "order"}}, "is a ratio, and the table of sums has no products"),
        ({"analysisType": "percentile", "percentileValue": 95}, "is analysed by percentile 95"),
    ],
)
def test_what_sums_do_not_give_is_refused(metric: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        evidence({"id-classic": (1000, 1, 1, 1)}, metric=metric)
