"""Splits: of the exposed units, and of the units on which each metric is measured."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.evidence import Evidence, EvidenceError, Measurement, MetricEvidence
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.splits import SplitAlphas
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Verdict
from support.evidence import BOLD, CONTROL, evidence, rates, shifted


class TestSplit:
    def test_says_what_was_seen_and_what_was_planned(self) -> None:
        verdict = decide(Policy(), evidence(2, shifted("clicks", 0.0), exposed=(5_500, 4_500)))
        assert verdict.reason is Reason.MISMATCH
        assert "units are split 5500 to 4500 (55.0 % to 45.0 %), planned 50.0 % to 50.0 %" in verdict.summary

    def test_is_tested_before_the_first_look(self) -> None:
        assert decide(Policy(), evidence(0.1, shifted("clicks", 0.0), exposed=(5_500, 4_500))).kind is Kind.INVALID

    def test_uneven_allocations_are_no_mismatch(self) -> None:
        clicks = rates("clicks", (9_000, 1_010), 0.1, 0.2)
        measured = evidence(14, clicks, exposed=(9_000, 1_010), shares=(90, 10))
        assert decide(Policy(), measured).kind is Kind.SHIP

    def test_is_not_tested_where_exposures_are_unknown(self) -> None:
        assert decide(Policy(), evidence(14, shifted("clicks", 0.0))).split is None

    def test_launchdarklys_own_probability_is_shown_beside_it(self) -> None:
        verdict = decide(Policy(), evidence(14, shifted("clicks", 0.0), probability_of_mismatch=0.2))
        assert verdict.to_json()["probability_of_mismatch"] == 0.2


def revenue(units: tuple[int, int], bold: float = 60.0) -> MetricEvidence:
    """The revenue of those who bought: the treatment's buyers spend more."""
    first, second = units
    return MetricEvidence(
        "revenue", (Measurement(CONTROL, first, 50.0, 20.0), Measurement(BOLD, second, bold, 20.0)), Direction.HIGHER
    )


def buyers(units: tuple[int, int], *, day: float = 14, **policy: Any) -> Verdict:
    """A verdict on the revenue of so many buyers among 10,000 exposed people each."""
    return decide(Policy.from_json(policy), evidence(day, revenue(units), exposed=(10_000, 10_000)))


class TestMeasuredUnits:
    def test_a_treatment_that_changes_who_is_measured_is_invalid_and_the_metric_is_named(self) -> None:
        verdict = buyers((6_000, 4_000))
        assert (verdict.kind, verdict.reason) == (Kind.INVALID, Reason.MISMATCH)
        assert "units measured on revenue are split 6000 to 4000 (60.0 % to 40.0 %), planned 50.0 %" in verdict.summary
        assert verdict.split is not None
        assert not verdict.split.mismatch
        split = verdict.metrics[0].split
        assert split is not None
        assert (split.units, split.mismatch) == ((6_000, 4_000), True)

    @pytest.mark.parametrize(
        ("action", "day", "verdict"),
        [
            ("hold", 14, (Kind.WAIT, Reason.MISMATCH)),
            ("hold", 28, (Kind.INVALID, Reason.MISMATCH)),
            ("warn", 14, (Kind.SHIP, Reason.BETTER)),
        ],
    )
    def test_the_policys_action_applies(self, action: str, day: float, verdict: tuple[Kind, Reason]) -> None:
        found = buyers((6_000, 4_000), day=day, mismatch={"action": action})
        assert (found.kind, found.reason) == verdict

    @pytest.mark.parametrize("role", ["guardrails", "signals"])
    def test_guardrails_and_signals_are_tested_too(self, role: str) -> None:
        policy = Policy.from_json({role: [{"metric": "revenue"}]})
        measured = evidence(14, shifted("clicks", 6.0), revenue((6_000, 4_000)), exposed=(10_000, 10_000))
        verdict = decide(policy, measured)
        assert (verdict.kind, verdict.reason) == (Kind.INVALID, Reason.MISMATCH)
        assert "measured on revenue" in verdict.summary

    def test_a_metric_can_be_left_out(self) -> None:
        verdict = buyers((6_000, 4_000), primary={"test_split": False})
        assert verdict.kind is Kind.SHIP
        assert verdict.metrics[0].split is None

    def test_units_of_a_metric_are_tested_where_exposures_are_unknown(self) -> None:
        measured = evidence(14, revenue((6_000, 4_000)), shares=(50, 50))
        assert decide(Policy(), measured).reason is Reason.MISMATCH

    def test_a_treatment_without_any_data_is_missing_and_not_off(self) -> None:
        measured = evidence(14, rates("clicks", (5_000, 0), 0.1, 0.1), exposed=(5_000, 5_000))
        verdict = decide(Policy(), measured)
        assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.NO_DATA)


class TestSelection:
    def test_a_ship_waits_while_the_treatment_seems_to_change_who_is_measured(self) -> None:
        verdict = buyers((1_000, 930))
        assert (verdict.kind, verdict.reason) == (Kind.WAIT, Reason.MISMATCH)
        assert verdict.summary.endswith("but Bold seems to change on whom revenue is measured: wait")

    def test_a_ship_that_waited_to_the_end_is_inconclusive(self) -> None:
        verdict = buyers((1_000, 930), day=28)
        assert (verdict.kind, verdict.reason) == (Kind.INCONCLUSIVE, Reason.MISMATCH)

    def test_harm_does_not_wait(self) -> None:
        measured = evidence(14, revenue((1_000, 930), bold=40.0), exposed=(10_000, 10_000))
        assert decide(Policy(), measured).kind is Kind.ROLLBACK

    @pytest.mark.parametrize(
        ("units", "policy"),
        [
            ((1_000, 980), {}),
            ((1_000, 930), {"primary": {"test_split": False}}),
            ((1_000, 930), {"mismatch": {"action": "warn"}}),
            ((9_990, 9_900), {}),
        ],
    )
    def test_chance_a_switch_a_warning_and_nearly_all_units_hold_nothing(
        self, units: tuple[int, int], policy: dict[str, Any]
    ) -> None:
        assert buyers(units, **policy).kind is Kind.SHIP

    def test_a_guardrail_to_be_proven_on_a_part_holds_too(self) -> None:
        measured = evidence(14, shifted("clicks", 6.0), revenue((1_000, 930)), exposed=(10_000, 10_000))
        for prove, kind in ((True, Kind.WAIT), (False, Kind.SHIP)):
            guardrail = {"metric": "revenue", "margin": 0.1, "prove": prove}
            assert decide(Policy.from_json({"guardrails": [guardrail]}), measured).kind is kind

    def test_the_card_says_which_part_was_measured(self) -> None:
        (caution,) = (told for told in buyers((1_000, 980)).cautions if "part of the exposed units" in told)
        assert caution.startswith(
            "revenue is measured on a part of the exposed units (Control 10.0 %, Bold 9.8 %): its"
        )
        assert not any("part of the exposed units" in told for told in buyers((9_990, 9_900)).cautions)


class TestImpossibleCounts:
    @pytest.mark.parametrize(("day", "kind"), [(14, Kind.WAIT), (28, Kind.INVALID)])
    def test_more_units_than_exposed_hold_and_are_invalid_at_the_end(self, day: float, kind: Kind) -> None:
        verdict = decide(Policy(), evidence(day, shifted("clicks", 6.0, 20_000), exposed=(10_000, 10_000)))
        assert (verdict.kind, verdict.reason) == (kind, Reason.MORE_UNITS_THAN_EXPOSED)
        assert "clicks is measured on 20,000 units of Control, of which only 10,000 were exposed" in verdict.summary

    def test_a_race_between_two_reads_is_harmless(self) -> None:
        measured = evidence(14, shifted("clicks", 6.0, 10_150), exposed=(10_000, 10_000))
        assert decide(Policy(), measured).kind is Kind.SHIP

    def test_harm_is_still_found(self) -> None:
        measured = evidence(14, shifted("clicks", -6.0, 20_000), exposed=(10_000, 10_000))
        assert decide(Policy(), measured).kind is Kind.ROLLBACK

    def test_a_treatment_measured_twice_is_an_error_with_its_values(self) -> None:
        twice = MetricEvidence(
            "clicks",
            (Measurement(CONTROL, 9, 1.0, 1.0), Measurement(BOLD, 8, 2.0, 1.0), Measurement(BOLD, 7, 3.0, 1.0)),
            Direction.HIGHER,
        )
        measured = evidence(14, shifted("clicks", 0.0))._replace(metrics=(twice,))
        told = "treatment id-bold: measured 2 times, with mean 2.0 of 8 units and mean 3.0 of 7 units; give"
        with pytest.raises(EvidenceError, match=told):
            decide(Policy(), measured)

    def test_a_measured_treatment_that_is_not_there_is_an_error(self) -> None:
        measured = evidence(14, shifted("clicks", 0.0))
        metric = measured.metrics[0]
        stranger = metric._replace(measurements=(*metric.measurements, Measurement("id-x", 9, 1.0, 1.0)))
        with pytest.raises(
            EvidenceError, match=r"metric clicks, treatment id-x: no treatment .* has id-control, id-bold"
        ):
            decide(Policy(), measured._replace(metrics=(stranger,)))

    def test_a_deviation_too_large_to_square_is_an_error(self) -> None:
        metric = MetricEvidence("clicks", tuple(Measurement(key, 9, 1.0, 1e200) for key in (CONTROL, BOLD)))
        measured: Evidence = evidence(14, shifted("clicks", 0.0))._replace(metrics=(metric,))
        with pytest.raises(EvidenceError, match=r"std_dev is 1e\+200, beyond 1e\+100"):
            decide(Policy(), measured)


@pytest.mark.parametrize(
    ("policy", "alphas"),
    [
        ({}, (0.005, 0.005)),
        ({"guardrails": [{"metric": "a"}, {"metric": "b"}], "signals": [{"metric": "c"}]}, (0.005, 0.00125)),
        ({"guardrails": [{"metric": "a", "test_split": False}]}, (0.005, 0.005)),
        ({"primary": {"test_split": False}}, (0.01, 0.0)),
        ({"mismatch": {"alpha": 0.1}}, (0.05, 0.05)),
    ],
)
def test_all_tests_together_spend_the_policys_alpha(policy: dict[str, Any], alphas: tuple[float, float]) -> None:
    assert SplitAlphas.of(Policy.from_json(policy)) == pytest.approx(alphas)
