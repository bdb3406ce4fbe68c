"""Which boundaries are crossed, where only doubtful ones are solved."""

from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_launchdarkly.simulation import boundaries

LOOKS, PATHS = 6, 240


def paths(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Paths to the last of six looks, whose information is measured with noise, and what they may spend."""
    random = np.random.default_rng(3)
    steps = random.gamma(1.0 / noise, noise, (PATHS, LOOKS)) + 1e-2
    information = np.cumsum(steps, axis=1)
    return information / information[:, -1:], np.tile(0.05 * np.arange(1, LOOKS + 1) / LOOKS, (PATHS, 1))


@pytest.mark.parametrize("noise", [0.001, 0.1, 0.5])
def test_a_predicted_boundary_decides_as_a_solved_one(noise: float) -> None:
    fractions, spent = paths(noise)
    solved = boundaries.solve_last(fractions, spent)
    # On both sides of each boundary, some of them close to it.
    z = solved + np.random.default_rng(4).choice([-0.3, -0.01, -1e-4, 1e-4, 0.01, 0.3], PATHS)
    assert (boundaries.crossed(z, fractions, spent) == (z >= solved)).all()


def test_most_boundaries_need_not_be_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    fractions, spent = paths(0.1)
    solve, solved = boundaries.solve_last, []

    def counted(fractions: np.ndarray, spent: np.ndarray) -> np.ndarray:
        solved.append(len(fractions))
        return solve(fractions, spent)

    monkeypatch.setattr(boundaries, "solve_last", counted)
    boundaries.crossed(np.random.default_rng(5).uniform(1.7, 3.0, PATHS), fractions, spent)
    assert sum(solved) < PATHS / 2


def test_a_path_without_a_z_value_crosses_nothing() -> None:
    fractions, spent = paths(0.1)
    assert not boundaries.crossed(np.full(PATHS, np.nan), fractions, spent).any()
