"""The sequential test of the split."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.sample_ratio import log_bayes_factor, split_test


def test_no_units_are_no_evidence() -> None:
    assert log_bayes_factor([0, 0], [0.5, 0.5]) == pytest.approx(0.0, abs=1e-9)


def test_the_first_unit_is_no_evidence() -> None:
    # The prior's mean is the allocated split, so one unit is as likely under either.
    assert log_bayes_factor([1, 0], [0.7, 0.3]) == pytest.approx(0.0, abs=1e-9)


def test_it_multiplies_the_predictive_odds_of_each_unit() -> None:
    # Lindon & Malek's update: a unit in treatment i counts (a_i + n_i) / (a + n) against its allocated share.
    shares, prior = [0.6, 0.4], 10.0
    expected, seen = 0.0, [0, 0]
    for unit in [0, 0, 1, 0, 0, 0, 1, 0]:
        predictive = (prior * shares[unit] + seen[unit]) / (prior + sum(seen))
        expected += math.log(predictive / shares[unit])
        seen[unit] += 1
    assert log_bayes_factor(seen, shares, prior) == pytest.approx(expected)


def test_under_the_allocated_split_its_mean_is_one() -> None:
    shares, units, prior = (0.6, 0.4), 12, 10.0
    mean = sum(
        math.comb(units, first)
        * shares[0] ** first
        * shares[1] ** (units - first)
        * math.exp(log_bayes_factor([first, units - first], shares, prior))
        for first in range(units + 1)
    )
    assert mean == pytest.approx(1.0)


def test_a_good_split_passes() -> None:
    assert not split_test([50_100, 49_900], [50, 50], 0.01).mismatch


def test_a_split_off_by_one_percentage_point_is_found_at_100000_units() -> None:
    tested = split_test([51_000, 49_000], [50, 50], 0.01)
    assert tested.mismatch
    assert tested.p_value < 0.001


def test_a_grossly_broken_split_is_found_within_a_thousand_units() -> None:
    assert split_test([700, 300], [50, 50], 0.01).mismatch


def test_uneven_allocations_are_kept_to() -> None:
    assert not split_test([90_000, 10_050], [90, 10], 0.01).mismatch
    assert split_test([90_000, 11_000], [90, 10], 0.01).mismatch


def test_a_treatment_without_allocation_is_left_out() -> None:
    assert not split_test([5000, 5000, 0], [50, 50, 0], 0.01).mismatch


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=5))
def test_the_p_value_is_a_probability_and_agrees_with_the_alarm(counts: list[int]) -> None:
    tested = split_test(counts, [1.0] * len(counts), 0.01)
    assert 0.0 <= tested.p_value <= 1.0
    assert tested.mismatch == (tested.p_value <= 0.01)
