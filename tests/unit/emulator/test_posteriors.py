"""Intervals, probabilities to be best and the sample ratio check, against closed forms and known values."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from airflow_provider_launchdarkly.emulator.population.posteriors import (
    Beta,
    Normal,
    credible_interval,
    probabilities_to_be_best,
    probability_of_mismatch,
    quantile,
    relative_difference,
)
from airflow_provider_launchdarkly.emulator.population.sampling import generator, poisson


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Normal(0, 1), Normal(0, 1)),
        (Normal(0, 1), Normal(1, 2)),
        (Normal(0, 1), Normal(0.1, 0.001)),
        (Normal(3e6, 10), Normal(3e6 + 15, 4)),
        (Normal(0, 1), Normal(50, 1)),
    ],
)
def test_of_two_normals_the_best_has_the_closed_forms_probability(first: Normal, second: Normal) -> None:
    exact = NormalDist().cdf((first.mu - second.mu) / math.hypot(first.sigma, second.sigma))
    assert probabilities_to_be_best([first, second], higher_is_better=True) == pytest.approx(
        [exact, 1 - exact], abs=1e-7
    )
    assert probabilities_to_be_best([first, second], higher_is_better=False) == pytest.approx(
        [1 - exact, exact], abs=1e-7
    )


def beats(one: Beta, other: Beta) -> float:
    """P(one > other) for whole numbers (Cook 2005, "Exact calculation of beta inequalities"; Miller 2014)."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return sum(
        math.exp(
            log_beta(other.alpha + i, other.beta + one.beta)
            - math.log(one.beta + i)
            - log_beta(1 + i, one.beta)
            - log_beta(other.alpha, other.beta)
        )
        for i in range(int(one.alpha))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Beta(1, 1), Beta(1, 1)),
        (Beta(1, 11), Beta(3, 1)),
        (Beta(1, 500), Beta(2, 700)),
        (Beta(101, 901), Beta(121, 881)),
        (Beta(1001, 9001), Beta(31, 301)),
    ],
)
def test_of_two_betas_the_best_has_the_closed_forms_probability(one: Beta, other: Beta) -> None:
    exact = beats(one, other)
    assert probabilities_to_be_best([one, other], higher_is_better=True)[0] == pytest.approx(exact, abs=1e-7)
    assert probabilities_to_be_best([one, other], higher_is_better=False)[0] == pytest.approx(1 - exact, abs=1e-7)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_probabilities_to_be_best_of_many_treatments_add_up_to_one(higher_is_better: bool) -> None:
    posteriors = [Beta(1 + 3 * index, 101 + 7 * index) for index in range(7)]
    assert math.fsum(probabilities_to_be_best(posteriors, higher_is_better=higher_is_better)) == pytest.approx(
        1, abs=1e-12
    )


def test_equal_treatments_are_equally_likely_to_be_best() -> None:
    assert probabilities_to_be_best([Beta(101, 901)] * 4, higher_is_better=True) == pytest.approx([0.25] * 4, abs=1e-9)


def test_a_treatment_alone_is_the_best() -> None:
    assert probabilities_to_be_best([Normal(1, 1)], higher_is_better=False) == [1.0]


def test_a_normal_credible_interval_is_the_textbooks() -> None:
    assert credible_interval(Normal(10, 2)) == pytest.approx((10 - 2 * 1.6448536270, 10 + 2 * 1.6448536270), abs=1e-6)


@pytest.mark.parametrize(
    ("posterior", "probability", "value"),
    [
        (Beta(1, 1), 0.05, 0.05),
        (Beta(1, 1), 0.95, 0.95),
        (Beta(2, 1), 0.25, 0.5),
        (Beta(1, 20), 0.95, 1 - 0.05 ** (1 / 20)),
        (Beta(1, 1_000_001), 0.95, -math.expm1(math.log(0.05) / 1_000_001)),
        (Beta(20, 1), 0.05, 0.05 ** (1 / 20)),
        (Beta(2, 2), 0.896, 0.8),
    ],
)
def test_beta_quantiles_have_the_closed_forms_value(posterior: Beta, probability: float, value: float) -> None:
    assert quantile(posterior, probability) == pytest.approx(value, rel=1e-6)


def test_a_beta_of_millions_is_as_good_as_normal() -> None:
    posterior = Beta(1_400_001, 12_600_001)
    reach = 1.6448536270 * posterior.deviation
    lower, upper = credible_interval(posterior)
    assert lower == pytest.approx(posterior.mean - reach, abs=posterior.deviation * 1e-3)
    assert upper == pytest.approx(posterior.mean + reach, abs=posterior.deviation * 1e-3)


def test_a_relative_difference_follows_the_delta_method() -> None:
    estimate = relative_difference(0.11, 1e-6, 0.10, 2e-6)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.1)
    assert estimate.variance == pytest.approx((1e-6 + 2e-6 * 1.21) / 0.01)
    assert (estimate.upper - estimate.lower) / 2 == pytest.approx(1.6448536270 * math.sqrt(estimate.variance))


def test_a_relative_difference_from_a_negative_mean_keeps_its_direction() -> None:
    estimate = relative_difference(-90.0, 1.0, -100.0, 1.0)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.1)


def test_there_is_no_relative_difference_from_a_mean_near_zero() -> None:
    assert relative_difference(1.0, 1.0, 0.5, 1.0) is None


def test_a_split_of_51_to_49_is_found_among_100_000_people() -> None:
    mismatch = probability_of_mismatch([51_000, 49_000], [0.5, 0.5])
    assert mismatch is not None
    assert mismatch > 0.999


def test_the_requested_split_gives_a_low_probability_of_mismatch() -> None:
    mismatch = probability_of_mismatch([700_300, 299_700], [0.7, 0.3])
    assert mismatch is not None
    assert mismatch < 0.2


def test_daily_checks_of_the_right_split_rarely_find_a_mismatch() -> None:
    alarms = 0
    for experiment in range(400):
        rng = generator("right split", experiment)
        counts = [0, 0]
        highest = 0.0
        for _ in range(28):
            counts = [count + poisson(rng, 5_000) for count in counts]
            highest = max(highest, probability_of_mismatch(counts, [0.5, 0.5]) or 0.0)
        alarms += highest > 0.99
    # At prior odds of 1 the bound is 1/99 of the experiments, however often one looks: 4 of 400, 11 with its own luck.
    assert alarms <= 11


def test_people_on_a_treatment_that_was_to_have_none_are_a_mismatch() -> None:
    assert probability_of_mismatch([100, 100, 1], [0.5, 0.5, 0.0]) == 1.0


@pytest.mark.parametrize(("counts", "shares"), [([0, 0], [0.5, 0.5]), ([10], [1.0]), ([10, 0], [1.0, 0.0])])
def test_without_people_or_choice_nothing_is_said_of_a_mismatch(counts: list[int], shares: list[float]) -> None:
    assert probability_of_mismatch(counts, shares) is None


def test_a_hopeless_split_gives_a_finite_probability() -> None:
    assert probability_of_mismatch([10**7, 0], [0.5, 0.5]) == 1.0
    assert 0 <= (probability_of_mismatch([10**12, 10**12], [0.5, 0.5]) or 0.0) < 1e-3
