"""The facts that stay the same while a task waits: who gets what, and which metrics are watched. For the log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Iteration
    from airflow_provider_launchdarkly.decision.policy import Policy


def background_of(iteration: Iteration | None, policy: Policy | None) -> tuple[str, ...]:
    """Return a line on who gets what, and one on what rolls back.

    Args:
        iteration: The iteration as it was read; None if it was not.
        policy: The policy; None if nothing is judged.

    Returns:
        The lines; none if the iteration is not running.
    """
    if iteration is None or not iteration.running:
        return ()
    treatments = sorted(iteration.treatments, key=lambda each: each.baseline)
    known = [(each.name, each.allocation_percent) for each in treatments]
    shares = ", ".join(f"{name} {share.normalize():f} %" for name, share in known if share is not None)
    served = (f"Served now: {shares}",) if shares else ()
    return (*served, _watched(policy))


def _watched(policy: Policy | None) -> str:
    if policy is None:
        return "Guardrails: none; nothing is judged"
    metrics = ", ".join(policy.watched)
    return f"Guardrails: {metrics}" if metrics else "Guardrails: none; the primary metric alone is watched for harm"
