"""The vectorised judge gives the verdict of `decide`, whatever the policy and the world."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.evidence import Spent
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Reason
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World
from support.policies import policies
from support.two_judges import judge_spent_twice, judge_standing_twice, judge_to_the_end, judge_twice

RATES = st.sampled_from((0.0, 0.01, 0.1, 0.1, 0.1, 0.4))
# Effects in standard errors at the plan's end, around the boundaries, so that each of their parts matters.
EFFECTS = st.sampled_from((-4.0, 0.0, 0.0, 1.0, 2.0, 2.5, 3.0, 3.0, 4.0, 5.0, 12.0))
# A treatment may be small, and there may be a third one.
SHARES = st.sampled_from(
    ((0.5, 0.5), (0.5, 0.5), (0.9, 0.1), (0.2, 0.8), (0.5, 0.3, 0.2), (0.4, 0.3, 0.3), (0.3, 0.3, 0.4))
)
# A metric of every unit, or of a part of them; none of a part is ever measured in 1 %.
MEASURED: st.SearchStrategy[tuple[float, ...]] = st.sampled_from(((), (), (0.5,) * 3, (0.97,) * 3, (0.01,) * 3))
UNITS_PER_DAY = st.sampled_from((3.0, 40.0, 300.0, 300.0, 3000.0, 3000.0))


@st.composite
def truths(draw: st.DrawFn, direction: Direction | None, challengers: int, units: float) -> MetricTruth:
    """Draw a conversion metric, or a numeric one, for so many units over all treatments; most effects are good."""
    if draw(st.booleans()):
        mean, std_dev = draw(RATES), None
        deviation, highest = (mean * (1.0 - mean)) ** 0.5, 1.0 / mean - 1.0 if mean else 0.0
    else:
        mean, std_dev = draw(st.sampled_from((40.0, 1000.0))), draw(st.sampled_from((0.0, 30.0, 30.0, 200.0, 200.0)))
        deviation, highest = std_dev, 10.0
    error = (direction or Direction.HIGHER).sign * deviation * (2.0 * (challengers + 1) / max(units, 1.0)) ** 0.5
    lifts = (draw(EFFECTS) * error / mean if mean else 0.0 for _ in range(challengers))
    measured, selects = draw(MEASURED), draw(st.booleans())
    if measured and selects:  # the first new treatment changes who is measured
        measured = (measured[0], 0.9 * measured[0], *measured[2:])
    return MetricTruth(
        mean, std_dev, tuple(min(max(lift, -1.0), highest) for lift in lifts), measured[: challengers + 1]
    )


@st.composite
def worlds(draw: st.DrawFn, policy: Policy) -> World:
    """Draw a world with a metric for each guardrail and signal, at times with a broken split."""
    shares, units_per_day = draw(SHARES), draw(UNITS_PER_DAY)
    units = units_per_day * (policy.max_duration / timedelta(days=1))

    def metric(direction: Direction | None) -> MetricTruth:
        return draw(truths(direction, len(shares) - 1, units))

    broken = draw(st.sampled_from((False, False, False, True)))
    return World(
        primary=metric(policy.primary.direction),
        units_per_day=units_per_day,
        other_primaries=tuple(metric(part.direction) for part in policy.other_primaries),
        guardrails=tuple(metric(part.direction) for part in policy.guardrails),
        signals=tuple(metric(part.direction) for part in policy.signals),
        arrivals=draw(st.sampled_from(Arrivals)),
        planned_shares=shares,
        true_shares=(shares[0] + 0.1, *shares[1:]) if broken else (),
    )


@given(policies(), st.data(), st.integers(0, 2**32))
def test_both_judges_give_the_same_verdict_at_every_look(
    fields: dict[str, Any], data: st.DataObject, seed: int
) -> None:
    policy = Policy.from_json(fields)
    world = data.draw(worlds(policy))
    for quick, slow, verdict in judge_twice(policy, world, experiments=8, seed=seed, most_looks=6):
        event(f"{verdict.kind}: {verdict.reason}")
        assert quick == slow, verdict.summary


@given(policies(), st.data(), st.integers(0, 2**32))
def test_both_judges_come_to_the_same_end_on_the_same_history(
    fields: dict[str, Any], data: st.DataObject, seed: int
) -> None:
    policy = Policy.from_json(fields)
    world = data.draw(worlds(policy))
    missed = data.draw(st.sets(st.integers(1, 14), max_size=8))
    for quick, slow, verdict in judge_to_the_end(policy, world, experiments=3, seed=seed, missed=missed):
        event(f"{verdict.kind}: {verdict.reason}")
        assert quick == slow, verdict.summary


@given(policies(), st.data(), st.integers(0, 2**32))
def test_both_judges_let_the_same_crossings_stand(fields: dict[str, Any], data: st.DataObject, seed: int) -> None:
    policy = Policy.from_json(fields)
    world = data.draw(worlds(policy))
    for quick, verdict in judge_standing_twice(policy, world, experiments=8, seed=seed, most_looks=4):
        event(f"{verdict.kind}: {verdict.reason}")
        assert quick is verdict.kind, verdict.summary


def test_both_judges_expect_the_planned_effect_of_the_units_that_a_metric_is_measured_on() -> None:
    policy = Policy.from_json(
        {
            "primary": {"test": "non_inferiority", "margin": 0.02},
            "alpha": 0.01,
            "alpha_harm": 0.01,
            "ship_spending": -4.0,
            "harm_spending": -4.0,
            "looks": "12h",
            "min_duration": "0d",
            "max_duration": "3d",
            "min_units_per_treatment": 2,
            "futility": {"conditional_power": 0.1},
        }
    )
    world = World(MetricTruth(40.0, 30.0, (-0.0632,), (0.5, 0.5)), 3000.0)
    reasons = set()
    for quick, verdict in judge_standing_twice(policy, world, experiments=8, seed=0, most_looks=4):
        assert quick is verdict.kind, verdict.summary
        reasons.add(verdict.reason)
    assert Reason.FUTILE in reasons


@given(policies(), st.data(), st.integers(0, 2**32))
def test_both_judges_spend_the_same_rest(fields: dict[str, Any], data: st.DataObject, seed: int) -> None:
    policy = Policy.from_json(fields)
    world = data.draw(worlds(policy))
    until = data.draw(st.sampled_from((0.2, 0.5, 1.0))) * policy.max_duration
    spent = Spent(*data.draw(st.sampled_from(((0.0, 0.001), (0.004, 0.0), (0.5, 0.5)))), until)
    for quick, verdict in judge_spent_twice(policy, world, spent, experiments=6, seed=seed, most_looks=4):
        event(f"{verdict.kind}: {verdict.reason}")
        assert quick is verdict.kind, verdict.summary
