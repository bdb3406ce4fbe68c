"""The people drawn from a ground truth behave as it says."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import fmean, pvariance
from typing import Any

import pytest

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.population.types import (
    MetricStatistics,
    SimulatedArm,
    SimulatedIteration,
    SimulatedMetric,
)

MONDAY = datetime(2026, 1, 5, 10, 37, tzinfo=UTC)
SIGNUP = SimulatedMetric("signup", is_numeric=False, higher_is_better=True)
LATENCY = SimulatedMetric("latency", is_numeric=True, higher_is_better=False)
DAY = timedelta(days=1)
ARMS = (
    SimulatedArm("treatment-0", "control", "false", 0.5),
    SimulatedArm("treatment-1", "new", "true", 0.5),
)


def iteration(
    key: str = "checkout",
    number: int = 1,
    started_at: datetime = MONDAY,
    ended_at: datetime | None = None,
    arms: tuple[SimulatedArm, ...] = ARMS,
) -> SimulatedIteration:
    return SimulatedIteration(key, number, started_at, ended_at, arms)


def truth(**changes: Any) -> GroundTruth:
    signup = {"baseline_rate": 0.1, "effects": {"true": {"relative": 0.2}}}
    latency = {"baseline_mean": 300, "standard_deviation": 80, "effects": {"true": {"absolute": -15}}}
    return GroundTruth.from_dict({"people_per_day": 2_000, "metrics": {"signup": signup, "latency": latency}} | changes)


def signup(**changes: Any) -> dict[str, Any]:
    return {"metrics": {"signup": {"baseline_rate": 0.1} | changes}}


def exposed(statistics: MetricStatistics) -> int:
    return sum(treatment.exposed for treatment in statistics.treatments)


def by_day(truth: GroundTruth, days: int, metric: SimulatedMetric = SIGNUP, seed: int = 42) -> list[MetricStatistics]:
    return [metric_statistics(truth, seed, iteration(), metric, MONDAY + day * DAY) for day in range(days + 1)]


# Repeatability


def test_the_same_seed_gives_the_same_numbers_in_another_process_state() -> None:
    first, second = (by_day(truth(), 10) for _ in range(2))
    assert first == second


def test_another_seed_experiment_or_iteration_gives_other_people() -> None:
    at = MONDAY + 5 * DAY
    seen = [
        metric_statistics(truth(), 1, iteration(), SIGNUP, at),
        metric_statistics(truth(), 2, iteration(), SIGNUP, at),
        metric_statistics(truth(), 1, iteration("search"), SIGNUP, at),
        metric_statistics(truth(), 1, iteration(number=2), SIGNUP, at),
    ]
    assert len({tuple(treatment.sum for treatment in each.treatments) for each in seen}) == 4


@pytest.mark.parametrize("metric", [SIGNUP, LATENCY])
def test_statistics_do_not_depend_on_earlier_requests(metric: SimulatedMetric) -> None:
    late = {"late_events": {1: 0.2, 3: 0.1}}
    definition = {
        "people_per_day": 300,
        "attributes": {"country": {"de": {"share": 0.7}, "fr": {"share": 0.3}}},
        "metrics": {
            "signup": {"baseline_rate": 0.1} | late,
            "latency": {"baseline_mean": 300, "standard_deviation": 80, "covariate_correlation": 0.5} | late,
        },
    }
    hours = list(range(0, 24 * 6, 5))
    shuffled = random.Random(1).sample(hours, len(hours))
    busy = GroundTruth.from_dict(definition)
    asked = {
        hour: metric_statistics(busy, 42, iteration(), metric, MONDAY + timedelta(hours=hour)) for hour in shuffled
    }
    for hour in hours:
        fresh = GroundTruth.from_dict(definition)
        assert metric_statistics(fresh, 42, iteration(), metric, MONDAY + timedelta(hours=hour)) == asked[hour]


def test_later_data_holds_the_earlier_data_hour_by_hour() -> None:
    world = truth(people_per_day=400, metrics={"signup": {"baseline_rate": 0.3, "late_events": {1: 0.3}}})
    before = metric_statistics(world, 42, iteration(), SIGNUP, MONDAY)
    for hour in range(1, 24 * 5):
        after = metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + timedelta(hours=hour))
        for old, new in zip(before.treatments, after.treatments, strict=True):
            assert new.exposed >= old.exposed
            assert new.sum >= old.sum
            assert new.sum <= new.exposed
        before = after


def test_the_metrics_of_an_iteration_share_their_people() -> None:
    at = MONDAY + timedelta(days=3, hours=7)
    first, second = (metric_statistics(truth(), 42, iteration(), metric, at) for metric in (SIGNUP, LATENCY))
    assert [t.exposed for t in first.treatments] == [t.exposed for t in second.treatments]


def test_statistics_do_not_change_within_the_hour() -> None:
    world = truth()
    first = metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + timedelta(days=2, minutes=1))
    assert metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + timedelta(days=2, minutes=59)) is first
    assert first.through == MONDAY + timedelta(days=2)


def test_before_the_end_of_the_first_hour_there_are_no_people() -> None:
    for at in (MONDAY - DAY, MONDAY, MONDAY + timedelta(minutes=59)):
        statistics = metric_statistics(truth(), 42, iteration(), SIGNUP, at)
        assert [(t.exposed, t.units, t.sum, t.last_event_at) for t in statistics.treatments] == [(0, 0, 0.0, None)] * 2


def test_data_ends_with_the_iteration() -> None:
    world = truth()
    ended = iteration(ended_at=MONDAY + 3 * DAY)
    assert metric_statistics(world, 42, ended, SIGNUP, MONDAY + 30 * DAY) == metric_statistics(
        world, 42, ended, SIGNUP, MONDAY + 3 * DAY
    )
    assert metric_statistics(world, 42, ended, SIGNUP, MONDAY + 2 * DAY) == metric_statistics(
        world, 42, iteration(), SIGNUP, MONDAY + 2 * DAY
    )


def test_the_oldest_iterations_are_dropped_and_drawn_again_the_same() -> None:
    world = truth(people_per_day=10)
    first = metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + DAY)
    for number in range(2, 600):
        metric_statistics(world, 42, iteration(number=number), SIGNUP, MONDAY + DAY)
    assert len(world.drawn) <= 512
    assert metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + DAY) == first


# Traffic


def test_people_arrive_at_random_around_the_number_a_day() -> None:
    days = by_day(truth(), 200)
    arrivals = [exposed(after) - exposed(before) for before, after in pairwise(days)]
    assert fmean(arrivals) == pytest.approx(2_000, abs=3.5 * math.sqrt(2_000 / 200))
    assert pvariance(arrivals) == pytest.approx(2_000, rel=3.5 * math.sqrt(2 / 200))


def test_the_first_hours_of_a_day_hold_their_part_of_its_people_and_conversions() -> None:
    at = MONDAY + timedelta(days=1, hours=6)
    seen = [metric_statistics(truth(), seed, iteration(), SIGNUP, at).treatments[0] for seed in range(300)]
    assert fmean(t.exposed for t in seen) == pytest.approx(1_250, abs=3.5 * math.sqrt(1_250 / 300))
    assert fmean(t.sum for t in seen) == pytest.approx(125, abs=3.5 * math.sqrt(125 / 300))
    assert pvariance([t.sum for t in seen]) == pytest.approx(125, rel=3.5 * math.sqrt(2 / 300))


def test_the_weekend_is_visible_in_utc() -> None:
    world = truth(people_per_day=100_000, weekdays={"saturday": 0.5, "sunday": 0.25})
    start = datetime(2026, 1, 5, tzinfo=UTC)
    days = [
        exposed(metric_statistics(world, 42, iteration(started_at=start), SIGNUP, start + day * DAY))
        for day in range(8)
    ]
    arrivals = [after - before for before, after in pairwise(days)]
    assert arrivals == pytest.approx([100_000] * 5 + [50_000, 25_000], rel=0.03)


def test_a_day_that_runs_into_the_weekend_has_both() -> None:
    world = truth(weekdays={"saturday": 0.0})
    friday_noon = datetime(2026, 1, 9, 12, tzinfo=UTC)
    hours = world.people_by_hour(friday_noon, 0)
    assert hours == pytest.approx([2_000 / 24] * 12 + [0.0] * 12)


def test_growth_compounds_and_stops_at_a_billion_a_day() -> None:
    world = truth(people_per_day=1_000, growth=0.1)
    assert sum(world.people_by_hour(MONDAY, 10)) == pytest.approx(1_000 * 1.1**10)
    assert sum(world.people_by_hour(MONDAY, 100_000)) == pytest.approx(1e9)


def test_from_the_day_without_traffic_there_are_no_people_and_no_events() -> None:
    world = truth(no_traffic_from_day=2.5)
    at_end, later = (metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + days * DAY) for days in (2.5, 9))
    assert [t.exposed for t in at_end.treatments] == [t.exposed for t in later.treatments]
    assert all(t.last_event_at is not None and t.last_event_at <= MONDAY + 2.5 * DAY for t in later.treatments)


def test_without_people_there_is_no_data() -> None:
    statistics = metric_statistics(truth(people_per_day=0), 42, iteration(), SIGNUP, MONDAY + 5 * DAY)
    assert [(t.exposed, t.units) for t in statistics.treatments] == [(0, 0), (0, 0)]


def test_the_split_replaces_the_requested_shares() -> None:
    world = truth(people_per_day=100_000, split={"true": 0.52, "false": 0.48})
    control, new = metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + 5 * DAY).treatments
    assert control.exposed / (control.exposed + new.exposed) == pytest.approx(0.48, abs=3.5 * 0.5 / math.sqrt(500_000))


def test_a_split_of_other_variations_changes_nothing() -> None:
    other = metric_statistics(truth(split={"blue": 1.0}), 42, iteration(), SIGNUP, MONDAY + DAY)
    assert other == metric_statistics(truth(), 42, iteration(), SIGNUP, MONDAY + DAY)


# Their behaviour


def test_the_true_rates_are_recovered() -> None:
    control, new = metric_statistics(
        truth(people_per_day=50_000), 42, iteration(), SIGNUP, MONDAY + 28 * DAY
    ).treatments
    assert control.sum / control.units == pytest.approx(0.10, abs=3.5 * math.sqrt(0.09 / control.units))
    assert new.sum / new.units == pytest.approx(0.12, abs=3.5 * math.sqrt(0.1056 / new.units))


def test_the_true_means_and_deviations_are_recovered() -> None:
    for arm, mean in zip(
        metric_statistics(truth(), 42, iteration(), LATENCY, MONDAY + 28 * DAY).treatments, (300, 285), strict=True
    ):
        assert arm.sum / arm.units == pytest.approx(mean, abs=3.5 * 80 / math.sqrt(arm.units))
        deviation = math.sqrt(arm.sum_of_squares / arm.units - (arm.sum / arm.units) ** 2)
        assert deviation == pytest.approx(80, rel=3.5 / math.sqrt(2 * arm.units))


def test_novelty_fades_by_its_half_life_to_what_lasts() -> None:
    metric = truth(
        **signup(effects={"true": {"relative": 0.5}}, novelty={"half_life_days": 3, "lasting": 0.2})
    ).metrics["signup"]
    assert metric.level("true", 0) == pytest.approx(0.1 + 0.05 * (0.2 + 0.8 * 2 ** (-0.5 / 3)))
    assert metric.level("true", 3) - 0.11 == pytest.approx((metric.level("true", 0) - 0.11) / 2)
    assert metric.level("true", 1_000) == pytest.approx(0.11)
    assert metric.level("false", 0) == 0.1


def test_drift_moves_all_variations_and_a_rate_stays_one() -> None:
    metric = truth(**signup(effects={"true": {"relative": 0.5}}, drift=0.1)).metrics["signup"]
    assert metric.level("false", 10) == pytest.approx(0.205)
    assert metric.level("true", 10) == pytest.approx(0.3075)
    assert metric.level("true", 1_000) == 1.0


def test_late_events_arrive_as_many_days_later() -> None:
    world = truth(people_per_day=100_000, no_traffic_from_day=1, **signup(late_events={1: 0.25, 3: 0.25}))
    sums = [sum(t.sum for t in statistics.treatments) for statistics in by_day(world, 6)]
    assert [round(each / sums[-1], 2) for each in sums] == pytest.approx([0, 0.5, 0.75, 0.75, 1, 1, 1], abs=0.02)
    assert (
        metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + 9 * DAY).treatments[0].last_event_at
        == MONDAY + 4 * DAY
    )


def test_lost_events_are_missing_for_that_variation_only() -> None:
    world = truth(people_per_day=100_000, **signup(lost_events={"true": 0.5}))
    control, new = metric_statistics(world, 42, iteration(), SIGNUP, MONDAY + 5 * DAY).treatments
    assert control.sum / control.units == pytest.approx(0.10, rel=0.03)
    assert new.sum / new.units == pytest.approx(0.05, rel=0.03)


def test_people_without_a_value_are_left_out_or_count_as_zero() -> None:
    metrics = {"latency": {"baseline_mean": 300, "standard_deviation": 80, "event_share": 0.25}}
    world = truth(people_per_day=20_000, metrics=metrics)
    zero = SimulatedMetric("latency", is_numeric=True, higher_is_better=False, missing_counts_as_zero=True)
    at = MONDAY + 5 * DAY
    without, counted = (
        metric_statistics(world, 42, iteration(), metric, at).treatments[0] for metric in (LATENCY, zero)
    )
    assert without.units / without.exposed == pytest.approx(0.25, rel=0.03)
    assert counted.units == counted.exposed
    assert counted.sum == without.sum


def test_the_last_event_is_in_the_hour_in_which_it_arrived() -> None:
    world = truth(people_per_day=20, metrics={"signup": {"baseline_rate": 0.3}})
    previous = [0.0, 0.0]
    last: list[datetime | None] = [None, None]
    for hour in range(24 * 6):
        now = MONDAY + timedelta(hours=hour)
        treatments = metric_statistics(world, 42, iteration(), SIGNUP, now).treatments
        for arm, treatment in enumerate(treatments):
            if treatment.sum > previous[arm]:
                last[arm] = now
            assert treatment.last_event_at == last[arm]
        previous = [treatment.sum for treatment in treatments]


def test_a_metric_that_the_truth_lacks_never_has_an_event() -> None:
    unknown = SimulatedMetric("refund", is_numeric=False, higher_is_better=False)
    statistics = metric_statistics(truth(), 42, iteration(), unknown, MONDAY + 5 * DAY)
    assert all(t.exposed > 0 and t.units == 0 and t.last_event_at is None for t in statistics.treatments)


def test_a_number_read_as_a_conversion_is_rejected() -> None:
    wrong = SimulatedMetric("latency", is_numeric=False, higher_is_better=True)
    with pytest.raises(ValueError, match=r"truth\.metrics\.latency: is numeric, but the metric is a conversion"):
        metric_statistics(truth(), 42, iteration(), wrong, MONDAY + DAY)


# Funnels


FUNNEL = {
    "visit": {"baseline_rate": 0.6, "late_events": {1: 0.3}},
    "cart": {"baseline_rate": 0.3, "late_events": {1: 0.2}},
    "order": {"baseline_rate": 0.5, "effects": {"true": {"relative": 0.1}}},
}


def step(key: str, *preceding: str) -> SimulatedMetric:
    return SimulatedMetric(key, is_numeric=False, higher_is_better=True, preceding=preceding)


STEPS = (step("visit"), step("cart", "visit"), step("order", "visit", "cart"))


def test_a_funnels_step_is_taken_by_those_who_took_the_one_before() -> None:
    world = truth(people_per_day=200_000, no_traffic_from_day=2, metrics=FUNNEL)
    visits, carts, orders = (
        metric_statistics(world, 42, iteration(), each, MONDAY + 9 * DAY).treatments for each in STEPS
    )
    assert [t.sum / t.units for t in visits] == pytest.approx([0.6, 0.6], rel=0.01)
    assert [t.sum / t.units for t in carts] == pytest.approx([0.18, 0.18], rel=0.02)
    assert [t.sum / t.units for t in orders] == pytest.approx([0.09, 0.099], rel=0.03)


def test_no_more_people_are_seen_on_a_funnels_step_than_on_the_one_before() -> None:
    world = truth(people_per_day=100, metrics=FUNNEL)
    for hour in range(24 * 4):
        counts = [
            [t.sum for t in metric_statistics(world, 42, iteration(), each, MONDAY + timedelta(hours=hour)).treatments]
            for each in STEPS
        ]
        assert all(counts[0][arm] >= counts[1][arm] >= counts[2][arm] for arm in (0, 1))


def test_a_step_that_the_truth_puts_after_another_is_the_same_alone_and_in_the_funnel() -> None:
    world = truth(metrics={"visit": {"baseline_rate": 0.5}, "cart": {"baseline_rate": 0.5, "after": "visit"}})
    at = MONDAY + timedelta(days=4, hours=5)
    assert metric_statistics(world, 42, iteration(), step("cart"), at) == metric_statistics(
        world, 42, iteration(), step("cart", "visit"), at
    )


def test_a_funnel_has_no_data_from_a_step_that_the_truth_lacks() -> None:
    statistics = metric_statistics(
        truth(metrics=FUNNEL), 42, iteration(), step("order", "visit", "coupon"), MONDAY + DAY
    )
    assert all(t.units == 0 for t in statistics.treatments)


def test_a_number_cannot_come_before_a_step() -> None:
    with pytest.raises(ValueError, match=r"truth\.metrics\.latency: is numeric, but the metric is a conversion"):
        metric_statistics(truth(), 42, iteration(), step("signup", "latency"), MONDAY + DAY)


# Slices


SLICED = {
    "people_per_day": 100_000,
    "attributes": {
        "country": {
            "de": {"share": 0.75},
            "fr": {"share": 0.25, "effects": {"signup": {"true": {"relative": -0.5}}}},
        },
        "plan": {"free": {"share": 0.9}, "paid": {"share": 0.1}},
    },
}


def test_the_slices_of_an_attribute_add_up_to_the_total() -> None:
    world, at = truth(**SLICED), MONDAY + timedelta(days=3, hours=11)
    total = metric_statistics(world, 42, iteration(), SIGNUP, at).treatments
    for attribute in ("country", "plan"):
        parts = [
            metric_statistics(world, 42, iteration(), SIGNUP, at, attribute=(attribute, value)).treatments
            for value in world.attribute_values(attribute)
        ]
        for arm in (0, 1):
            assert sum(part[arm].exposed for part in parts) == total[arm].exposed
            assert sum(part[arm].sum for part in parts) == total[arm].sum


def test_a_slice_has_a_share_and_an_effect() -> None:
    world, at = truth(**SLICED), MONDAY + 5 * DAY
    german, french = (
        metric_statistics(world, 42, iteration(), SIGNUP, at, attribute=("country", value)).treatments
        for value in ("de", "fr")
    )
    assert french[0].exposed / (french[0].exposed + german[0].exposed) == pytest.approx(0.25, rel=0.02)
    assert german[1].sum / german[1].units == pytest.approx(0.12, rel=0.03)
    assert french[1].sum / french[1].units == pytest.approx(0.05, rel=0.06)


@pytest.mark.parametrize("attribute", [("country", "es"), ("browser", "lynx")])
def test_a_slice_that_the_truth_lacks_is_rejected(attribute: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=f"attribute '{attribute[0]}' has no value '{attribute[1]}' in the truth"):
        metric_statistics(truth(**SLICED), 42, iteration(), SIGNUP, MONDAY + DAY, attribute=attribute)


# A covariate


def test_a_covariate_is_measured_of_the_same_units() -> None:
    metrics = {"latency": {"baseline_mean": 300, "standard_deviation": 80, "covariate_correlation": 0.7}}
    world = truth(metrics=metrics)
    for treatment in metric_statistics(
        world, 42, iteration(), LATENCY, MONDAY + timedelta(days=10, hours=3)
    ).treatments:
        n, moments = treatment.units, treatment.covariate
        assert moments is not None
        xx = moments.sum_of_squares / n - (moments.sum / n) ** 2
        yy = treatment.sum_of_squares / n - (treatment.sum / n) ** 2
        xy = moments.sum_of_products / n - moments.sum / n * treatment.sum / n
        assert xy / math.sqrt(xx * yy) == pytest.approx(0.7, abs=3.5 * 0.51 / math.sqrt(n))


def test_there_is_no_covariate_unless_the_truth_gives_one() -> None:
    assert metric_statistics(truth(), 42, iteration(), LATENCY, MONDAY + DAY).treatments[0].covariate is None
