"""Worlds in which nothing is better or worse: every ship and every rollback is false."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from airflow_provider_launchdarkly.simulation.sampling import Draws
from airflow_provider_launchdarkly.simulation.world import Arrivals
from calibration.cells import BOTH_ERRORS, DEFAULT, LOWER, LOWER_IS_BETTER, Group, Measured, Row, Rule, errors
from calibration.cells import no_effect as null
from calibration.worlds import (
    OWN_RATES,
    RARE_EVENTS,
    Traffic,
    Values,
    bad_sessions,
    conversions,
    delayed,
    events,
    lognormal,
    pareto,
    revenue,
    windowed,
)

SPLITS = ((0.5, 0.5), (0.9, 0.1), (0.95, 0.05), (0.98, 0.02), (0.02, 0.98))
RATES = (0.1, 0.01, 0.005, 0.002)
SPLIT = "splits"
UNITS, TIME = "by units", "by time alone"
PLANNED = {"planned_units": 56_000}

MORE_GROWTH = "more growth than `clock: time` is insured against"
IMMATURE = "what units are worth grows, so there is more growth than `clock: time` is insured against"


def clocks(*, time: str = "") -> dict[str, Rule]:
    """The three clocks, with the reason why nothing is promised for that of the time alone."""
    return {DEFAULT: Rule(), UNITS: Rule(PLANNED), TIME: Rule({"clock": "time"}, unpromised=time)}


DIRECTIONS = {DEFAULT: Rule(), UNITS: Rule(PLANNED), LOWER: Rule(LOWER_IS_BETTER)}
MARGIN = 0.2


def guardrails(count: int) -> dict[str, Any]:
    """A policy with so many guardrails."""
    return {"guardrails": [{"metric": f"guardrail-{number}"} for number in range(count)]}


def name_of(split: Sequence[float]) -> str:
    """A split as people write it, the baseline first."""
    return f"{100 * split[0]:g}/{100 * split[1]:g}"


def splits() -> Iterator[Group]:
    """Small treatments, rare events and skewed values."""
    for split in SPLITS:
        traffic, here = Traffic(shares=split), partial(null, SPLIT, split=split, column=name_of(split))
        for rate in RATES:
            yield here(f"conversion of {100 * rate:g} %", conversions(traffic, rate), DIRECTIONS)
        worse = f"1 %, as much worse as the margin of {100 * MARGIN:g} % allows"
        rules = {DEFAULT: Rule({"primary": {"test": "non_inferiority", "margin": MARGIN}})}
        yield here(worse, conversions(traffic, (0.01, 0.01 * (1 - MARGIN))), rules)
        drawing = conversions(traffic, 0.1, guardrails=5, guardrail_rates=0.005)
        yield here("5 guardrails of 0.5 %", drawing, {DEFAULT: Rule(guardrails(5))})
        # Many metrics cost time, so the short calibration leaves some splits out.
        some = partial(here, only_full=split not in ((0.5, 0.5), (0.9, 0.1), (0.98, 0.02)))
        drawing = conversions(traffic, 0.1, guardrails=20, guardrail_rates=0.005)
        yield some("20 guardrails of 0.5 %", drawing, {DEFAULT: Rule(guardrails(20))})
        yield some(
            "5 guardrails that fail together", bad_sessions(traffic, guardrails=5), {DEFAULT: Rule(guardrails(5))}
        )
    for name, values in {
        "lognormal revenue, sigma 1": Values(lognormal(1.0)),
        "lognormal revenue, sigma 2": Values(lognormal(2.0)),
        "Pareto revenue, shape 2.5": Values(pareto(2.5)),
        "zero-inflated revenue, 5 % buy": Values(lognormal(1.0), buyers=0.05, units_per_day=2_000.0),
    }.items():
        yield _revenue(name, values)


def _revenue(name: str, values: Values) -> Group:
    drawing, rules = revenue(values, SPLITS), {DEFAULT: Rule(), LOWER: Rule(LOWER_IS_BETTER)}
    rows = {(split, rule): Row(name, name_of(split), rule, BOTH_ERRORS) for split in SPLITS for rule in rules}

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        drawn = zip(SPLITS, drawing(random, experiments), strict=True)
        return {
            rows[split, rule].key: errors(judged.outcomes(draws, split))
            for split, draws in drawn
            for rule, judged in rules.items()
        }

    return Group(SPLIT, tuple(rows.values()), measure)


def several_treatments() -> Iterator[Group]:
    """Three and six treatments, all alike."""
    for count in (3, 6):
        shares = (1.0 / count,) * count
        traffic = Traffic(shares=shares, units_per_day=1_000.0 * count)
        rules = {DEFAULT: Rule(), UNITS: Rule({"planned_units": 28_000 * count})}
        yield null("treatments", f"{count} treatments", conversions(traffic, 0.1), rules, split=shares)
    for split in ((0.8, 0.1, 0.1), (0.1, 0.45, 0.45)):
        name = "3 treatments, " + "/".join(f"{100 * share:g}" for share in split)
        drawing = conversions(Traffic(shares=split, units_per_day=3_000.0), 0.1)
        yield null("treatments", name, drawing, {DEFAULT: Rule(), UNITS: Rule({"planned_units": 84_000})}, split=split)


def traffic_patterns() -> Iterator[Group]:
    """Traffic that is not even."""
    names = {
        Arrivals.EVEN: "even traffic",
        Arrivals.WEEKDAYS: "weekends at half",
        Arrivals.GROWING: "threefold growth, in a straight line",
        Arrivals.SURGING: "threefold growth, by equal factors",
        Arrivals.GROWING_TENFOLD: "tenfold growth, in a straight line",
        Arrivals.SURGING_TENFOLD: "tenfold growth, by equal factors",
        Arrivals.SHRINKING: "shrinking to a third",
        Arrivals.DYING: "dying to a hundredth",
        Arrivals.PRESS_DAY: "a press day with ten times as many",
        Arrivals.LOST_DAY: "a lost day",
    }
    for arrivals, name in names.items():
        steep = arrivals in (Arrivals.GROWING_TENFOLD, Arrivals.SURGING_TENFOLD)
        rules = clocks(time=MORE_GROWTH if steep else "")
        yield null("traffic", name, conversions(Traffic(arrivals=arrivals), 0.1), rules)
    late_press = conversions(Traffic(press=(26, 30.0)), 0.1)
    yield null("traffic", "a day with thirty times as many, close to the end", late_press, clocks(time=MORE_GROWTH))
    many = Traffic(units_per_day=2_600.0)
    yield null("traffic", "30 % more units than planned", conversions(many, 0.1), clocks())


def small_treatments_in_uneven_traffic() -> Iterator[Group]:
    """Splits and patterns of traffic together, and tiny and huge experiments; only in the long calibration."""
    for split in SPLITS[1:]:
        here = partial(null, "splits and traffic", split=split, column=name_of(split), only_full=True)
        for arrivals in (Arrivals.WEEKDAYS, Arrivals.SURGING, Arrivals.SHRINKING, Arrivals.DYING):
            traffic = Traffic(shares=split, arrivals=arrivals)
            yield here(f"conversion of 1 %, {arrivals.value}", conversions(traffic, 0.01), {DEFAULT: Rule()})
        for units_per_day in (200.0, 20_000.0):
            traffic = Traffic(shares=split, units_per_day=units_per_day)
            world = f"conversion of 1 %, {units_per_day:,.0f} units a day"
            yield here(world, conversions(traffic, 0.01), {DEFAULT: Rule()})


def maturing_metrics() -> Iterator[Group]:
    """Metrics that move after the unit came in."""
    part = "maturing metrics"
    units_and_rates = {
        "open-ended, each unit at its own rate": (Traffic(), OWN_RATES),
        "open-ended, rare events": (Traffic(), RARE_EVENTS),
        "open-ended, rare events, threefold growth": (Traffic(arrivals=Arrivals.SURGING), RARE_EVENTS),
        "open-ended, rare events, shrinking to a third": (Traffic(arrivals=Arrivals.SHRINKING), RARE_EVENTS),
        "open-ended, rare events, people who return": (Traffic(population_days=5.0), RARE_EVENTS),
    }
    for name, (traffic, levels) in units_and_rates.items():
        yield null(part, name, events(traffic, levels), clocks(time=IMMATURE))
    immature = clocks(time=IMMATURE)
    for delay in (3, 7, 14):
        yield null(part, f"conversions {delay} days late", delayed(Traffic(), 0.1, (delay, delay)), immature)
        growing = delayed(Traffic(arrivals=Arrivals.SURGING), 0.1, (delay, delay))
        close = 4.0 if delay == 14 else 1.0
        yield null(
            part,
            f"conversions {delay} days late, threefold growth",
            growing,
            immature,
            times=close,
        )
    for days in (3, 7, 14):
        drawing = windowed(conversions(Traffic(), 0.1), days)
        yield null(part, f"units count after {days} days (`maturity`)", drawing, _maturing(days))


def _maturing(days: int) -> dict[str, Rule]:
    """The three clocks, of a policy that counts units from so many days on."""
    return {
        name: Rule({**rule.fields, "maturity": f"{days}d"}, unpromised=rule.unpromised)
        for name, rule in clocks().items()
    }


def _looks(*numbers: int) -> Callable[[Draws], Draws]:
    return lambda draws: draws.at(numbers)


def looks() -> Iterator[Group]:
    """Looks that are repeated, missed or late."""
    part, days = "looks", range(28)
    seen: Mapping[str, Callable[[Draws], Draws]] = {
        "every look three times": _looks(*(look for look in days for _ in range(3))),
        "every other look missed": _looks(*days[0:27:2], 27),
        "no look before day 20": _looks(*days[19:]),
        "three looks in all": _looks(8, 17, 27),
    }
    drawing = conversions(Traffic(), 0.1)
    for name, chosen in seen.items():
        rules = {DEFAULT: Rule(seen=chosen), UNITS: Rule(PLANNED, seen=chosen)}
        yield null(part, name, drawing, rules)
    for late in (0.25, 0.9):
        name = f"every look late by {100 * late:g} % of a day"
        yield null(part, name, conversions(Traffic(late=late), 0.1), clocks())
