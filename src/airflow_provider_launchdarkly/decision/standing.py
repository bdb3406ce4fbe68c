"""A boundary that was crossed stands through an approval and a change window.

The error of shipping is spent at the looks of the plan: a treatment without effect crosses the boundary at any of them
with probability `alpha` at most (Jennison & Turnbull 2000, ch. 7). What ships later, of those that crossed, is a part
of them, so letting a crossing stand costs no error. Without it, a treatment that waits for a person has to cross the
boundary once more, and on the day of the answer its z may be a little below.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision.boundaries import tail

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Evidence, Standing
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.verdict import Bar, MetricJudgement, TreatmentEffect

# The effect of a treatment that crossed is gone when its nominal one-sided p value is above this.
STILL_THERE = 0.05

# Settings that change neither a boundary nor what is measured against it. Nor does `looks.on_data`.
NOT_DECISIVE = frozenset({"budget", "mismatch", "missing", "on_change", "release_guardrails"})


def at_planned_times(policy: Policy) -> Policy:
    """Return the policy with looks that wait for no data: their boundaries are the same."""
    if policy.looks.on_data is None:
        return policy
    return policy.model_copy(update={"looks": policy.looks.model_copy(update={"on_data": None})})


def decisive_settings(policy: Policy) -> dict[str, Any]:
    """Return the settings that decide, as plain JSON, without those that have their default."""
    return at_planned_times(policy).model_dump(mode="json", exclude_defaults=True, exclude=set(NOT_DECISIVE))


def fingerprint(policy: Policy) -> str:
    """Return 16 hexadecimal digits that differ for policies which judge by different boundaries or metrics."""
    settings = json.dumps(decisive_settings(policy), sort_keys=True, separators=(",", ":"))
    return sha256(settings.encode()).hexdigest()[:16]


def find_standing(policy: Policy, evidence: Evidence, primary: MetricJudgement) -> TreatmentEffect | None:
    """Return the treatment whose crossing stands; None if there is none, or its crossing counts for nothing."""
    if evidence.standing is None or why_void(policy, evidence.standing, primary):
        return None
    return _of(primary, evidence.standing.treatment_id)


def why_void(policy: Policy, standing: Standing, primary: MetricJudgement) -> str | None:
    """Return why a crossing counts for nothing; None if it counts."""
    if _of(primary, standing.treatment_id) is None:
        return f"treatment {standing.treatment_id} is not compared with the baseline in this iteration"
    if standing.metric != primary.metric:
        return f"it was on {standing.metric}, and {primary.metric} decides"
    if standing.policy != fingerprint(policy):
        return "it was judged by another policy"
    return None


def still_there(bar: Bar | None, z: float | None) -> bool:
    """Return whether an effect that crossed the boundary is still there.

    Args:
        bar: The boundary at this look; None for a rule without one.
        z: The evidence, if there is no bar.
    """
    if bar is not None and bar.reached:
        return True
    p_value = nominal_p(bar, z)
    return p_value is not None and p_value <= STILL_THERE


def nominal_p(bar: Bar | None, z: float | None) -> float | None:
    """Return the one-sided p value of one look alone, by the bar's z, which counts the margin; None without a z."""
    found = bar.z if bar is not None else z
    return None if found is None else tail(found)


def _of(metric: MetricJudgement, treatment_id: str) -> TreatmentEffect | None:
    return next((found for found in metric.comparisons if found.treatment_id == treatment_id), None)
