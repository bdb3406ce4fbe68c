"""Does a plan that was made for a power have it? Units planned for an effect, at even and uneven splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks, units_for_power
from airflow_provider_launchdarkly.decision.verdict import Kind
from calibration.cells import DEFAULT, Bar, Group, Measured, Row, Rule, shares
from calibration.reference import FUTILITY
from calibration.worlds import Traffic, conversions

PART = "planned power"
RATE, EFFECT, POWER = 0.1, 0.05, 0.8
SPLITS = ((0.5, 0.5), (0.9, 0.1), (0.98, 0.02), (0.8, 0.1, 0.1))


def planned_power() -> Iterator[Group]:
    """A minimum detectable effect with traffic enough to plan its units."""
    for split in SPLITS:
        yield _planned(split)


def _planned(split: tuple[float, ...]) -> Group:
    name = "/".join(f"{100 * share:g}" for share in split)
    allocation = Allocation.of_shares(split)
    # The units arrive within three quarters of the longest duration.
    units = _policy(1.0)
    needed = units_for_power(units, schedule_looks(units, None, allocation).look_times, allocation)
    per_day = float(needed or 0) / 21.0
    fields = _fields(per_day)
    lifts = np.array([0.0, *(0.0,) * (len(split) - 2), EFFECT])
    drawing = conversions(Traffic(shares=split, units_per_day=per_day), tuple(RATE * (1.0 + lifts)))
    # Futility takes up to a point of power, which the plan does not count.
    bars = {"power": Bar(POWER - 0.01, False, sampled=-2.6)}
    row = Row(f"units for an effect of {100 * EFFECT:g} % with power {100 * POWER:g} %, {name}", DEFAULT, "", bars)

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        ended = Rule(fields).outcomes(drawing(random, experiments), split)
        return {row.key: shares({"power": ended.are(Kind.SHIP) & (ended.winner == len(split) - 1)})}

    return Group(PART, (row,), measure)


def _fields(units_per_day: float) -> Mapping[str, Any]:
    return {
        "primary": {"minimum_detectable_effect": EFFECT},
        "traffic": {"units_per_day": units_per_day, "mean": RATE},
        "power": POWER,
        **FUTILITY,
    }


def _policy(units_per_day: float) -> Policy:
    return Policy.from_json(_fields(units_per_day))
