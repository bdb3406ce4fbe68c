"""Several primary metrics: a treatment ships if it passes on any of them, or on all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airflow_provider_launchdarkly.decision.allocation import EVEN, Allocation
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.evidence import Evidence, MetricEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_one_role
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Role
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate
from airflow_provider_launchdarkly.simulation.sampling import draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import judge
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World
from support.evidence import evidence, rates, shifted


def policy(ship_if: str, **more: Any) -> Policy:
    fields = {"primary": {"metric": "sales"}, "other_primaries": [{"metric": "visits"}], "ship_if": ship_if}
    return Policy.from_json({"clock": "time", "futility": "off", **fields, **more})


def on_day_28(*metrics: MetricEvidence) -> Evidence:
    return evidence(28, *metrics)


class TestAny:
    def test_one_metric_is_enough(self) -> None:
        verdict = decide(policy("any"), on_day_28(shifted("sales", 0.1), shifted("visits", 3.0)))
        assert (verdict.kind, verdict.reason, verdict.treatment) == (Kind.SHIP, Reason.BETTER, "Bold")
        assert "on visits" in verdict.summary
        assert "on sales" not in verdict.summary

    def test_alpha_is_divided(self) -> None:
        z = 1.9
        alone = decide(Policy.from_json({"clock": "time"}), on_day_28(shifted("sales", z)))
        divided = decide(policy("any"), on_day_28(shifted("sales", z), shifted("visits", 0.0)))
        assert alone.kind is Kind.SHIP
        assert divided.kind is Kind.INCONCLUSIVE
        assert ErrorRates.of(policy("any"), EVEN).ship == pytest.approx(0.025)

    def test_harm_to_one_rolls_back_though_the_other_wins(self) -> None:
        verdict = decide(policy("any"), on_day_28(shifted("sales", 5.0), shifted("visits", -4.0)))
        assert (verdict.kind, verdict.reason) == (Kind.ROLLBACK, Reason.PRIMARY_HARMED)
        assert verdict.harmed == ("visits: Bold",)

    def test_harm_to_each_counts_like_that_to_a_guardrail(self) -> None:
        found = ErrorRates.of(policy("any", guardrails=[{"metric": "errors"}]), EVEN)
        assert found.primary_harm == found.guardrail_harm == pytest.approx(0.05 / 3)

    def test_the_winner_on_the_first_metric_goes_first(self) -> None:
        measured = on_day_28(
            rates("sales", 20_000, 0.10, 0.10, 0.115),
            rates("visits", 20_000, 0.10, 0.13, 0.10),
        )
        assert decide(policy("any"), measured).treatment == "Quiet"

    def test_one_that_is_held_back_leaves_the_other(self) -> None:
        held = policy("any", signals=[{"metric": "revenue"}])
        measured = on_day_28(
            rates("sales", 20_000, 0.10, 0.10, 0.115),
            rates("visits", 20_000, 0.10, 0.13, 0.10),
            rates("revenue", 20_000, 0.10, 0.10, 0.08),
        )
        assert decide(held, measured).treatment == "Bold"

    def test_it_is_futile_only_if_every_metric_is(self) -> None:
        hoping = policy("any", futility={"predictive_power": 0.01})
        one = decide(hoping, evidence(21, shifted("sales", -1.0), shifted("visits", 1.5)))
        assert one.reason is Reason.NOT_SIGNIFICANT
        assert "on visits" in one.summary
        none = decide(hoping, evidence(21, shifted("sales", -1.0), shifted("visits", -1.0)))
        assert (none.kind, none.reason) == (Kind.INCONCLUSIVE, Reason.FUTILE)


class TestAll:
    def test_one_metric_is_not_enough(self) -> None:
        verdict = decide(policy("all"), on_day_28(shifted("sales", 5.0), shifted("visits", 0.1)))
        assert (verdict.kind, verdict.reason) == (Kind.INCONCLUSIVE, Reason.PLAN_ENDED)
        assert "on visits" in verdict.summary

    def test_each_has_the_whole_alpha(self) -> None:
        verdict = decide(policy("all"), on_day_28(shifted("sales", 1.9), shifted("visits", 1.9)))
        assert (verdict.kind, verdict.reason) == (Kind.SHIP, Reason.BETTER)
        assert "on sales" in verdict.summary
        assert "on visits" in verdict.summary

    def test_it_must_be_the_same_treatment(self) -> None:
        apart = on_day_28(rates("sales", 20_000, 0.1, 0.12, 0.1), rates("visits", 20_000, 0.1, 0.1, 0.12))
        together = on_day_28(rates("sales", 20_000, 0.1, 0.1, 0.12), rates("visits", 20_000, 0.1, 0.1, 0.12))
        assert decide(policy("all"), apart).kind is Kind.INCONCLUSIVE
        assert decide(policy("all"), together).treatment == "Quiet"

    def test_several_treatments_divide_alpha_evenly(self) -> None:
        assert ErrorRates.of(policy("all"), Allocation.even(3)).ship == pytest.approx(0.025)

    def test_a_margin_kept_and_a_gain_is_better(self) -> None:
        mixed = policy("all", primary={"metric": "sales", "test": "non_inferiority", "margin": 0.02})
        verdict = decide(mixed, on_day_28(shifted("sales", 0.0, 40_000), shifted("visits", 3.0)))
        assert (verdict.kind, verdict.reason) == (Kind.SHIP, Reason.BETTER)

    def test_one_futile_metric_ends_it(self) -> None:
        hoping = policy("all", futility={"predictive_power": 0.01})
        verdict = decide(hoping, evidence(21, shifted("sales", 3.0), shifted("visits", -1.0)))
        assert verdict.reason is Reason.FUTILE

    def test_its_metrics_share_the_harm_of_a_primary_metric(self) -> None:
        found = ErrorRates.of(policy("all", guardrails=[{"metric": "errors"}]), EVEN)
        assert found.primary_harm == pytest.approx(0.05 * 0.03 / 2)
        assert 2 * found.primary_harm + found.guardrail_harm == pytest.approx(0.05)


@pytest.mark.parametrize("ship_if", ["any", "all"])
class TestEither:
    def test_every_metric_is_in_the_verdict(self, ship_if: str) -> None:
        verdict = decide(policy(ship_if), on_day_28(shifted("sales", 0.0), shifted("visits", 0.0)))
        assert [(metric.metric, metric.role) for metric in verdict.metrics] == [
            ("sales", Role.PRIMARY),
            ("visits", Role.PRIMARY),
        ]
        assert [metric["metric"] for metric in verdict.to_json()["metrics"]] == ["sales", "visits"]

    def test_data_of_each_are_needed(self, ship_if: str) -> None:
        absent = decide(policy(ship_if), evidence(14, shifted("sales", 5.0), rates("visits", 0, 0.0, 0.0)))
        assert absent.reason is Reason.NO_DATA
        assert "visits has no data" in absent.summary
        few = decide(policy(ship_if), evidence(14, shifted("sales", 5.0), shifted("visits", 5.0, 60)))
        assert few.reason is Reason.MIN_SAMPLE
        same = decide(policy(ship_if), evidence(14, shifted("sales", 5.0), rates("visits", 1000, 1.0, 1.0)))
        assert "visits is the same for every unit" in same.summary

    def test_a_policy_is_read_back(self, ship_if: str) -> None:
        assert Policy.from_json(policy(ship_if).to_json()) == policy(ship_if)

    def test_units_are_planned_for_the_hardest_metric(self, ship_if: str) -> None:
        def planned(effect: float) -> int:
            fields = {
                "primary": {"metric": "sales", "minimum_detectable_effect": 0.1},
                "other_primaries": [{"metric": "visits", "minimum_detectable_effect": effect}],
                "traffic": {"units_per_day": 1e6, "mean": 0.1, "metrics": {"visits": {"mean": 0.3}}},
            }
            found = schedule_looks(policy(ship_if, **fields)).planned_units
            assert found is not None
            return found

        assert planned(0.02) > planned(0.2)

    # Four standard errors of 4,000 experiments above the nominal 5 %; for `all`, the other metric is sure to pass.
    def test_false_ships_stay_below_alpha(self, ship_if: str) -> None:
        judged = policy(ship_if)
        sure = (0.5,) if ship_if == "all" else (0.0,)
        world = World(MetricTruth(0.1), 2000.0, other_primaries=(MetricTruth(0.3, None, sure),))
        plan = schedule_looks(judged)
        draws = draw(world, plan.look_times, plan.end, 4000, np.random.default_rng(3))
        shipped = judge(judged, draws, world.planned_shares).share(Kind.SHIP)
        assert 0.025 < shipped < 0.064


def test_the_simulation_lifts_what_must_pass() -> None:
    both = Scenario(effect=0.12, experiments=400)
    powers = {ship_if: simulate(policy(ship_if), both).report.power for ship_if in ("any", "all")}
    assert powers["all"] > 0.9
    assert powers["any"] > 0.9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"other_primaries": [{"metric": "visits"}]}, "ship_if is missing, with 2 primary metric"),
        ({"ship_if": "any"}, "ship_if is any, with 1 primary metric"),
        ({"other_primaries": [{}], "ship_if": "all"}, r"other_primaries\[0\].metric is missing"),
        (
            {"primary": {"metric": "a"}, "other_primaries": [{"metric": "a"}], "ship_if": "all"},
            "metric a is named twice among the primary metrics",
        ),
        (
            {
                "rule": "probability_to_be_best",
                "futility": "off",
                "other_primaries": [{"metric": "b"}],
                "ship_if": "any",
            },
            "judges one primary metric: use group_sequential for several",
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy.from_json(fields)


def test_the_experiments_own_metric_is_not_another_one() -> None:
    twice = Policy.from_json({"other_primaries": [{"metric": "sales"}], "ship_if": "any"})
    with pytest.raises(UndecidableExperimentError, match="cannot be one of the other primary metrics too") as caught:
        require_one_role(twice, "sales")
    assert caught.value.path == ("other_primaries", 0, "metric")
