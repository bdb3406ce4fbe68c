"""The draws have the expected distributions, for small and large numbers."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, pvariance
from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.emulator.population.sampling import (
    Covariate,
    Moments,
    binomial,
    generator,
    hypergeometric,
    multinomial,
    normal_values,
    poisson,
    split_values,
    subset,
    with_covariate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DRAWS = 40_000


def chi_square_z(drawn: Iterable[int], pmf: Callable[[int], float]) -> float:
    """Pearson's chi-square against the exact distribution, as a standard normal score (Wilson & Hilferty 1931)."""
    counts: dict[int, int] = {}
    for value in drawn:
        counts[value] = counts.get(value, 0) + 1
    total = sum(counts.values())
    statistic, cells, expected_left, seen_left = 0.0, 0, float(total), total
    expected_pool, seen_pool = 0.0, 0
    for value in range(min(counts), max(counts) + 1):
        expected_pool += total * pmf(value)
        seen_pool += counts.get(value, 0)
        if expected_pool >= 10 and expected_left - expected_pool >= 10:
            statistic += (seen_pool - expected_pool) ** 2 / expected_pool
            cells += 1
            expected_left -= expected_pool
            seen_left -= seen_pool
            expected_pool, seen_pool = 0.0, 0
    statistic += (seen_left - expected_left) ** 2 / expected_left
    freedom = cells
    cube_root: float = (statistic / freedom) ** (1 / 3)
    return (cube_root - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))


def log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@pytest.mark.parametrize(
    ("trials", "chance"),
    [(1, 0.3), (5, 0.5), (30, 0.1), (30, 0.97), (40, 0.5), (100, 0.2), (1_000, 0.013), (5_000, 0.4), (1_000_000, 0.1)],
)
def test_binomial_draws_follow_the_exact_distribution(trials: int, chance: float) -> None:
    rng = generator("binomial", trials, str(chance))

    def pmf(k: int) -> float:
        if not 0 <= k <= trials:
            return 0.0
        return math.exp(log_choose(trials, k) + k * math.log(chance) + (trials - k) * math.log1p(-chance))

    assert abs(chi_square_z((binomial(rng, trials, chance) for _ in range(DRAWS)), pmf)) < 3.5


@pytest.mark.parametrize("mean", [0.05, 3.0, 11.9, 12.1, 50.0, 20_833.3])
def test_poisson_draws_follow_the_exact_distribution(mean: float) -> None:
    rng = generator("poisson", str(mean))

    def pmf(k: int) -> float:
        return math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))

    assert abs(chi_square_z((poisson(rng, mean) for _ in range(DRAWS)), pmf)) < 3.5


@pytest.mark.parametrize(
    ("marked", "unmarked", "drawn"),
    [
        (5, 5, 3),
        (10, 90, 30),
        (60, 40, 30),
        (60, 40, 85),
        (500, 300, 100),
        (20_000, 150_000, 7_000),
        (7, 100_000, 50_000),
    ],
)
def test_hypergeometric_draws_follow_the_exact_distribution(marked: int, unmarked: int, drawn: int) -> None:
    rng = generator("hypergeometric", marked, unmarked, drawn)

    def pmf(k: int) -> float:
        if not max(0, drawn - unmarked) <= k <= min(marked, drawn):
            return 0.0
        return math.exp(log_choose(marked, k) + log_choose(unmarked, drawn - k) - log_choose(marked + unmarked, drawn))

    assert abs(chi_square_z((hypergeometric(rng, marked, unmarked, drawn) for _ in range(DRAWS)), pmf)) < 3.5


@pytest.mark.parametrize(("trials", "chance"), [(0, 0.5), (10, 0.0), (0, 1.0)])
def test_nothing_comes_of_no_trials_or_no_chance(trials: int, chance: float) -> None:
    assert binomial(generator("none"), trials, chance) == 0


def test_a_certain_success_always_happens() -> None:
    assert binomial(generator("all"), 12_345, 1.0) == 12_345


def test_a_billion_people_are_drawn_with_the_right_mean_and_spread() -> None:
    rng = generator("billion")
    scores = [(binomial(rng, 10**9, 0.25) - 2.5e8) / math.sqrt(10**9 * 0.1875) for _ in range(4_000)]
    assert abs(fmean(scores)) < 3.5 / math.sqrt(4_000)
    assert pvariance(scores) == pytest.approx(1, abs=3.5 * math.sqrt(2 / 4_000))


def test_the_same_key_gives_the_same_draws_and_another_key_others() -> None:
    first, second, other = (generator(42, "experiment", number) for number in (1, 1, 2))
    assert [first.random() for _ in range(5)] == [second.random() for _ in range(5)]
    assert first.random() != other.random()


def test_a_multinomial_draw_adds_up_and_gives_nothing_to_a_place_without_weight() -> None:
    rng = generator("multinomial")
    counts = [multinomial(rng, 1_000, [1.0, 0.0, 3.0, 0.0]) for _ in range(2_000)]
    assert all(sum(count) == 1_000 and count[1] == count[3] == 0 for count in counts)
    assert fmean(count[0] for count in counts) == pytest.approx(250, abs=3.5 * math.sqrt(187.5 / 2_000))


def test_a_multinomial_draw_of_no_people_needs_no_weight() -> None:
    assert multinomial(generator("nobody"), 0, [0.0, 0.0]) == [0, 0]


def test_a_subset_takes_no_more_of_a_group_than_there_are() -> None:
    rng = generator("subset")
    sizes = [0, 3, 500, 1, 20]
    for count in (0, 1, 100, 523, 524):
        taken = subset(rng, sizes, count)
        assert sum(taken) == count
        assert all(0 <= part <= size for part, size in zip(taken, sizes, strict=True))


def test_normal_values_have_the_sample_mean_and_the_chi_square_of_as_many_people() -> None:
    rng = generator("normal")
    samples = [normal_values(rng, 10, 300.0, 80.0) for _ in range(10_000)]
    means = [sample.total / 10 for sample in samples]
    assert fmean(means) == pytest.approx(300, abs=3.5 * 80 / math.sqrt(100_000))
    assert pvariance(means) == pytest.approx(640, rel=3.5 * math.sqrt(2 / 10_000))
    variances = [sample.squared_deviations / 9 for sample in samples]
    assert fmean(variances) == pytest.approx(6_400, rel=3.5 * math.sqrt(2 / 90_000))
    assert pvariance(variances) == pytest.approx(2 * 6_400**2 / 9, rel=0.1)


def test_a_single_value_has_no_spread_and_no_value_nothing() -> None:
    assert normal_values(generator("one"), 1, 5.0, 2.0).squared_deviations == pytest.approx(0, abs=1e-9)
    assert normal_values(generator("none"), 0, 5.0, 2.0) == Moments()


def test_the_parts_of_a_split_sample_add_up_to_it() -> None:
    rng = generator("parts")
    whole = normal_values(rng, 1_000, 300.0, 80.0)
    parts = split_values(rng, whole, [0, 1, 2, 400, 0, 597, 0])
    together = sum(parts, Moments())
    assert [part.count for part in parts] == [0, 1, 2, 400, 0, 597, 0]
    assert together.total == pytest.approx(whole.total, rel=1e-12)
    assert together.squares == pytest.approx(whole.squares, rel=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 9), (4, 6), (9, 1)])
def test_a_part_of_a_split_sample_is_distributed_as_if_drawn_alone(sizes: tuple[int, int]) -> None:
    rng = generator("alone", *sizes)
    parts = [split_values(rng, normal_values(rng, sum(sizes), 5.0, 2.0), sizes) for _ in range(10_000)]
    for place, size in enumerate(sizes):
        scores = [(part[place].total / size - 5.0) / (2.0 / math.sqrt(size)) for part in parts]
        assert abs(fmean(scores)) < 0.035
        assert pvariance(scores) == pytest.approx(1, abs=0.05)
        assert fmean(score > 1.0 for score in scores) == pytest.approx(1 - NormalDist().cdf(1), abs=0.013)
        if size > 1:
            spreads = [part[place].squared_deviations / 4.0 for part in parts]
            assert fmean(spreads) == pytest.approx(size - 1, rel=3.5 * math.sqrt(2 / (size - 1) / 10_000))
            assert pvariance(spreads) == pytest.approx(2 * (size - 1), rel=0.2)
    first, second = ([part[place].total for part in parts] for place in (0, 1))
    covariance = fmean(a * b for a, b in zip(first, second, strict=True)) - fmean(first) * fmean(second)
    assert abs(covariance / math.sqrt(pvariance(first) * pvariance(second))) < 0.035


def test_a_covariate_has_the_given_mean_spread_and_correlation() -> None:
    rng = generator("covariate")
    sums = sum(
        (
            with_covariate(rng, normal_values(rng, 50, 330.0, 80.0), 330.0, Covariate(300.0, 80.0, 0.6))
            for _ in range(2_000)
        ),
        Moments(),
    )
    n = sums.count
    xx = sums.x_squares / n - (sums.x_total / n) ** 2
    yy = sums.squares / n - (sums.total / n) ** 2
    xy = sums.xy / n - sums.x_total / n * sums.total / n
    assert sums.x_total / n == pytest.approx(300, abs=3.5 * 80 / math.sqrt(n))
    assert math.sqrt(xx) == pytest.approx(80, rel=0.01)
    assert xy / math.sqrt(xx * yy) == pytest.approx(0.6, abs=3.5 * 0.64 / math.sqrt(n))


@pytest.mark.parametrize("people", [0, 1, 2])
def test_a_covariate_of_hardly_anybody_is_finite(people: int) -> None:
    rng = generator("few", people)
    values = with_covariate(rng, normal_values(rng, people, 1.0, 1.0), 1.0, Covariate(1.0, 1.0, 0.5))
    assert math.isfinite(values.x_total + values.x_squares + values.xy)
