"""How an error is divided over treatments that share one baseline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision import dunnett
from airflow_provider_launchdarkly.decision.allocation import EVEN, Allocation
from airflow_provider_launchdarkly.decision.boundaries import quantile
from airflow_provider_launchdarkly.decision.dunnett import per_comparison_error
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import LookSchedule, schedule_looks


# Dunnett (1955), JASA 50, table 1a: one-sided, infinitely many degrees of freedom, equal shares (correlation 1/2).
@pytest.mark.parametrize(
    ("treatments", "alpha", "bound"), [(2, 0.05, 1.92), (3, 0.05, 2.06), (6, 0.05, 2.29), (2, 0.01, 2.56)]
)
def test_one_look_agrees_with_the_published_table(
    monkeypatch: pytest.MonkeyPatch, treatments: int, alpha: float, bound: float
) -> None:
    monkeypatch.setattr(dunnett, "CORRELATION_KEPT", 1.0)
    found = quantile(per_comparison_error(alpha, Allocation.even(treatments + 1)))
    assert found == pytest.approx(bound, abs=0.006)


@given(
    st.floats(0.0005, 0.4),
    st.lists(st.floats(0.01, 1.0), min_size=3, max_size=9),
)
def test_it_is_between_bonferroni_and_no_correction(alpha: float, shares: list[float]) -> None:
    error = per_comparison_error(alpha, Allocation.of_shares(shares))
    assert alpha / (len(shares) - 1) <= error * (1 + 1e-6)
    assert error <= alpha


def test_a_single_treatment_is_not_corrected() -> None:
    assert per_comparison_error(0.05, EVEN) == 0.05


def test_an_unknown_allocation_is_divided_evenly() -> None:
    assert per_comparison_error(0.05, Allocation.even(4)._replace(known=False)) == pytest.approx(0.05 / 3)


def test_a_small_baseline_makes_treatments_more_alike() -> None:
    small, large = (per_comparison_error(0.05, Allocation.of_shares((share, 1, 1, 1))) for share in (0.2, 9.0))
    assert small > 1.15 * large


# Three standard errors of 60,000 experiments above the nominal error, at the shape of shipping and at that of harm.
@pytest.mark.parametrize("gamma", [-2.4, -0.2])
@pytest.mark.parametrize("shares", [(1, 1, 1), (1,) * 6, (70, 10, 10, 10), (20, 40, 40)])
def test_the_error_over_all_looks_and_treatments_is_no_more_than_nominal(
    shares: tuple[float, ...], gamma: float
) -> None:
    allocation, looks, experiments = Allocation.of_shares(shares), 28, 60_000
    random = np.random.default_rng(11)
    schedule = schedule_looks(Policy(planned_units=1000))
    z = LookSchedule(schedule.look_times, schedule.look_times[0], 1000).ship_boundary(
        per_comparison_error(0.05, allocation), gamma
    )
    parts = np.array((allocation.baseline, *allocation.challengers))
    sums = np.zeros((experiments, len(parts)))
    crossed = np.zeros((experiments, len(parts) - 1), dtype=np.bool_)
    for look, bound in enumerate(z.z, start=1):
        sums += random.standard_normal(sums.shape) / np.sqrt(looks * parts)
        spread = np.sqrt((1.0 / parts[1:] + 1.0 / parts[0]) * look / looks)
        crossed |= (sums[:, 1:] - sums[:, :1]) / spread >= bound
    # Each comparison alone has its nominal error exactly, so only the overlap has to be estimated.
    overlap = np.maximum(crossed.sum(axis=1) - 1, 0)
    error = len(allocation.challengers) * z.spent[-1] - overlap.mean()
    assert error < 0.05 + 3.0 * overlap.std() / math.sqrt(experiments)
    assert error > 0.045


class TestErrorRates:
    def test_one_treatment_and_no_guardrail(self) -> None:
        assert ErrorRates.of(Policy(), EVEN) == (0.05, 0.05, 0.0, 0.0)

    def test_looks_for_harm_share_a_fifth_of_it_evenly_over_metrics_and_treatments(self) -> None:
        policy = Policy.from_json({"harm_looks": "15m", "guardrails": [{"metric": "a"}], "multiplicity": "bonferroni"})
        rates = ErrorRates.of(policy, Allocation.even(3))
        assert rates.anytime_harm == pytest.approx(0.01 / 4)
        assert 2 * (rates.primary_harm + rates.guardrail_harm) == pytest.approx(0.04)

    def test_guardrails_divide_harm_evenly(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "a"}, {"metric": "b"}]})
        rates = ErrorRates.of(policy, EVEN)
        assert rates.primary_harm + 2 * rates.guardrail_harm == pytest.approx(0.05)
        assert rates.primary_harm == pytest.approx(0.0015)

    def test_several_treatments_get_more_than_an_even_share(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "a"}]})
        dunnetts = ErrorRates.of(policy, Allocation.even(4))
        divided = Policy.from_json({"guardrails": [{"metric": "a"}], "multiplicity": "bonferroni"})
        even = ErrorRates.of(divided, Allocation.even(4))
        assert even == pytest.approx((0.05 / 3, 0.0015 / 3, 0.0485 / 3, 0.0))
        assert all(more > less for more, less in zip(dunnetts[:3], even[:3], strict=True))
