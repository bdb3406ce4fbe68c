"""Worlds in which a treatment changes when people do something, and not how much: no effect in the long run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from airflow_provider_launchdarkly.simulation.sampling import Draws
from calibration.cells import DEFAULT, Group, Rule, no_effect
from calibration.worlds import Floats, Traffic, conversions, delayed

PART = "effects that change"
RATE = 0.1

# Lifts of a Monday to a Sunday: they sum to 0.
WEEKDAY_LIFTS = (-0.08, -0.08, -0.08, -0.08, -0.08, 0.2, 0.2)
WEEKLY: Mapping[str, Any] = {"looks": "7d"}
MIXED = "a look in the middle of a week weighs weekdays unequally; look weekly"
UNRIPE = "conversions so far are compared, and those of the treatment come sooner or later; use `maturity`"


def effects_that_change() -> Iterator[Group]:
    """Effects by weekday, and conversions that only come sooner or later."""
    rules = {DEFAULT: Rule(unpromised=MIXED), "weekly looks": Rule(WEEKLY, seen=_weekly)}
    for start, name in ((0, "Monday"), (3, "Thursday"), (5, "Saturday")):
        world = f"better at weekends, worse on weekdays, started on a {name}"
        yield no_effect(PART, world, conversions(Traffic(), _weekdays(start)), rules)
    # Within 14 days, all but one in a thousand of those who ever convert have done so.
    for name, delays in {"a quarter sooner": (2.0, 1.5), "a quarter later": (1.5, 2.0)}.items():
        world = f"the same conversions, {name}"
        yield no_effect(PART, world, delayed(Traffic(), RATE, delays), {DEFAULT: Rule(unpromised=UNRIPE)})
        windowed = delayed(Traffic(), RATE, delays, window=14)
        yield no_effect(PART, world, windowed, {"`maturity: 14d`": Rule({"maturity": "14d"})})


def _weekly(draws: Draws) -> Draws:
    return draws.at(range(6, len(draws.moments), 7))


def _weekdays(start: int) -> Floats:
    lifts = np.array([WEEKDAY_LIFTS[(start + day) % 7] for day in range(28)])
    return RATE * np.stack([np.ones(28), 1.0 + lifts], axis=1)
