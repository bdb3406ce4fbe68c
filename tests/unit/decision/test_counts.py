"""The exact test of 0/1 metrics, beside scipy's hypergeometric distribution and the normal form."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom, norm

from airflow_provider_launchdarkly.decision.counts import Table, ones_of, table_of
from airflow_provider_launchdarkly.decision.effects import effect
from airflow_provider_launchdarkly.decision.evidence import Measurement
from airflow_provider_launchdarkly.decision.policy_parts import Direction


def zero_one(ones: int, units: int, *, corrected: bool = False) -> Measurement:
    rate = ones / units
    variance = rate * (1.0 - rate) * (units / (units - 1) if corrected else 1.0)
    return Measurement("any", units, rate, math.sqrt(variance))


def mid_p_z(ones: int, units: int, baseline_ones: int, baseline_units: int) -> float:
    """The same from scipy."""
    table = hypergeom(units + baseline_units, ones + baseline_ones, units)
    half = 0.5 * table.pmf(ones)
    above, below = table.sf(ones) + half, table.cdf(ones - 1) + half
    return float(norm.isf(above) if above < below else norm.ppf(below))


def test_by_hand_all_of_the_tables_are_three_balls_from_six() -> None:
    # 2 of 3 against 0 of 3: of 15 ways to place two 1s, 3 put both into the treatment. mid-p 1.5 / 15 = 0.1.
    assert Table(2, 3, 0, 3).z() == pytest.approx(1.2815515655)


def test_none_of_60_against_a_large_control_is_no_evidence() -> None:
    # One percent of 3,000: 0 of 60 has probability 0.545, and half of that is below. By its own variance z was -5.5.
    found = effect(zero_one(0, 60), zero_one(30, 3000), Direction.HIGHER)
    assert found.z() == pytest.approx(float(norm.ppf(0.5 * hypergeom(3060, 30, 60).pmf(0))))
    assert found.z() == pytest.approx(-0.597, abs=5e-4)


@pytest.mark.parametrize(
    "table",
    [(5, 60, 30, 3000), (3, 50, 0, 50), (0, 50, 50, 50), (50, 50, 0, 50), (40, 1000, 1, 9000), (12, 2000, 60, 98_000)],
)
def test_it_is_the_mid_p_value_of_the_hypergeometric_distribution(table: tuple[int, int, int, int]) -> None:
    assert Table(*table).z() == pytest.approx(mid_p_z(*table), rel=1e-9)


@st.composite
def tables(draw: st.DrawFn, most: int = 5000) -> tuple[int, int, int, int]:
    units, baseline_units = draw(st.integers(1, most)), draw(st.integers(1, most))
    return draw(st.integers(0, units)), units, draw(st.integers(0, baseline_units)), baseline_units


@settings(deadline=None)  # the first call of scipy is slow
@given(tables())
def test_it_is_that_for_any_table(table: tuple[int, int, int, int]) -> None:
    ones, units = table[0] + table[2], table[1] + table[3]
    assume(0 < ones < units)
    z, expected = Table(*table).z(), mid_p_z(*table)
    assume(abs(expected) < 8.5)
    assert z == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(tables(), st.floats(0.3, 3.0))
def test_exchanging_the_arms_turns_the_sign(table: tuple[int, int, int, int], ratio: float) -> None:
    z, turned = Table(*table).z(ratio), Table(*table[2:], *table[:2]).z(1.0 / ratio)
    assume(z is not None and abs(z) < 8.5)
    assert z is not None
    assert turned == pytest.approx(-z, abs=1e-6)


@pytest.mark.parametrize("table", [(0, 50, 0, 500), (0, 1, 0, 1)])
@pytest.mark.parametrize("ratio", [0.9, 1.0, 1.1])
def test_no_ones_are_no_evidence(table: tuple[int, int, int, int], ratio: float) -> None:
    assert Table(*table).z(ratio) is None


def test_nothing_but_ones_shows_only_that_not_all_was_lost() -> None:
    all_of_it = Table(500, 500, 500, 500)
    assert all_of_it.z() is None
    # With the baseline's rate at 1, the treatment's number is binomial.
    assert all_of_it.z(0.99) == pytest.approx(float(norm.isf(0.5 * binom(500, 0.99).pmf(500))), rel=0.02)


def test_a_ratio_of_rare_ones_is_that_of_two_poisson_rates() -> None:
    # Przyborowski & Wilenski: given both counts, the treatment's is binomial with share r n / (r n + m).
    ones, units, baseline_ones, baseline_units, ratio = 9, 20_000, 150, 180_000, 1.2
    share = binom(ones + baseline_ones, ratio * units / (ratio * units + baseline_units))
    expected = float(norm.ppf(share.cdf(ones - 1) + 0.5 * share.pmf(ones)))
    assert Table(ones, units, baseline_ones, baseline_units).z(ratio) == pytest.approx(expected, abs=2e-3)


def test_z_is_continuous_in_the_ratio_at_1() -> None:
    table = Table(5, 60, 30, 3000)
    z, below, above = table.z(), table.z(1.0 - 1e-9), table.z(1.0 + 1e-9)
    assert below == pytest.approx(z, abs=1e-6)
    assert above == pytest.approx(z, abs=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.4, 0.1, 0.02, 0.98])
@pytest.mark.parametrize("rate", [0.0002, 0.01, 0.1, 0.5, 0.9])
def test_where_the_normal_form_takes_over_both_agree(share: float, rate: float) -> None:
    skew = (1 - 2 * share) * (1 - 2 * rate) / 0.02
    variance = 1.02 * max(25.0, skew * skew)
    total = variance / (rate * (1 - rate) * share * (1 - share))
    units, baseline_units, both = round(total * share), round(total * (1 - share)), round(total * rate)
    compared = 0
    for deviations in (-4, -3, -2, 2, 3, 4):
        ones = round(both * share + deviations * math.sqrt(variance))
        if not 0 <= both - ones <= baseline_units:
            continue
        table = Table(ones, units, both - ones, baseline_units)
        normal = effect(zero_one(ones, units), zero_one(both - ones, baseline_units), Direction.HIGHER).z()
        exact = table.z()
        assert not table.needs_exact_test
        assert exact is not None
        assert normal is not None
        assert 0.97 * abs(exact) <= abs(normal) <= 1.005 * abs(exact)
        compared += 1
    assert compared >= 5


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 1))
def test_the_exact_test_is_only_needed_where_it_is_short(
    units: int, baseline_units: int, rate: float, baseline_rate: float
) -> None:
    table = Table(round(rate * units), units, round(baseline_rate * baseline_units), baseline_units)
    assume(table.needs_exact_test)
    total = units + baseline_units
    pooled, share = (table.ones + table.baseline_ones) / total, units / total
    assert total * pooled * (1 - pooled) * share * (1 - share) <= 50.0**2


@pytest.mark.parametrize(
    "table", [(0, 10**6, 10**7, 10**9), (10**6, 10**6, 0, 10**9), (22_600, 10**6, 2_240_000, 10**8)]
)
def test_millions_of_units_take_milliseconds(table: tuple[int, int, int, int]) -> None:
    start = time.process_time()
    for _ in range(20):
        effect(zero_one(*table[:2]), zero_one(*table[2:]), Direction.HIGHER).lift_interval(2.5)
    assert (time.process_time() - start) / 20 < 0.1


@given(tables())
def test_counts_are_recognised_by_either_variance(table: tuple[int, int, int, int]) -> None:
    ones, units, _, _ = table
    assume(units > 1)
    assert ones_of(zero_one(ones, units)) == ones
    assert ones_of(zero_one(ones, units, corrected=True)) == ones


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement("a", 1000, 0.1, 0.29),  # adjusted by a covariate: varies less than 0 and 1 do
        Measurement("a", 1000, 0.1004, (0.1004 * 0.8996) ** 0.5),  # a rate with a prior: 100.4 of 1,000
        Measurement("a", 1000, 1.2, 0.4),
        Measurement("a", 1000, -0.1, 0.3),
        Measurement("a", 10, 0.5, 0.9),
        Measurement("a", 0, 0.0, 0.0),
        Measurement("a", 10, None, None),
        Measurement("a", 500, 0.1, 0.0),
    ],
)
def test_other_metrics_are_not(measurement: Measurement) -> None:
    assert ones_of(measurement) is None
    assert table_of(measurement, zero_one(3, 1000)) is None
    assert table_of(zero_one(3, 1000), measurement) is None


def test_no_ones_in_a_metric_that_elsewhere_counts_more_are_not_a_table() -> None:
    # No revenue yet in a small treatment: the baseline's values are no counts, so both are compared as means.
    assert table_of(Measurement("a", 60, 0.0, 0.0), Measurement("b", 3000, 3.2, 50.0)) is None
