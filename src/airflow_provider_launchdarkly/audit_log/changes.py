"""Find in a decision record that an iteration was judged by another policy before, and what that has spent."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.audit_log.older_policies import as_judged
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.decision.error_left import policy_left
from airflow_provider_launchdarkly.decision.evidence import Spent
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.standing import NOT_DECISIVE, at_planned_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def spent_before(entries: Sequence[Mapping[str, Any]], policy: Policy) -> Spent | None:
    """Return what other policies have spent on the iteration of a record; None if there was only this one.

    A policy's looks in a row are one plan. What it has spent by its latest look is on record: the largest share of the
    error of any of its comparisons. The plans before this policy's own latest looks add up (Bonferroni's inequality).

    Args:
        entries: The record.
        policy: The policy that judges now.
    """
    looks = [entry for entry in entries if entry["evidence"] is not None and not entry["evidence"].get("only_harm")]
    plans = [list(plan) for _, plan in groupby(looks, key=lambda entry: decisive(entry["policy"]))]
    now = decisive(policy.to_json())
    if plans and decisive(plans[-1][-1]["policy"]) == now:
        plans.pop()
    if not plans:
        return None
    ship, harm = (sum(parts) for parts in zip(*(_spent(plan[-1]) for plan in plans), strict=True))
    latest = max(float(entry["verdict"]["elapsed_days"]) for plan in plans for entry in plan)
    before = next((plan[-1] for plan in reversed(plans) if decisive(plan[-1]["policy"]) != now), plans[-1][-1])
    return Spent(ship, harm, timedelta(days=latest), tuple(differences(decisive(before["policy"]), now)))


def decisive(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recorded policy that change a boundary or what is measured against it.

    A field that is younger than the entry has the value by which the entry was decided, so an upgrade changes nothing
    that it does not judge otherwise.
    """
    whole = as_judged(policy)
    # The settings of a newer version's policy are compared as they are.
    with suppress(InvalidSettingError):
        whole = at_planned_times(Policy.from_json(whole)).to_json()
    return {name: value for name, value in whole.items() if name not in NOT_DECISIVE}


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield each setting that differs, as `max_duration from 28d to 42d`."""
    for name in sorted({*before, *now}):
        then, here = before.get(name), now.get(name)
        if then == here:
            continue
        if isinstance(then, dict) and isinstance(here, dict):
            yield from differences(then, here, f"{path}{name}.")
        else:
            yield f"{path}{name} from {_shown(then)} to {_shown(here)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _spent(entry: Mapping[str, Any]) -> tuple[float, float]:
    """Return the family-wise error of shipping and of harm that a plan has spent by one of its looks."""
    alpha, alpha_harm = float(entry["policy"]["alpha"]), float(entry["policy"]["alpha_harm"])
    # What a newer version's policy has left is not known: it counts in full.
    with suppress(InvalidSettingError):
        measured = evidence_from_json(entry["evidence"])
        left = policy_left(Policy.from_json(as_judged(entry["policy"])), measured.spent, measured.repeats)
        alpha, alpha_harm = left.alpha, left.alpha_harm
    comparisons = [compared for metric in entry["verdict"]["metrics"] for compared in metric["comparisons"]]
    roles = [metric["role"] for metric in entry["verdict"]["metrics"] for _ in metric["comparisons"]]
    ship = [bar for compared in comparisons if (bar := compared.get("success"))]
    harm = [
        bar
        for compared, role in zip(comparisons, roles, strict=True)
        if role != "signal" and (bar := compared.get("harm"))
    ]
    return alpha * _share(ship), alpha_harm * _share(harm)


def _share(bars: Sequence[Mapping[str, Any]]) -> float:
    return max((bar["alpha_spent"] / bar["alpha"] for bar in bars if bar["alpha"]), default=0.0)
