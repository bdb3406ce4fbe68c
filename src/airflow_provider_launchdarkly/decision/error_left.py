"""The error that is left to a policy: after another policy judged the same iteration, and after earlier iterations.

Each policy that judges an iteration may ship at its own looks. The chance of a false ship over all of them is at most
the sum of what each has spent (Bonferroni's inequality), so a policy that spends only what the earlier ones have left
keeps the error of one. Iterations of one experiment have separate data; over k of them the chance is
``1 - (1 - alpha)^k``. Half of `alpha` for the first, a quarter for the second and so on sums to `alpha`, however many
there will be.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.config.percent import format_percent
from airflow_provider_launchdarkly.decision.policy_parts import OnChange, OnRepeat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.decision.evidence import Evidence, Spent
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule

# What a policy spends whose error earlier ones have spent: too little to cross with, and more than nothing, so that the
# boundary can be solved.
NOTHING_LEFT = 1e-7


def policy_left(policy: Policy, spent: Spent | None, repeats: int) -> Policy:
    """Return the policy with the error that is left to it.

    Args:
        policy: The policy.
        spent: The error that other policies have spent on the iteration.
        repeats: Number of earlier iterations on the same question.
    """
    alpha, alpha_harm = policy.alpha, policy.alpha_harm
    if policy.on_repeat is OnRepeat.DIVIDE:
        alpha /= 2.0 ** (repeats + 1)
    if spent is not None and policy.on_change is OnChange.SPEND_LEFT:
        alpha = max(alpha - spent.ship, NOTHING_LEFT)
        alpha_harm = max(alpha_harm - spent.harm, NOTHING_LEFT)
    if (alpha, alpha_harm) == (policy.alpha, policy.alpha_harm):
        return policy
    return policy.model_copy(update={"alpha": alpha, "alpha_harm": alpha_harm})


def schedule_left(schedule: LookSchedule, policy: Policy, spent: Spent | None) -> LookSchedule:
    """Return the schedule that spends nothing at the looks before the policy changed."""
    if spent is None or policy.on_change is not OnChange.SPEND_LEFT:
        return schedule
    first = min(bisect_right(schedule.look_times, spent.until) + 1, len(schedule.look_times))
    return schedule._replace(spends_from=first)


def cautions(policy: Policy, evidence: Evidence) -> Iterator[str]:
    """Yield a sentence for a policy that was changed, and for a question that was asked before."""
    spent = evidence.spent
    if spent is not None:
        changed = f"this iteration was judged by another policy before ({', '.join(spent.changes)})"
        if policy.on_change is OnChange.ACCEPT:
            total = _percent(min(spent.ship + policy.alpha, 1.0))
            yield f"{changed}: the chance of a false ship is up to {total}, since on_change is accept"
        elif policy.alpha - spent.ship <= NOTHING_LEFT:
            yield f"{changed}, which spent all of alpha {policy.alpha:g}: nothing can ship any more"
        else:
            left = _percent(policy.alpha - spent.ship)
            yield f"{changed}, which spent {_percent(spent.ship)} of error: {left} is left to ship by"
    if evidence.repeats and policy.on_repeat is not OnRepeat.DIVIDE:
        count = evidence.repeats + 1
        total = _percent(1.0 - (1.0 - policy.alpha) ** count)
        yield f"this is iteration {count} on the same question: the chance of a false ship over all is up to {total}"


def _percent(value: float) -> str:
    return format_percent(value).lstrip("+")
