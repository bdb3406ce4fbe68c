"""Holds the false rollbacks of a rollout that watches guardrails while a person is asked; exits with 1 beyond the bar.

Harmless experiments whose policy has no `harm_looks`: daily looks by the planned boundaries, then a question that is
open for some days, in which the planned looks go on and harm alone is looked at every hour. From a fixed seed.
Run by ``make calibrate``.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from calibration.cells import SEED
from calibration.results import between_marks

from airflow_provider_launchdarkly.checks.harm_watch import watching_policy
from airflow_provider_launchdarkly.decision.anytime import DEVIATIONS
from airflow_provider_launchdarkly.decision.error_rates import ANYTIME_SHARE_OF_HARM
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks

EXPERIMENTS = 40_000
UNITS_PER_DAY = 2_000
ALPHA = 0.05
# An exact 5 % stays below it in 99.5 % of the measurements of 10,000; the watch may not push the sum beyond it.
BAR = 0.0557
PLAN = Policy.from_json({"looks": "1d", "futility": "off", "clock": "time"})


class Case(NamedTuple):
    """A plan of so many days, asked about after some of them, answered some days later."""

    plan: int
    asked: int
    open_for: int


CASES = (Case(3, 3, 3), Case(3, 3, 14), Case(7, 7, 3), Case(14, 14, 3), Case(28, 10, 3), Case(28, 28, 14))


def measure(case: Case) -> tuple[float, float]:
    """Return the false rollbacks by the planned looks alone, and with the looks for harm while the question is open."""
    policy = Policy.from_json(
        {**PLAN.to_json(), "max_duration": f"{case.plan}d", "min_duration": f"{min(case.plan, 7)}d"}
    )
    interval = watching_policy(policy).harm_looks
    assert interval is not None
    boundary = schedule_looks(policy, datetime(2026, 1, 5, tzinfo=UTC)).harm_boundary(ALPHA, policy.harm_spending)
    bounds = [boundary.at(look / case.plan) for look in range(1, case.plan + 1)]
    random = np.random.default_rng(SEED)
    score = np.zeros(EXPERIMENTS)
    planned, watched = np.zeros(EXPERIMENTS, bool), np.zeros(EXPERIMENTS, bool)
    hours = int(24 * 3600 // interval.total_seconds())  # looks a day
    sizes = np.array(DEVIATIONS)[:, None]
    for step in range(1, (case.asked + case.open_for) * hours + 1):
        score += random.standard_normal(EXPERIMENTS) / np.sqrt(hours)
        day = step / hours
        z = score / np.sqrt(day)
        if step % hours == 0 and day <= case.plan:
            planned |= z >= bounds[int(day) - 1]
        if day > case.asked:
            units = day * UNITS_PER_DAY / 4
            evidence = np.exp(sizes * np.sqrt(units) * z - sizes**2 * units / 2).mean(axis=0)
            watched |= evidence >= 1 / (ALPHA * ANYTIME_SHARE_OF_HARM)
    return float(planned.mean()), float((planned | watched).mean())


def main() -> int:
    """Measure, print, and say what is beyond the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="also write the table between the marks of this page")
    arguments = parser.parse_args()
    lines = ["| plan | asked after | open for | planned looks alone | with the watch |", "|---|---|---|---|---|"]
    beyond = []
    for case in CASES:
        alone, both = measure(case)
        days = " | ".join(f"{number} days" for number in case)
        lines.append(f"| {days} | {100 * alone:.2f} % | {100 * both:.2f} % |")
        if both > BAR:
            beyond.append(case)
    table = "\n".join(lines)
    print(table)
    if arguments.docs is not None:
        page = arguments.docs.read_text(encoding="utf-8")
        arguments.docs.write_text(between_marks(page, "waiting", table), encoding="utf-8")
    for case in beyond:
        print(f"BEYOND ITS BAR: {case}", file=sys.stderr)
    print("beyond a bar" if beyond else "every bar is held")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
