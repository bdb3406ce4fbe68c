"""What a shipped effect is worth: the estimates at the stop against the true lift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.estimates import estimate_stops
from airflow_provider_launchdarkly.simulation.report import USUAL_EFFECT
from calibration.cells import Bar, Group, Measured, Row, Rule, shares
from calibration.reference import FUTILITY, RATE, lift_of
from calibration.worlds import EVEN_SPLIT, Traffic, conversions

PART = "estimates at the stop"
MEASURED, ESTIMATED, COVERED = "measured over true lift", "estimated over true lift", "the interval holds the true lift"
COVERAGE = Bar(0.96, least=0.94)
RULES: Mapping[str, Rule] = {"the default policy": Rule(FUTILITY), "without futility": Rule()}


def estimates_at_the_stop() -> Iterator[Group]:
    """The reference effect, a half more, and none."""
    ratio = Bar(1.05, least=0.95)
    name = "the effect that a fixed two-sided 5 % test finds with 80 % power"
    yield _effect(name, 1.0, {MEASURED: None, ESTIMATED: ratio, COVERED: COVERAGE})
    yield _effect("half as much again", 1.5, {MEASURED: None, ESTIMATED: ratio, COVERED: COVERAGE})
    # Those that are rolled back have no estimate of what a ship is worth, so the interval holds more often than needed.
    yield _effect("no effect", 0.0, {COVERED: Bar(0.94, False)})


def _effect(world: str, times: float, bars: Mapping[str, Bar | None]) -> Group:
    lift = lift_of(times * USUAL_EFFECT)
    drawing = conversions(Traffic(), (RATE, RATE * (1.0 + lift)))
    rows = {name: Row(world, name, "", bars) for name in RULES}

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        draws, found = drawing(random, experiments), {}
        for name, rule in RULES.items():
            ended = rule.outcomes(draws, EVEN_SPLIT)
            estimates, shipped = estimate_stops(rule.policy, draws, ended, EVEN_SPLIT), ended.are(Kind.SHIP)
            known = np.isfinite(estimates.lower)
            figures: dict[str, NDArray[Any]] = {COVERED: estimates.covers(lift)[known]}
            if lift:
                figures |= {MEASURED: ended.lift[shipped] / lift, ESTIMATED: estimates.bias_adjusted[shipped] / lift}
            found[rows[name].key] = shares(figures)
        return found

    return Group(PART, tuple(rows.values()), measure)
