"""The information clock: boundaries from what earlier looks measured keep the error however traffic comes."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.boundaries import crossing_probabilities, hwang_shih_decani, solve
from airflow_provider_launchdarkly.decision.evidence import (
    EarlierLook,
    Evidence,
    EvidenceError,
    Measurement,
    MetricEvidence,
    as_earlier,
    check,
)
from airflow_provider_launchdarkly.decision.information import (
    LEAST_STEP,
    MOST_NUMBERS,
    InformationClock,
    apart,
    known_looks,
    read,
)
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Bar, Verdict
from support.evidence import BOLD, CONTROL, evidence, rates

CONVERSION = "checkout-conversion"

# Units by each day of a plan of 28 days, as shares of those at its end.
TRAFFIC = {
    "even": [day / 28 for day in range(1, 29)],
    "growing tenfold": [(day + 4.5 * day * day / 28) / (28 + 4.5 * 28) for day in range(1, 29)],
    "a press day": [(day + 30 * (day >= 20)) / 58 for day in range(1, 29)],
    "dying": [1.0 - 0.8**day for day in range(1, 29)],
}


def looks(shares: list[float], units: int = 60_000, rate: float = 0.1) -> list[Evidence]:
    """Return the evidence of each day, each knowing all earlier ones."""
    found: list[Evidence] = []
    for day, share in enumerate(shares, start=1):
        seen = evidence(day, rates(CONVERSION, round(units * share), rate, rate))
        found.append(seen._replace(earlier=tuple(as_earlier(look) for look in found)))
    return found


def bars(verdict: Verdict) -> tuple[Bar, Bar]:
    (compared,) = verdict.metrics[0].comparisons
    assert compared.success is not None
    assert compared.harm is not None
    return compared.success, compared.harm


def boundaries(policy: Policy, seen: list[Evidence]) -> tuple[list[float], list[float]]:
    """Return the boundaries at each look: for success (no path crosses before something may ship), and for harm."""
    success, harm = [], []
    for look in seen:
        ship, worse = bars(decide(policy, look))
        success.append(ship.boundary if ship.boundary and look.elapsed >= policy.min_duration else math.inf)
        harm.append(worse.boundary or math.inf)
    return success, harm


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_both_error_rates_are_exact_however_traffic_comes(traffic: str) -> None:
    shares = TRAFFIC[traffic]
    # Looks that bring next to nothing count as a little apart, which leaves some error unspent.
    lowest = 0.047 if traffic == "dying" else 0.0493
    for z in boundaries(Policy(), looks(shares)):
        assert lowest < math.fsum(crossing_probabilities(shares, z)) < 0.0507


def test_by_units_the_error_is_exact_too() -> None:
    policy, shares = Policy(planned_units=120_000), TRAFFIC["growing tenfold"]
    for z in boundaries(policy, looks(shares)):
        assert math.fsum(crossing_probabilities(shares, z)) == pytest.approx(0.05, abs=7e-4)


def test_under_even_traffic_the_boundary_is_the_one_that_is_solved_for_it() -> None:
    even = tuple(TRAFFIC["even"])
    expected = solve(even, tuple(hwang_shih_decani(0.05, -0.2, share) for share in even))
    _, harm = boundaries(Policy(), looks(list(even)))
    assert harm[1:] == pytest.approx(expected[1:], abs=1e-4)


@given(st.sampled_from(sorted(TRAFFIC)), st.sets(st.integers(1, 27)), st.sampled_from((None, 120_000)))
def test_a_history_with_gaps_spends_little_more(traffic: str, kept: set[int], planned: int | None) -> None:
    shares = TRAFFIC[traffic]
    policy = Policy(planned_units=planned, looks="2d")
    known = [
        look._replace(earlier=tuple(past for past in look.earlier if past.elapsed.days in kept))
        for look in looks(shares)[1::2]
    ]
    _, harm = boundaries(policy, known)
    # With half of the looks known, 2,800 drawn histories spent at most 5.44 %. Where nearly nothing is known, it is as
    # much as by the clock alone: the growth that the plan insures itself against is less than tenfold.
    assert math.fsum(crossing_probabilities(shares[1::2], harm)) < (0.0555 if len(kept) > 13 else 0.062)


@pytest.mark.parametrize("day", [1, 7, 20, 28])
@pytest.mark.parametrize("planned", [None, 100_000])
def test_without_history_the_boundary_is_the_plans(day: int, planned: int | None) -> None:
    seen = looks(TRAFFIC["even"])[day - 1]._replace(earlier=())
    by_information, by_time = (
        bars(decide(Policy(clock=clock, planned_units=planned), seen)) for clock in ("information", "time")
    )
    assert by_information == by_time


def test_the_clock_of_time_uses_no_history() -> None:
    seen = looks(TRAFFIC["growing tenfold"])[20]
    policy = Policy(clock="time")
    assert bars(decide(policy, seen)) == bars(decide(policy, seen._replace(earlier=())))


@given(st.integers(2, 28), st.floats(0.0, 0.99), st.floats(0.0, 0.99))
def test_a_repeated_look_has_the_boundary_of_the_first_time(day: int, later: float, again: float) -> None:
    # The look was taken, and recorded, at some time of its day, and is taken once more at a later one.
    seen = looks(TRAFFIC["growing tenfold"])[day - 1]
    first = seen._replace(elapsed=seen.elapsed + timedelta(days=min(later, again)))
    second = first._replace(
        elapsed=seen.elapsed + timedelta(days=max(later, again) + 1e-3), earlier=(*first.earlier, as_earlier(first))
    )
    assert bars(decide(Policy(), second)) == bars(decide(Policy(), first))


def test_looks_that_learned_nothing_new_leave_the_boundary_as_far_as_it_goes() -> None:
    # All units came on the first days, and nothing has happened since: the same z value again is no new chance.
    stands = [min(day, 3) / 3 for day in range(1, 29)]
    policy = Policy(planned_units=120_000, min_duration="14d")
    first, second, *others = boundaries(policy, looks(stands))[1]
    assert math.fsum(crossing_probabilities((1 / 3, 2 / 3, 1.0), (first, second, min(others)))) < 0.0506


def test_a_look_without_data_leaves_its_error_to_the_next() -> None:
    nothing = [evidence(day, rates(CONVERSION, 0, 0.0, 0.0)) for day in (1, 2)]
    third = evidence(3, rates(CONVERSION, 1000, 0.1, 0.1))
    _, harm = bars(decide(Policy(), third._replace(earlier=tuple(as_earlier(look) for look in nothing))))
    (single,) = solve((1.0,), (hwang_shih_decani(0.05, -0.2, 3 / 28),))
    assert harm.boundary == pytest.approx(single)
    assert harm.alpha_spent == pytest.approx(hwang_shih_decani(0.05, -0.2, 3 / 28))


def test_a_metric_that_no_earlier_look_measured_is_judged_by_the_plan() -> None:
    seen = looks(TRAFFIC["even"])[9]
    others = tuple(
        look._replace(metrics=tuple(metric._replace(key="other") for metric in look.metrics)) for look in seen.earlier
    )
    assert bars(decide(Policy(), seen._replace(earlier=others))) == bars(decide(Policy(clock="time"), seen))


def both(units: int, mean: float, variance: float) -> MetricEvidence:
    """Return a metric that is alike in both treatments."""
    deviation = math.sqrt(variance)
    return MetricEvidence(
        CONVERSION, (Measurement(CONTROL, units, mean, deviation), Measurement(BOLD, units, mean, deviation))
    )


def share(earlier: MetricEvidence, later: MetricEvidence) -> float:
    before, after = read(earlier, BOLD, CONTROL), read(later, BOLD, CONTROL)
    assert before is not None
    assert after is not None
    return before.share_of(after)


def rate_with_delay(matured: float) -> MetricEvidence:
    return both(10_000, 0.8 * matured, 0.8 * matured * (1.0 - 0.8 * matured))


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        pytest.param(both(100, 0.1, 0.09), both(200, 0.1, 0.09), 0.5, id="values that are fixed: the units"),
        pytest.param(both(100, 5.0, 5.0), both(200, 10.0, 10.0), 0.25, id="events at one rate: the time squared"),
        pytest.param(both(100, 5.0, 25.0), both(200, 10.0, 100.0), 0.125, id="sums that grow since the exposure"),
        pytest.param(both(500, 0.0, 9.0), both(500, 0.0, 3.0), 1 / 3, id="averages that settle around 0"),
        pytest.param(both(500, 7.0, 9.0), both(500, 7.0, 3.0), 1 / 3, id="averages that settle"),
        pytest.param(
            rate_with_delay(0.5), rate_with_delay(1.0), (0.4 / 0.6) / (0.8 / 0.2), id="conversions with a delay: odds"
        ),
        pytest.param(both(200, 0.1, 0.09), both(100, 0.1, 0.09), 1.0, id="never more than now"),
    ],
)
def test_the_share_of_information_follows_from_what_is_measured(
    earlier: MetricEvidence, later: MetricEvidence, expected: float
) -> None:
    assert share(earlier, later) == pytest.approx(expected)


def test_values_that_are_all_the_same_hold_no_information() -> None:
    assert read(both(100, 1.0, 0.0), BOLD, CONTROL) is None
    assert read(rates(CONVERSION, (100, 0), 0.1, 0.1), BOLD, CONTROL) is None


def test_fractions_rise_and_keep_their_distance() -> None:
    found = apart([0.2, 0.6, 0.6, 0.5, 0.9999, 1.0])
    assert found[-1] == 1.0
    assert all(before <= after * (1.0 - LEAST_STEP) for before, after in pairwise(found))
    assert found[0] / found[1] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("earlier", "problem"),
    [
        ((EarlierLook(timedelta(days=5), ()),), "stands before one at"),
        ((EarlierLook(timedelta(days=2), ()), EarlierLook(timedelta(days=2), ())), "in rising order"),
        ((EarlierLook(timedelta(days=2), (both(10, math.nan, 1.0),)),), "earlier look at 2 days.*mean is nan"),
        ((EarlierLook(timedelta(days=2), (both(10, 0.0, 1.0), both(10, 0.0, 1.0))),), "are not distinct"),
    ],
)
def test_a_history_that_cannot_be_is_refused(earlier: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(EvidenceError, match=problem):
        check(evidence(5, rates(CONVERSION, 100, 0.1, 0.1))._replace(earlier=earlier))


def test_a_boundary_comes_with_those_of_the_looks_before() -> None:
    shares = TRAFFIC["growing tenfold"]
    seen = looks(shares)[13]
    found = InformationClock(schedule_looks(Policy()), seen, CONVERSION).ship(seen.metrics[0], BOLD, 0.05, -2.4)
    assert found is not None
    assert [information for information, _ in found.taken] == pytest.approx(
        [share / shares[13] for share in shares[6:13]], rel=1e-3
    )
    z = [*(bound for _, bound in found.taken), found.z]
    assert math.fsum(crossing_probabilities(shares[6:14], z)) == pytest.approx(found.spent, abs=1e-5)


def test_the_clock_gives_no_boundary_before_something_may_ship() -> None:
    seen = looks(TRAFFIC["even"])[3]
    clock = InformationClock(schedule_looks(Policy()), seen, CONVERSION)
    assert clock.ship(seen.metrics[0], BOLD, 0.05, -2.4) is None
    assert clock.harm(seen.metrics[0], BOLD, 0.05, -0.2) is not None


class TestKnownLooks:
    def test_are_those_before_the_one_that_is_due_in_order(self) -> None:
        seen = looks(TRAFFIC["even"])[9]
        again = as_earlier(seen)._replace(elapsed=seen.elapsed + timedelta(hours=1))
        mixed = (again, *reversed(seen.earlier), as_earlier(seen))
        assert known_looks(schedule_looks(Policy()), mixed, seen._replace(elapsed=again.elapsed)) == seen.earlier

    def test_of_a_look_that_was_taken_twice_the_first_counts(self) -> None:
        seen = looks(TRAFFIC["even"])[9]
        later = tuple(look._replace(elapsed=look.elapsed + timedelta(hours=5)) for look in seen.earlier)
        assert known_looks(schedule_looks(Policy()), (*seen.earlier, *later), seen) == seen.earlier

    def test_hold_only_what_is_measured_now(self) -> None:
        seen = looks(TRAFFIC["even"])[2]
        extra = tuple(
            look._replace(
                metrics=(
                    look.metrics[0]._replace(
                        measurements=(*look.metrics[0].measurements, Measurement("id-quiet", 1, 0.0, 1.0))
                    ),
                    look.metrics[0]._replace(key="other"),
                )
            )
            for look in seen.earlier
        )
        assert known_looks(schedule_looks(Policy()), extra, seen) == seen.earlier

    def test_of_long_plans_with_many_metrics_are_every_second_or_fewer(self) -> None:
        policy = Policy(looks="3h", max_duration="25d")
        metrics = tuple(rates(f"metric {number}", 1000, 0.1, 0.1) for number in range(21))
        taken = [evidence(number / 8, *metrics) for number in range(1, 200)]
        found = known_looks(schedule_looks(policy), (as_earlier(look) for look in taken), taken[-1])
        assert [look.elapsed / timedelta(hours=3) for look in found] == list(range(5, 199, 5))
        assert sum(len(metric.measurements) for look in found for metric in look.metrics) <= MOST_NUMBERS
