"""Plans that change while they run: 28 days that become 42 or 56."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from airflow_provider_launchdarkly.simulation.edits import Edit, judge_edited
from calibration.cells import BOTH_ERRORS, Group, Measured, Row, Rule, errors
from calibration.worlds import EVEN_SPLIT, Traffic, conversions

PART = "policy edits"
RATE = 0.1
ACCEPTED = "`on_change: accept` spends alpha anew"


def policy_edits() -> Iterator[Group]:
    """A plan that is extended, by both ways to deal with it."""
    for days, changed in ((42, 14), (56, 14), (42, 28)):
        yield _extended(days, changed)


def _extended(days: int, changed: int) -> Group:
    world = f"28 days that become {days} on day {changed}"
    drawing = conversions(Traffic(days=days), RATE)
    reasons = {"spend_left": "", "accept": ACCEPTED}
    rows = {choice: Row(world, f"`{choice}`", "", BOTH_ERRORS, reason) for choice, reason in reasons.items()}

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        draws, found = drawing(random, experiments), {}
        for choice, row in rows.items():
            changes = {"on_change": choice}
            edits = [
                Edit(Rule(changes).policy, timedelta(days=changed)),
                Edit(Rule({**changes, "max_duration": f"{days}d"}).policy, timedelta(days=days)),
            ]
            found[row.key] = errors(judge_edited(edits, draws, EVEN_SPLIT))
        return found

    return Group(PART, tuple(rows.values()), measure)
