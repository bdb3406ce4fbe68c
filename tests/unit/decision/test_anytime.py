"""The tests of harm that hold at any number of looks: by hand, by exact enumeration, and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.anytime import (
    DEVIATIONS,
    LOG_ODDS,
    judge_at_any_time,
    log_evidence_of_counts,
    log_evidence_of_mean,
    z_of,
)
from airflow_provider_launchdarkly.decision.counts import Table
from airflow_provider_launchdarkly.decision.effects import effect
from airflow_provider_launchdarkly.decision.evidence import Measurement
from airflow_provider_launchdarkly.decision.policy_parts import Direction

ALPHA = 0.05


def zero_one(ones: int, units: int) -> Measurement:
    rate = ones / units
    return Measurement("any", units, rate, math.sqrt(rate * (1.0 - rate)))


def test_by_hand_the_evidence_is_the_mean_of_likelihood_ratios_with_the_same_pooled_rate() -> None:
    found = 0.0
    for size in LOG_ODDS:
        # Both have 50 units, so the rates are 0.2 -+ x with the odds ratio exp(-size): solved by bisection.
        low, high = 0.0, 0.2
        for _ in range(200):
            x = (low + high) / 2.0
            odds = (0.2 - x) / (0.8 + x) / ((0.2 + x) / (0.8 - x))
            low, high = (x, high) if odds > math.exp(-size) else (low, x)
        treated, other = 0.2 - x, 0.2 + x
        ratio = (treated / 0.2) ** 4 * ((1 - treated) / 0.8) ** 46 * (other / 0.2) ** 16 * ((1 - other) / 0.8) ** 34
        found += ratio / len(LOG_ODDS)
    assert log_evidence_of_counts(Table(4, 50, 16, 50), 1.0, -1) == pytest.approx(math.log(found))


@pytest.mark.parametrize("towards", [1, -1])
@pytest.mark.parametrize("ratio", [1.0, 0.8])
def test_hardly_any_bet_is_expected_to_win_while_there_is_no_harm(towards: int, ratio: float) -> None:
    """The expected evidence over all outcomes; at a known pooled rate it would be 1, and measuring it costs 2 %."""
    units, rate = 20, 0.5
    treated = ratio * rate
    expected = 0.0
    for ones in range(units + 1):
        for baseline_ones in range(units + 1):
            chance = math.comb(units, ones) * treated**ones * (1 - treated) ** (units - ones)
            chance *= math.comb(units, baseline_ones) * rate**baseline_ones * (1 - rate) ** (units - baseline_ones)
            table = Table(ones, units, baseline_ones, units)
            expected += chance * math.exp(log_evidence_of_counts(table, ratio, towards))
    assert 0.9 < expected <= (1.022 if ratio == 1.0 else 1.04)


def test_no_ones_only_ones_and_no_room_for_harm_are_no_evidence() -> None:
    assert log_evidence_of_counts(Table(0, 50, 0, 90), 1.0, 1) == 0.0
    assert log_evidence_of_counts(Table(50, 50, 90, 90), 1.0, -1) == 0.0
    assert log_evidence_of_counts(Table(49, 50, 90, 90), 1.3, 1) == 0.0
    bar = judge_at_any_time(effect(zero_one(0, 50), zero_one(0, 50), Direction.HIGHER), 0.0, ALPHA)
    assert (bar.z, bar.boundary, bar.reached) == (None, None, False)


@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0.0, 1.0), st.floats(0.0, 1.0),
    st.sampled_from((1.0, 0.98, 0.7, 0.01)),
)  # fmt: skip
def test_lower_is_better_is_higher_is_better_with_0_and_1_exchanged(
    units: int, baseline_units: int, rate: float, baseline_rate: float, ratio: float
) -> None:
    ones, baseline_ones = round(rate * units), round(baseline_rate * baseline_units)
    table = Table(ones, units, baseline_ones, baseline_units)
    mirrored = Table(units - ones, units, baseline_units - baseline_ones, baseline_units)
    assert log_evidence_of_counts(table, 1.0, 1) == pytest.approx(
        log_evidence_of_counts(mirrored, 1.0, -1), rel=1e-6, abs=1e-6
    )
    # What is tolerated is no harm: it turns no evidence into any.
    assert log_evidence_of_counts(table, ratio, -1) <= max(log_evidence_of_counts(table, 1.0, -1), 0.0) + 1e-6


@given(st.floats(-60.0, 60.0), st.floats(1e-3, 1e8), st.sampled_from((LOG_ODDS, DEVIATIONS)))
def test_a_z_value_comes_back_from_its_evidence(z: float, units: float, sizes: tuple[float, ...]) -> None:
    assert z_of(log_evidence_of_mean(z, units, sizes), units, sizes) == pytest.approx(z, rel=1e-7, abs=1e-7)


@given(st.integers(0, 300), st.integers(0, 300), st.sampled_from(Direction))
def test_the_bar_is_reached_exactly_when_its_z_is_beyond_its_boundary(
    ones: int, baseline_ones: int, direction: Direction
) -> None:
    bar = judge_at_any_time(effect(zero_one(ones, 300), zero_one(baseline_ones, 300), direction), 0.0, 0.01)
    if bar.z is None or bar.boundary is None:
        assert ones == baseline_ones
        return
    assert bar.reached == (bar.z >= bar.boundary) or bar.z == pytest.approx(bar.boundary, abs=1e-9)
    assert bar.alpha_spent == bar.alpha == 0.01


def test_from_no_errors_to_nothing_but_errors_is_harm_and_the_reverse_is_not() -> None:
    worse = effect(zero_one(30, 30), zero_one(0, 30), Direction.LOWER)
    better = effect(zero_one(0, 30), zero_one(30, 30), Direction.LOWER)
    assert judge_at_any_time(worse, 0.0, ALPHA).reached
    assert not judge_at_any_time(better, 0.0, ALPHA).reached


def test_means_of_few_units_are_not_judged() -> None:
    few = effect(Measurement("t", 49, 1.0, 1.0), Measurement("b", 900, 9.0, 1.0), Direction.HIGHER)
    more = effect(Measurement("t", 50, 1.0, 1.0), Measurement("b", 900, 9.0, 1.0), Direction.HIGHER)
    assert judge_at_any_time(few, 0.0, ALPHA).z is None
    assert judge_at_any_time(more, 0.0, ALPHA).reached


@pytest.mark.parametrize(
    ("rate", "share", "direction"),
    [
        (rate, share, direction)
        for rate, share in itertools.product((0.005, 0.1, 0.99), (0.5, 0.05, 0.98))
        for direction in Direction
    ],
)
def test_a_look_at_every_unit_finds_harm_where_there_is_none_in_at_most_five_percent(
    rate: float, share: float, direction: Direction
) -> None:
    """2,000 experiments of 3,000 units, with a look after every 50th: looks that end spend less than the 5 %."""
    from airflow_provider_launchdarkly.simulation.anytime import harmed_at_any_time
    from airflow_provider_launchdarkly.simulation.sampling import MetricDraws

    random = np.random.default_rng(20)
    units = 50 * np.ones((2000, 60), dtype=np.int64)
    treated = random.binomial(units, share)
    counts = np.cumsum(np.stack([units - treated, treated], axis=2), axis=1)
    ones = np.cumsum(random.binomial(np.stack([units - treated, treated], axis=2), rate), axis=1)
    rates = ones / np.maximum(counts, 1)
    found = harmed_at_any_time(MetricDraws(rates, rates * (1 - rates)), counts, direction.sign, 0.0, ALPHA)
    assert found.any(axis=(1, 2)).mean() <= 0.05
