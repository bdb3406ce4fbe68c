"""The facts that stay the same while a task waits: who gets what, and which metrics are watched. For the log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Iteration
    from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen
    from airflow_provider_launchdarkly.decision.policy import Policy


def background_of(iteration: Iteration | None, policy: Policy | None, seen: FlagSeen | None = None) -> tuple[str, ...]:
    """Return a line on who gets what, and one on what rolls back.

    Args:
        iteration: The iteration as it was read; None if it was not.
        policy: The policy; None if nothing is judged.
        seen: Its flag, as the newest look found it; None if no look has read it.

    Returns:
        The lines; none if the iteration is not running.
    """
    if iteration is None or not iteration.running:
        return ()
    return (*_served(iteration, seen), _watched(policy))


def _served(iteration: Iteration, seen: FlagSeen | None) -> tuple[str, ...]:
    if seen is not None and seen.at is not None:
        served = ", ".join(f"{name} {percent:g} %" for name, percent, _ in reversed(seen.served))
        return (f"Flag {seen.flag} serves, as the newest look read it: {served}",) if served else ()
    treatments = sorted(iteration.treatments, key=lambda each: each.baseline)
    known = [(each.name, each.allocation_percent) for each in treatments]
    shares = ", ".join(f"{name} {share.normalize():f} %" for name, share in known if share is not None)
    return (f"Allocation: {shares}; people get it while the flag is on, which was not read here",) if shares else ()


def _watched(policy: Policy | None) -> str:
    if policy is None:
        return "Guardrails: none; nothing is judged"
    metrics = ", ".join(policy.watched)
    return f"Guardrails: {metrics}" if metrics else "Guardrails: none; the primary metric alone is watched for harm"
