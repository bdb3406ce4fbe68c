"""What an effect is worth at the stop: unbiased, with an interval that holds, at a level that is said."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.boundaries import Boundary, Crossings, crossing_probabilities
from airflow_provider_launchdarkly.decision.effects import effect
from airflow_provider_launchdarkly.decision.estimate import Path, estimate
from airflow_provider_launchdarkly.decision.evidence import EarlierLook, Measurement
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Estimate, Kind, Verdict
from support.evidence import evidence, rates, shifted

PLAN = schedule_looks(Policy(planned_units=56_000)).ship_boundary(0.05, -2.4)
ONE_LOOK = Path((1.0,), (1.7,), 0)
NORMAL = NormalDist()


def of(verdict: Verdict, metric: int = 0, treatment: int = 0) -> Estimate:
    found = verdict.metrics[metric].comparisons[treatment].estimate
    assert found is not None
    return found


class TestCrossings:
    @pytest.mark.parametrize("drift", [-2.0, 0.0, 1.5, 2.8, 6.0])
    def test_one_walk_gives_the_probabilities_for_any_drift(self, drift: float) -> None:
        crossings = Crossings(PLAN.shares, PLAN.z)
        found = [crossings.beyond(look, bound, drift)[0] for look, bound in enumerate(PLAN.z)]
        assert found == pytest.approx(crossing_probabilities(PLAN.shares, PLAN.z, drift), abs=1e-6)

    @given(st.floats(-3.0, 5.0), st.floats(-2.0, 4.0), st.floats(0.1, 1.0))
    def test_places_at_the_first_look_are_those_of_a_normal_distribution(
        self, drift: float, bound: float, time: float
    ) -> None:
        probability, total = Crossings((time,), (bound,)).beyond(0, bound, drift)
        ahead = bound - drift * math.sqrt(time)
        assert probability == pytest.approx(1.0 - NORMAL.cdf(ahead), abs=1e-9)
        assert total == pytest.approx(drift * time * probability + math.sqrt(time) * NORMAL.pdf(ahead), abs=1e-9)

    def test_places_at_later_looks_change_with_the_drift_as_the_probability_does(self) -> None:
        # The derivative of exp(drift b - drift^2 t / 2) by the drift is b - drift t times itself.
        crossings, step = Crossings(PLAN.shares, PLAN.z), 1e-4
        for look in (3, 12, 21):
            bound, time = PLAN.z[look], PLAN.shares[look]
            probability, total = crossings.beyond(look, bound, 2.0)
            above, below = (crossings.beyond(look, bound, 2.0 + change)[0] for change in (step, -step))
            assert total - 2.0 * time * probability == pytest.approx((above - below) / (2.0 * step), rel=1e-4)


class TestEstimate:
    @given(st.floats(-3.0, 8.0))
    def test_of_a_single_look_is_the_usual_one(self, z: float) -> None:
        found = estimate(ONE_LOOK, z)
        assert found.median_unbiased == pytest.approx(z, abs=1e-4)
        assert (found.lower, found.upper) == pytest.approx((z - 1.96, z + 1.96), abs=1e-3)

    def test_the_bias_of_a_single_look_is_that_of_a_truncated_normal_distribution(self) -> None:
        z = 2.5
        excess = NORMAL.pdf(1.7 - z) / (1.0 - NORMAL.cdf(1.7 - z))
        assert estimate(ONE_LOOK, z).bias_adjusted == pytest.approx(z - excess, abs=1e-4)

    @pytest.mark.parametrize("drift", [0.0, 1.5, 2.8, 4.5])
    def test_over_all_stops_the_median_and_the_interval_hold(self, drift: float) -> None:
        stops = walked(drift, 1500)
        found = [(estimate(path, z), drift * math.sqrt(share)) for path, z, share in stops]
        too_low = sum(at.median_unbiased < true for at, true in found) / len(found)
        covered = sum(at.lower <= true <= at.upper for at, true in found) / len(found)
        assert too_low == pytest.approx(0.5, abs=0.04)
        assert covered == pytest.approx(0.95, abs=0.02)

    def test_what_shipped_is_worth_what_the_bias_adjusted_estimate_says(self) -> None:
        shipped = [(path, z, share) for path, z, share in walked(2.8, 1500) if z >= path.bounds[path.stop]]
        raw = [z / math.sqrt(share) / 2.8 for _, z, share in shipped]
        adjusted = [estimate(path, z).bias_adjusted / math.sqrt(share) / 2.8 for path, z, share in shipped]
        assert np.mean(raw) > 1.25
        assert np.mean(adjusted) == pytest.approx(1.0, abs=0.07)

    def test_an_effect_that_would_have_crossed_long_before_was_not_looked_at_before(self) -> None:
        late = Path.of(PLAN, 0.5, PLAN.at(0.5))
        assert estimate(late, 20.0).median_unbiased == pytest.approx(20.0, abs=1e-3)
        assert estimate(late, 3.2).median_unbiased < 3.0

    def test_the_estimates_of_the_other_side_have_the_opposite_sign(self) -> None:
        found = estimate(Path.of(PLAN, 0.5, PLAN.at(0.5)), 3.0)
        assert found.mirrored().mirrored() == found
        assert found.mirrored().lower == -found.upper

    @given(st.floats(0.01, 1.0))
    def test_the_look_that_took_place_is_one_of_the_plans(self, share: float) -> None:
        path = Path.of(PLAN, share, 3.0)
        assert path.fractions[path.stop] == 1.0
        assert list(path.fractions) == sorted(set(path.fractions))
        assert abs(len(path.fractions) - len(PLAN.z)) <= 1

    def test_looks_that_were_measured_replace_the_planned_ones(self) -> None:
        taken = [(0.3, 3.4), (0.8, 3.0)]
        path = Path.of(Boundary((0.5, 1.0), (2.5, 1.7), (0.01, 0.05)), 0.5, 2.6, taken)
        assert path == Path((0.3, 0.8, 1.0, 2.0), (3.4, 3.0, 2.6, 1.7), 2)


def walked(drift: float, count: int) -> list[tuple[Path, float, float]]:
    """Draw paths until they cross or end: the path, z and share of each stop."""
    random = np.random.default_rng(11)
    steps = np.diff(np.array(PLAN.shares), prepend=0.0)
    places = np.cumsum(random.standard_normal((count, len(steps))) * np.sqrt(steps) + drift * steps, axis=1)
    z = places / np.sqrt(PLAN.shares)
    crossed = z >= np.array(PLAN.z)
    looks = np.where(crossed.any(axis=1), crossed.argmax(axis=1), len(steps) - 1)
    paths = {look: Path.of(PLAN, PLAN.shares[look], PLAN.z[look]) for look in range(len(steps))}
    return [(paths[look], float(row[look]), PLAN.shares[look]) for row, look in zip(z, looks, strict=True)]


class TestTheVerdict:
    def test_ships_with_what_the_effect_is_worth(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", 14_000, 0.100, 0.111)))
        found, (compared,) = of(verdict), verdict.metrics[0].comparisons
        assert verdict.kind is Kind.SHIP
        assert found.lower is not None
        assert found.upper is not None
        assert found.bias_adjusted is not None
        assert compared.lift is not None
        assert found.lower < found.bias_adjusted < compared.lift < found.upper
        assert found.level == 0.95

    def test_has_none_while_it_waits(self) -> None:
        assert decide(Policy(), evidence(14, shifted("clicks", 1.0))).metrics[0].comparisons[0].estimate is None

    def test_where_lower_is_better_the_estimate_has_the_lifts_sign(self) -> None:
        higher = of(decide(Policy(), evidence(14, shifted("clicks", 3.2))))
        lower = of(decide(Policy(), evidence(14, shifted("latency", -3.2, direction=Direction.LOWER))))
        for one, other in zip(higher[:4], (lower[0], lower[1], lower[3], lower[2]), strict=True):
            assert one == pytest.approx(-(other or 0.0), abs=2e-4)

    def test_a_harm_is_smaller_than_it_looked(self) -> None:
        policy = Policy.from_json({"guardrails": [{"metric": "latency", "direction": "lower"}]})
        verdict = decide(policy, evidence(9, shifted("clicks", 0.0), shifted("latency", 3.6)))
        found, (compared,) = of(verdict, metric=1), verdict.metrics[1].comparisons
        assert verdict.kind is Kind.ROLLBACK
        assert compared.lift is not None
        assert found.bias_adjusted is not None
        assert 0.0 < found.bias_adjusted < compared.lift
        assert "; bias-adjusted +" in verdict.summary

    def test_at_the_plans_end_and_where_futile_nothing_is_adjusted_for_a_crossing(self) -> None:
        end = decide(Policy(futility=None), evidence(28, shifted("clicks", 0.5)))
        assert of(end).bias_adjusted is None
        assert "; median-unbiased +0.14 % [" in end.summary
        futile = decide(Policy(), evidence(14, shifted("clicks", -1.0)))
        # Having ended because it looked bad, it is worth more than it looked.
        (compared,) = futile.metrics[0].comparisons
        assert compared.lift is not None
        assert of(futile).median_unbiased > compared.lift

    def test_a_baseline_of_zero_has_no_lift_to_estimate(self) -> None:
        verdict = decide(Policy(), evidence(14, rates("clicks", 10_000, 0.0, 0.5)))
        assert verdict.kind is Kind.SHIP
        assert verdict.metrics[0].comparisons[0].estimate is None

    def test_earlier_looks_as_planned_change_nothing_much(self) -> None:
        measured = evidence(14, rates("clicks", 14_000, 0.100, 0.111))
        earlier = tuple(
            EarlierLook(evidence(day, m := rates("clicks", 1000 * day, 0.1, 0.108)).elapsed, (m,))
            for day in range(1, 14)
        )
        planned, known = (of(decide(Policy(), seen)) for seen in (measured, measured._replace(earlier=earlier)))
        assert known.median_unbiased == pytest.approx(planned.median_unbiased, abs=0.008)
        assert known.bias_adjusted == pytest.approx(planned.bias_adjusted, abs=0.008)

    @pytest.mark.parametrize(
        ("fields", "level"),
        [({}, 0.9), ({"alpha": 0.025}, 0.95), ({"preset": "launchdarkly", "threshold": 0.9}, 0.8)],
    )
    def test_says_the_level_of_each_interval(self, fields: dict[str, object], level: float) -> None:
        verdict = decide(Policy.from_json(fields), evidence(14, shifted("clicks", 0.5)))
        assert verdict.metrics[0].comparisons[0].lift_level == pytest.approx(level)
        assert f"] at {100 * level:g} % on clicks" in verdict.summary

    @given(st.floats(-6.0, 6.0), st.sampled_from(Direction))
    def test_the_lift_at_a_distance_is_the_one_whose_test_is_that_far(self, distance: float, which: Direction) -> None:
        found = effect(Measurement("t", 9000, 103.0, 20.0), Measurement("b", 9000, 100.0, 20.0), which)
        lift = found.lift_at(distance)
        assert lift is not None
        assert found.z(-which.sign * lift) == pytest.approx(distance, abs=1e-6)
