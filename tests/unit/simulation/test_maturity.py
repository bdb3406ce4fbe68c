"""Conversions that only come sooner: judged as a gain on young units, and as nothing on mature ones."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws, draw
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes, judge
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World

DAYS, UNITS, RATE, EXPERIMENTS = 28, 1_000, 0.1, 400
DAY = timedelta(days=1)


def outcomes(delays: tuple[float, float], **policy: str) -> Outcomes:
    """Judge experiments in which both treatments convert alike in the end, after so many days on average.

    Each treatment gets 1,000 units at noon of each day. A unit converts with a probability of 10 %, after an
    exponential delay.
    """
    rules = Policy.from_json({**policy})
    looks = schedule_looks(rules).look_times
    random = np.random.default_rng(1)
    units = np.zeros((EXPERIMENTS, len(looks), 2), dtype=np.int64)
    conversions = np.zeros_like(units)
    for treatment, delay in enumerate(delays):
        for day in range(DAYS):
            exposed = (day + 0.5) * DAY
            converting = random.binomial(UNITS, RATE, EXPERIMENTS)
            # Each conversion takes place once: what has converted by a look stays so at the next one.
            done, before = np.zeros_like(converting), 0.0
            for look, time in enumerate(looks):
                if exposed > time:
                    continue
                by_now = -np.expm1(-((time - exposed) / DAY) / delay)
                done = done + random.binomial(converting - done, (by_now - before) / (1.0 - before))
                before = by_now
                if rules.burn_in <= exposed <= time - rules.maturity:
                    units[:, look, treatment] += UNITS
                    conversions[:, look, treatment] += done
    rate = conversions / np.maximum(units, 1)
    return judge(rules, Draws(looks, units, MetricDraws(rate, rate * (1.0 - rate)), (), ()), (0.5, 0.5))


@pytest.mark.parametrize(("delays", "kind"), [((3.0, 2.0), Kind.SHIP), ((2.0, 3.0), Kind.ROLLBACK)])
def test_maturity_does_not_judge_what_only_comes_sooner_or_later(delays: tuple[float, float], kind: Kind) -> None:
    assert outcomes(delays).share(kind) > 0.3
    assert outcomes(delays, maturity="14d").share(kind) < 0.09


def test_a_burn_in_leaves_out_the_first_units_and_maturity_the_last() -> None:
    looks = tuple(day * DAY for day in (7, 14, 28))
    world, random = World(MetricTruth(RATE), 2_000), np.random.default_rng(1)
    for lags, counted in (({}, (7, 14, 28)), ({"burn_in": 2 * DAY, "maturity": 6 * DAY}, (0, 6, 20))):
        units = draw(world, looks, looks[-1], 200, random, **lags).exposed.sum(axis=2).mean(axis=0)
        assert units == pytest.approx([2_000 * days for days in counted], rel=0.01)


def test_a_policy_with_maturity_keeps_its_error_by_the_clock_alone() -> None:
    policy = Policy.from_json({"maturity": "14d", "clock": "time"})
    plan = schedule_looks(policy)
    draws = draw(
        World(MetricTruth(RATE), 2_000),
        plan.look_times,
        plan.end,
        2_000,
        np.random.default_rng(1),
        maturity=policy.maturity,
    )
    assert judge(policy, draws, (0.5, 0.5)).share(Kind.SHIP) < 0.065
