"""Looks for harm between the planned ones, simulated: they find harm sooner, and hardly ever where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.anytime import log_evidence_of_counts, log_evidence_of_mean
from airflow_provider_launchdarkly.decision.counts import table_of
from airflow_provider_launchdarkly.decision.effects import effect
from airflow_provider_launchdarkly.decision.evidence import Measurement
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.anytime import harmed_at_any_time, log_evidence
from airflow_provider_launchdarkly.simulation.harm_looks import draw_and_judge
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate
from airflow_provider_launchdarkly.simulation.sampling import MetricDraws
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World

WATCHED = Policy.from_json({"harm_looks": "15m"})
GUARDED = Policy.from_json({"harm_looks": "15m", "guardrails": [{"metric": "a"}, {"metric": "b"}]})
RATE = MetricTruth(0.1)
TWO_GUARDRAILS = World(RATE, 2_000.0, guardrails=(RATE, MetricTruth(40.0, 60.0)))


@st.composite
def measured(draw: st.DrawFn) -> tuple[int, float, float]:
    """Units, mean and variance of a 0/1 metric or of any other."""
    units = draw(st.integers(1, 300) | st.integers(1, 10**7))
    if draw(st.integers(0, 2)):
        ones = draw(st.integers(0, min(units, 50)) | st.integers(max(0, units - 50), units) | st.integers(0, units))
        return units, ones / units, ones / units * (1.0 - ones / units)
    return units, draw(st.floats(1.5, 100.0)), draw(st.floats(1e-6, 1e4))


@given(measured(), measured(), st.sampled_from(Direction), st.sampled_from((0.0, 0.01, 0.3, 0.99)))
def test_both_paths_have_the_same_evidence(
    baseline: tuple[int, float, float], treatment: tuple[int, float, float], direction: Direction, margin: float
) -> None:
    units, means, variances = (np.array([[pair]]) for pair in zip(baseline, treatment, strict=True))
    drawn, sign = MetricDraws(means, variances), direction.sign
    (quick,) = log_evidence(drawn, units, sign, margin).ravel()
    left, right = (Measurement("any", count, mean, variance**0.5) for count, mean, variance in (treatment, baseline))
    found, table = effect(left, right, direction), table_of(left, right)
    z = found.z(margin)
    slow = 0.0
    if table is not None:
        slow = log_evidence_of_counts(table, 1.0 - sign * margin, -sign)
    elif z is not None and units.min() >= 50:
        slow = log_evidence_of_mean(-z, units.prod() / units.sum())
    assert quick == pytest.approx(slow, rel=1e-6, abs=1e-6)
    # What is left out to save time would not have mattered.
    for alpha in (0.2, 0.01):
        assert harmed_at_any_time(drawn, units, sign, margin, alpha).item() == (slow >= -np.log(alpha))


def run(world: World, policy: Policy = WATCHED, experiments: int = 200) -> Outcomes:
    return draw_and_judge(policy, world, experiments, np.random.default_rng(4))[0]


def test_a_drop_of_half_at_2000_units_a_day_is_found_within_hours() -> None:
    found = run(World(replace(RATE, lifts=(-0.5,)), 2_000.0))
    assert found.share(Kind.ROLLBACK) == 1.0
    assert np.median(found.day) < 0.75
    assert np.quantile(found.day, 0.9) < 1.5
    # An ending between two looks counts for the next one.
    assert np.array_equal(found.look, np.maximum(np.ceil(found.day - 1e-9) - 1, 0))


def test_nothing_is_found_in_five_percent_at_most_over_2688_looks() -> None:
    assert run(TWO_GUARDRAILS, GUARDED, 400).share(Kind.ROLLBACK) <= 0.08


def test_the_measurements_at_the_planned_looks_come_with_the_endings() -> None:
    _, draws = draw_and_judge(GUARDED, TWO_GUARDRAILS, 300, np.random.default_rng(4), most=50)
    assert draws.exposed.shape == (300, 28, 2)
    assert len(draws.guardrails) == 2
    assert np.array_equal(draws.exposed, np.maximum.accumulate(draws.exposed, axis=1))


def test_a_policy_without_looks_for_harm_is_refused() -> None:
    with pytest.raises(ValueError, match="no harm_looks"):
        run(TWO_GUARDRAILS, Policy())


def test_a_simulation_reports_the_hours() -> None:
    scenario = Scenario(experiments=500, seed=3)
    watched, planned = (simulate(policy, scenario).report for policy in (WATCHED, Policy()))
    assert watched.false_rollback < 0.08
    assert watched.median_harm_day is not None
    assert watched.harm_found > planned.harm_found - 0.06
    assert watched.looks == planned.looks == 28
