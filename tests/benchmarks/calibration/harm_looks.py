"""Looks for harm every 15 minutes: 2,688 in four weeks, between the planned ones. Only in the long calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.harm_looks import draw_and_judge, judge_looks
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World
from calibration.cells import BOTH_ERRORS, DEFAULT, LOWER, LOWER_IS_BETTER, Bar, Group, Measured, Row, errors, shares
from calibration.null_worlds import MARGIN, RATES, SPLITS, guardrails, name_of
from calibration.worlds import EVEN_SPLIT, Values, lognormal, revenue

PART = "looks for harm every 15 minutes"
LOOKS_PER_DAY = 96
UNITS_PER_DAY = 2_000.0
# Experiments whose people are held at once.
PEOPLE_CHUNK = 50

DIRECTIONS: Mapping[str, Mapping[str, Any]] = {DEFAULT: {}, LOWER: LOWER_IS_BETTER}


def watched(fields: Mapping[str, Any]) -> Policy:
    """A policy that looks for harm every 15 minutes."""
    return Policy.from_json({"harm_looks": "15m", **fields})


def harm_looks() -> Iterator[Group]:
    """False rollbacks and false ships where nothing is worse, and what is found where something is."""
    for rate in RATES:
        yield _null(f"conversion of {100 * rate:g} %", MetricTruth(rate), DIRECTIONS)
    worse = f"1 %, as much worse as the margin of {100 * MARGIN:g} % allows"
    not_worse = {"primary": {"test": "non_inferiority", "margin": MARGIN}}
    yield _null(worse, MetricTruth(0.01, None, (-MARGIN,)), {DEFAULT: not_worse})
    yield _null("5 guardrails of 0.5 %", MetricTruth(0.1), {DEFAULT: guardrails(5)}, MetricTruth(0.005))
    yield _revenue("lognormal revenue, sigma 1", Values(lognormal(1.0)))
    yield _revenue("lognormal revenue, sigma 2", Values(lognormal(2.0)))
    yield _found("a drop of half", -0.5, {"rolled back": 0.99, "within a day": 0.75})
    yield _found("nobody converts any more", -1.0, {"rolled back": 0.99, "within 6 hours": 0.9})


def _rows(world: str, rules: Mapping[str, Mapping[str, Any]]) -> dict[tuple[tuple[float, ...], str], Row]:
    return {
        (split, rule): Row(world, name_of(split), rule if len(rules) > 1 else "", BOTH_ERRORS)
        for split in SPLITS
        for rule in rules
    }


def _null(
    name: str, truth: MetricTruth, rules: Mapping[str, Mapping[str, Any]], guardrail: MetricTruth | None = None
) -> Group:
    rows = _rows(name, rules)

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        found: Measured = {}
        for (split, rule), row in rows.items():
            policy = watched(rules[rule])
            others = (guardrail or truth,) * len(policy.guardrails)
            world = World(truth, UNITS_PER_DAY, guardrails=others, planned_shares=split)
            found[row.key] = errors(draw_and_judge(policy, world, experiments, random)[0])
        return found

    return Group(PART, tuple(rows.values()), measure, only_full=True)


def _revenue(name: str, values: Values) -> Group:
    rows = _rows(name, DIRECTIONS)
    drawing = revenue(values, SPLITS, LOOKS_PER_DAY)

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        ended: dict[tuple[tuple[float, ...], str], list[Outcomes]] = {key: [] for key in rows}
        for done in range(0, experiments, PEOPLE_CHUNK):
            drawn = drawing(random, min(PEOPLE_CHUNK, experiments - done))
            for split, draws in zip(SPLITS, drawn, strict=True):
                for rule, fields in DIRECTIONS.items():
                    ended[split, rule].append(judge_looks(watched(fields), draws, split)[0])
        return {
            rows[key].key: shares(
                {
                    figure: np.concatenate([outcomes.are(kind) for outcomes in parts])
                    for figure, kind in zip(BOTH_ERRORS, (Kind.SHIP, Kind.ROLLBACK), strict=True)
                }
            )
            for key, parts in ended.items()
        }

    return Group(PART, tuple(rows.values()), measure, only_full=True)


def _found(name: str, lift: float, bars: Mapping[str, float]) -> Group:
    row = Row(
        f"{name}, {UNITS_PER_DAY:,.0f} units a day", "", "", {at: Bar(least, False) for at, least in bars.items()}
    )
    hours = {"rolled back": np.inf, "within a day": 24.0, "within 6 hours": 6.0}
    world = World(MetricTruth(0.1, None, (lift,)), UNITS_PER_DAY, planned_shares=EVEN_SPLIT)

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        ended, _ = draw_and_judge(watched({}), world, experiments, random)
        found = ended.are(Kind.ROLLBACK)
        return {row.key: shares({figure: found & (24.0 * ended.day <= hours[figure]) for figure in bars})}

    return Group(PART, (row,), measure, only_full=True)
