"""Evidence that cannot be true is refused, naming the metric and the treatment."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from airflow_provider_launchdarkly.decision.evidence import (
    Evidence,
    EvidenceError,
    Measurement,
    MetricEvidence,
    TreatmentEvidence,
    check,
)

CONTROL = TreatmentEvidence("a", "Control", baseline=True)
BOLD = TreatmentEvidence("b", "Bold")
METRIC = MetricEvidence("clicks", (Measurement("a", 10, 0.1, 0.3), Measurement("b", 10, 0.2, 0.4)))


@pytest.mark.parametrize(
    ("measurement", "message"),
    [
        (Measurement("b", -1, 0.1, 0.3), "metric clicks, treatment b: -1 units"),
        (Measurement("b", 10, math.nan, 0.3), "metric clicks, treatment b: mean is nan"),
        (Measurement("b", 10, 0.1, math.inf), "metric clicks, treatment b: std_dev is inf"),
        (Measurement("b", 10, 0.1, 1e200), r"metric clicks, treatment b: std_dev is 1e\+200, beyond 1e\+100; give"),
        (Measurement("b", 10, -1e200, 0.3), r"metric clicks, treatment b: mean is -1e\+200, beyond 1e\+100; give"),
        (Measurement("b", 10, 0.1, -0.3), "metric clicks, treatment b: std_dev is -0.3"),
        (Measurement("b", 10, 0.1, 0.3, p_best=math.nan), "metric clicks, treatment b: p_best is nan"),
    ],
)
def test_impossible_measurements(measurement: Measurement, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        check(Evidence(timedelta(days=1), (CONTROL, BOLD), (MetricEvidence("clicks", (measurement,)),)))


@pytest.mark.parametrize("share", [-1.0, math.nan, math.inf])
def test_impossible_shares(share: float) -> None:
    with pytest.raises(EvidenceError, match="treatment Bold: share"):
        check(Evidence(timedelta(days=1), (CONTROL, BOLD._replace(share=share)), (METRIC,)))


def test_shares_that_are_all_0_are_no_allocation() -> None:
    treatments = (CONTROL._replace(share=0.0), BOLD._replace(share=0.0))
    with pytest.raises(
        EvidenceError, match="the shares of Control, Bold are all 0, so the split cannot be tested; give"
    ):
        check(Evidence(timedelta(days=1), treatments, (METRIC,)))


def test_a_treatment_that_gets_no_units_may_have_share_0() -> None:
    check(Evidence(timedelta(days=1), (CONTROL._replace(share=1.0), BOLD._replace(share=0.0)), (METRIC,)))


def test_impossible_exposures() -> None:
    with pytest.raises(EvidenceError, match="treatment Bold: -5 exposed units"):
        check(Evidence(timedelta(days=1), (CONTROL, BOLD._replace(exposed=-5)), (METRIC,)))


@pytest.mark.parametrize("treatments", [(CONTROL,), (BOLD, TreatmentEvidence("c", "C")), ()])
def test_one_baseline_and_another_treatment_are_needed(treatments: tuple[TreatmentEvidence, ...]) -> None:
    with pytest.raises(EvidenceError, match="give exactly one baseline and at least one other"):
        check(Evidence(timedelta(days=1), treatments, (METRIC,)))


def test_treatments_are_told_apart_by_id() -> None:
    with pytest.raises(EvidenceError, match="are not distinct"):
        check(Evidence(timedelta(days=1), (CONTROL, TreatmentEvidence("a", "Bold")), (METRIC,)))


def test_metrics_are_told_apart_by_key() -> None:
    with pytest.raises(EvidenceError, match="are not distinct"):
        check(Evidence(timedelta(days=1), (CONTROL, BOLD), (METRIC, METRIC)))


def test_a_metric_that_was_not_measured_is_named_beside_those_that_were() -> None:
    with pytest.raises(EvidenceError, match="judges metric 'sales', but the evidence has clicks"):
        Evidence(timedelta(days=1), (CONTROL, BOLD), (METRIC,)).metric("sales")


def test_a_measurement_without_units_counts_as_none() -> None:
    metric = MetricEvidence("clicks", (Measurement("a", 0, 0.0, 0.0), Measurement("b", 10, None, None)))
    assert metric.of("a") is metric.of("b") is metric.of("c") is None
