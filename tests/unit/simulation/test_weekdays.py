"""Effects that differ by weekday and sum to nothing: weekly looks keep the errors that daily looks do not."""

from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes, judge

RATE, UNITS, DAYS, EXPERIMENTS = 0.1, 1_000, 28, 500
# Lifts from a Monday to a Sunday.
WEEK = np.array([-0.08] * 5 + [0.2] * 2)


def outcomes(started: int, preset: str) -> Outcomes:
    """Judge experiments that started on a day of the week, 0 for Monday, at the planned looks."""
    policy = Policy.preset(preset)
    looks = schedule_looks(policy).look_times
    random = np.random.default_rng(started)
    units = np.cumsum(random.poisson(UNITS, (EXPERIMENTS, DAYS, 2)), axis=1)
    fresh = np.diff(units, axis=1, prepend=0)
    lifts = WEEK[(started + np.arange(DAYS)) % 7]
    conversions = np.cumsum(random.binomial(fresh, RATE * np.stack([np.ones(DAYS), 1.0 + lifts], axis=1)), axis=1)
    days = [time.days - 1 for time in looks]
    rate = conversions[:, days] / units[:, days]
    return judge(policy, Draws(looks, units[:, days], MetricDraws(rate, rate * (1.0 - rate)), (), ()), (0.5, 0.5))


@pytest.mark.parametrize(("started", "kind"), [(0, Kind.ROLLBACK), (5, Kind.SHIP)])
def test_whole_weeks_are_compared(started: int, kind: Kind) -> None:
    daily, weekly = outcomes(started, "balanced"), outcomes(started, "weekly")
    assert daily.share(kind) > 0.08
    assert weekly.share(kind) < 0.075
