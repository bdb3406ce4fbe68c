"""Differences, their errors, and relative lifts with intervals that agree with the test."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.effects import Effect, effect, probabilities_to_be_best, standard_errors
from airflow_provider_launchdarkly.decision.evidence import EvidenceError, Measurement
from airflow_provider_launchdarkly.decision.policy_parts import Direction


def measured(mean: float, std_dev: float = 1.0, units: int = 100) -> Measurement:
    return Measurement("any", units, mean, std_dev)


def zero_one(ones: int, units: int) -> Measurement:
    rate = ones / units
    return Measurement("any", units, rate, math.sqrt(rate * (1.0 - rate)))


def compare(treatment: Measurement, baseline: Measurement, direction: Direction = Direction.HIGHER) -> Effect:
    return effect(treatment, baseline, direction)


def test_a_small_treatment_that_varies_more_has_its_own_standard_error() -> None:
    found = compare(measured(0.12, 4.0, 100), measured(0.10, 3.0, 400))
    assert found.standard_error == pytest.approx(math.sqrt(16 / 100 + 9 / 400))
    assert found.z() == pytest.approx(0.02 / found.standard_error)


def test_a_small_treatment_that_varies_less_has_the_pooled_standard_error() -> None:
    found = compare(measured(0.12, 3.0, 100), measured(0.10, 4.0, 400))
    within, between = 100 * 9 + 400 * 16, 100 * 400 / 500 * 0.02**2
    pooled = (within + between) / 500
    assert found.standard_error == pytest.approx(math.sqrt(pooled * (1 / 100 + 1 / 400)))
    assert found.z() == pytest.approx(0.02 / found.standard_error)


def test_the_pooled_variance_of_0_and_1_is_that_of_the_pooled_rate() -> None:
    found = compare(Measurement("a", 20_000, 0.10, 0.3), Measurement("b", 20_000, 0.11, (0.11 * 0.89) ** 0.5))
    pooled = 0.105 * 0.895
    assert found.standard_error == pytest.approx(math.sqrt(pooled * 2 / 20_000))
    assert found.z() == pytest.approx(-0.01 / found.standard_error)


def test_z_is_positive_for_better_whatever_better_is() -> None:
    slower = compare(measured(110.0, 20.0), measured(100.0, 20.0), Direction.LOWER)
    assert slower.z() == pytest.approx(-10.0 / math.sqrt(8.0 + 10.0**2 / 200))
    assert slower.lift == pytest.approx(0.1)


def test_a_margin_moves_the_contrast_by_a_share_of_the_baseline() -> None:
    found = compare(measured(98.0, 20.0, 400), measured(100.0, 20.0, 400))
    kept = 0.97
    assert found.z(0.03) == pytest.approx((98.0 - kept * 100.0) / math.sqrt(1.0 + kept**2 + 1.0**2 / 800))


def test_a_margin_scales_the_baseline_before_it_is_pooled() -> None:
    found = compare(measured(98.0, 10.0, 100), measured(100.0, 20.0, 400))
    kept, contrast = 0.97, 98.0 - 0.97 * 100.0
    pooled = (100 * 10.0**2 + 400 * (kept * 20.0) ** 2 + 100 * 400 / 500 * contrast**2) / 500
    assert found.z(0.03) == pytest.approx(contrast / math.sqrt(pooled * (1 / 100 + 1 / 400)))


def test_a_margin_for_a_metric_that_should_fall_lets_it_rise() -> None:
    found = compare(measured(102.0, 20.0, 400), measured(100.0, 20.0, 400), Direction.LOWER)
    assert found.z(0.03) == pytest.approx((1.03 * 100.0 - 102.0) / math.sqrt(1.0 + 1.03**2 + 1.0**2 / 800))


def test_a_margin_of_a_negative_baseline_lets_it_fall_further() -> None:
    found = compare(measured(-101.0, 20.0, 400), measured(-100.0, 20.0, 400))
    assert found.z(0.03) == pytest.approx(2.0 / math.sqrt(1.0 + 1.03**2 + 2.0**2 / 800))


@pytest.mark.parametrize("mean", [0.0, 7.0])
@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_no_variation_and_no_difference_give_no_z(mean: float, margin: float) -> None:
    found = compare(measured(mean, 0.0), measured(mean, 0.0, 4000))
    assert found.z(margin) is None
    assert found.lift_interval(2.0) in (None, (0.0, 0.0))


def test_no_variation_but_a_difference_gives_the_root_of_the_units() -> None:
    assert compare(measured(5.0, 0.0, 60), measured(7.0, 0.0, 40)).z() == pytest.approx(-10.0)


def test_one_treatment_without_variation_is_enough_to_compare() -> None:
    found = compare(measured(0.0, 0.0), measured(2.0, 4.0))
    assert found.z() == pytest.approx(-2.0 / math.sqrt(16 / 100 + 2.0**2 / 200))


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


@st.composite
def counted(draw: st.DrawFn) -> Measurement:
    """A 0/1 metric, often with few 1s or few 0s."""
    units = draw(st.integers(1, 10**6))
    ones = draw(st.integers(0, min(units, 200)) | st.integers(max(0, units - 200), units) | st.integers(0, units))
    return zero_one(ones, units)


MEASURED = st.builds(measured, MEANS, DEVIATIONS, UNITS)
EITHER = st.tuples(MEASURED, MEASURED) | st.tuples(counted(), counted())


@settings(deadline=None)
@given(EITHER, st.floats(1.0, 6.0))
def test_the_interval_excludes_no_lift_exactly_when_the_test_rejects_it(
    pair: tuple[Measurement, Measurement], bar: float
) -> None:
    found = compare(*pair)
    z, limits = found.z(), found.lift_interval(bar)
    assume(limits is not None)
    assume(z is not None)
    assert z is not None
    assert limits is not None
    assume(abs(abs(z) - bar) > 1e-6)
    assert (limits[0] > 0) == (z >= bar)
    assert (limits[1] < 0) == (z <= -bar)


@settings(deadline=None)
@given(EITHER, st.floats(0.001, 0.5), st.floats(1.0, 6.0), st.sampled_from(Direction))
def test_the_interval_excludes_the_margin_exactly_when_the_test_does(
    pair: tuple[Measurement, Measurement], margin: float, bar: float, direction: Direction
) -> None:
    found = compare(*pair, direction)
    z, limits = found.z(margin), found.lift_interval(bar)
    assume(limits is not None)
    assume(z is not None)
    assert z is not None
    assert limits is not None
    assume(abs(abs(z) - bar) > 1e-6)
    inside, outside = limits if direction is Direction.HIGHER else (-limits[1], -limits[0])
    assert (inside > -margin) == (z >= bar)
    assert (outside < -margin) == (z <= -bar)


@st.composite
def nearby(draw: st.DrawFn) -> tuple[Measurement, Measurement]:
    """Two measurements that lie within the 8.5 standard errors up to which boundaries reach."""
    baseline = draw(MEASURED | counted())
    if baseline.std_dev == 0 or draw(st.booleans()):
        units = draw(st.integers(50, 10**6))
        ones = draw(st.integers(0, min(units, 40)))
        return zero_one(ones, units), zero_one(draw(st.integers(0, min(units, 40))), units)
    assert baseline.mean is not None
    assert baseline.std_dev is not None
    away = draw(st.floats(-6.0, 6.0)) * baseline.std_dev / baseline.units**0.5
    # A mean below 0 would be lenient about more when less of the baseline is kept.
    return baseline._replace(mean=max(0.0, baseline.mean + away)), baseline


@settings(deadline=None)
@given(nearby(), st.floats(0.0, 0.05), st.floats(0.0, 0.05))
def test_the_more_may_be_lost_the_better_a_treatment_looks(
    pair: tuple[Measurement, Measurement], margin: float, more: float
) -> None:
    found = compare(*pair)
    z, lenient = found.z(margin), found.z(margin + more)
    if z is not None and lenient is not None and abs(z) < 8.5:
        assert lenient >= z - 1e-6


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


class TestStandardErrors:
    def test_alike_treatments_have_their_own(self) -> None:
        alike = [Measurement(str(number), 400, 10.0, 3.0) for number in range(3)]
        assert standard_errors(alike) == pytest.approx([0.15, 0.15, 0.15])

    def test_a_small_treatment_without_events_has_the_pooled_one(self) -> None:
        baseline = Measurement("baseline", 10_000, 0.01, (0.01 * 0.99) ** 0.5)
        none = Measurement("none", 60, 0.0, 0.0)
        errors = standard_errors([baseline, none])
        assert errors[1] == pytest.approx((0.01 * 0.99 / 60) ** 0.5, rel=0.01)
        best = probabilities_to_be_best([0.01, 0.0], errors, 1)
        assert 0.7 < best[0] < 0.85
