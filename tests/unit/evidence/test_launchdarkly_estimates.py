"""LaunchDarkly's estimates: the adjusted one where it is given and fits, else the data's own."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import UnexpectedResponseError
from airflow_provider_launchdarkly.api.models import Metric, TreatmentResult
from airflow_provider_launchdarkly.evidence.launchdarkly_estimates import check_rates, estimates

UNITS, PRIOR = 999, 50.0
ADJUSTED = {
    "treatmentId": "a",
    "units": UNITS,
    "dataMean": 41.0,
    "dataStdDev": 10.0,
    "varianceReduction": 0.36,
    # The posterior of an adjusted mean of 40 and an adjusted deviation of 8, with the prior worth one unit.
    "distribution": {"kind": "normal", "parameters": {"mu": 0.999 * 40 + 0.001 * PRIOR, "sigma": 8 / 1000**0.5}},
    "bayesianNormal": {"dataWeight": 0.999, "priorMean": PRIOR},
}


def found(*changes: dict[str, Any]) -> tuple[list[tuple[Any, Any]], str | None]:
    results = [TreatmentResult.model_validate({**ADJUSTED, **change}) for change in changes]
    read = estimates("revenue", results)
    return [(measured.mean, measured.std_dev) for measured in read.measurements], read.caution


def test_the_adjusted_estimate_is_what_the_posterior_holds_without_its_prior() -> None:
    (measured,), caution = found({})
    assert measured == (pytest.approx(40.0), pytest.approx(8.0))
    assert caution is not None
    assert "CUPED-adjusted estimate was judged on revenue: its covariate removes 36 %" in caution


def test_without_the_models_parameters_the_prior_stays_in() -> None:
    (measured,), _ = found({"bayesianNormal": None})
    assert measured == (pytest.approx(40.01), pytest.approx(8.0, rel=1e-3))


@pytest.mark.parametrize(
    "change",
    [
        {"distribution": None},
        {"distribution": {"kind": "beta", "parameters": {"alpha": 2.0, "beta": 3.0}}},
        {"distribution": {"kind": "normal", "parameters": {"mu": 41.0, "sigma": 10 / 1000**0.5}}},
        {"bayesianNormal": {"dataWeight": 0.0, "priorMean": PRIOR}},
        {"dataStdDev": 12.0},
    ],
)
def test_a_posterior_that_is_not_the_adjusted_one_is_not_used_for_any_treatment(change: dict[str, Any]) -> None:
    measured, caution = found({}, {**change, "treatmentId": "b"})
    assert measured == [(41.0, 10.0), (41.0, change.get("dataStdDev", 10.0))]
    assert caution == (
        "LaunchDarkly adjusts revenue by CUPED, but gives no adjusted estimate: the unadjusted one was judged"
    )


@pytest.mark.parametrize("reduction", [None, 0.0])
def test_without_a_reduction_the_data_are_judged_and_nothing_is_said(reduction: float | None) -> None:
    assert found({"varianceReduction": reduction}) == ([(41.0, 10.0)], None)


def test_a_treatment_without_units_needs_no_adjustment() -> None:
    measured, caution = found({}, {"treatmentId": "b", "units": 0, "varianceReduction": None})
    assert measured == [(pytest.approx(40.0), pytest.approx(8.0)), (None, None)]
    assert caution is not None


@pytest.mark.parametrize(
    ("fields", "mean", "refused"),
    [
        ({}, 1.2, True),
        ({}, -0.1, True),
        ({}, 1.0, False),
        ({"unitAggregationType": "sum"}, 1.2, False),
        ({"unitAggregationType": "sum"}, -0.1, True),
        ({"isNumeric": True}, -7.0, False),
    ],
)
def test_a_mean_that_a_metric_of_occurrences_cannot_have_is_an_error(
    fields: dict[str, Any], mean: float, refused: bool
) -> None:
    metric = Metric.model_validate({"key": "clicks", **fields})
    results = [TreatmentResult.model_validate({"treatmentName": "Bold", "dataMean": mean})]
    if not refused:
        check_rates(metric, results)
        return
    with pytest.raises(
        UnexpectedResponseError, match=f"'clicks' have a mean of {mean:g} for treatment 'Bold', but it counts"
    ):
        check_rates(metric, results)
