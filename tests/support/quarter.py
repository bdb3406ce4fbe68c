"""A quarter of experiments with known effects, judged daily by the real judge and put on record by the real store."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_launchdarkly.audit_log.chain import Decision
from airflow_provider_launchdarkly.audit_log.store import store_decision
from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Verdict

QUARTER = "2026Q4"
STARTED_AT = datetime(2026, 10, 5, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Trial:
    """One experiment.

    Attributes:
        key: Its key.
        lifts: True relative lift of each treatment but the baseline.
        rate: The baseline's conversion.
        units_per_day: Units over all treatments.
        direction: Whether a higher or a lower rate is better.
        metric: The primary metric.
        days: Days that are judged; it ends sooner with an ending.
        shares: Shares of the treatments, the baseline's first, as they really arrive.
        policy: Fields of its policy.
    """

    key: str
    lifts: tuple[float, ...] = (0.0,)
    rate: float = 0.1
    units_per_day: int = 2000
    direction: Direction = Direction.HIGHER
    metric: str = "checkout-conversion"
    days: int = 28
    shares: tuple[float, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)


# Twelve experiments as a team has them in a quarter: three real effects, of which one is on a lower-is-better metric.
TRIALS = (
    Trial("bold-checkout-button", (0.08,)),
    Trial("shorter-form", (0.0,)),
    Trial("new-search", (0.06,), units_per_day=6000),
    Trial("free-returns-banner", (0.0,)),
    Trial("fewer-steps", (-0.10,), rate=0.2, direction=Direction.LOWER, metric="checkout-abandoned"),
    Trial("dark-mode", (0.0,), units_per_day=600),
    Trial("two-headlines", (0.0, 0.01)),
    Trial("slow-carousel", (-0.12,)),
    Trial("saved-cards", (0.0,)),
    Trial("gift-wrap", (0.005,)),
    Trial("broken-split", (0.0,), shares=(0.55, 0.45)),
    Trial("still-running", (0.0,), days=5),
)


def write_quarter(folder: Path, trials: Sequence[Trial] = TRIALS, seed: int = 7) -> list[Verdict]:
    """Run the experiments, each with its own random numbers, and keep their records in a folder."""
    return [run_trial(folder, trial, random.Random(f"{seed} {trial.key}")) for trial in trials]


def run_trial(folder: Path, trial: Trial, chance: random.Random) -> Verdict:
    """Judge one experiment day by day until it ends, with each look on record."""
    names = ("Control", "Bold", "Quiet")[: 1 + len(trial.lifts)]
    rates = [trial.rate * (1.0 + lift) for lift in (0.0, *trial.lifts)]
    shares = trial.shares or (1.0 / len(names),) * len(names)
    units, ones = [0] * len(names), [0.0] * len(names)
    policy = Policy.from_json(trial.policy)
    for day in range(1, trial.days + 1):
        for arm, (share, rate) in enumerate(zip(shares, rates, strict=True)):
            fresh = round(trial.units_per_day * share)
            units[arm] += fresh
            # Normal chance with a binomial's variance is close enough here, and quick.
            ones[arm] = min(
                max(ones[arm] + chance.gauss(fresh * rate, (fresh * rate * (1 - rate)) ** 0.5), 0), units[arm]
            )
        measured = evidence(trial, names, day, units, [round(one) for one in ones])
        verdict = decide(policy, measured)
        look = Decision(
            at=(STARTED_AT + verdict.elapsed).isoformat(),
            target=target(trial.key),
            source="launchdarkly",
            policy=policy.to_json(),
            evidence=evidence_to_json(measured),
            verdict=verdict.to_json(),
        )
        store_decision(look, str(folder), Path)
        if verdict.ends:
            break
    return verdict


def target(key: str, iteration: str = "it-1") -> dict[str, str]:
    """Return the keys of an experiment's iteration."""
    return {
        "project_key": "demo",
        "environment_key": "production",
        "experiment_key": key,
        "iteration_id": iteration,
    }


def evidence(trial: Trial, names: Sequence[str], day: float, units: Sequence[int], ones: Sequence[int]) -> Evidence:
    """Return what is measured on a day, by units and conversions of each treatment."""
    rates = [one / count for one, count in zip(ones, units, strict=True)]
    return Evidence(
        elapsed=timedelta(days=day),
        treatments=tuple(
            TreatmentEvidence(f"id-{name.lower()}", name, number == 0, 1.0, units[number])
            for number, name in enumerate(names)
        ),
        metrics=(
            MetricEvidence(
                trial.metric,
                tuple(
                    Measurement(f"id-{name.lower()}", count, rate, (rate * (1 - rate)) ** 0.5)
                    for name, count, rate in zip(names, units, rates, strict=True)
                ),
                trial.direction,
            ),
        ),
        primary_metric=trial.metric,
        started_at=STARTED_AT,
    )
