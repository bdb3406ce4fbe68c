"""What decides, in the situations people ask about."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.evidence import Evidence, EvidenceError, Measurement, MetricEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Verdict
from support.evidence import BOLD, CONTROL, QUIET, evidence, rates, shifted


class TestShipping:
    def test_names_the_treatment_and_the_numbers_it_rests_on(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("checkout-conversion", 14_000, 0.100, 0.111)))
        assert (verdict.kind, verdict.reason) == (Kind.SHIP, Reason.BETTER)
        assert (verdict.treatment_id, verdict.treatment) == (BOLD, "Bold")
        assert verdict.summary == (
            "look 14 of 28, day 14.0, 28,000 units: Bold +11.0 % [+0.95 %, +22.1 %] at 90 % on checkout-conversion, "
            "z 3.00 ≥ 2.73; bias-adjusted +9.4 %, median-unbiased +10.0 % [+2.4 %, +18.0 %] at 95 %: ship"
        )

    def test_the_interval_excludes_nothing_exactly_when_it_ships(self) -> None:
        for lift in (0.100, 0.104, 0.108, 0.1101, 0.1105, 0.112):
            verdict = decide(Policy(), evidence(14, rates("clicks", 14_000, 0.1, lift)))
            (compared,) = verdict.metrics[0].comparisons
            assert compared.lift_lower is not None
            assert (compared.lift_lower > 0) == (verdict.kind is Kind.SHIP)

    def test_the_direction_comes_from_launchdarkly(self) -> None:
        faster = shifted("latency", -6.0, direction=Direction.LOWER)
        assert decide(Policy(), evidence(14, faster)).kind is Kind.SHIP

    def test_the_policy_overrides_the_direction(self) -> None:
        policy = Policy.from_json({"primary": {"direction": "lower"}})
        assert decide(policy, evidence(14, shifted("latency", -6.0))).kind is Kind.SHIP

    def test_the_policy_may_name_another_metric_than_the_experiments_own(self) -> None:
        policy = Policy.from_json({"primary": {"metric": "sales"}})
        measured = evidence(14, shifted("clicks", 0.0), shifted("sales", 6.0))
        assert decide(policy, measured).kind is Kind.SHIP

    def test_the_bar_is_lower_later(self) -> None:
        measured = shifted("clicks", 2.2)
        assert decide(Policy(), evidence(10, measured)).kind is Kind.WAIT
        assert decide(Policy(), evidence(26, measured)).kind is Kind.SHIP


class TestSeveralTreatments:
    def test_the_best_of_those_that_beat_the_baseline_wins(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", 20_000, 0.10, 0.12, 0.13)))
        assert verdict.treatment_id == QUIET

    def test_the_best_is_the_lowest_where_lower_is_better(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("errors", 20_000, 0.13, 0.10, 0.11, direction=Direction.LOWER)))
        assert verdict.treatment_id == BOLD

    def test_each_comparison_gets_its_share_of_alpha(self) -> None:
        alike = rates("clicks", 20_000, 0.10, 0.10, 0.10)
        verdict = decide(Policy(), evidence(14, alike, shares=(1, 1, 1)))
        bars = [compared.success for compared in verdict.metrics[0].comparisons]
        # A little more than half each, by Dunnett's test.
        assert [bar.alpha for bar in bars if bar] == pytest.approx([0.02705, 0.02705], abs=1e-5)
        divided = decide(Policy(multiplicity="bonferroni"), evidence(14, alike, shares=(1, 1, 1)))
        bars = [compared.success for compared in divided.metrics[0].comparisons]
        assert [bar.alpha for bar in bars if bar] == pytest.approx([0.025, 0.025])

    def test_so_the_bar_is_higher_than_with_one(self) -> None:
        two = decide(Policy(), evidence(14, rates("clicks", 20_000, 0.1, 0.1))).metrics[0].comparisons[0].success
        three = decide(Policy(), evidence(14, rates("clicks", 20_000, 0.1, 0.1, 0.1))).metrics[0].comparisons[0].success
        assert two is not None
        assert three is not None
        assert two.boundary is not None
        assert three.boundary is not None
        assert three.boundary > two.boundary

    def test_one_harmed_treatment_rolls_back_although_another_wins(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", 20_000, 0.10, 0.12, 0.08)))
        assert (verdict.kind, verdict.harmed) == (Kind.ROLLBACK, ("clicks: Quiet",))

    def test_a_winner_that_a_signal_holds_lets_the_next_one_through(self) -> None:
        policy = Policy.from_json({"signals": [{"metric": "complaints", "direction": "lower"}]})
        measured = evidence(
            14, rates("clicks", 20_000, 0.10, 0.12, 0.13), rates("complaints", 20_000, 0.01, 0.01, 0.02)
        )
        assert decide(policy, measured).treatment_id == BOLD


class TestHarm:
    GUARDED = Policy.from_json({"guardrails": [{"metric": "latency", "direction": "lower"}]})

    def test_names_what_was_harmed_by_whom_and_how_much(self) -> None:
        measured = evidence(3, rates("clicks", 3_000, 0.1, 0.1), rates("latency", 3_000, 0.10, 0.14))
        verdict = decide(self.GUARDED, measured)
        assert verdict.reason is Reason.GUARDRAIL_HARMED
        assert verdict.harmed == ("latency: Bold",)
        assert "latency is harmed by Bold +40.0 %" in verdict.summary
        assert verdict.summary.endswith("roll back")

    def test_the_interval_shown_excludes_no_loss(self) -> None:
        verdict = decide(Policy(), evidence(20, shifted("clicks", -2.3)))
        (compared,) = verdict.metrics[0].comparisons
        assert verdict.kind is Kind.ROLLBACK
        assert compared.lift_upper is not None
        assert compared.lift_upper < 0

    def test_is_judged_before_the_shortest_duration(self) -> None:
        assert decide(Policy(), evidence(2, shifted("clicks", -5.0))).reason is Reason.PRIMARY_HARMED

    def test_is_judged_before_the_smallest_sample(self) -> None:
        policy = Policy(min_units_per_treatment=100_000)
        assert decide(policy, evidence(14, shifted("clicks", -5.0))).reason is Reason.PRIMARY_HARMED

    def test_outweighs_a_win_on_the_primary_metric(self) -> None:
        measured = evidence(14, shifted("clicks", 9.0), shifted("latency", 5.0))
        assert decide(self.GUARDED, measured).kind is Kind.ROLLBACK

    @pytest.mark.parametrize("units", [50, (50, 5000), (5000, 50), 10**7])
    def test_from_no_errors_to_nothing_but_errors_rolls_back(self, units: int | tuple[int, int]) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "errors", "direction": "lower"}]})
        measured = evidence(14, shifted("clicks", 9.0), rates("errors", units, 0.0, 1.0))
        verdict = decide(policy, measured)
        assert (verdict.kind, verdict.reason) == (Kind.ROLLBACK, Reason.GUARDRAIL_HARMED)
        assert verdict.harmed == ("errors: Bold",)

    @pytest.mark.parametrize("units", [50, (50, 5000), (5000, 50), 10**7])
    @pytest.mark.parametrize(("before", "after"), [(1.0, 0.0), (0.0, 1.0)])
    def test_from_all_to_none_on_the_primary_metric_is_decided(
        self, units: int | tuple[int, int], before: float, after: float
    ) -> None:
        policy = Policy(min_units_per_treatment=50)
        verdict = decide(policy, evidence(14, rates("clicks", units, before, after)))
        assert verdict.kind is (Kind.SHIP if after > before else Kind.ROLLBACK)

    def test_a_constant_that_moves_is_decided_too(self) -> None:
        worse = MetricEvidence(
            "latency", (Measurement(CONTROL, 500, 120.0, 0.0), Measurement(BOLD, 500, 240.0, 0.0)), Direction.LOWER
        )
        verdict = decide(self.GUARDED, evidence(14, shifted("clicks", 9.0), worse))
        assert verdict.reason is Reason.GUARDRAIL_HARMED

    @pytest.mark.parametrize("day", [1, 3, 14, 28])
    def test_no_conversion_among_60_of_a_small_treatment_is_none(self, day: int) -> None:
        verdict = decide(Policy(), evidence(day, rates("clicks", (3000, 60), 0.01, 0.0)))
        assert verdict.kind is not Kind.ROLLBACK
        assert verdict.metrics[0].comparisons[0].z == pytest.approx(-0.597, abs=5e-4)

    def test_no_buyer_among_60_of_a_small_treatment_is_none(self) -> None:
        revenue = MetricEvidence(
            "revenue", (Measurement(CONTROL, 3000, 0.4, 6.0), Measurement(BOLD, 60, 0.0, 0.0)), Direction.HIGHER
        )
        assert decide(Policy(), evidence(3, revenue)).kind is Kind.WAIT

    def test_is_not_read_from_a_handful_of_units(self) -> None:
        verdict = decide(Policy(), evidence(2, shifted("clicks", -9.0, 49)))
        assert verdict.kind is Kind.WAIT
        harm = verdict.metrics[0].comparisons[0].harm
        assert harm is not None
        assert harm.z is None

    def test_within_the_margin_is_tolerated(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "sales", "margin": 0.05}]})
        slightly, far = shifted("sales", -6.0), shifted("sales", -40.0)
        assert decide(policy, evidence(14, shifted("clicks", 0.0), slightly)).kind is Kind.WAIT
        verdict = decide(policy, evidence(14, shifted("clicks", 0.0), far))
        assert verdict.kind is Kind.ROLLBACK
        assert "more than the 5.0 % that may be lost" in verdict.summary

    def test_more_guardrails_raise_each_ones_bar(self) -> None:
        def bar(count: int) -> float:
            names = [f"g{number}" for number in range(count)]
            policy = Policy.from_json({"guardrails": [{"metric": name} for name in names]})
            verdict = decide(policy, evidence(14, shifted("p", 0.0), *(shifted(name, 0.0) for name in names)))
            harm = verdict.metrics[1].comparisons[0].harm
            assert harm is not None
            assert harm.boundary is not None
            return harm.boundary

        assert bar(1) < bar(3) < bar(10)

    def test_all_shares_of_alpha_add_up_to_alpha_harm(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "a"}, {"metric": "b"}], "multiplicity": "bonferroni"})
        measured = evidence(
            14, rates("p", 900, 0.1, 0.1, 0.1), rates("a", 900, 0.1, 0.1, 0.1), rates("b", 900, 0.1, 0.1, 0.1)
        )
        bars = [compared.harm for metric in decide(policy, measured).metrics for compared in metric.comparisons]
        assert math.fsum(bar.alpha for bar in bars if bar) == pytest.approx(policy.alpha_harm)


class TestWaiting:
    def test_says_when_the_first_look_is(self) -> None:
        verdict = decide(Policy(), evidence(0.5, shifted("clicks", 9.0)))
        assert verdict.summary == "day 0.5: the first look is on day 1.0: wait"
        assert verdict.next_look == timedelta(days=1)

    def test_says_how_likely_it_is_to_ship_by_the_plans_end(self) -> None:
        verdict = decide(Policy(), evidence(14, shifted("clicks", 1.0)))
        assert verdict.summary.endswith(
            "z 1.00 < 2.73; conditional power 28 % on this trend, predictive power 34 %: wait"
        )

    def test_and_how_likely_if_the_effect_is_the_planned_one(self) -> None:
        policy = Policy.from_json({"primary": {"minimum_detectable_effect": 0.01}})
        verdict = decide(policy, evidence(14, shifted("clicks", 1.0)))
        assert ", 97 % at the planned effect, " in verdict.summary

    def test_says_how_far_the_bar_is(self) -> None:
        (compared,) = decide(Policy(), evidence(14, shifted("clicks", 2.0))).metrics[0].comparisons
        assert compared.success is not None
        assert compared.success.boundary is not None
        assert compared.success.z == pytest.approx(2.0, abs=1e-3)
        assert compared.success.distance == pytest.approx(compared.success.boundary - (compared.z or 0.0))

    def test_names_the_smallest_treatment(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", (500, 60), 0.1, 0.1)))
        assert verdict.summary.endswith("Bold has 60 units on clicks, fewer than 100: wait")


class TestMissingNumbers:
    @pytest.mark.parametrize("units", [(0, 0), (500, 0), (0, 500)])
    def test_an_empty_treatment_waits_for_data(self, units: tuple[int, int]) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", units, 0.1, 0.1)))
        assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)

    def test_a_treatment_that_was_not_measured_waits_for_data(self) -> None:
        metric = MetricEvidence("clicks", (Measurement(CONTROL, 500, 0.1, 0.3),), Direction.HIGHER)
        measured = evidence(14, shifted("other", 0.0))._replace(metrics=(metric,), primary_metric="clicks")
        assert decide(Policy(), measured).summary.endswith("clicks has no data for Bold: wait")

    def test_a_metric_that_never_varied_waits_for_data(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", 500, 0.0, 0.0)))
        assert verdict.summary.endswith("clicks is the same for every unit: wait")

    def test_a_guardrail_without_data_holds_a_winner_back(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency"}]})
        measured = evidence(14, shifted("clicks", 6.0), rates("latency", (500, 0), 0.1, 0.1))
        assert decide(policy, measured).reason is Reason.NO_DATA

    @pytest.mark.parametrize("key", ["clicks", "latency"])
    def test_a_mean_without_a_deviation_is_no_data(self, key: str) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency"}]})
        whole = {name: shifted(name, 6.0) for name in ("clicks", "latency")}
        first, second = whole[key].measurements
        whole[key] = whole[key]._replace(measurements=(first, second._replace(std_dev=None)))
        verdict = decide(policy, evidence(14, whole["clicks"], whole["latency"]))
        assert verdict.summary.endswith(f"{key} has no data for Bold: wait")

    def test_a_guardrail_measured_on_few_units_holds_a_winner_back(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency"}]})
        verdict = decide(policy, evidence(14, shifted("clicks", 6.0), rates("latency", (500, 60), 0.1, 0.1)))
        assert verdict.summary.endswith("Bold has 60 units on latency, fewer than 100: wait")

    @pytest.mark.parametrize("units", [(0, 0), (500, 0), (0, 500)])
    def test_a_signal_without_data_holds_a_winner_back(self, units: tuple[int, int]) -> None:
        policy = Policy.from_json({"signals": [{"metric": "complaints"}]})
        verdict = decide(policy, evidence(14, shifted("clicks", 6.0), rates("complaints", units, 0.1, 0.1)))
        assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)
        assert verdict.summary.endswith("but complaints has no data: wait")

    def test_a_signal_that_is_not_required_needs_no_data(self) -> None:
        policy = Policy.from_json({"signals": [{"metric": "complaints", "required": False}]})
        measured = evidence(14, shifted("clicks", 6.0), rates("complaints", (0, 0), 0.1, 0.1))
        assert decide(policy, measured).kind is Kind.SHIP

    def test_a_guardrail_that_never_varied_harms_nobody(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "errors"}]})
        measured = evidence(14, shifted("clicks", 0.0), rates("errors", 500, 0.0, 0.0))
        assert decide(policy, measured).reason is Reason.NOT_SIGNIFICANT

    def test_a_metric_without_direction_is_an_error_that_names_it(self) -> None:
        with pytest.raises(
            EvidenceError, match=r"metric clicks: neither the policy nor .* gives a direction; set direction"
        ):
            decide(Policy(), evidence(14, rates("clicks", 500, 0.1, 0.1, direction=None)))

    def test_no_primary_metric_is_an_error(self) -> None:
        measured = evidence(14, shifted("clicks", 0.0))._replace(primary_metric=None)
        with pytest.raises(EvidenceError, match="neither the policy nor the evidence names a primary metric"):
            decide(Policy(), measured)

    def test_a_guardrail_that_was_not_read_is_an_error_that_names_it(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency"}]})
        with pytest.raises(EvidenceError, match="judges metric 'latency', but the evidence has clicks"):
            decide(policy, evidence(14, shifted("clicks", 0.0)))


class TestProbabilityToBeBest:
    POLICY = Policy.preset("launchdarkly")

    @staticmethod
    def given(day: float, baseline: float, bold: float, *, z: float = 0.0) -> Evidence:
        metric = shifted("clicks", z)
        first, second = metric.measurements
        return evidence(
            day,
            metric._replace(measurements=(first._replace(p_best=baseline), second._replace(p_best=bold))),
        )

    def test_the_platforms_number_decides(self) -> None:
        verdict = decide(self.POLICY, self.given(2, 0.04, 0.96))
        assert verdict.kind is Kind.SHIP
        assert verdict.summary.endswith("on clicks, probability to be best 0.960: ship")

    def test_the_control_can_win(self) -> None:
        assert decide(self.POLICY, self.given(2, 0.96, 0.04)).reason is Reason.BASELINE_BEST

    def test_below_the_threshold_it_waits(self) -> None:
        assert decide(self.POLICY, self.given(2, 0.06, 0.94)).kind is Kind.WAIT

    def test_at_the_end_it_is_inconclusive(self) -> None:
        assert decide(self.POLICY, self.given(28, 0.06, 0.94)).kind is Kind.INCONCLUSIVE

    def test_without_the_platforms_number_a_flat_prior_gives_it(self) -> None:
        (compared,) = decide(self.POLICY, evidence(2, shifted("clicks", 1.2816))).metrics[0].comparisons
        assert compared.p_best == pytest.approx(0.9, abs=1e-4)


class TestRepeats:
    @given(st.floats(0.01, 40.0), st.floats(-5.0, 5.0), st.integers(0, 50_000))
    def test_the_same_evidence_always_gives_the_same_verdict(self, day: float, z: float, units: int) -> None:
        measured = evidence(day, shifted("clicks", z, max(units, 1)))
        assert decide(Policy(), measured) == decide(Policy(), measured)

    # In whole microseconds, as a timedelta counts: what is nearer to the next day than that is the next day.
    @given(st.floats(1.0, 27.9).map(lambda days: timedelta(days=days) / timedelta(days=1)), st.floats(-3.0, 3.0))
    def test_a_late_look_is_judged_by_the_bar_of_the_look_it_was_meant_to_be(self, day: float, z: float) -> None:
        on_time, late = (decide(Policy(), evidence(moment, shifted("clicks", z))) for moment in (int(day), day))
        bars = [verdict.metrics[0].comparisons[0].success for verdict in (on_time, late)]
        assert bars[0] is not None
        assert bars[1] is not None
        assert bars[0].boundary == bars[1].boundary

    def test_after_the_end_the_last_bar_stays(self) -> None:
        assert decide(Policy(), evidence(60, shifted("clicks", 2.0))).kind is Kind.SHIP
        assert decide(Policy(), evidence(60, shifted("clicks", 1.0))).kind is Kind.INCONCLUSIVE


MEASUREMENTS = st.tuples(
    st.integers(0, 10**9),
    st.floats(-1e9, 1e9) | st.none(),
    st.floats(0.0, 1e9) | st.none(),
)


@st.composite
def anything(draw: st.DrawFn) -> Evidence:
    """Evidence as wild as it may be."""
    metrics = []
    for key in ("primary", "guardrail", "signal"):
        measurements = tuple(
            Measurement(treatment, *draw(MEASUREMENTS), p_best=draw(st.none() | st.floats(0, 1)))
            for treatment in (CONTROL, BOLD)
            if draw(st.integers(0, 9))
        )
        metrics.append(MetricEvidence(key, measurements, draw(st.sampled_from(Direction))))
    base = evidence(
        draw(st.floats(0.0, 100.0)),
        shifted("unused", 0.0),
        exposed=draw(st.none() | st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))),
        unchanged_for=draw(st.none() | st.timedeltas(timedelta(), timedelta(days=50))),
        probability_of_mismatch=draw(st.none() | st.floats(allow_nan=True)),
    )
    return base._replace(metrics=tuple(metrics), primary_metric="primary")


POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {"guardrails": [{"metric": "guardrail", "margin": 0.1, "prove": True}], "signals": [{"metric": "signal"}]},
    {"preset": "do_no_harm", "planned_units": 5000},
    {"preset": "launchdarkly", "mismatch": {"action": "hold"}},
    {"preset": "frequentist_fixed", "missing": {"action": "invalid"}},
)


class TestAnyEvidence:
    @pytest.mark.parametrize("mean", [0.0, 1e-300, 1.0, 1e100])
    @pytest.mark.parametrize("std_dev", [0.0, 1e-300, 1e-160, 1e100])
    def test_numbers_at_the_edge_of_what_can_be_computed_give_a_verdict(self, mean: float, std_dev: float) -> None:
        measured = MetricEvidence(
            "clicks",
            (Measurement(CONTROL, 500, mean, std_dev), Measurement(BOLD, 50, mean / 2.0, std_dev)),
            Direction.HIGHER,
        )
        json.dumps(decide(Policy(), evidence(14, measured)).to_json(), allow_nan=False)

    def test_a_standard_error_that_is_too_small_to_be_computed_gives_no_probability_to_be_best(self) -> None:
        # The smallest positive number over the root of 4 is 0, and so is its square.
        measured = MetricEvidence(
            "clicks", (Measurement(CONTROL, 500, 0.0, 5e-324), Measurement(BOLD, 4, 0.0, 5e-324)), Direction.HIGHER
        )
        verdict = decide(Policy.preset("launchdarkly"), evidence(14, measured))
        assert verdict.metrics[0].comparisons[0].p_best is None

    def test_units_at_the_very_start_give_no_prospects_of_shipping(self) -> None:
        measured = MetricEvidence(
            "clicks", (Measurement(CONTROL, 100, 0.1, 0.3), Measurement(BOLD, 100, 0.5, 0.5)), Direction.HIGHER
        )
        verdict = decide(Policy.from_json({"planned_units": 5000}), evidence(0, measured))
        assert verdict.metrics[0].comparisons[0].z is not None
        assert verdict.metrics[0].comparisons[0].prospects is None

    @given(anything(), st.sampled_from(POLICIES))
    def test_gives_a_verdict_as_finite_json(self, measured: Evidence, policy: dict[str, Any]) -> None:
        verdict = decide(Policy.from_json(policy), measured)
        text = json.dumps(verdict.to_json(), allow_nan=False)
        assert json.loads(text)["verdict"] in set(Kind)
        assert "nan" not in verdict.summary
        assert "\n" not in verdict.summary

    @given(anything())
    def test_nothing_ships_before_its_time_or_with_a_broken_split(self, measured: Evidence) -> None:
        verdict = decide(Policy(), measured)
        if verdict.kind is Kind.SHIP:
            assert measured.elapsed >= Policy().min_duration
            assert verdict.split is None or not verdict.split.mismatch
            assert all(compared.units >= 100 for compared in verdict.metrics[0].comparisons)

    @given(anything())
    def test_the_plans_end_is_always_an_ending(self, measured: Evidence) -> None:
        assert decide(Policy(), measured._replace(elapsed=timedelta(days=28))).ends


class TestVerdict:
    def test_json_says_days_and_kinds_in_plain_words(self) -> None:
        written = decide(Policy(), evidence(14, shifted("clicks", 2.0, 500), exposed=(500, 500))).to_json()
        assert written["verdict"] == "wait"
        assert written["reason"] == "not_significant"
        assert (written["look"], written["looks"], written["elapsed_days"]) == (14, 28, 14.0)
        assert written["next_look_days"] == 15.0
        assert written["metrics"][0]["comparisons"][0]["success"]["distance"] > 0
        assert written["split"]["mismatch"] is False

    def test_json_has_null_for_what_is_no_number(self) -> None:
        verdict = decide(Policy(), evidence(14, shifted("clicks", 2.0), probability_of_mismatch=math.nan))
        assert verdict.to_json()["probability_of_mismatch"] is None

    def test_a_baseline_of_zero_is_shown_by_its_difference(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", 5000, 0.0, 0.01)))
        assert "Bold +0.01 on clicks, z 8.06" in verdict.summary

    def test_an_iteration_that_is_not_ours_is_invalid_without_numbers(self) -> None:
        verdict = Verdict.invalid(Reason.ITERATION_REPLACED, "replaced by another", timedelta(days=3))
        assert verdict.ends
        assert json.loads(json.dumps(verdict.to_json()))["reason"] == "iteration_replaced"

    def test_a_wait_between_looks_needs_no_numbers(self) -> None:
        verdict = Verdict.wait(Reason.BETWEEN_LOOKS, "next look tomorrow", timedelta(days=3), look=3, looks=28)
        assert not verdict.ends
        assert verdict.to_json()["metrics"] == []


def test_a_ship_under_a_bound_on_false_ships_says_that_it_waits_for_the_quarter() -> None:
    bounded = Policy.from_json({"portfolio": {"name": "2026Q4", "false_discovery_rate": 0.2}})
    shipped = decide(bounded, evidence(14, rates("clicks", 20_000, 0.10, 0.13)))
    waiting = decide(bounded, evidence(14, rates("clicks", 20_000, 0.10, 0.104)))
    told = "portfolio 2026Q4 bounds the share of false ships at 20 %"
    assert (shipped.kind, waiting.kind) == (Kind.SHIP, Kind.WAIT)
    assert [told in " ".join(verdict.cautions) for verdict in (shipped, waiting)] == [True, False]
