"""Find out if the question of an iteration was asked or judged before, and if the policy allows that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import PolicyChangedError, QuestionRepeatedError
from airflow_provider_launchdarkly.decision.policy_parts import OnChange, OnRepeat

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.decision.evidence import Spent
    from airflow_provider_launchdarkly.decision.policy import Policy


def count_repeats(experiment: Experiment, iteration: Iteration, policy: Policy) -> int:
    """Return how many earlier iterations of the experiment asked the same question.

    An iteration asks the same one if it was started before, on the same flags, treatments and allocation, and measures
    the primary metric. A ramp's stages differ in their allocation, and are no repeats.

    Args:
        experiment: The experiment with all its iterations.
        iteration: The iteration that is judged.
        policy: Its policy, which may name another primary metric than the iteration's own.
    """
    if iteration.started_at is None:
        return 0
    started, question = iteration.started_at, _question(iteration, policy)
    return sum(
        other.id != iteration.id
        and other.started_at is not None
        and other.started_at < started
        and _question(other, policy) == question
        for other in experiment.iterations
    )


def _question(iteration: Iteration, policy: Policy) -> Any:
    key = policy.primary.metric or (iteration.primary.key if iteration.primary else None)
    measures = any(metric.key == key for metric in iteration.measured)
    treatments = sorted(
        (treatment.name, treatment.baseline, str(treatment.allocation_percent)) for treatment in iteration.treatments
    )
    return key if measures else None, sorted(iteration.flags), treatments


def require_allowed(policy: Policy, repeats: int, spent: Spent | None) -> None:
    """Raise if the policy refuses a question that was asked before, or an iteration that another policy has judged.

    Raises:
        PolicyChangedError: `on_change` is `refuse`. The message names each setting that changed, and the cure.
        QuestionRepeatedError: `on_repeat` is `refuse`. The message has the cure.
    """
    if spent is not None and policy.on_change is OnChange.REFUSE:
        changes = "; ".join(spent.changes) or "and was changed back"
        raise PolicyChangedError(
            f"policy.on_change is refuse, and this iteration was judged by another policy before: {changes}. Undo the "
            "change, start a new iteration, or write on_change: spend_left or accept"
        )
    if repeats and policy.on_repeat is OnRepeat.REFUSE:
        count = f"{repeats} earlier iteration{'s' if repeats > 1 else ''}"
        raise QuestionRepeatedError(
            f"policy.on_repeat is refuse, and {count} of this experiment asked the same question: judge the first one, "
            "ask another question, or write on_repeat: accept or divide"
        )
