"""The vectorised judge gives the verdict of `decide`, whatever the policy and the world."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.simulation.world import Arrivals, MetricTruth, World
from support.policies import policies
from support.two_judges import judge_twice

RATES = st.sampled_from((0.0, 0.01, 0.1, 0.4))
LIFTS = st.sampled_from((-0.5, -0.1, 0.0, 0.0, 0.15, 0.5, 1.0))
# A treatment may be small, and there may be a third one.
SHARES = st.sampled_from(((0.5, 0.5), (0.5, 0.5), (0.9, 0.1), (0.2, 0.8), (0.5, 0.3, 0.2)))
UNITS_PER_DAY = st.sampled_from((3.0, 40.0, 300.0, 3000.0))


@st.composite
def truths(draw: st.DrawFn, challengers: int) -> MetricTruth:
    """Draw a conversion metric, or a numeric one."""
    lifts = tuple(draw(LIFTS) for _ in range(challengers))
    if draw(st.booleans()):
        return MetricTruth(draw(RATES), None, lifts)
    return MetricTruth(draw(st.sampled_from((40.0, 1000.0))), draw(st.sampled_from((0.0, 30.0, 200.0))), lifts)


@st.composite
def worlds(draw: st.DrawFn, guardrails: int, signals: int) -> World:
    """Draw a world with a metric for each guardrail and signal, at times with a broken split."""
    shares = draw(SHARES)
    metric = truths(len(shares) - 1)
    broken = draw(st.sampled_from((False, False, False, True)))
    return World(
        primary=draw(metric),
        units_per_day=draw(UNITS_PER_DAY),
        guardrails=tuple(draw(metric) for _ in range(guardrails)),
        signals=tuple(draw(metric) for _ in range(signals)),
        arrivals=draw(st.sampled_from(Arrivals)),
        planned_shares=shares,
        true_shares=(shares[0] + 0.1, *shares[1:]) if broken else (),
    )


@given(policies(), st.data(), st.integers(0, 2**32))
def test_both_judges_give_the_same_verdict_at_every_look(
    fields: dict[str, Any], data: st.DataObject, seed: int
) -> None:
    policy = Policy.from_json(fields)
    world = data.draw(worlds(len(policy.guardrails), len(policy.signals)))
    for quick, slow, verdict in judge_twice(policy, world, experiments=3, seed=seed, most_looks=6):
        event(f"{verdict.kind}: {verdict.reason}")
        assert quick == slow, verdict.summary
