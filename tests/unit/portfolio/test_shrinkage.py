"""What is learned from many estimates, and what it makes of each."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.portfolio.shrinkage import FEWEST, learn
from airflow_provider_launchdarkly.portfolio.slabs import Decay, Estimate, Normal, Shape

SHAPES: tuple[Shape, ...] = (
    Normal(0.02, 0.01),
    Normal(-0.03, 0.05),
    Decay(1.0, 0.03),
    Decay(0.0, 0.03),
    Decay(0.3, 0.02),
)


def prior_density(shape: Shape, effects: np.ndarray) -> np.ndarray:
    """The shape itself, written down a second time."""
    if isinstance(shape, Normal):
        return np.exp(-0.5 * ((effects - shape.centre) / shape.spread) ** 2) / (shape.spread * math.sqrt(2 * math.pi))
    decay = np.exp(-np.abs(effects) / shape.mean) / shape.mean
    return np.asarray(decay * np.where(effects > 0, shape.good, 1 - shape.good))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("measured", [-0.06, -0.01, 0.0, 0.02, 0.07])
def test_the_closed_forms_agree_with_numerical_integration(shape: Shape, measured: float) -> None:
    estimate = Estimate(measured, 0.015)
    effects = np.linspace(-0.4, 0.4, 400_001)
    width = effects[1] - effects[0]
    joint = prior_density(shape, effects) * np.exp(-0.5 * ((measured - effects) / estimate.error) ** 2)
    alone = math.exp(-0.5 * (measured / estimate.error) ** 2)
    assert math.exp(shape.log_ratio(estimate)) == pytest.approx(joint.sum() * width / alone, rel=1e-3)

    pieces = shape.posterior(estimate)
    assert sum(piece.weight for piece in pieces) == pytest.approx(1.0)
    density = joint / (joint.sum() * width)
    mean = sum(piece.weight * piece.moments()[0] for piece in pieces)
    square = sum(piece.weight * (piece.moments()[0] ** 2 + piece.moments()[1]) for piece in pieces)
    assert mean == pytest.approx((density * effects).sum() * width, abs=2e-5)
    assert square == pytest.approx((density * effects**2).sum() * width, abs=2e-5)
    for value in (-0.02, 0.0, 0.005, 0.03):
        below = sum(piece.weight * piece.at_most(value) for piece in pieces)
        assert below == pytest.approx(density[effects <= value].sum() * width, abs=1e-3)


def quarter(true: float, count: int, seed: int, effect: float = 0.07, error: float = 0.02) -> list[Estimate]:
    """Estimates of which this share has the effect."""
    chance = random.Random(seed)
    real = [effect if number < true * count else 0.0 for number in range(count)]
    return [Estimate(chance.gauss(one, error), error) for one in real]


def test_the_share_without_effect_is_learned() -> None:
    shares = [learn(quarter(true, 150, seed=3)).without_effect for true in (0.1, 0.5, 0.9)]
    assert shares == pytest.approx([0.9, 0.5, 0.1], abs=0.1)


def test_the_same_estimate_is_worth_less_where_effects_are_rare() -> None:
    estimate = Estimate(0.05, 0.02)
    rare, common = (learn(quarter(true, 200, seed=1)).shrink(estimate) for true in (0.05, 0.6))
    assert rare.false_ship > common.false_ship + 0.2
    assert rare.effect < common.effect


def test_a_good_and_a_bad_world_mirror_each_other() -> None:
    estimates = quarter(0.3, 60, seed=5)
    there = learn(estimates).shrink(estimates[0])
    back = learn([one._replace(effect=-one.effect) for one in estimates]).shrink(
        estimates[0]._replace(effect=-estimates[0].effect)
    )
    assert (back.effect, back.lower, back.upper) == pytest.approx((-there.effect, -there.upper, -there.lower), abs=1e-5)


def test_the_total_is_the_sum_of_the_shrunken_effects_with_the_share_of_false_ships() -> None:
    estimates = quarter(0.3, 80, seed=2)
    learned, shipped = learn(estimates), [one for one in estimates if one.effect > 0.04]
    alone, total = [learned.shrink(one) for one in shipped], learned.total(shipped)
    assert total.effect == pytest.approx(sum(one.effect for one in alone))
    assert total.false_share == pytest.approx(sum(one.false_ship for one in alone) / len(alone), abs=1e-6)
    assert total.effect_lower < total.effect < total.effect_upper
    assert 0 <= total.false_lower <= total.false_share <= total.false_upper <= 1


def test_where_a_margin_may_be_lost_no_effect_is_no_false_ship() -> None:
    estimates = quarter(0.2, 60, seed=4)
    learned = learn(estimates)
    strict, tolerant = (learned.shrink(Estimate(0.0, 0.01, margin)) for margin in (0.0, 0.05))
    assert strict.false_ship > 0.8
    assert tolerant.false_ship < 0.05
    assert learned.total([Estimate(0.0, 0.01, 0.05)]).false_share == pytest.approx(tolerant.false_ship, abs=1e-6)


def test_nothing_shipped_brings_nothing() -> None:
    assert set(learn(quarter(0.1, 20, seed=1)).total([])) == {0.0}


@pytest.mark.parametrize(
    ("estimates", "named"),
    [
        (quarter(0.1, FEWEST - 1, seed=1), "5 experiments; at least 6"),
        ([*quarter(0.1, 9, seed=1), Estimate(math.nan, 0.1)], "nan"),
        ([*quarter(0.1, 9, seed=1), Estimate(0.1, 0.0)], "error above 0"),
    ],
)
def test_what_teaches_nothing_is_refused(estimates: list[Estimate], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        learn(estimates)


@given(
    st.lists(
        st.builds(Estimate, st.floats(-50, 50), st.floats(1e-4, 10), st.sampled_from([0.0, 0.02, 0.5])),
        min_size=FEWEST,
        max_size=8,
    )
)
def test_whatever_is_measured_the_numbers_are_possible(estimates: list[Estimate]) -> None:
    learned = learn(estimates)
    assert 0 < learned.without_effect < 1
    alone = [learned.shrink(estimate) for estimate in estimates]
    for found in alone:
        assert all(math.isfinite(value) for value in found)
        assert found.lower <= found.upper
        assert 0 <= found.false_ship <= 1
    total = learned.total(estimates)
    assert all(math.isfinite(value) for value in total)
    assert total.effect_lower <= total.effect <= total.effect_upper
    assert total.effect == pytest.approx(sum(one.effect for one in alone), rel=1e-6, abs=1e-6)


@settings(max_examples=5)
@given(st.permutations(range(12)))
def test_the_order_of_the_experiments_does_not_matter(order: list[int]) -> None:
    estimates = quarter(0.3, 12, seed=8)
    shuffled = learn([estimates[number] for number in order])
    assert shuffled.shrink(estimates[0]) == pytest.approx(learn(estimates).shrink(estimates[0]))
