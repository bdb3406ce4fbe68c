"""What a policy costs, measured: few experiments here, ten thousand in the calibration."""

from __future__ import annotations

import math

import pytest

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Traffic
from airflow_provider_launchdarkly.simulation.report import (
    USUAL_EFFECT,
    USUAL_HARM,
    Report,
    Scenario,
    exceeded,
    simulate,
)

FEW = Scenario(experiments=2000, seed=3)


@pytest.fixture(scope="module")
def balanced() -> Report:
    return simulate(Policy(), FEW).report


def test_the_default_policy_rarely_ships_nothing(balanced: Report) -> None:
    assert balanced.false_ship < 0.06


def test_it_mostly_ships_the_usual_effect_before_the_end(balanced: Report) -> None:
    assert balanced.power > 0.82
    assert balanced.mean_stop_day < 20.0


def test_without_an_effect_it_mostly_ends_early_and_with_one_seldom(balanced: Report) -> None:
    assert balanced.mean_stop_day_no_effect < 18.0
    assert balanced.futile_no_effect > 0.85
    assert balanced.futile < 0.12


def test_futility_costs_no_error_and_hardly_any_power(balanced: Report) -> None:
    to_the_end = simulate(Policy(futility=None), FEW).report
    assert balanced.false_ship <= to_the_end.false_ship
    assert to_the_end.power - 0.015 < balanced.power <= to_the_end.power
    assert to_the_end.futile == to_the_end.futile_no_effect == 0.0
    assert to_the_end.mean_stop_day < to_the_end.mean_stop_day_no_effect
    assert (balanced.harm_found, balanced.mismatch_found) == (to_the_end.harm_found, to_the_end.mismatch_found)


def test_it_mostly_finds_the_usual_harm(balanced: Report) -> None:
    assert balanced.harm_found > 0.88
    assert balanced.false_rollback < 0.06


def test_it_rarely_alarms_about_a_good_split_and_mostly_about_a_bad_one(balanced: Report) -> None:
    assert balanced.mismatch_false_alarm < 0.01
    assert balanced.mismatch_found > 0.8


def test_what_ships_early_looks_larger_than_it_is(balanced: Report) -> None:
    assert balanced.winners_curse is not None
    assert 1.1 < balanced.winners_curse < 1.5


def test_launchdarklys_rule_looked_at_daily_ships_almost_a_quarter() -> None:
    report = simulate(Policy.preset("launchdarkly"), FEW).report
    assert report.false_ship == pytest.approx(0.236, abs=0.03)


def test_one_fixed_look_has_the_textbooks_power() -> None:
    report = simulate(Policy.preset("frequentist_fixed"), FEW).report
    assert report.power == pytest.approx(0.80, abs=0.03)
    assert report.mean_stop_day == 28.0


def test_non_inferiority_is_simulated_at_its_margin() -> None:
    policy = Policy.from_json({"preset": "do_no_harm", "guardrails": [{"metric": "latency", "margin": 0.05}]})
    report = simulate(policy, FEW).report
    assert report.effect == 0.0
    assert report.winners_curse is None
    assert 0.03 < report.false_ship < 0.06


def test_several_treatments_ship_the_one_with_the_effect() -> None:
    report = simulate(Policy(), Scenario(shares=(1, 1, 1), experiments=1000, effect=0.15)).report
    assert report.power > 0.9
    assert simulate(Policy(), Scenario(shares=(1, 1, 1), experiments=1000)).report.false_ship < 0.065


def test_a_guardrail_is_what_is_harmed_where_there_is_one() -> None:
    policy = Policy.from_json({"guardrails": [{"metric": "latency", "direction": "lower"}]})
    assert simulate(policy, FEW).report.harm_found > 0.85


def test_the_usual_effect_is_that_many_standard_errors_at_the_end() -> None:
    scenario = Scenario(traffic=Traffic(units_per_day=1000, mean=50.0, std_dev=20.0), experiments=1)
    report = simulate(Policy(), scenario).report
    error = 20.0 * math.sqrt(2 / 14_000)
    assert report.effect == pytest.approx(USUAL_EFFECT * error / 50.0)
    assert report.harm == pytest.approx(-USUAL_HARM * error / 50.0)


def test_the_same_seed_measures_the_same() -> None:
    scenario = Scenario(experiments=200)
    assert simulate(Policy(), scenario).report == simulate(Policy(), scenario).report


def test_hardly_any_traffic_ships_nothing_and_measures_all_the_same() -> None:
    report = simulate(Policy(), Scenario(traffic=Traffic(units_per_day=1, mean=0.1), experiments=50)).report
    assert report.power == 0.0
    assert report.winners_curse is None
    assert report.median_ship_day is None


class TestBudget:
    def test_none_is_never_exceeded(self, balanced: Report) -> None:
        assert exceeded(Policy(), balanced) == []

    def test_within_it_nothing_is_said(self, balanced: Report) -> None:
        policy = Policy.from_json({"budget": {"false_ship": 0.07, "power": 0.8, "mean_stop_day": 21.0}})
        assert exceeded(policy, balanced) == []

    def test_everything_beyond_it_is_named(self, balanced: Report) -> None:
        policy = Policy.from_json({"budget": {"false_ship": 0.01, "power": 0.99, "mean_stop_day": 7.0}})
        ship, stop, power = exceeded(policy, balanced)
        assert ship.startswith("false_ship is 0.0")
        assert stop.startswith("mean_stop_day is 1")
        assert power.endswith("less than the budget of 0.99")
