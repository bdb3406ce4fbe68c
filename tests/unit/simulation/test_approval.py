"""A ship that waits for a person: the simulation of it, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind, Verdict
from airflow_provider_launchdarkly.simulation.approval import judge_with_approval
from airflow_provider_launchdarkly.simulation.report import STARTED_AT
from airflow_provider_launchdarkly.simulation.sampling import Draws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import KINDS, judge
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World
from support.two_judges import drawn_evidence, is_close, with_history

DAY = timedelta(days=1)
HALVES = (0.5, 0.5)
# With Hypothesis's full profile alone as many as are worth their time: `decide` takes a second for each.
COMPARED = 12 if settings.default and settings.default.max_examples >= 150 else 4


def daily(policy: Policy, world: World, experiments: int, days_after: int = 3) -> Draws:
    plan = schedule_looks(policy, STARTED_AT, world.allocation)
    times = (*plan.look_times, *(plan.end + day * DAY for day in range(1, days_after + 1)))
    return draw(world, times, plan.end, experiments, np.random.default_rng(3))


def by_hand(policy: Policy, world: World, draws: Draws, experiment: int, delay: int) -> tuple[Kind, int, int] | None:
    """Judge one experiment by `decide`: after a ship nobody looks, until the answer comes `delay` looks later.

    None for an experiment that comes within a hair's breadth of a boundary.
    """
    asked: Verdict | None = None
    due = 0
    seen = [drawn_evidence(policy, world, draws, experiment, look) for look in range(len(draws.moments))]
    for look, measured in enumerate(with_history(seen)):
        if asked is not None and look < due:
            continue
        verdict = decide(policy, measured._replace(standing=asked.standing) if asked else measured)
        if is_close(verdict):
            return None
        if verdict.kind is Kind.SHIP and asked is None:
            asked, due = verdict, look + delay
            continue
        if verdict.ends:
            return verdict.kind, look, int(verdict.treatment_id or 0)
        asked = None
    raise AssertionError("a plan has an end")


@pytest.mark.hypothesis
@pytest.mark.parametrize(
    ("fields", "world"),
    [
        ({}, World(MetricTruth(0.1, None, (0.15,)), 400)),
        ({"planned_units": 8000}, World(MetricTruth(0.1, None, (0.15,)), 400)),
        ({"guardrails": [{"metric": "g0"}]}, World(MetricTruth(0.1, None, (0.15,)), 400, (MetricTruth(0.1),))),
        (
            {"guardrails": [{"metric": "g0", "margin": 0.1, "prove": True}], "signals": [{"metric": "s0"}]},
            World(MetricTruth(0.1, None, (0.2,)), 900, (MetricTruth(0.1),), (MetricTruth(0.1),)),
        ),
        ({}, World(MetricTruth(0.1, None, (0.12, 0.16)), 700, planned_shares=(0.4, 0.3, 0.3))),
        ({"preset": "launchdarkly"}, World(MetricTruth(0.1), 400)),
    ],
)
@pytest.mark.parametrize("delay", [1, 3])
def test_it_ends_as_the_real_judge_does(fields: dict[str, Any], world: World, delay: int) -> None:
    policy = Policy.from_json(fields)
    draws = daily(policy, world, COMPARED)
    outcomes = judge_with_approval(policy, draws, world.planned_shares, delay * DAY, STARTED_AT)
    for experiment in range(COMPARED):
        quick = (KINDS[outcomes.kind[experiment]], int(outcomes.look[experiment]), int(outcomes.winner[experiment]))
        assert by_hand(policy, world, draws, experiment, delay) in (quick, None)


def test_without_a_delay_nothing_changes() -> None:
    world = World(MetricTruth(0.1, None, (0.072,)), 2000)
    draws = daily(Policy(), world, 200)
    now, then = judge(Policy(), draws, HALVES), judge_with_approval(Policy(), draws, HALVES, timedelta())
    for name in ("kind", "look", "winner", "lift"):
        assert np.array_equal(getattr(now, name), getattr(then, name))


@pytest.mark.parametrize("days", [1, 2, 3])
def test_an_approval_costs_at_most_half_a_point_of_power(days: int) -> None:
    world = World(MetricTruth(0.1, None, (0.072,)), 2000)
    draws = daily(Policy(), world, 2000)
    power = judge(Policy(), draws, HALVES).share(Kind.SHIP)
    assert power - judge_with_approval(Policy(), draws, HALVES, days * DAY).share(Kind.SHIP) <= 0.005


def test_an_approval_adds_no_false_ship() -> None:
    draws = daily(Policy(), World(MetricTruth(0.1), 2000), 2000)
    shipped = judge(Policy(), draws, HALVES).are(Kind.SHIP)
    after = judge_with_approval(Policy(), draws, HALVES, 3 * DAY).are(Kind.SHIP)
    assert after.any()
    assert not (after & ~shipped).any()


def test_draws_that_end_before_an_answer_are_refused() -> None:
    world = World(MetricTruth(0.1, None, (0.3,)), 2000)
    draws = daily(Policy.preset("frequentist_fixed"), world, 5, days_after=1)
    with pytest.raises(ValueError, match="draw later moments too"):
        judge_with_approval(Policy.preset("frequentist_fixed"), draws, HALVES, 3 * DAY)
