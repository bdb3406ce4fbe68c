"""Looks for harm every 15 minutes, as far as the short calibration has time for them; `harm_looks` has the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.harm_looks import draw_and_judge
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World
from calibration.cells import BOTH_ERRORS, Bar, Group, Measured, Row, Rule, errors, shares
from calibration.harm_looks import PART
from calibration.null_worlds import guardrails

RATE, EVERY = 0.1, {"harm_looks": "15m"}


def harm_in_minutes() -> Iterator[Group]:
    """No harm with five guardrails, and a drop of half in conversion."""
    yield _no_harm()
    yield _half()


def _no_harm() -> Group:
    row = Row("five guardrails of 1 %", "50/50", "", BOTH_ERRORS)
    world = World(MetricTruth(RATE), 2_000.0, (MetricTruth(0.01),) * 5)
    policy = Rule({**guardrails(5), **EVERY}).policy

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        return {row.key: errors(draw_and_judge(policy, world, experiments, random)[0])}

    return Group(PART, (row,), measure, times=0.5)


def _half() -> Group:
    bars = {"found within 12 hours": None, "found within a day": Bar(0.9, False)}
    row = Row("a drop of half in a conversion of 10 %", "50/50", "", bars)
    world = World(MetricTruth(RATE, None, (-0.5,)), 2_000.0)
    # Two days are enough to see it, and cost a fourteenth of four weeks.
    policy = Rule({**EVERY, "min_duration": "2d", "max_duration": "2d"}).policy

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        ended, _ = draw_and_judge(policy, world, experiments, random)
        harmed = ended.are(Kind.ROLLBACK)
        found = {
            "found within 12 hours": harmed & (ended.day <= 0.5),
            "found within a day": harmed & (ended.day <= 1.0),
        }
        return {row.key: shares(found)}

    return Group(PART, (row,), measure)
