"""The boundaries, against published tables and against themselves."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from airflow_provider_launchdarkly.decision.boundaries import (
    Boundary,
    crossing_probabilities,
    hwang_shih_decani,
    quantile,
    solve,
    tail,
)


def even(looks: int) -> tuple[float, ...]:
    return tuple(number / looks for number in range(1, looks + 1))


def spending(looks: int, gamma: float, alpha: float = 0.05) -> tuple[float, ...]:
    return tuple(hwang_shih_decani(alpha, gamma, fraction) for fraction in even(looks))


def test_obrien_fleming_like_spending_gives_the_published_boundary_of_five_looks() -> None:
    # Lan & DeMets (1983), Table 1, as recomputed in Reboussin et al. (2000), Controlled Clinical Trials 21.
    # Their section 3: 2 - 2 Phi(z(alpha / 2) / sqrt(t)).
    spent = tuple(2.0 * tail(quantile(0.025 / 2.0) / math.sqrt(fraction)) for fraction in even(5))
    assert solve(even(5), spent) == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=6e-4)


def test_pocock_like_spending_gives_the_published_boundary_of_five_looks() -> None:
    # Lan & DeMets (1983), section 3: alpha log(1 + (e - 1) t).
    spent = tuple(0.025 * math.log1p((math.e - 1.0) * fraction) for fraction in even(5))
    assert solve(even(5), spent) == pytest.approx((2.4380, 2.4268, 2.4101, 2.3966, 2.3859), abs=2e-4)


def test_hwang_shih_decani_spending_gives_the_boundary_of_gsdesigns_default() -> None:
    # The R package gsDesign's default design: three looks, 2.5 % one-sided, gamma = -4.
    assert solve(even(3), spending(3, -4.0, 0.025)) == pytest.approx((3.0107, 2.5465, 1.9992), abs=5e-4)


@pytest.mark.parametrize(("looks", "constant"), [(2, 1.977), (5, 2.040), (10, 2.087), (20, 2.126)])
def test_the_classical_obrien_fleming_boundary_spends_five_percent(looks: int, constant: float) -> None:
    # Jennison & Turnbull (2000), Table 2.3: two-sided 5 %; far in the tails each side spends half.
    z = [constant * math.sqrt(looks / number) for number in range(1, looks + 1)]
    assert sum(crossing_probabilities(even(looks), z)) == pytest.approx(0.025, abs=1e-4)


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (5, 2.413), (10, 2.555)])
def test_the_classical_pocock_boundary_spends_five_percent(looks: int, constant: float) -> None:
    # Jennison & Turnbull (2000), Table 2.1. Paths that cross on both sides are counted twice here, so a little more.
    spent = 2 * sum(crossing_probabilities(even(looks), [constant] * looks))
    assert 0.05 <= spent <= 0.0515


def test_looking_daily_at_a_fixed_five_percent_ships_almost_a_quarter() -> None:
    naive = sum(crossing_probabilities(even(28), [quantile(0.05)] * 28))
    assert naive == pytest.approx(0.235, abs=0.002)


def test_one_look_is_the_fixed_test() -> None:
    (z,) = solve((1.0,), (0.05,))
    assert z == pytest.approx(1.6449, abs=1e-4)
    assert sum(crossing_probabilities((1.0,), (1.96,), drift=1.96 + 0.8416)) == pytest.approx(0.80, abs=1e-4)


def test_the_design_with_28_looks_keeps_the_power_of_obrien_fleming() -> None:
    z = solve(even(28), spending(28, -2.4))
    assert sum(crossing_probabilities(even(28), z, drift=quantile(0.025) + quantile(0.2))) > 0.85


@given(
    looks=st.integers(1, 60),
    gamma=st.floats(-6.0, 1.0),
    alpha=st.floats(0.001, 0.2),
)
def test_every_solved_boundary_spends_exactly_what_it_may(looks: int, gamma: float, alpha: float) -> None:
    spent = spending(looks, gamma, alpha)
    crossed = crossing_probabilities(even(looks), solve(even(looks), spent))
    for step in range(looks):
        assert sum(crossed[: step + 1]) == pytest.approx(spent[step], abs=1e-6)


@given(looks=st.integers(2, 60), gamma=st.floats(-6.0, -1.0), alpha=st.floats(0.005, 0.1))
def test_late_spending_lowers_the_bar_from_look_to_look(looks: int, gamma: float, alpha: float) -> None:
    z = solve(even(looks), spending(looks, gamma, alpha))
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(z))


@given(looks=st.integers(1, 60), gamma=st.floats(-6.0, 1.0), alpha=st.floats(0.005, 0.1))
def test_no_look_asks_less_than_a_single_look_would(looks: int, gamma: float, alpha: float) -> None:
    assert min(solve(even(looks), spending(looks, gamma, alpha))) >= quantile(alpha) - 1e-6


@given(st.floats(0.0001, 0.9999))
def test_quantile_and_tail_undo_each_other(probability: float) -> None:
    assert tail(quantile(probability)) == pytest.approx(probability, rel=1e-9)


@given(gamma=st.floats(-10, 4), fraction=st.floats(0, 1))
def test_spending_stays_between_nothing_and_alpha(gamma: float, fraction: float) -> None:
    assert 0.0 <= hwang_shih_decani(0.05, gamma, fraction) <= 0.05 + 1e-12


def test_everything_is_spent_at_the_end_and_nothing_more_after_it() -> None:
    assert hwang_shih_decani(0.05, -2.4, 1.0) == pytest.approx(0.05)
    assert hwang_shih_decani(0.05, -2.4, 1.3) == pytest.approx(0.05)


def test_a_boundary_is_exact_at_its_looks_and_between_them_in_between() -> None:
    boundary = Boundary((0.25, 0.5, 1.0), (4.0, 3.0, 2.0), (0.001, 0.01, 0.05))
    assert [boundary.at(share) for share in (0.25, 0.5, 1.0)] == [4.0, 3.0, 2.0]
    assert boundary.at(0.75) == pytest.approx(2.5)
    assert boundary.spent_at(0.75) == pytest.approx(0.03)


def test_a_boundary_before_its_first_look_rises_as_information_shrinks() -> None:
    boundary = Boundary((0.25, 1.0), (4.0, 2.0), (0.001, 0.05))
    assert boundary.at(0.0625) == pytest.approx(8.0)
    assert boundary.at(0.0) == math.inf
    assert boundary.spent_at(0.1) == 0.0


def test_a_boundary_after_its_end_stays_as_it_was() -> None:
    boundary = Boundary((0.5, 1.0), (3.0, 2.0), (0.01, 0.05))
    assert boundary.at(1.3) == 2.0


@pytest.mark.parametrize("drift", [0.0, 2.8, -2.8])
@pytest.mark.parametrize("late", [0.5, 0.9, 0.99, 0.999])
def test_looks_at_which_nothing_can_be_crossed_change_nothing(late: float, drift: float) -> None:
    *before, found = crossing_probabilities((0.3, late, 1.0), (math.inf, math.inf, 1.645), drift)
    assert before == pytest.approx([0.0, 0.0], abs=1e-15)
    assert found == pytest.approx(tail(1.645 - drift), rel=1e-6)


@pytest.mark.parametrize(
    ("fractions", "z"),
    [
        ((0.9, 0.901), (5.0, 1.645)),
        ((0.5, 0.9, 0.9001, 1.0), (3.0, 4.0, 1.7, 1.8)),
        ((0.5, 0.99, 0.9901, 0.9902), (3.0, 6.0, 2.7, 1.8)),
        ((0.2, 0.5, 0.999, 1.0), (2.0, 5.0, 5.0, 1.645)),
    ],
)
def test_a_boundary_that_falls_steeply_between_two_close_looks_loses_no_path(
    fractions: tuple[float, ...], z: tuple[float, ...]
) -> None:
    correlations = [[math.sqrt(min(one, other) / max(one, other)) for one in fractions] for other in fractions]
    below = multivariate_normal(cov=correlations, abseps=1e-8, releps=1e-8, maxpts=3_000_000).cdf(z)
    assert sum(crossing_probabilities(fractions, z)) == pytest.approx(1.0 - below, abs=1e-6)


@pytest.mark.parametrize("late", [0.5, 0.9, 0.99])
def test_all_error_may_be_spent_at_a_late_last_look(late: float) -> None:
    *_, z = solve((0.3, late, 1.0), (0.0, 0.0, 0.05))
    assert z == pytest.approx(quantile(0.05), abs=1e-6)


def test_a_look_that_may_spend_nothing_cannot_be_crossed() -> None:
    first, second = solve((0.01, 1.0), (0.0, 0.05))
    assert first > 8.0
    assert second == pytest.approx(1.6449, abs=1e-4)


def test_a_boundary_is_solved_once() -> None:
    first = solve(even(28), spending(28, -2.4))
    assert solve(even(28), spending(28, -2.4)) is first
