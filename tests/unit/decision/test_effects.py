"""Differences, their errors, and relative lifts with intervals that agree with the test."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.effects import Effect, effect, probabilities_to_be_best
from airflow_provider_launchdarkly.decision.evidence import EvidenceError, Measurement
from airflow_provider_launchdarkly.decision.policy import Direction


def measured(mean: float, std_dev: float = 1.0, units: int = 100) -> Measurement:
    return Measurement("any", units, mean, std_dev)


def compare(treatment: Measurement, baseline: Measurement, direction: Direction = Direction.HIGHER) -> Effect:
    return effect(treatment, baseline, direction)


def test_the_standard_error_is_unpooled() -> None:
    found = compare(measured(0.12, 3.0, 100), measured(0.10, 4.0, 400))
    assert found.standard_error == pytest.approx(math.sqrt(9 / 100 + 16 / 400))
    assert found.z() == pytest.approx(0.02 / found.standard_error)


def test_z_is_positive_for_better_whatever_better_is() -> None:
    slower = compare(measured(110.0, 20.0), measured(100.0, 20.0), Direction.LOWER)
    assert slower.z() == pytest.approx(-10.0 / math.sqrt(8.0))
    assert slower.lift == pytest.approx(0.1)


def test_a_margin_moves_the_contrast_by_a_share_of_the_baseline() -> None:
    found = compare(measured(98.0, 20.0, 400), measured(100.0, 20.0, 400))
    kept = 0.97
    assert found.z(0.03) == pytest.approx((98.0 - kept * 100.0) / math.sqrt(1.0 + kept**2))


def test_a_margin_for_a_metric_that_should_fall_lets_it_rise() -> None:
    found = compare(measured(102.0, 20.0, 400), measured(100.0, 20.0, 400), Direction.LOWER)
    assert found.z(0.03) == pytest.approx((1.03 * 100.0 - 102.0) / math.sqrt(1.0 + 1.03**2))


def test_a_margin_of_a_negative_baseline_lets_it_fall_further() -> None:
    found = compare(measured(-101.0, 20.0, 400), measured(-100.0, 20.0, 400))
    assert found.z(0.03) == pytest.approx(2.0 / math.sqrt(1.0 + 1.03**2))


def test_no_variation_gives_no_z() -> None:
    assert compare(measured(0.0, 0.0), measured(0.0, 0.0)).z() is None


def test_one_treatment_without_variation_is_enough_to_compare() -> None:
    assert compare(measured(0.0, 0.0), measured(0.5, 0.5)).z() == pytest.approx(-10.0)


def test_a_baseline_of_zero_has_no_lift() -> None:
    found = compare(measured(0.2), measured(0.0))
    assert found.lift is None
    assert found.lift_interval(2.0) is None


def test_a_baseline_that_may_be_zero_has_no_interval() -> None:
    assert compare(measured(0.2), measured(0.15)).lift_interval(2.0) is None


def test_an_infinite_bar_has_no_interval() -> None:
    assert compare(measured(0.2, 0.1), measured(0.15, 0.1)).lift_interval(math.inf) is None


def test_a_lift_of_a_negative_baseline_is_positive_when_it_rises() -> None:
    found = compare(measured(-90.0), measured(-100.0))
    limits = found.lift_interval(1.96)
    assert found.lift == pytest.approx(0.1)
    assert limits is not None
    assert limits[0] < 0.1 < limits[1]


def test_a_measurement_without_numbers_is_refused() -> None:
    with pytest.raises(EvidenceError, match="treatment b has no mean"):
        _ = compare(Measurement("b", 5, None, None), measured(1.0)).difference
    with pytest.raises(EvidenceError, match="treatment b has no standard deviation"):
        _ = compare(Measurement("b", 0, 1.0, 1.0), measured(1.0)).standard_error


MEANS = st.floats(0.01, 1000.0)
DEVIATIONS = st.floats(0.01, 1000.0)
UNITS = st.integers(2, 10**7)


MEASURED = st.builds(measured, MEANS, DEVIATIONS, UNITS)


@given(MEASURED, MEASURED, st.floats(1.0, 6.0))
def test_the_interval_excludes_no_lift_exactly_when_the_test_rejects_it(
    treatment: Measurement, baseline: Measurement, bar: float
) -> None:
    found = compare(treatment, baseline)
    z, limits = found.z(), found.lift_interval(bar)
    assume(limits is not None)
    assert z is not None
    assert limits is not None
    assume(abs(abs(z) - bar) > 1e-6)
    assert (limits[0] > 0) == (z >= bar)
    assert (limits[1] < 0) == (z <= -bar)


@given(MEASURED, MEASURED, st.floats(0.001, 0.5), st.floats(1.0, 6.0))
def test_the_interval_excludes_the_margin_exactly_when_the_test_does(
    treatment: Measurement, baseline: Measurement, margin: float, bar: float
) -> None:
    found = compare(treatment, baseline)
    z, limits = found.z(margin), found.lift_interval(bar)
    assume(limits is not None)
    assert z is not None
    assert limits is not None
    assume(abs(z - bar) > 1e-6)
    assert (limits[0] > -margin) == (z >= bar)


def test_two_equal_treatments_are_best_with_one_half_each() -> None:
    assert probabilities_to_be_best([1.0, 1.0], [0.1, 0.1], 1) == pytest.approx([0.5, 0.5], abs=1e-9)


def test_probability_to_be_best_of_two_is_that_of_the_difference() -> None:
    # P(Z < 1.6449) = 0.95, with a difference of 1.6449 standard errors.
    error = 0.1
    best = probabilities_to_be_best([1.0, 1.0 + 1.6448536 * error * math.sqrt(2)], [error, error], 1)
    assert best == pytest.approx([0.05, 0.95], abs=1e-6)


def test_probability_to_be_best_follows_the_direction() -> None:
    assert probabilities_to_be_best([1.0, 2.0], [0.5, 0.5], -1)[0] > 0.9


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=5), st.floats(0.1, 2.0))
def test_probabilities_to_be_best_sum_to_one(means: list[float], error: float) -> None:
    assert sum(probabilities_to_be_best(means, [error] * len(means), 1)) == pytest.approx(1.0, abs=1e-5)
