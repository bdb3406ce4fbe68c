"""The reference plan (2,000 units a day, 28 daily looks, the default policy): what it finds, and how soon."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.report import USUAL_EFFECT, USUAL_HARM
from calibration.cells import DEFAULT, Bar, Group, Measured, Row, Rule, shares
from calibration.null_worlds import PLANNED, UNITS, guardrails
from calibration.worlds import EVEN_SPLIT, Drawing, Traffic, conversions

RATE = 0.1
PART = "the reference plan"
FUTILITY = {"futility": {"predictive_power": 0.01}}
RULES: Mapping[str, Rule] = {
    "the default policy": Rule(FUTILITY),
    "without futility": Rule(),
    UNITS: Rule({**FUTILITY, **PLANNED}),
}
# Futility costs at most half a point of power, and ends experiments without an effect ten days sooner.
POWER = {name: Bar(0.84 if "futility" in rule.fields else 0.845, False) for name, rule in RULES.items()}
STOP = {name: Bar(18.0 if "futility" in rule.fields else 28.0, unit="days") for name, rule in RULES.items()}


def lift_of(standard_errors: float, *, days: int = 28, units_per_day: float = 2_000.0) -> float:
    """Relative lift of a conversion metric of 10 % that is so many standard errors at the plan's end."""
    units, lift = units_per_day * days / 2.0, 0.0
    for _ in range(50):
        changed = RATE * (1.0 + lift)
        lift = standard_errors * math.sqrt((RATE * (1 - RATE) + changed * (1 - changed)) / units) / RATE
    return lift


def reference_plan() -> Iterator[Group]:
    """Power, length, harm and mismatch."""
    yield _with_effect()
    yield _without_effect()
    yield _harm()
    even = conversions(Traffic(), RATE)
    yield _mismatch("units split as allocated", "called invalid", even, Rule(), Bar(0.01))
    many = conversions(Traffic(shares=(0.51, 0.49), units_per_day=100_000 / 28), RATE)
    at_end = Rule({"looks": {"only_at_end": True}}, seen=lambda draws: draws.at([27]))
    yield _mismatch("51/49 in place of 50/50, 100,000 units", "called invalid", many, at_end, Bar(0.99, False))


def _with_effect() -> Group:
    world = "the effect that a fixed two-sided 5 % test finds with 80 % power"
    drawing = conversions(Traffic(), (RATE, RATE * (1.0 + lift_of(USUAL_EFFECT))))
    stop = Bar(19.0, unit="days")
    rows = {name: Row(world, name, "", {"power": POWER[name], "mean stop, days": stop}) for name in RULES}

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        draws, found = drawing(random, experiments), {}
        for name, rule in RULES.items():
            ended = rule.outcomes(draws, EVEN_SPLIT)
            found[rows[name].key] = shares({"power": ended.are(Kind.SHIP), "mean stop, days": ended.day})
        return found

    return Group(PART, tuple(rows.values()), measure)


def _without_effect() -> Group:
    world, drawing = "no effect", conversions(Traffic(), RATE)
    rows = {name: Row(world, name, "", {"mean stop, days": STOP[name]}) for name in RULES}

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        draws = drawing(random, experiments)
        return {
            rows[name].key: shares({"mean stop, days": rule.outcomes(draws, EVEN_SPLIT).day})
            for name, rule in RULES.items()
        }

    return Group(PART, tuple(rows.values()), measure)


def _harm() -> Group:
    days = 20
    world = f"a guardrail that is worse by {USUAL_HARM:.2f} standard errors after {days} daily looks"
    worse = RATE * (1.0 + lift_of(-USUAL_HARM, days=days))
    drawing = conversions(Traffic(days=days), RATE, guardrails=1, guardrail_rates=(RATE, worse))
    fields = {**guardrails(1), "max_duration": f"{days}d"}
    rules = {DEFAULT: Rule(fields), UNITS: Rule({**fields, "planned_units": 2_000 * days})}
    bars = {"rolled back": Bar(0.9, False), "rolled back by look 10": Bar(0.5, False)}
    rows = {name: Row(world, name, "", bars) for name in rules}

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        draws, found = drawing(random, experiments), {}
        for name, rule in rules.items():
            ended = rule.outcomes(draws, EVEN_SPLIT)
            rolled_back = ended.are(Kind.ROLLBACK)
            early = rolled_back & (ended.look < 10)
            found[rows[name].key] = shares({"rolled back": rolled_back, "rolled back by look 10": early})
        return found

    return Group(PART, tuple(rows.values()), measure)


def _mismatch(world: str, figure: str, drawing: Drawing, rule: Rule, bar: Bar) -> Group:
    row = Row(world, DEFAULT, "", {figure: bar})

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        ended = rule.outcomes(drawing(random, experiments), EVEN_SPLIT)
        return {row.key: shares({figure: ended.are(Kind.INVALID)})}

    return Group(PART, (row,), measure)
