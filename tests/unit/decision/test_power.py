"""The planner's numbers: by integration, and held to the simulation."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.allocation import EVEN, Allocation
from airflow_provider_launchdarkly.decision.boundaries import crossing_probabilities, exit_probabilities, quantile
from airflow_provider_launchdarkly.decision.forecast import Plan
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Traffic
from airflow_provider_launchdarkly.decision.power import PowerPlan, Stage, describe, plan_power
from airflow_provider_launchdarkly.simulation.report import Report, Scenario, simulate

TRAFFIC = Traffic(units_per_day=12_000, mean=0.031)
GUARDRAILS = [{"metric": "errors", "direction": "lower"}, {"metric": "page-load-ms", "direction": "lower"}]
VALUES = {"errors": {"mean": 0.004}, "page-load-ms": {"mean": 900.0, "std_dev": 400.0}}


def simulated(fields: dict[str, Any], traffic: Traffic, effect: float, shares: tuple[float, ...] = (1, 1)) -> Report:
    scenario = Scenario(traffic, effect=effect, shares=shares, experiments=3000)
    return simulate(Policy.from_json(fields), scenario).report


@pytest.fixture(scope="module")
def question() -> PowerPlan:
    """Baseline 3.1 %, 12,000 people a day, +4 %, two guardrails: four weeks are not enough, eight are."""
    policy = Policy.from_json({"guardrails": GUARDRAILS})
    return plan_power(policy, Traffic.read({**TRAFFIC.model_dump(), "metrics": VALUES}), effect=0.04)


class TestTheQuestion:
    def test_how_likely_at_each_length(self, question: PowerPlan) -> None:
        power = {row.days: row.power for row in question.horizons}
        assert list(power) == [14, 28, 42, 56]
        # 62 and 85 % without futility, which the simulation measured in ten runs.
        assert power[28] == pytest.approx(0.61, abs=0.015)
        assert power[56] == pytest.approx(0.845, abs=0.015)

    def test_how_long_for_the_wanted_power(self, question: PowerPlan) -> None:
        assert question.wanted_power == 0.8
        assert question.needed_days == 56.0

    def test_the_smallest_effect_has_the_wanted_power(self, question: PowerPlan) -> None:
        assert question.smallest_effect is not None
        policy = Policy.from_json({"guardrails": GUARDRAILS})
        assert Plan(policy, EVEN, traffic=TRAFFIC).forecast(question.smallest_effect).ship == pytest.approx(
            0.8, abs=0.003
        )

    def test_what_guardrails_cost(self, question: PowerPlan) -> None:
        costs = {cost.name: cost.power_without for cost in question.costs}
        assert question.power is not None
        # The error for harm is shared, so one guardrail less costs the other nothing.
        assert costs["guardrail errors"] == pytest.approx(question.power, abs=0.002)
        assert costs["both guardrails"] == pytest.approx(question.power + 0.02, abs=0.008)

    def test_what_a_covariate_saves(self, question: PowerPlan) -> None:
        by_correlation = {saving.correlation: saving for saving in question.savings}
        assert by_correlation[0.7].days == 28.0
        # Correlation 0.7 halves the variance, which is worth twice the units.
        assert by_correlation[0.7].power == pytest.approx(question.horizons[-1].power, abs=0.01)

    def test_it_is_one_screen(self, question: PowerPlan) -> None:
        text = describe(question)
        assert len(text.splitlines()) <= 24
        assert max(map(len, text.splitlines())) <= 100
        assert "an effect of +4.00 %, in 28 days: power 60.5 %, stops on day 19.7 on average" in text
        assert "power 80 % takes 56 days" in text

    def test_it_is_plain_json(self, question: PowerPlan) -> None:
        plain = json.loads(json.dumps(question.to_json(), allow_nan=False))
        assert plain["needed_days"] == 56.0
        assert plain["horizons"][1]["days"] == 28
        assert plain["traffic"]["metrics"]["errors"]["mean"] == 0.004


# Four standard errors of 3,000 experiments, and a point for normal means and independent metrics.
@pytest.mark.parametrize(
    ("fields", "traffic", "effect", "shares"),
    [
        ({"guardrails": GUARDRAILS}, {"units_per_day": 12_000, "mean": 0.031, "metrics": VALUES}, 0.04, (1, 1)),
        ({"futility": "off"}, {"units_per_day": 2_000, "mean": 0.1}, 0.07, (1, 1)),
        (
            {"futility": {"conditional_power": 0.1}, "primary": {"minimum_detectable_effect": 0.07}},
            {"units_per_day": 2_000, "mean": 0.1},
            0.07,
            (1, 1),
        ),
        ({"clock": "time"}, {"units_per_day": 2_000, "mean": 0.1}, 0.07, (1, 1)),
        ({"looks": "7d", "max_duration": "56d"}, {"units_per_day": 2_000, "mean": 0.1}, 0.05, (1, 1)),
        ({"min_duration": "14d"}, {"units_per_day": 2_000, "mean": 40.0, "std_dev": 60.0}, 0.06, (90, 10)),
        ({"planned_units": 30_000}, {"units_per_day": 2_000, "mean": 0.1}, 0.1, (1, 1)),
        (
            {"guardrails": [{"metric": "errors", "margin": 0.1, "prove": True}]},
            {"units_per_day": 2_000, "mean": 0.2},
            0.06,
            (1, 1),
        ),
        ({"alpha": 0.025, "looks": {"only_at_end": True}}, {"units_per_day": 2_000, "mean": 0.1}, 0.07, (1, 1)),
        ({"guardrails": GUARDRAILS[:1]}, {"units_per_day": 4_000, "mean": 0.1}, 0.08, (1, 1, 1)),
    ],
)
def test_the_forecast_agrees_with_the_simulation(
    fields: dict[str, Any], traffic: dict[str, Any], effect: float, shares: tuple[float, ...]
) -> None:
    expected = Traffic.read(traffic)
    report = simulated(fields, expected, effect, shares)
    plan = Plan(Policy.from_json(fields), Allocation.of_shares(shares), traffic=expected)
    forecast = plan.forecast(effect)
    assert forecast.ship == pytest.approx(report.power, abs=0.045)
    assert forecast.mean_days == pytest.approx(report.mean_stop_day, abs=1.2)
    # With a margin, the simulation's world without an effect has lost all of it.
    if len(shares) == 2 and "margin" not in str(fields):
        nothing = plan.forecast(0.0)
        assert nothing.ship == pytest.approx(report.false_ship, abs=0.02)
        assert nothing.mean_days == pytest.approx(report.mean_stop_day_no_effect, abs=0.8)


class TestForecast:
    def test_non_inferiority_is_found_by_a_treatment_that_changes_nothing(self) -> None:
        traffic = Traffic(units_per_day=60_000, mean=0.1)
        plan = plan_power(Policy.preset("do_no_harm"), traffic)
        assert plan.effect is None
        assert plan.smallest_effect is None
        assert plan.power is not None
        assert 0.8 < plan.power <= 1.0
        assert plan.false_ship < 0.051
        assert "no loss beyond the margin, in 28 days: power" in describe(plan)

    def test_without_an_effect_it_says_the_smallest_one(self) -> None:
        plan = plan_power(Policy(), TRAFFIC)
        assert plan.power is None
        assert not plan.costs
        assert not plan.savings
        assert plan.smallest_effect is not None
        # A fixed one-sided 5 % test finds a little less than this.
        fixed = (quantile(0.05) + quantile(0.2)) * math.sqrt(4 * 0.969 / 0.031 / (28 * 12_000))
        assert 1.0 < plan.smallest_effect / fixed < 1.1
        assert "   28        -" in describe(plan)

    def test_the_policys_own_effect_plans_its_units(self) -> None:
        fields = {"primary": {"minimum_detectable_effect": 0.08}, "traffic": TRAFFIC.model_dump(mode="json")}
        plan = plan_power(Policy.from_json(fields), TRAFFIC)
        assert plan.effect == 0.08
        assert plan.planned_units is not None
        assert plan.power == pytest.approx(0.8, abs=0.035)
        assert f"the plan ends at {plan.planned_units:,} units, or after 28 days" in describe(plan)

    def test_guardrails_may_put_the_power_out_of_reach(self) -> None:
        policy = Policy.from_json({"guardrails": GUARDRAILS, "alpha_harm": 0.3, "power": 0.99})
        plan = plan_power(policy, TRAFFIC, effect=0.04)
        assert plan.smallest_effect is None
        assert plan.needed_days is None
        assert "power 99 % takes more than 182 days" in describe(plan)

    def test_an_uneven_split_costs_power(self) -> None:
        plan = plan_power(Policy(), TRAFFIC, effect=0.05, allocation=Allocation.of_shares((90, 10)))
        (cost,) = plan.costs
        assert cost.name == "split 90/10 in place of 50/50"
        assert plan.power is not None
        assert cost.power_without > plan.power + 0.25

    def test_several_treatments_together_have_the_false_ships_of_the_policy(self) -> None:
        plan = plan_power(Policy(), TRAFFIC, effect=0.1, allocation=Allocation.even(4))
        assert plan.false_ship == pytest.approx(0.05, abs=0.003)

    @pytest.mark.parametrize(
        ("fields", "traffic", "message"),
        [
            ({"preset": "launchdarkly"}, {"mean": 0.1}, "has no boundaries to integrate; measure it with `simulate`"),
            ({}, {"mean": 0.0, "std_dev": 1.0}, "traffic.mean is 0, so no relative change exists"),
        ],
    )
    def test_what_cannot_be_planned_is_refused(
        self, fields: dict[str, Any], traffic: dict[str, float], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            plan_power(Policy.from_json(fields), Traffic.read({"units_per_day": 100.0, **traffic}), effect=0.1)

    def test_a_plan_needs_traffic(self) -> None:
        with pytest.raises(ValueError, match="needs the policy's traffic: units_per_day, and the baseline's mean"):
            Plan(Policy(), EVEN)


class TestMaturity:
    def test_a_week_in_which_nothing_counts_is_a_week_more(self) -> None:
        ripe = Policy.from_json({"maturity": "7d", "min_duration": "14d", "max_duration": "35d"})
        later, now = (Plan(policy, EVEN, traffic=TRAFFIC).forecast(0.04) for policy in (ripe, Policy()))
        assert later.ship == pytest.approx(now.ship, abs=1e-6)
        assert later.mean_days == pytest.approx(now.mean_days + 7.0, abs=1e-6)


class TestStages:
    @staticmethod
    def ramp(**fields: Any) -> PowerPlan:
        policy = {"guardrails": GUARDRAILS, "alpha_harm": 0.025, **fields}
        careful = Policy.from_json({**policy, "min_duration": "2d", "max_duration": "2d"})
        stages = [
            Stage("careful", careful, Allocation.of_shares((90, 10)), ships=False),
            Stage("pause", careful, Allocation.of_shares((90, 10)), ships=False, judged=False),
            Stage("half", Policy.from_json(policy), EVEN),
        ]
        return plan_power(stages, TRAFFIC, effect=0.04)

    def test_each_has_its_course(self) -> None:
        plan = self.ramp()
        careful, pause, half = plan.stages
        assert (careful.allocation, careful.days, careful.units) == ("90/10", 2.0, 24_000.0)
        assert careful.ship == 0.0
        assert careful.rollback == pytest.approx(0.025, abs=0.003)
        assert pause.reached == half.reached == pytest.approx(1.0 - careful.rollback)
        assert (pause.ship, pause.rollback) == (0.0, 0.0)
        assert plan.power == pytest.approx(half.reached * half.ship)
        assert plan.longest_days == 32.0

    def test_what_each_costs(self) -> None:
        plan = self.ramp()
        costs = {cost.name: cost for cost in plan.costs}
        assert plan.power is not None
        assert costs["stage careful"].power_without > plan.power
        assert costs["stage careful"].days == 2.0
        text = describe(plan)
        assert "careful                     2  90/10          100.0 %    0.0 %" in text
        assert "2 days less)" in text


class TestExits:
    NONE = (-math.inf,) * 4

    def test_without_a_lower_boundary_they_are_crossings(self) -> None:
        fractions, upper = (0.25, 0.5, 0.75, 1.0), (3.0, 2.5, 2.2, 2.0)
        exits = exit_probabilities(fractions, upper, self.NONE, self.NONE, 1.5)
        assert exits.above == pytest.approx(crossing_probabilities(fractions, upper, 1.5), abs=1e-6)
        assert exits.below == exits.between == (0.0,) * 4

    @pytest.mark.parametrize("drift", [0.0, 1.0])
    def test_they_are_symmetric(self, drift: float) -> None:
        fractions, bound = (0.3, 0.6, 1.0), (2.8, 2.4, 2.0)
        turned = tuple(-z for z in bound)
        upwards = exit_probabilities(fractions, bound, turned, self.NONE[:3], drift)
        downwards = exit_probabilities(fractions, bound, turned, self.NONE[:3], -drift)
        assert upwards.above == pytest.approx(downwards.below, abs=1e-7)

    def test_paths_that_have_left_do_not_come_back(self) -> None:
        exits = exit_probabilities((0.5, 1.0), (9.0, 1.0), (-1.0, -9.0), (0.0, -9.0))
        assert exits.below[0] == pytest.approx(0.158655, abs=1e-5)
        assert exits.between[0] == pytest.approx(0.5 - 0.158655, abs=1e-5)
        # P(B(.5) > 0, B(1) > 1), by quadrature of the bivariate normal.
        assert exits.above[1] == pytest.approx(0.14607, abs=1e-5)
