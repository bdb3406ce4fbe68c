"""When an experiment ends early because it will hardly ship, and how likely shipping still is."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.boundaries import Boundary, crossing_probabilities
from airflow_provider_launchdarkly.decision.effects import effect
from airflow_provider_launchdarkly.decision.evidence import Measurement
from airflow_provider_launchdarkly.decision.futility import Futility, prospects
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.decision.verdict import Kind, Prospects, Reason, Verdict
from support.evidence import CONTROL, evidence, rates, shifted

END = Boundary((1.0,), (1.7,), (0.05,))
SHARES = st.floats(0.02, 0.98)
Z = st.floats(-4.0, 4.0)
MDE = {"primary": {"minimum_detectable_effect": 0.01}, "futility": {"conditional_power": 0.1}}


def of(verdict: Verdict, metric: int = 0, treatment: int = 0) -> Prospects:
    found = verdict.metrics[metric].comparisons[treatment].prospects
    assert found is not None
    return found


class TestProspects:
    @given(Z, SHARES, st.floats(-3.0, 6.0))
    def test_conditional_power_is_that_of_a_walk_from_here_to_the_end(self, z: float, share: float, now: float) -> None:
        found = prospects(z, now, share, END)
        assert found is not None
        rest = 1.0 - share
        bound = (END.z[0] - z * math.sqrt(share)) / math.sqrt(rest)
        # What is left, seen as a plan of its own with one look.
        (expected,) = crossing_probabilities((1.0,), (min(bound, 8.0),), now / math.sqrt(share) * math.sqrt(rest))
        if bound < 8.0:
            assert found.planned_conditional_power == pytest.approx(expected, abs=1e-9)

    @given(Z, SHARES)
    def test_the_trend_is_a_planned_effect_as_large_as_the_measured_one(self, z: float, share: float) -> None:
        found = prospects(z, z, share, END)
        assert found is not None
        assert found.conditional_power == found.planned_conditional_power

    @given(Z, st.floats(0.1, 0.95))
    def test_predictive_power_averages_conditional_power_over_the_posterior(self, z: float, share: float) -> None:
        steps = 2000
        posterior = NormalDist(z / math.sqrt(share), 1.0 / math.sqrt(share))
        averaged = 0.0
        for step in range(steps):
            theta = posterior.inv_cdf((step + 0.5) / steps)
            at_this = prospects(z, theta * math.sqrt(share), share, END)
            assert at_this is not None
            averaged += (at_this.planned_conditional_power or 0.0) / steps
        found = prospects(z, None, share, END)
        assert found is not None
        assert found.predictive_power == pytest.approx(averaged, abs=2e-4)
        assert found.planned_conditional_power is None

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_there_are_none_before_the_first_look_and_at_the_end(self, share: float) -> None:
        assert prospects(1.0, None, share, END) is None

    @pytest.mark.parametrize("direction", Direction)
    @pytest.mark.parametrize("margin", [0.0, 0.02])
    @pytest.mark.parametrize("mean", [100.0, -100.0])
    def test_the_expected_z_is_that_of_a_treatment_with_the_planned_effect(
        self, direction: Direction, margin: float, mean: float
    ) -> None:
        planned = margin or 0.01
        moved = mean + (0.0 if margin else direction.sign * 0.01 * abs(mean))
        exactly = effect(Measurement("t", 9000, moved, 20.0), Measurement("b", 9000, mean, 20.0), direction)
        assert exactly.expected_z(planned, margin) == pytest.approx(exactly.z(margin))

    def test_there_is_no_planned_effect_on_a_baseline_of_zero(self) -> None:
        found = effect(Measurement("t", 900, 1.0, 20.0), Measurement("b", 900, 0.0, 20.0), Direction.HIGHER)
        assert found.expected_z(0.01) is None

    def test_none_are_told_once_the_bar_is_reached(self) -> None:
        verdict = decide(Policy(), evidence(14, shifted("clicks", 6.0)))
        assert verdict.metrics[0].comparisons[0].prospects is None


class TestTheVerdict:
    def test_says_what_is_unlikely_and_how_unlikely(self) -> None:
        verdict = decide(Policy(), evidence(14, shifted("clicks", -1.0)))
        assert (verdict.kind, verdict.reason, verdict.next_look) == (Kind.INCONCLUSIVE, Reason.FUTILE, None)
        assert verdict.summary.endswith(
            "z -1.00 < 2.73; predictive power 0.058 % < 1 %: inconclusive, though the plan has not ended"
        )
        assert of(verdict).futile

    def test_comes_only_if_every_treatment_is_futile(self) -> None:
        one = decide(Policy(), evidence(14, rates("clicks", 14_000, 0.1, 0.1, 0.097)))
        assert [compared.prospects and compared.prospects.futile for compared in one.metrics[0].comparisons] == [
            False,
            True,
        ]
        assert one.kind is Kind.WAIT
        both = decide(Policy(), evidence(14, rates("clicks", 14_000, 0.1, 0.096, 0.097)))
        assert both.reason is Reason.FUTILE

    def test_is_not_futile_where_futility_is_off(self) -> None:
        verdict = decide(Policy(futility=None), evidence(14, shifted("clicks", -1.0)))
        assert (verdict.kind, of(verdict).futile) == (Kind.WAIT, False)

    def test_follows_the_planned_effect_if_the_policy_says_so(self) -> None:
        small, large = ({**MDE, "primary": {"minimum_detectable_effect": size}} for size in (0.004, 0.02))
        measured = evidence(21, shifted("clicks", 0.2))
        futile = decide(Policy.from_json(small), measured)
        assert "conditional power 0.61 % < 10 % at the planned effect" in futile.summary
        assert (futile.reason, decide(Policy.from_json(large), measured).reason) == (
            Reason.FUTILE,
            Reason.NOT_SIGNIFICANT,
        )

    def test_for_a_margin_the_planned_effect_is_no_change(self) -> None:
        policy = Policy.from_json({"preset": "do_no_harm", "futility": {"conditional_power": 0.1}})
        hopes = of(decide(policy, evidence(14, shifted("clicks", -3.0, 2000))))
        assert hopes.planned_conditional_power is not None
        assert hopes.planned_conditional_power > hopes.conditional_power

    def test_comes_when_a_guardrail_will_hardly_be_shown_within_its_margin(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency", "margin": 0.005, "prove": True}]})
        verdict = decide(policy, evidence(21, shifted("clicks", 6.0), shifted("latency", -3.0)))
        assert verdict.reason is Reason.FUTILE
        assert "to show latency within its margin" in verdict.summary

    def test_a_guardrail_that_need_not_be_proven_has_no_prospects(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency"}]})
        verdict = decide(policy, evidence(14, shifted("clicks", 0.0), shifted("latency", -1.0)))
        assert verdict.metrics[1].comparisons[0].prospects is None

    def test_never_comes_under_the_rule_of_the_best(self) -> None:
        policy = Policy.from_json({"rule": "probability_to_be_best"})
        assert decide(policy, evidence(14, shifted("clicks", -1.0))).kind is Kind.WAIT

    def test_does_not_wait_for_a_baseline_of_zero_to_have_a_planned_effect(self) -> None:
        verdict = decide(Policy.from_json(MDE), evidence(14, rates("clicks", 4000, 0.0, 0.0002)))
        assert of(verdict).planned_conditional_power is None
        assert verdict.kind is Kind.WAIT

    @given(st.integers(1, 28), st.floats(-5.0, 5.0), st.sampled_from(({}, MDE, {"planned_units": 40_000})))
    def test_changes_only_a_wait_after_the_shortest_duration(self, day: int, z: float, fields: dict[str, Any]) -> None:
        measured = evidence(day, shifted("clicks", z, 700 * day))
        on = decide(Policy.from_json(fields), measured)
        off = decide(Policy.from_json({**fields, "futility": "off"}), measured)
        assert on.metrics[0].comparisons[0].success == off.metrics[0].comparisons[0].success
        if on.reason is Reason.FUTILE:
            assert (off.kind, off.reason) == (Kind.WAIT, Reason.NOT_SIGNIFICANT)
            assert 7 <= day < 28
        else:
            assert (on.kind, on.reason) == (off.kind, off.reason)

    def test_a_treatment_without_data_is_missing_and_not_futile(self) -> None:
        measured = evidence(14, rates("clicks", (5000, 0), 0.1, 0.1))
        assert measured.baseline.id == CONTROL
        assert decide(Policy(), measured).reason is Reason.NO_DATA


class TestTheSetting:
    def test_is_on_by_default(self) -> None:
        assert Policy().futility == Futility(predictive_power=0.01)

    @pytest.mark.parametrize("off", ["off", False, None])
    def test_off_turns_it_off(self, off: Any) -> None:
        policy = Policy.from_json({"futility": off})
        assert policy.futility is None
        assert Policy.from_json(policy.to_json()) == policy

    @pytest.mark.parametrize("name", PRESETS)
    def test_each_preset_has_it_where_it_can_act(self, name: str) -> None:
        assert (Policy.preset(name).futility is None) == (name == "launchdarkly")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({}, "give exactly one of predictive_power, conditional_power, not none"),
            ({"predictive_power": 0.01, "conditional_power": 0.1}, "not predictive_power and conditional_power"),
            ({"predictive_power": 0.8}, "futility.predictive_power"),
            ({"conditional_power": 0.1}, "primary.minimum_detectable_effect"),
            ({"threshold": 0.1}, "threshold"),
            ("on", "futility"),
        ],
    )
    def test_what_it_cannot_be_is_refused(self, value: Any, message: str) -> None:
        with pytest.raises(InvalidSettingError, match=message):
            Policy.from_json({"futility": value})
