"""Ships that wait for a person: a crossed boundary stands until the answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.approval import judge_with_approval
from airflow_provider_launchdarkly.simulation.report import USUAL_EFFECT
from calibration.cells import BOTH_ERRORS, DEFAULT, Bar, Group, Measured, Row, Rule, errors, shares
from calibration.reference import RATE, lift_of
from calibration.worlds import EVEN_SPLIT, Traffic, conversions

PART = "approval"
# Half a point less than without approval.
BARS = {**BOTH_ERRORS, "power": Bar(0.84, False)}


def approvals() -> Iterator[Group]:
    """An answer after one, two and three days."""
    for days in (1, 2, 3):
        yield _answered_after(days)


def _answered_after(days: int) -> Group:
    row = Row(f"an answer after {days} {'day' if days == 1 else 'days'}", DEFAULT, "", BARS)
    traffic, policy, delay = Traffic(beyond=days), Rule().policy, timedelta(days=days)
    nothing = conversions(traffic, RATE)
    lifted = conversions(traffic, (RATE, RATE * (1.0 + lift_of(USUAL_EFFECT))))

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        null = judge_with_approval(policy, nothing(random, experiments), EVEN_SPLIT, delay)
        found = judge_with_approval(policy, lifted(random, experiments), EVEN_SPLIT, delay)
        return {row.key: {**errors(null), **shares({"power": found.are(Kind.SHIP)})}}

    return Group(PART, (row,), measure)
