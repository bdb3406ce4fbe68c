"""Guardrails and signals that are the same for every unit, mostly without one event: they have shown nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision import summary
from airflow_provider_launchdarkly.decision.policy_parts import Guardrail, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.verdict import MetricJudgement


def without_events(policy: Policy, metrics: Iterable[MetricJudgement]) -> list[MetricJudgement]:
    """Return the guardrails and signals that are the same for every unit, and hold back a ship by that.

    Args:
        policy: The policy.
        metrics: Those of the policy's metrics that were measured.
    """
    return [metric for part, metric in _silent(policy, metrics) if _held_by(part)]


def unchecked(policy: Policy, metrics: Iterable[MetricJudgement]) -> Iterator[str]:
    """Yield a caution for each guardrail and signal that is the same for every unit, whether it holds back or not."""
    for part, metric in _silent(policy, metrics):
        field = "needs_events" if isinstance(part, Guardrail) else "required"
        cure = f"nothing ships, unless the {metric.role.value} has {field}: false because it may well stay so"
        yield f"{summary.constant(metric)}: look at its event's key{f'; {cure}' if _held_by(part) else ''}"


def _silent(policy: Policy, metrics: Iterable[MetricJudgement]) -> Iterator[tuple[Guardrail | Signal, MetricJudgement]]:
    parts: dict[str, Guardrail | Signal] = {part.metric: part for part in policy.guardrails}
    parts |= {part.metric: part for part in policy.signals}
    for metric in metrics:
        if metric.metric in parts and metric.role != "primary" and metric.constant:
            yield parts[metric.metric], metric


def _held_by(part: Guardrail | Signal) -> bool:
    return part.needs_events if isinstance(part, Guardrail) else part.required
