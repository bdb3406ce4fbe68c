"""When looks are due, what they must reach, and that the promise is kept however traffic comes."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.boundaries import crossing_probabilities, quantile, tail
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import (
    LookSchedule,
    due_look,
    look_times,
    next_look,
    schedule_looks,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def days(number: float) -> timedelta:
    return timedelta(days=number)


class TestLookTimes:
    def test_default_policy_looks_daily_for_four_weeks(self) -> None:
        assert look_times(Policy()) == tuple(days(number) for number in range(1, 29))

    def test_the_plans_end_is_a_look_even_off_the_beat(self) -> None:
        policy = Policy(looks={"every": "3d"}, max_duration="7d")
        assert look_times(policy) == (days(3), days(6), days(7))

    def test_spacing_longer_than_the_plan_leaves_the_end(self) -> None:
        assert look_times(Policy(looks="30d")) == (days(28),)

    def test_listed_times_and_the_end(self) -> None:
        assert look_times(Policy(looks={"times": ["7d", "14d"]}, max_duration="21d")) == (days(7), days(14), days(21))

    def test_times_at_which_no_unit_counts_yet_are_no_looks(self) -> None:
        policy = Policy(looks="7d", burn_in="2d", maturity="5d")
        assert look_times(policy) == (days(14), days(21), days(28))
        plan = schedule_looks(policy)
        assert [plan.progress(time) for time in (days(3), *plan.look_times)] == pytest.approx([0, 1 / 3, 2 / 3, 1])

    def test_the_boundary_of_a_plan_with_a_lag_is_that_of_a_shorter_plan(self) -> None:
        late, short = (
            schedule_looks(Policy(maturity="7d")),
            schedule_looks(Policy(max_duration="21d", min_duration="1d")),
        )
        assert late.ship_boundary(0.05, -2.4) == short.ship_boundary(0.05, -2.4)
        assert late.harm_boundary(0.05, -0.2) == short.harm_boundary(0.05, -0.2)

    def test_only_at_end(self) -> None:
        assert look_times(Policy(looks={"only_at_end": True})) == (days(28),)

    def test_cron_looks_follow_the_wall_clock(self) -> None:
        # Started at noon in Berlin; nine o'clock on weekdays there; the clocks go forward on 29 March 2026.
        policy = Policy(looks={"cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin"}, max_duration="7d")
        started = datetime(2026, 3, 26, 11, tzinfo=UTC)
        assert look_times(policy, started) == (*(hour * HOUR for hour in (21, 92, 116, 140, 164)), days(7))

    def test_cron_looks_need_the_start(self) -> None:
        with pytest.raises(ValueError, match=r"cron '0 9 \* \* \*' need the iteration's start"):
            look_times(Policy(looks={"cron": "0 9 * * *"}))

    def test_cron_looks_need_a_start_with_a_time_zone(self) -> None:
        with pytest.raises(ValueError, match="has no time zone"):
            look_times(Policy(looks={"cron": "0 9 * * *"}), datetime(2026, 1, 5))  # noqa: DTZ001 - the point

    def test_too_many_cron_looks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="makes more than 200 looks before max_duration 28d"):
            look_times(Policy(looks={"cron": "@hourly"}), datetime(2026, 1, 5, 0, 30, tzinfo=UTC))


class TestDueLook:
    def test_none_before_the_first(self) -> None:
        assert due_look(Policy(), days(0.9)) is None

    def test_due_when_its_time_has_come_since_the_previous_poll(self) -> None:
        assert due_look(Policy(), days(3.01), previous=days(2.99)) == 3

    def test_not_due_twice_in_one_process(self) -> None:
        assert due_look(Policy(), days(3.02), previous=days(3.01)) is None
        assert due_look(Policy(), days(3.0), previous=days(3.0)) is None

    def test_looks_that_were_slept_through_fold_into_the_last(self) -> None:
        assert due_look(Policy(), days(9.5), previous=days(2.5)) == 9

    def test_a_fresh_process_soon_after_the_time_takes_the_look(self) -> None:
        assert due_look(Policy(), days(3) + HOUR) == 3

    def test_a_restart_in_mid_interval_adds_no_look(self) -> None:
        assert due_look(Policy(), days(3.5)) is None

    def test_the_tolerance_of_a_fresh_process_can_be_set(self) -> None:
        assert due_look(Policy(), days(3.5), tolerance=days(0.6)) == 3
        assert due_look(Policy(), days(3) + HOUR, tolerance=timedelta(minutes=5)) is None

    def test_after_the_end_always(self) -> None:
        assert due_look(Policy(), days(28)) == 28
        assert due_look(Policy(), days(40), previous=days(39)) == 28

    def test_takes_a_plan_too(self) -> None:
        assert due_look(schedule_looks(Policy()), days(3)) == 3

    @given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60))
    def test_one_process_takes_each_look_before_the_end_at_most_once(self, polls: list[float]) -> None:
        taken, previous = [], None
        for moment in sorted(polls):
            look = due_look(Policy(), days(moment), previous=previous)
            previous = days(moment)
            if look is not None and moment < 28:
                taken.append(look)
        assert len(taken) == len(set(taken))

    def test_next_look(self) -> None:
        assert next_look(Policy(), days(3.5)) == days(4)
        assert next_look(Policy(), timedelta()) == DAY
        assert next_look(Policy(), days(28)) is None


class TestShare:
    def test_by_the_clock_it_is_that_of_the_latest_planned_look(self) -> None:
        plan = schedule_looks(Policy())
        assert plan.share(days(14), 1) == plan.share(days(14.9), 10**6) == 0.5

    def test_by_units_it_is_that_of_the_planned_units(self) -> None:
        assert schedule_looks(Policy(planned_units=1000)).share(days(2), 250) == 0.25

    def test_enough_units_end_the_plan_but_not_before_the_shortest_duration(self) -> None:
        plan = schedule_looks(Policy(planned_units=1000))
        assert not plan.ended(days(6), 1200)
        assert plan.ended(days(7), 1000)
        assert plan.share(days(7), 1000) == 1.0

    def test_at_the_end_of_time_everything_is_spent_whatever_came(self) -> None:
        assert schedule_looks(Policy(planned_units=1000)).share(days(28), 300) == 1.0


class TestPlannedUnits:
    EXPECTED: ClassVar = {"units_per_day": 8000, "mean": 0.1}

    def test_come_from_the_effect_to_detect_and_the_traffic(self) -> None:
        policy = Policy(primary={"minimum_detectable_effect": 0.05}, traffic=self.EXPECTED)
        planned = schedule_looks(policy).planned_units
        # The textbook's fixed one-sided 5 % test with 80 % power takes 2 * 2 * (2.486 * 0.3 / 0.005)**2 units.
        fixed = 4 * ((quantile(0.05) + quantile(0.2)) * 0.3 / 0.005) ** 2
        assert planned is not None
        assert 1.0 < planned / fixed < 1.12

    def test_more_treatments_need_more(self) -> None:
        policy = Policy(primary={"minimum_detectable_effect": 0.05}, traffic={**self.EXPECTED, "units_per_day": 20000})
        two, three = (schedule_looks(policy, None, Allocation.even(count)).planned_units for count in (2, 3))
        assert two is not None
        assert three is not None
        assert three > 1.5 * two

    def test_are_none_when_the_traffic_will_not_bring_them(self) -> None:
        policy = Policy(primary={"minimum_detectable_effect": 0.01}, traffic=self.EXPECTED)
        assert schedule_looks(policy).planned_units is None

    def test_given_ones_prevail(self) -> None:
        policy = Policy(planned_units=5000, primary={"minimum_detectable_effect": 0.05}, traffic=self.EXPECTED)
        assert schedule_looks(policy).planned_units == 5000

    def test_non_inferiority_plans_for_its_margin(self) -> None:
        policy = Policy(primary={"test": "non_inferiority", "margin": 0.05}, traffic=self.EXPECTED)
        planned = schedule_looks(policy).planned_units
        fixed = 2 * (0.09 + 0.95**2 * 0.09) * ((quantile(0.05) + quantile(0.2)) / 0.005) ** 2
        assert planned is not None
        assert 1.0 < planned / fixed < 1.12


def growing(factor: float) -> list[float]:
    """Information at 28 daily looks when traffic grows in a straight line by this factor."""
    return cumulated(lambda time: 1.0 + (factor - 1.0) * time)


def cumulated(rate: Callable[[float], float]) -> list[float]:
    steps = [rate((number + 0.5) / (28 * 24)) for number in range(28 * 24)]
    return [sum(steps[: 24 * look]) / sum(steps) for look in range(1, 29)]


EVEN = [day / 28 for day in range(1, 29)]
TRAFFIC = {
    "even": growing(1.0),
    "growing threefold": growing(3.0),
    "growing threefold exponentially": cumulated(lambda time: 3.0**time),
    "shrinking threefold": cumulated(lambda time: 3.0 - 2.0 * time),
    "weekends at half": cumulated(lambda time: 0.5 if int(28 * time) % 7 > 4 else 1.0),
}


class TestThePromise:
    """Exact error rates by integration, for the boundaries that are used."""

    @staticmethod
    def error(plan: LookSchedule, information: list[float], shares: list[float]) -> float:
        boundary = plan.ship_boundary(0.05, Policy().ship_spending)
        z = [boundary.at(share) if day >= 7 else math.inf for day, share in enumerate(shares, start=1)]
        return math.fsum(crossing_probabilities(information, z))

    # The table of docs/concepts/how-we-decide.md: solved for even traffic, and as it is.
    @pytest.mark.parametrize(
        ("traffic", "for_even_traffic", "as_it_is"),
        [
            ("even", 0.0500, 0.0452),
            ("weekends at half", 0.0485, 0.0437),
            ("growing threefold", 0.0569, 0.0508),
            ("growing threefold exponentially", 0.0577, 0.0516),
            ("shrinking threefold", 0.0435, 0.0400),
        ],
    )
    def test_by_the_clock_it_holds_under_uneven_traffic(
        self, traffic: str, for_even_traffic: float, as_it_is: float
    ) -> None:
        shares = [day / 28 for day in range(1, 29)]
        even, ours = schedule_looks(Policy(planned_units=1000)), schedule_looks(Policy())
        assert self.error(even, TRAFFIC[traffic], shares) == pytest.approx(for_even_traffic, abs=6e-5)
        assert self.error(ours, TRAFFIC[traffic], shares) == pytest.approx(as_it_is, abs=6e-5)

    # The same table, for information that grows in any way, by the clock alone.
    @pytest.mark.parametrize(
        ("information", "ship", "harm"),
        [
            pytest.param(growing(1.0), 0.0452, 0.0454, id="even"),
            pytest.param(TRAFFIC["growing threefold"], 0.0508, 0.0526, id="growing threefold"),
            pytest.param(TRAFFIC["growing threefold exponentially"], 0.0516, 0.0529, id="exponentially"),
            pytest.param(TRAFFIC["shrinking threefold"], 0.0400, 0.0392, id="shrinking threefold"),
            pytest.param(TRAFFIC["weekends at half"], 0.0437, 0.0439, id="weekends at half"),
            pytest.param([(2 * t + 9 * t * t) / 11 for t in EVEN], 0.0549, 0.0587, id="growing tenfold"),
            pytest.param([(10**t - 1) / 9 for t in EVEN], 0.0593, 0.0617, id="tenfold exponentially"),
            pytest.param([(100**t - 1) / 99 for t in EVEN], 0.0741, 0.0786, id="a hundredfold exponentially"),
            pytest.param([t**2 for t in EVEN], 0.0575, 0.0637, id="like the time squared"),
            pytest.param([t**3 for t in EVEN], 0.0679, 0.0780, id="like its third power"),
        ],
    )
    def test_by_the_clock_alone_growth_costs_error(self, information: list[float], ship: float, harm: float) -> None:
        plan, policy = schedule_looks(Policy(clock="time")), Policy()
        success, worse = plan.ship_boundary(0.05, policy.ship_spending), plan.harm_boundary(0.05, policy.harm_spending)
        assert math.fsum(crossing_probabilities(information[6:], success.z)) == pytest.approx(ship, abs=6e-5)
        assert math.fsum(crossing_probabilities(information, worse.z)) == pytest.approx(harm, abs=6e-5)

    def test_no_traffic_costs_more_than_all_new_data_at_each_look(self) -> None:
        plan, policy = schedule_looks(Policy(clock="time")), Policy()
        found = (plan.ship_boundary(0.05, policy.ship_spending), plan.harm_boundary(0.05, policy.harm_spending))
        worst = [1.0 - math.prod(1.0 - tail(z) for z in boundary.z) for boundary in found]
        assert worst == pytest.approx([0.1906, 0.2086], abs=6e-5)

    @pytest.mark.parametrize("traffic", TRAFFIC)
    def test_by_units_it_is_exact_however_traffic_comes(self, traffic: str) -> None:
        information = TRAFFIC[traffic]
        assert self.error(schedule_looks(Policy(planned_units=1000)), information, information) < 0.0515

    def test_fewer_units_than_planned_do_not_raise_it(self) -> None:
        shares = [0.6 * day / 28 for day in range(1, 28)] + [1.0]
        assert self.error(schedule_looks(Policy(planned_units=1000)), TRAFFIC["even"], shares) < 0.05

    def test_missed_looks_only_lower_it(self) -> None:
        plan, boundary = schedule_looks(Policy()), schedule_looks(Policy()).ship_boundary(0.05, Policy().ship_spending)
        kept = [9, 10, 17, 21, 28]
        error = math.fsum(crossing_probabilities([day / 28 for day in kept], [boundary.at(day / 28) for day in kept]))
        assert error < self.error(plan, TRAFFIC["even"], [day / 28 for day in range(1, 29)])

    def test_harm_holds_too(self) -> None:
        boundary = schedule_looks(Policy()).harm_boundary(0.05, Policy().harm_spending)
        for information in TRAFFIC.values():
            assert math.fsum(crossing_probabilities(information, boundary.z)) < 0.0531

    def test_the_bar_for_shipping_falls_from_look_to_look(self) -> None:
        z = schedule_looks(Policy()).ship_boundary(0.05, Policy().ship_spending).z
        assert list(z) == sorted(z, reverse=True)
