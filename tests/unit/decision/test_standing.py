"""A boundary that was crossed stands, unless something is harmed or the effect is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.evidence import Evidence, Standing
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.standing import fingerprint
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from support.evidence import BOLD, CONTROL, QUIET, evidence, rates, shifted

PROVING = Policy.from_json({"guardrails": [{"metric": "errors", "margin": 0.01, "prove": True}]})
SIGNALLED = Policy.from_json({"signals": [{"metric": "complaints"}]})


def crossed(measured: Evidence, judged_by: Policy | None = None, **changes: Any) -> Evidence:
    """Return the evidence of a treatment that crossed the boundary at look 12."""
    standing = Standing(BOLD, 12, "clicks", fingerprint(judged_by or Policy()))
    return measured._replace(standing=standing._replace(**changes))


class TestShipping:
    # At look 14 the boundary is 2.73.
    def test_needs_no_second_crossing(self) -> None:
        measured = evidence(14, shifted("clicks", 2.0))
        assert decide(Policy(), measured).kind is Kind.WAIT
        verdict = decide(Policy(), crossed(measured))
        assert (verdict.kind, verdict.reason, verdict.treatment_id) == (Kind.SHIP, Reason.BETTER, BOLD)
        assert verdict.summary.endswith("z 2.00 < 2.73, but look 12 crossed and stands: ship")

    def test_stands_as_long_as_the_nominal_p_value_is_five_percent(self) -> None:
        kinds = [decide(Policy(), crossed(evidence(14, shifted("clicks", z)))).kind for z in (1.646, 1.644)]
        assert kinds == [Kind.SHIP, Kind.WAIT]

    def test_passes_its_crossing_on(self) -> None:
        first = decide(Policy(), evidence(14, shifted("clicks", 3.0)))
        assert first.standing == Standing(BOLD, 14, "clicks", fingerprint(Policy()))
        again = decide(Policy(), evidence(15, shifted("clicks", 2.0))._replace(standing=first.standing))
        assert (again.kind, again.standing) == (Kind.SHIP, first.standing)

    def test_counts_the_margin(self) -> None:
        policy = Policy.from_json({"primary": {"test": "non_inferiority", "margin": 0.01}})
        # A mean of 100 with a margin of 1 %: z with the margin is 3.5 higher.
        kept = decide(policy, crossed(evidence(14, shifted("clicks", -1.5)), policy))
        lost = decide(policy, crossed(evidence(14, shifted("clicks", -1.95)), policy))
        assert (kept.kind, kept.reason) == (Kind.SHIP, Reason.NOT_WORSE)
        assert (lost.kind, lost.reason) == (Kind.WAIT, Reason.EFFECT_GONE)

    def test_stands_where_alpha_asks_for_less_than_five_percent(self) -> None:
        policy = Policy.from_json({"alpha": 0.2, "looks": {"only_at_end": True}})
        assert decide(policy, crossed(evidence(28, shifted("clicks", 1.0)), policy)).kind is Kind.SHIP

    def test_works_for_the_probability_to_be_best(self) -> None:
        policy = Policy.preset("launchdarkly")
        kinds = [decide(policy, crossed(evidence(14, shifted("clicks", z)), policy)).kind for z in (1.646, 1.0)]
        assert kinds == [Kind.SHIP, Kind.WAIT]

    def test_a_better_treatment_does_not_take_the_place(self) -> None:
        measured = evidence(14, rates("clicks", 20_000, 0.100, 0.107, 0.130))
        assert decide(Policy(), measured).treatment_id == QUIET
        assert decide(Policy(), crossed(measured)).treatment_id == BOLD

    def test_nor_does_it_ship_when_the_effect_is_gone(self) -> None:
        # People approved one treatment, and no other.
        measured = evidence(14, rates("clicks", 20_000, 0.100, 0.101, 0.130))
        assert decide(Policy(), crossed(measured)).reason is Reason.EFFECT_GONE


class TestTheEffectIsGone:
    def test_waits_for_the_boundary_again(self) -> None:
        verdict = decide(Policy(), crossed(evidence(14, shifted("clicks", 0.8))))
        assert (verdict.kind, verdict.reason, verdict.standing) == (Kind.WAIT, Reason.EFFECT_GONE, None)
        assert "look 12 crossed, but the effect is gone (p 0.21 > 0.05): wait" in verdict.summary
        assert verdict.next_look == timedelta(days=15)

    def test_ends_inconclusive_with_the_plan(self) -> None:
        verdict = decide(Policy(), crossed(evidence(30, shifted("clicks", 0.8))))
        assert (verdict.kind, verdict.reason) == (Kind.INCONCLUSIVE, Reason.EFFECT_GONE)


class TestWhatComesFirst:
    def test_harm(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "errors"}]})
        measured = evidence(14, shifted("clicks", 2.0), shifted("errors", -5.0))
        assert decide(policy, crossed(measured, policy)).kind is Kind.ROLLBACK

    def test_a_broken_split(self) -> None:
        measured = evidence(14, shifted("clicks", 2.0), exposed=(10_000, 9_000))
        assert decide(Policy(), crossed(measured)).kind is Kind.INVALID

    def test_the_baseline_that_is_best(self) -> None:
        policy = Policy.preset("launchdarkly")
        assert decide(policy, crossed(evidence(14, shifted("clicks", -3.0)), policy)).kind is Kind.ROLLBACK

    def test_data_that_stand_still_and_the_crossing_is_kept(self) -> None:
        measured = crossed(evidence(14, shifted("clicks", 2.0), unchanged_for=timedelta(days=3)))
        verdict = decide(Policy(), measured)
        assert (verdict.reason, verdict.standing) == (Reason.STALE_RESULTS, measured.standing)

    def test_a_signal_that_points_the_wrong_way_and_the_crossing_is_kept(self) -> None:
        measured = crossed(evidence(14, shifted("clicks", 2.0), shifted("complaints", -2.0)), SIGNALLED)
        verdict = decide(SIGNALLED, measured)
        assert (verdict.kind, verdict.reason, verdict.standing) == (Kind.WAIT, Reason.SIGNAL, measured.standing)


class TestProof:
    # A mean of 100 with a margin of 1 %: z with the margin is 3.5 higher.
    @pytest.mark.parametrize(
        ("z", "outcome"),
        [(-1.0, (Kind.SHIP, Reason.BETTER)), (-1.95, (Kind.WAIT, Reason.GUARDRAIL_UNPROVEN))],
    )
    def test_of_a_guardrail_stands_by_the_same_rule(self, z: float, outcome: tuple[Kind, Reason]) -> None:
        measured = evidence(14, shifted("clicks", 2.0), shifted("errors", z))
        verdict = decide(PROVING, crossed(measured, PROVING))
        assert (verdict.kind, verdict.reason) == outcome

    def test_is_still_asked_of_a_first_crossing(self) -> None:
        measured = evidence(14, shifted("clicks", 6.0), shifted("errors", -1.0))
        assert decide(PROVING, measured).reason is Reason.GUARDRAIL_UNPROVEN


class TestACrossingThatCountsForNothing:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"treatment_id": "id-of-another-iteration"}, "id-of-another-iteration is not compared"),
            ({"treatment_id": CONTROL}, "is not compared with the baseline"),
            ({"metric": "sales"}, "it was on sales, and clicks decides"),
            ({"policy": fingerprint(Policy(alpha=0.1))}, "it was judged by another policy"),
        ],
    )
    def test_is_told_and_the_boundary_has_to_be_crossed(self, changes: dict[str, Any], why: str) -> None:
        verdict = decide(Policy(), crossed(evidence(14, shifted("clicks", 2.0)), None, **changes))
        assert (verdict.kind, verdict.reason, verdict.standing) == (Kind.WAIT, Reason.NOT_SIGNIFICANT, None)
        (told,) = (caution for caution in verdict.cautions if "crossing" in caution)
        assert told.startswith("the crossing of look 12 counts for nothing: ")
        assert why in told

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ({"missing": {"grace": "3d"}, "budget": {"power": 0.5}}, {}, True),
            ({"min_duration": "7d"}, {}, True),
            ({"max_duration": "56d"}, {}, False),
            ({"ship_spending": -4.0}, {}, False),
            ({"guardrails": [{"metric": "errors"}]}, {}, False),
        ],
    )
    def test_what_makes_another_policy(self, one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
        assert (fingerprint(Policy.from_json(one)) == fingerprint(Policy.from_json(other))) is same


@given(st.floats(-6, 6), st.floats(1, 40), st.sampled_from([None, 12]))
def test_a_crossing_only_ever_adds_ships_and_the_word_for_waiting(z: float, day: float, look: int | None) -> None:
    measured = evidence(day, shifted("clicks", z))
    without = decide(Policy(), measured)
    with_it = decide(Policy(), crossed(measured, look=look or 1))
    if with_it.kind is not without.kind:
        assert with_it.kind is Kind.SHIP
        assert z > 1.644
        assert without.kind in (Kind.WAIT, Kind.INCONCLUSIVE)
    if without.kind is Kind.SHIP:
        assert with_it.kind is Kind.SHIP


def test_an_effect_that_is_gone_for_good_ends_early_as_any_other() -> None:
    verdict = decide(Policy(), crossed(evidence(24, shifted("clicks", -1.0))))
    assert (verdict.kind, verdict.reason) == (Kind.INCONCLUSIVE, Reason.FUTILE)
