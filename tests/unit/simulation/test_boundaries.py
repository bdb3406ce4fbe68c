"""Boundaries of many looks at once are those of one look at a time, whatever the paths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.boundaries import FARTHEST, hwang_shih_decani, solve_afresh
from airflow_provider_launchdarkly.decision.information import LEAST_STEP
from airflow_provider_launchdarkly.simulation.boundaries import crossed, solve_last

GAMMAS = st.sampled_from((-4.0, -2.4, -0.2, 1.0))


def paths(seed: int, rows: int, looks: int, shape: float) -> np.ndarray:
    """Draw paths of information; a small shape makes large and small steps, at least `LEAST_STEP`."""
    steps = np.random.default_rng(seed).gamma(shape, 1.0, (rows, looks)) + 1e-9
    found = np.cumsum(steps, axis=1)
    found /= found[:, -1:]
    for look in range(looks - 2, -1, -1):
        found[:, look] = np.minimum(found[:, look], found[:, look + 1] * (1.0 - LEAST_STEP))
    return found


def spending(looks: int, gamma: float, alpha: float = 0.05) -> np.ndarray:
    return np.array([hwang_shih_decani(alpha, gamma, look / looks) for look in range(1, looks + 1)])


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from((0.1, 1.0, 10.0)), GAMMAS)
def test_each_boundary_is_the_one_of_its_own_path(seed: int, looks: int, shape: float, gamma: float) -> None:
    fractions, spent = paths(seed, 5, looks, shape), np.tile(spending(looks, gamma), (5, 1))
    # A look without information, and one that may spend nothing.
    fractions[0, : looks // 2] = 0.0
    spent[1, looks // 2 :] = spent[1, looks // 2]
    found = solve_last(fractions, spent)
    for row in range(5):
        has = fractions[row] > 0.0
        expected = solve_afresh(fractions[row, has].tolist(), spent[row, has].tolist())[-1]
        assert found[row] == pytest.approx(expected, abs=1e-4)


@given(st.integers(0, 2**32), st.integers(1, 10), st.sampled_from((0.3, 3.0)), GAMMAS)
def test_what_crosses_is_found_with_few_boundaries_solved(seed: int, looks: int, shape: float, gamma: float) -> None:
    fractions = paths(seed, 300, looks, shape)
    spent = np.tile(spending(looks, gamma), (300, 1))
    z = np.random.default_rng(seed + 1).normal(2.2, 0.5, 300)
    z[0] = np.nan
    exact = solve_last(fractions, spent)
    clear = ~(np.abs(z - exact) < 1e-3)
    assert (crossed(z, fractions, spent) == (z >= exact))[clear].all()


def test_nothing_reaches_a_boundary_that_may_spend_nothing() -> None:
    fractions, spent = np.array([[0.5, 1.0]]), np.array([[0.05, 0.05]])
    assert solve_last(fractions, spent) == FARTHEST
    assert not crossed(np.array([8.4]), fractions, spent).any()
