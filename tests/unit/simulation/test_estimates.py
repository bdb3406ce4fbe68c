"""The estimates of many stops agree with those of `decide`, and are worth what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airflow_provider_launchdarkly.decision.estimate import Path, estimate
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.estimates import estimate_stops
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate
from airflow_provider_launchdarkly.simulation.sampling import draw
from airflow_provider_launchdarkly.simulation.stops import estimate_all
from airflow_provider_launchdarkly.simulation.vectorized_judge import judge
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World
from support.two_judges import drawn_evidence

ALL: tuple[float, ...] = ()


@pytest.mark.parametrize("lift", [0.0, 0.1, 0.2])
@pytest.mark.parametrize(
    ("fields", "direction", "measured"),
    [
        ({"clock": "time"}, 1, ALL),
        ({"clock": "time", "futility": "off"}, 1, ALL),
        ({"clock": "time", "primary": {"direction": "lower"}}, -1, ALL),
        ({"planned_units": 28_000, "clock": "time"}, 1, ALL),
        ({"planned_units": 14_000, "clock": "time", "mismatch": {"action": "warn"}}, 1, (0.5, 0.5)),
        ({"clock": "time", "preset": "do_no_harm", "primary": {"margin": 0.1}}, 1, ALL),
    ],
)
def test_both_paths_estimate_the_same(
    fields: dict[str, Any], direction: int, measured: tuple[float, ...], lift: float
) -> None:
    policy = Policy.from_json(fields)
    world = World(MetricTruth(0.1, None, (direction * lift,), measured), 1000)
    plan = schedule_looks(policy)
    draws = draw(world, plan.look_times, plan.end, 30, np.random.default_rng(3))
    outcomes = judge(policy, draws, world.planned_shares)
    found = estimate_stops(policy, draws, outcomes, world.planned_shares)
    compared = 0
    for experiment, look in enumerate(outcomes.look):
        verdict = decide(policy, drawn_evidence(policy, world, draws, experiment, int(look)))
        exact = verdict.metrics[0].comparisons[0].estimate
        if verdict.kind not in {Kind.SHIP, Kind.INCONCLUSIVE}:
            assert np.isnan(found.median_unbiased[experiment])
            continue
        assert exact is not None
        compared += 1
        assert found.median_unbiased[experiment] == pytest.approx(exact.median_unbiased, abs=0.004)
        assert found.lower[experiment] == pytest.approx(exact.lower, abs=0.006)
        assert found.upper[experiment] == pytest.approx(exact.upper, abs=0.006)
        if verdict.kind is Kind.SHIP:
            assert found.bias_adjusted[experiment] == pytest.approx(exact.bias_adjusted, abs=0.006)
        else:
            assert np.isnan(found.bias_adjusted[experiment])
            assert exact.bias_adjusted is None
    assert compared > 15


@pytest.mark.parametrize("stop", [0, 3, 5])
def test_many_stops_are_estimated_as_one_by_one(stop: int) -> None:
    fractions = tuple((number + 1) / (stop + 1) for number in range(6))
    path = Path(fractions, (3.4, 2.9, 2.6, 2.3, 2.1, 1.9), stop)
    # The largest would have crossed before, so that its earlier looks do not count.
    z = np.array([-1.5, 0.0, 1.8, 2.4, 4.0, 9.0])
    one_by_one = [tuple(estimate(path, value)) for value in z]
    np.testing.assert_allclose(estimate_all(path, z).T, one_by_one, atol=1e-4)


@pytest.mark.parametrize("fields", [{}, {"planned_units": 56_000}])
def test_the_estimates_are_worth_what_they_say(fields: dict[str, Any]) -> None:
    report = simulate(Policy.from_json(fields), Scenario(experiments=1500, seed=5)).report
    assert report.winners_curse is not None
    assert report.winners_curse > 1.2
    assert report.bias_adjusted == pytest.approx(1.0, abs=0.08)
    assert report.interval_coverage == pytest.approx(0.95, abs=0.02)
    assert report.interval_coverage_shipped == pytest.approx(0.96, abs=0.025)


@pytest.mark.parametrize("preset", ["launchdarkly"])
def test_a_rule_without_boundaries_has_no_estimates(preset: str) -> None:
    report = simulate(Policy.preset(preset), Scenario(experiments=200)).report
    assert report.bias_adjusted is None
    assert report.interval_coverage is None


def test_a_lift_that_is_lower_and_better_is_covered_too() -> None:
    policy = Policy.from_json({"primary": {"direction": "lower"}})
    report = simulate(policy, Scenario(experiments=600, seed=5)).report
    assert report.effect < 0
    assert report.bias_adjusted == pytest.approx(1.0, abs=0.1)
    assert report.interval_coverage == pytest.approx(0.95, abs=0.03)
