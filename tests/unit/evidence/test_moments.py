"""Means and variances from sums, held against those of the numbers themselves, and against simulated experiments."""

from __future__ import annotations

import math
import random
import statistics
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.evidence.moments import (
    ImpossibleMomentsError,
    Moments,
    add_second_variable,
    adjust_by_covariate,
    as_float,
    centre,
    ratio_of_means,
)

values = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=2, max_size=50)


def moments(ys: list[float], xs: list[float] | None = None) -> Moments:
    first = Moments(len(ys), *centre(len(ys), math.fsum(ys), math.fsum(y * y for y in ys)))
    if xs is None:
        return first
    products = math.fsum(x * y for x, y in zip(xs, ys, strict=True))
    return add_second_variable(first, math.fsum(xs), math.fsum(x * x for x in xs), products)


@given(values)
def test_sums_give_the_mean_and_the_sample_deviation(ys: list[float]) -> None:
    scale = max(1.0, *(abs(y) for y in ys))
    if statistics.stdev(ys) <= 1e-6 * scale:
        with suppress(ImpossibleMomentsError):  # it may be lost in the rounding
            moments(ys)
        return
    found = moments(ys)
    assert as_float(found.mean) == pytest.approx(statistics.fmean(ys), abs=1e-9 * scale)
    assert found.std_dev == pytest.approx(statistics.stdev(ys), abs=1e-5 * scale)


def test_one_unit_has_no_deviation() -> None:
    assert Moments(1, *centre(1, 3.0, 9.0)).std_dev is None


def test_squares_below_those_of_the_mean_are_impossible() -> None:
    with pytest.raises(ImpossibleMomentsError, match="40 at least"):
        centre(10, 20.0, 39.0)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(-50, 50), min_size=2, max_size=30), st.integers(0, 6))
def test_exact_sums_give_the_exact_variance(level: int, deviations: list[int], places: int) -> None:
    ys = [Fraction(level + deviation, 10**places) for deviation in deviations]
    mean, squares = centre(len(ys), Fraction(sum(ys)), Fraction(sum(y * y for y in ys)))
    assert mean == statistics.mean(ys)
    assert squares == statistics.variance(ys) * (len(ys) - 1)


@given(st.floats(1.0, 1e9), st.floats(0.0, 1e3), st.integers(2, 300), st.randoms(use_true_random=False))
def test_a_variance_from_rounded_sums_is_never_understated(
    level: float, spread: float, units: int, chance: random.Random
) -> None:
    ys = [level + spread * chance.uniform(-1.0, 1.0) for _ in range(units)]
    total = squares = 0.0
    for y in ys:  # added one by one, as the simplest database does
        total += y
        squares += y * y
    true = [Fraction(y) for y in ys]
    mean = sum(true) / units
    deviations = sum((y - mean) ** 2 for y in true)
    if deviations > 1e-12 * squares:
        assert deviations <= centre(units, total, squares)[1] <= deviations * Fraction(2)
    else:
        with suppress(ImpossibleMomentsError):  # it may be lost in the rounding
            assert deviations <= centre(units, total, squares)[1]


@pytest.mark.parametrize(
    ("units", "total", "squares"), [(3, 0.3, 0.03 - 1e-15), (1000, 1e12, 1e21), (2, 19.98, 199.6002)]
)
def test_a_variance_that_drowns_in_the_rounding_of_floats_is_not_zero(units: int, total: float, squares: float) -> None:
    with pytest.raises(ImpossibleMomentsError, match=r"lost in the rounding .* DECIMAL .* mean and variance"):
        centre(units, total, squares)


@pytest.mark.parametrize(("total", "squares"), [(0.0, 0.0), (3.0, 4.5), (2.0, 2.0)])
def test_floats_that_are_not_rounded_may_have_no_variance(total: float, squares: float) -> None:
    mean, deviations = centre(2, total, squares)
    assert mean == total / 2
    assert deviations == 0


def test_one_unit_s_rounded_square_is_no_mistake() -> None:
    assert Moments(1, *centre(1, 9.99, 9.99 * 9.99)).std_dev is None


def test_an_exact_sum_of_squares_is_not_let_off_the_last_digit() -> None:
    with pytest.raises(ImpossibleMomentsError, match="at least"):
        centre(10, 10 * 10**9, 10 * 10**18 - 1)


def test_a_covariance_of_large_exact_numbers_is_exact() -> None:
    ys, xs = [10**9 + 1, 10**9 + 2, 10**9 + 6], [10**9 + 10, 10**9 + 20, 10**9 + 15]
    first = Moments(3, *centre(3, sum(ys), sum(y * y for y in ys)))
    products = sum(x * y for x, y in zip(xs, ys, strict=True))
    both = add_second_variable(first, sum(xs), sum(x * x for x in xs), products)
    assert both.second is not None
    assert (both.second.sum_of_products, both.second.uncertainty) == (5, 0)


def test_the_rounding_of_products_widens_an_adjusted_variance() -> None:
    ys, xs = [1000.1, 1000.3, 1000.2], [2000.2, 2000.6, 2000.4]  # the covariate explains everything
    (found,) = adjust_by_covariate([moments(ys, xs)])
    assert 0 < found.sum_of_squares < 1e-5


def test_a_product_beyond_what_both_spreads_allow_is_impossible() -> None:
    with pytest.raises(ImpossibleMomentsError, match="correlation"):
        add_second_variable(Moments(4, 1.0, 4.0), 4.0, 8.0, 9.0)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=50), st.integers(-5, 5), st.integers(-100, 100))
def test_a_covariate_that_explains_everything_leaves_no_spread(past: list[int], slope: int, level: int) -> None:
    ys = [float(slope * x + level) for x in past]
    plain = moments(ys)
    (found,) = adjust_by_covariate([moments(ys, [float(x) for x in past])])
    assert found.sum_of_squares == pytest.approx(
        0.0, abs=1e-6 * max(1.0, plain.sum_of_squares + plain.units * plain.mean**2)
    )


def test_a_covariate_that_does_not_vary_changes_nothing() -> None:
    plain = moments([1.0, 2.0, 4.0])
    (found,) = adjust_by_covariate([moments([1.0, 2.0, 4.0], [5.0, 5.0, 5.0])])
    assert (found.mean, found.sum_of_squares) == (plain.mean, plain.sum_of_squares)


def test_the_adjustment_takes_the_covariate_s_imbalance_out_of_the_difference() -> None:
    left = moments([10.0, 20.0, 30.0], [1.0, 2.0, 3.0])
    right = moments([20.0, 30.0, 40.0], [2.0, 3.0, 4.0])  # higher only because its units were higher before
    first, second = adjust_by_covariate([left, right])
    assert second.mean - first.mean == pytest.approx(0.0)


def test_the_adjustment_reduces_the_variance_by_the_squared_correlation() -> None:
    chance = random.Random(7)
    xs = [chance.gauss(50, 10) for _ in range(20_000)]
    ys = [0.8 * x + chance.gauss(0, 6) for x in xs]  # correlation 0.8
    plain, (found,) = moments(ys), adjust_by_covariate([moments(ys, xs)])
    assert found.sum_of_squares / plain.sum_of_squares == pytest.approx(1 - 0.8**2, rel=0.03)


def test_the_adjusted_difference_has_the_error_that_it_claims() -> None:
    chance = random.Random(11)
    scores = []
    for _ in range(400):
        arms = []
        for _ in range(2):
            xs = [chance.gauss(5, 2) for _ in range(100)]
            arms.append(moments([x + chance.gauss(0, 1) for x in xs], xs))
        first, second = adjust_by_covariate(arms)
        assert first.std_dev is not None
        assert second.std_dev is not None
        error = math.sqrt(first.std_dev**2 / first.units + second.std_dev**2 / second.units)
        scores.append((second.mean - first.mean) / error)
    assert statistics.fmean(scores) == pytest.approx(0.0, abs=0.15)
    assert statistics.stdev(scores) == pytest.approx(1.0, abs=0.1)


def test_a_ratio_is_that_of_the_sums() -> None:
    assert ratio_of_means(moments([1.0, 2.0, 6.0], [10.0, 20.0, 15.0])).mean == pytest.approx(9.0 / 45.0)


def test_a_ratio_to_a_constant_is_a_plain_mean() -> None:
    plain, found = moments([1.0, 2.0, 6.0]), ratio_of_means(moments([1.0, 2.0, 6.0], [1.0, 1.0, 1.0]))
    assert (found.mean, found.std_dev) == pytest.approx((plain.mean, plain.std_dev))


def test_a_ratio_has_the_error_that_it_claims() -> None:
    chance = random.Random(13)
    scores = []
    for _ in range(400):
        views = [1 + chance.randrange(20) for _ in range(200)]
        clicks = [float(sum(chance.random() < 0.3 for _ in range(count))) for count in views]
        found = ratio_of_means(moments(clicks, [float(count) for count in views]))
        assert found.std_dev is not None
        scores.append((found.mean - 0.3) / (found.std_dev / math.sqrt(found.units)))
    assert statistics.fmean(scores) == pytest.approx(0.0, abs=0.15)
    assert statistics.stdev(scores) == pytest.approx(1.0, abs=0.1)


def test_a_ratio_to_nothing_is_impossible() -> None:
    with pytest.raises(ImpossibleMomentsError, match="denominator"):
        ratio_of_means(moments([1.0, 2.0], [0.0, 0.0]))
