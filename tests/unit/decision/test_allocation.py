"""Shares of treatments, and the units that a plan needs with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.evidence import Evidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.plan_concerns import find_plan_concerns
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate


def evidence(*shares: float | None) -> Evidence:
    return Evidence(
        timedelta(days=1),
        tuple(TreatmentEvidence(str(place), str(place), place == 0, share) for place, share in enumerate(shares)),
        (),
    )


class TestAllocation:
    def test_only_ratios_of_shares_matter(self) -> None:
        assert Allocation.of_shares((80, 10, 10)) == Allocation.of_shares((0.8, 0.1, 0.1))

    def test_of_evidence_is_the_planned_one_whatever_the_order(self) -> None:
        measured = evidence(90, 10)
        turned = measured._replace(treatments=measured.treatments[::-1])
        assert Allocation.of(measured) == Allocation.of(turned) == Allocation(0.9, (0.1,))

    @pytest.mark.parametrize("shares", [(None, None, None), (50, None, 25), (0, 50, 50), (100, 0, 0)])
    def test_an_unknown_one_is_even_and_says_so(self, shares: tuple[float | None, ...]) -> None:
        allocation = Allocation.of(evidence(*shares))
        assert not allocation.known
        assert allocation._replace(known=True) == Allocation.even(3)

    def test_a_treatment_without_a_share_is_left_out(self) -> None:
        assert Allocation.of(evidence(90, 10, 0)) == Allocation(0.9, (0.1,))

    @pytest.mark.parametrize("shares", [(0, 1), (1, 0), (1,)])
    def test_a_comparison_of_nothing_is_refused(self, shares: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="the baseline, which comes first, and at least one other"):
            Allocation.of_shares(shares)

    def test_is_written_in_percent(self) -> None:
        assert str(Allocation.of_shares((0.8, 0.1, 0.1))) == "80/10/10"


def planning(effect: float, units_per_day: float, **more: Any) -> Policy:
    primary = {"minimum_detectable_effect": effect, **more.pop("primary", {})}
    traffic = {"units_per_day": units_per_day, "mean": 0.1, **more.pop("traffic", {})}
    return Policy.from_json({"primary": primary, "traffic": traffic, **more})


class TestPlannedUnits:
    @pytest.mark.parametrize(
        ("shares", "factor"),
        [
            ((90, 10), (1 / 0.9 + 1 / 0.1) / 4),
            ((98, 2), (1 / 0.98 + 1 / 0.02) / 4),
            ((10, 90), (1 / 0.9 + 1 / 0.1) / 4),
        ],
    )
    def test_follow_the_shares_of_each_treatment(self, shares: tuple[float, ...], factor: float) -> None:
        policy = planning(0.05, 1e6, traffic={"mean": 40.0, "std_dev": 12.0})
        even, uneven = (
            schedule_looks(policy, None, Allocation.of_shares(split)).planned_units for split in ((1, 1), shares)
        )
        assert even is not None
        assert uneven is not None
        assert uneven / even == pytest.approx(factor, rel=1e-2)

    def test_the_smallest_treatment_decides(self) -> None:
        policy = planning(0.05, 1e6)
        small, smaller = (
            schedule_looks(policy, None, Allocation.of_shares(shares)).planned_units
            for shares in ((60, 20, 20), (60, 30, 10))
        )
        assert small is not None
        assert smaller is not None
        assert smaller > 1.5 * small

    # The units arrive by day 21. Four standard errors of 2,000 experiments around the promised power; of two treatments
    # with one size, the one without the effect ships in place of the other at times.
    @pytest.mark.parametrize(
        ("shares", "primary", "traffic"),
        [
            ((50, 50), {}, {}),
            ((90, 10), {}, {}),
            ((98, 2), {}, {}),
            ((90, 10), {"direction": "lower"}, {}),
            ((10, 90), {}, {"mean": 40.0, "std_dev": 120.0}),
            ((80, 10, 10), {}, {}),
        ],
    )
    def test_give_the_promised_power(
        self, shares: tuple[float, ...], primary: dict[str, str], traffic: dict[str, float]
    ) -> None:
        allocation = Allocation.of_shares(shares)
        planned = schedule_looks(planning(0.1, 1e9, primary=primary, traffic=traffic), None, allocation).planned_units
        assert planned is not None
        policy = planning(0.1, planned / 21.0, primary=primary, traffic=traffic)
        assert policy.traffic is not None
        scenario = Scenario(policy.traffic, shares=shares, experiments=2000)
        assert 0.765 < simulate(policy, scenario).report.power < 0.84


class TestConcerns:
    def test_units_that_arrive_are_none(self) -> None:
        assert find_plan_concerns(planning(0.05, 10_000.0)) == ()

    def test_an_uneven_allocation_may_be_too_slow(self) -> None:
        (concern,) = find_plan_concerns(planning(0.05, 10_000.0), Allocation.of_shares((98, 2)))
        assert "to find 5 % with power 0.8 takes 1," in concern
        assert "units split 98/2, and 10000 a day bring 280,000 until max_duration 28d" in concern

    def test_planned_units_may_not_arrive(self) -> None:
        policy = Policy.from_json({"planned_units": 10_000, "traffic": {"units_per_day": 300, "mean": 0.1}})
        assert find_plan_concerns(policy) == (
            "planned_units 10,000 do not arrive: 300 a day bring 8,400 until max_duration 28d",
        )

    def test_a_treatment_too_small_ever_to_ship(self) -> None:
        policy = Policy.from_json({"traffic": {"units_per_day": 100, "mean": 0.1}})
        (concern,) = find_plan_concerns(policy, Allocation.of_shares((98, 2)))
        assert concern == (
            "min_units_per_treatment 100 do not arrive: 100 a day bring 2,800 until max_duration 28d, and 56 of them "
            "in the smallest treatment of 98/2, so nothing can ship"
        )
