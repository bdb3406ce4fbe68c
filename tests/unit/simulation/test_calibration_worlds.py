"""The calibration's worlds are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest
from calibration.worlds import (
    OWN_RATES,
    RARE_EVENTS,
    Levels,
    Traffic,
    Values,
    bad_sessions,
    conversions,
    delayed,
    events,
    lognormal,
    pareto,
    revenue,
    windowed,
)

EXPERIMENTS = 400


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_late_conversions_arrive_by_their_delay() -> None:
    drawn = delayed(Traffic(), 0.1, (7.0, 7.0))(rng(), EXPERIMENTS)
    ages = np.arange(28) + 0.5
    expected = np.cumsum(0.1 * -np.expm1(-ages / 7.0)) / np.arange(1, 29)
    assert drawn.primary.mean.mean(axis=(0, 2)) == pytest.approx(expected, rel=0.02)
    assert drawn.exposed[:, -1].mean() == pytest.approx(28_000, rel=0.01)


def test_within_a_window_every_unit_has_the_same_chance() -> None:
    drawn = delayed(Traffic(), 0.1, (7.0, 7.0), window=7)(rng(), EXPERIMENTS)
    assert (drawn.exposed[:, :7] == 0).all()
    assert drawn.exposed[:, 7].mean() == pytest.approx(1_000, rel=0.01)
    rate = 0.1 * -np.expm1(-6.5 / 7.0)
    assert drawn.primary.mean[:, 7:].mean(axis=(0, 2)) == pytest.approx(np.full(21, rate), rel=0.02)


def test_more_looks_at_revenue_see_the_same_people() -> None:
    values = Values(lognormal(1.0))
    (often,) = revenue(values, [(0.9, 0.1)], looks_per_day=4)(rng(), EXPERIMENTS)
    (daily,) = revenue(values, [(0.9, 0.1)])(rng(), EXPERIMENTS)
    assert often.moments[3::4] == daily.moments
    assert often.exposed[:, 3::4].mean(axis=0) == pytest.approx(daily.exposed.mean(axis=0), rel=0.02)
    assert often.primary.mean[:, -1].mean(axis=0) == pytest.approx(daily.primary.mean[:, -1].mean(axis=0), rel=0.02)


def test_a_window_counts_units_later() -> None:
    drawing = conversions(Traffic(), 0.1)
    now, later = drawing(rng(), 3), windowed(drawing, 3)(rng(), 3)
    assert (later.exposed[:, 3:] == now.exposed[:, :-3]).all()
    assert (later.exposed[:, :3] == 0).all()
    assert (later.primary.mean[:, 3:] == now.primary.mean[:, :-3]).all()


@pytest.mark.parametrize("levels", [OWN_RATES, RARE_EVENTS])
def test_open_ended_values_grow_with_the_age_of_their_units(levels: Levels) -> None:
    drawn = events(Traffic(), levels)(rng(), EXPERIMENTS)
    rate = sum(level * share for level, share in levels.items())
    ages = np.arange(1, 29) / 2.0
    assert drawn.primary.mean.mean(axis=(0, 2)) == pytest.approx(rate * ages, rel=0.02)
    second = sum(level**2 * share for level, share in levels.items()) * np.arange(1, 29) ** 2 / 3.0
    variance = second + rate * ages - (rate * ages) ** 2
    assert drawn.primary.variance.mean(axis=(0, 2))[5:] == pytest.approx(variance[5:], rel=0.03)


@pytest.mark.parametrize("levels", [OWN_RATES, RARE_EVENTS])
def test_the_spread_of_open_ended_means_is_the_one_that_their_variance_says(levels: Levels) -> None:
    drawn = events(Traffic(), levels)(rng(), 4_000)
    error = np.sqrt(drawn.primary.variance[:, -1].mean(axis=0) / drawn.exposed[:, -1].mean(axis=0))
    assert drawn.primary.mean[:, -1].std(axis=0) == pytest.approx(error, rel=0.05)


def test_a_press_day_leaves_the_total_as_it_was() -> None:
    new = Traffic(press=(25, 10.0)).expected
    assert new[25] / new[0] == pytest.approx(10.0)
    assert new.sum() == pytest.approx(56_000)


def test_returning_people_come_ever_more_slowly() -> None:
    new = Traffic(population_days=5.0).expected
    assert new[5] / new[0] == pytest.approx(np.exp(-1.0))
    assert new.sum() == pytest.approx(56_000)


@pytest.mark.parametrize(
    ("values", "mean", "deviation"),
    [
        (Values(lognormal(1.0)), np.exp(0.5), np.sqrt((np.e - 1) * np.e)),
        (Values(lognormal(1.0), buyers=0.05), 0.05 * np.exp(0.5), np.sqrt(0.05 * np.e**2 - 0.0025 * np.e)),
        (Values(pareto(4.0)), 4.0 / 3.0, np.sqrt(2.0 / 9.0)),
    ],
)
def test_people_are_split_as_allocated_whatever_they_spend(values: Values, mean: float, deviation: float) -> None:
    even, tenth = revenue(values, ((0.5, 0.5), (0.9, 0.1)))(rng(), EXPERIMENTS)
    assert (even.exposed.sum(axis=2) == tenth.exposed.sum(axis=2)).all()
    assert tenth.exposed[:, -1].mean(axis=0) == pytest.approx([0.9 * 11_200, 0.1 * 11_200], rel=0.01)
    for drawn in (even, tenth):
        assert drawn.primary.mean[:, -1].mean(axis=0) == pytest.approx([mean, mean], rel=0.02)
        assert np.sqrt(drawn.primary.variance[:, -1].mean(axis=0)) == pytest.approx([deviation] * 2, rel=0.05)
        spent = (drawn.primary.mean * drawn.exposed)[:, -1].sum(axis=1)
        assert spent == pytest.approx((even.primary.mean * even.exposed)[:, -1].sum(axis=1))


def test_guardrails_that_fail_together_are_correlated() -> None:
    drawn = bad_sessions(Traffic(), guardrails=2)(rng(), 4_000)
    first, second = (metric.mean[:, -1, 0] for metric in drawn.guardrails)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.45, abs=0.05)
    assert first.mean() == pytest.approx(0.01 * 0.5 + 0.99 * 0.0005, rel=0.02)
