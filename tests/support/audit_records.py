"""Decision records of an experiment that is judged daily until it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.chain import Decision
from airflow_provider_launchdarkly.decision.evidence import (
    EarlierLook,
    Evidence,
    Measurement,
    MetricEvidence,
    TreatmentEvidence,
    as_earlier,
)
from airflow_provider_launchdarkly.decision.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Verdict
from support.look_contexts import METRIC, STARTED_AT

TARGET = {
    "project_key": "demo",
    "environment_key": "production",
    "experiment_key": "bold-checkout-button",
    "iteration_id": "it-1",
}


def evidence(day: float, lift: float = 0.1, units_per_day: int = 1000) -> Evidence:
    """Return the evidence after so many days, where Bold converts better by this share."""
    units = int(day * units_per_day)
    rates = {"id-classic": 0.1, "id-bold": 0.1 * (1 + lift)}
    return Evidence(
        elapsed=timedelta(days=day),
        treatments=(
            TreatmentEvidence("id-classic", "Classic", baseline=True, share=50.0, exposed=units),
            TreatmentEvidence("id-bold", "Bold", share=50.0, exposed=units),
        ),
        metrics=(
            MetricEvidence(
                METRIC,
                tuple(Measurement(arm, units, rate, (rate * (1 - rate)) ** 0.5) for arm, rate in rates.items()),
                Direction.HIGHER,
            ),
        ),
        primary_metric=METRIC,
        started_at=STARTED_AT,
        probability_of_mismatch=0.25,
        unchanged_for=timedelta(hours=1),
    )


def decision(policy: Policy, measured: Evidence | None, verdict: Verdict | None = None) -> Decision:
    """Return the decision by this evidence, or this verdict without any."""
    if verdict is None:
        assert measured is not None
        verdict = decide(policy, measured)
    return Decision(
        at=(STARTED_AT + verdict.elapsed).isoformat(),
        target=TARGET,
        source="launchdarkly",
        policy=policy.to_json(),
        evidence=evidence_to_json(measured) if measured else None,
        verdict=verdict.to_json(),
    )


def record(policy: Policy | None = None, lift: float = 0.1, units_per_day: int = 1000) -> tuple[dict[str, Any], ...]:
    """Return the record of daily looks until a verdict ends the experiment, each look with its history."""
    policy = policy or Policy()
    entries: tuple[dict[str, Any], ...] = ()
    earlier: tuple[EarlierLook, ...] = ()
    for day in range(1, 29):
        measured = evidence(day, lift, units_per_day)
        entries = chain.append(entries, decision(policy, measured._replace(earlier=earlier)))
        earlier = (*earlier, as_earlier(measured))
        if entries[-1]["verdict"]["verdict"] != "wait":
            break
    return entries


def look_again(policy: Policy, day: int, lift: float = 0.1, units_per_day: int = 1000) -> Decision:
    """Return the decision of a look of `record()`, made once more: with the same history."""
    earlier = tuple(as_earlier(evidence(before, lift, units_per_day)) for before in range(1, day))
    return decision(policy, evidence(day, lift, units_per_day)._replace(earlier=earlier))


# The look at which `record()` ends: Bold ships.
END = len(record())
