"""The error rates of single comparisons: how a policy's error is divided over metrics and treatments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.dunnett import per_comparison_error
from airflow_provider_launchdarkly.decision.policy_parts import Multiplicity

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy

# With guardrails, harm to the primary metric takes this share of alpha_harm and the guardrails share the rest: a
# harmed primary metric cannot ship anyway.
PRIMARY_SHARE_OF_HARM = 0.03


class ErrorRates(NamedTuple):
    """The one-sided error over all looks of one comparison: one metric in one treatment.

    Over metrics an error is divided evenly (Bonferroni), since nothing is known of their correlation. Over treatments
    it is divided by Dunnett's test, since they share one baseline.

    Attributes:
        ship: For the primary metric to ship; the same for each guardrail to be proven.
        primary_harm: For harm to the primary metric.
        guardrail_harm: For harm to one guardrail; 0 without guardrails.
    """

    ship: float
    primary_harm: float
    guardrail_harm: float

    @classmethod
    def of(cls, policy: Policy, allocation: Allocation) -> ErrorRates:
        """Divide a policy's error rates.

        Args:
            policy: The policy.
            allocation: The planned allocation, whose treatments are compared with the baseline.
        """

        def divided(alpha: float) -> float:
            if policy.multiplicity is Multiplicity.BONFERRONI:
                return alpha / len(allocation.challengers)
            return per_comparison_error(alpha, allocation)

        ship = divided(policy.alpha)
        if not policy.guardrails:
            return cls(ship, divided(policy.alpha_harm), 0.0)
        rest = policy.alpha_harm * (1.0 - PRIMARY_SHARE_OF_HARM) / len(policy.guardrails)
        return cls(ship, divided(policy.alpha_harm * PRIMARY_SHARE_OF_HARM), divided(rest))
