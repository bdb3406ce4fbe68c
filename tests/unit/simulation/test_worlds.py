"""What is drawn is what was said to be true."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from airflow_provider_launchdarkly.simulation.sampling import draw
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World, expected_units

END = timedelta(days=28)
DAILY = tuple(timedelta(days=day) for day in range(1, 29))


def arriving(arrivals: Arrivals) -> np.ndarray:
    """Units that arrive on each day, of 1,000 a day."""
    world = World(MetricTruth(0.1), 1000.0, arrivals=arrivals)
    return np.diff(expected_units(world, DAILY, END), prepend=0.0)


@pytest.mark.parametrize("arrivals", sorted(set(Arrivals) - {Arrivals.LOST_DAY}))
def test_every_kind_of_traffic_brings_the_same_total(arrivals: Arrivals) -> None:
    assert arriving(arrivals).sum() == pytest.approx(28_000)


def test_even_traffic_is_even() -> None:
    assert arriving(Arrivals.EVEN) == pytest.approx(np.full(28, 1000.0))


def test_growing_traffic_grows_threefold() -> None:
    days = arriving(Arrivals.GROWING)
    assert days[-1] / days[0] == pytest.approx(3.0, rel=0.06)
    assert np.allclose(np.diff(days, n=2), 0.0)


def test_surging_traffic_grows_threefold_by_equal_factors() -> None:
    days = arriving(Arrivals.SURGING)
    assert days[1:] / days[:-1] == pytest.approx(np.full(27, 3.0 ** (1 / 28)))


def test_shrinking_traffic_is_growing_traffic_backwards() -> None:
    assert arriving(Arrivals.SHRINKING)[::-1] == pytest.approx(arriving(Arrivals.GROWING), rel=0.01)


def test_traffic_grows_tenfold_in_a_straight_line_or_by_equal_factors() -> None:
    straight, curved = arriving(Arrivals.GROWING_TENFOLD), arriving(Arrivals.SURGING_TENFOLD)
    assert np.allclose(np.diff(straight, n=2), 0.0)
    assert straight[-1] / straight[0] == pytest.approx(10.0, rel=0.2)
    assert curved[1:] / curved[:-1] == pytest.approx(np.full(27, 10.0 ** (1 / 28)))


def test_dying_traffic_falls_to_a_hundredth() -> None:
    days = arriving(Arrivals.DYING)
    assert days[1:] / days[:-1] == pytest.approx(np.full(27, 0.01 ** (1 / 28)))


def test_a_press_day_brings_ten_times_as_many() -> None:
    days = arriving(Arrivals.PRESS_DAY)
    assert days[21] / days[20] == pytest.approx(10.0)
    assert np.delete(days, 21) == pytest.approx(np.full(27, days[0]))


def test_weekends_bring_less() -> None:
    days = arriving(Arrivals.WEEKDAYS)
    assert days[5] < 0.6 * days[0]
    assert days[:7] == pytest.approx(days[7:14])


def test_a_lost_day_is_lost() -> None:
    days = arriving(Arrivals.LOST_DAY)
    assert days[14] == 0.0
    assert days.sum() == pytest.approx(27_000)


def test_traffic_goes_on_after_the_plans_end() -> None:
    world = World(MetricTruth(0.1), 1000.0)
    assert expected_units(world, (timedelta(days=30),), END) == pytest.approx([30_000])


@pytest.mark.parametrize("std_dev", [None, 0.5])
def test_means_and_variances_are_the_true_ones(std_dev: float | None) -> None:
    world = World(MetricTruth(0.2, std_dev, (0.5,)), 2000.0, planned_shares=(3, 1))
    drawn = draw(world, DAILY, END, 300, np.random.default_rng(1))
    assert drawn.exposed[:, -1].mean(axis=0) == pytest.approx([42_000, 14_000], rel=0.01)
    assert drawn.primary.mean[:, -1].mean(axis=0) == pytest.approx([0.2, 0.3], rel=0.01)
    variance = [0.16, 0.21] if std_dev is None else [0.25, 0.25]
    assert drawn.primary.variance[:, -1].mean(axis=0) == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize("std_dev", [None, 0.5])
def test_means_scatter_as_their_standard_error_says(std_dev: float | None) -> None:
    drawn = draw(World(MetricTruth(0.2, std_dev), 100.0), DAILY, END, 4000, np.random.default_rng(2))
    error = np.sqrt(drawn.primary.variance[:, -1, 0] / drawn.exposed[:, -1, 0])
    z = (drawn.primary.mean[:, -1, 0] - 0.2) / error
    assert z.std() == pytest.approx(1.0, abs=0.04)


def test_treatments_without_units_have_no_mean() -> None:
    drawn = draw(World(MetricTruth(5.0, 1.0), 0.0), DAILY, END, 3, np.random.default_rng(3))
    assert not drawn.exposed.any()
    assert not drawn.primary.mean.any()
    assert not drawn.primary.variance.any()


def test_counts_only_grow() -> None:
    drawn = draw(World(MetricTruth(0.1), 5.0), DAILY, END, 20, np.random.default_rng(4))
    assert (np.diff(drawn.exposed, axis=1) >= 0).all()


def test_the_same_seed_draws_the_same() -> None:
    first, second = (draw(World(MetricTruth(0.1), 9.0), DAILY, END, 5, np.random.default_rng(5)) for _ in range(2))
    assert (first.exposed == second.exposed).all()
    assert (first.primary.mean == second.primary.mean).all()


def test_looks_can_be_picked_and_repeated() -> None:
    world = World(MetricTruth(0.1), 9.0, guardrails=(MetricTruth(0.2),))
    drawn = draw(world, DAILY, END, 5, np.random.default_rng(6))
    picked = drawn.at([3, 3, 10])
    assert picked.moments == (DAILY[3], DAILY[3], DAILY[10])
    assert (picked.exposed[:, 0] == picked.exposed[:, 1]).all()
    assert (picked.guardrails[0].mean[:, 2] == drawn.guardrails[0].mean[:, 10]).all()
