"""The error rates of single comparisons: how a policy's error is divided over metrics and treatments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.dunnett import per_comparison_error
from airflow_provider_launchdarkly.decision.policy_parts import Multiplicity, Rule

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy

# With guardrails, harm to the primary metric takes this share of alpha_harm and the guardrails share the rest: a
# harmed primary metric cannot ship anyway.
PRIMARY_SHARE_OF_HARM = 0.03

# With `harm_looks`, the looks at any moment take this share of alpha_harm, evenly over the metrics, and the planned
# looks the rest. `concepts/how-we-decide.md` has the price and the gain.
ANYTIME_SHARE_OF_HARM = 0.2


class ErrorRates(NamedTuple):
    """The one-sided error over all looks of one comparison: one metric in one treatment.

    Over metrics an error is divided evenly (Bonferroni), since nothing is known of their correlation. Over treatments
    it is divided by Dunnett's test, since they share one baseline.

    Attributes:
        ship: For a primary metric to ship; the same for each guardrail to be proven.
        primary_harm: For harm to the primary metric at the planned looks.
        guardrail_harm: For harm to one guardrail at the planned looks; 0 without guardrails.
        anytime_harm: For harm to one metric at any moment; 0 without `harm_looks`. Here treatments share evenly, too.
    """

    ship: float
    primary_harm: float
    guardrail_harm: float
    anytime_harm: float

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

        count = len(policy.primaries)
        if policy.ships_on_any:
            # Bonferroni. Holm's steps could only add claims on further metrics after one has shipped.
            ship = divided(policy.alpha / count)
        elif count > 1:
            # An intersection-union test (Berger 1982) needs no correction over metrics. The metric on which a treatment
            # is not better may differ among treatments, and then nothing is known of their correlation.
            ship = policy.alpha / len(allocation.challengers)
        else:
            ship = divided(policy.alpha)
        at_any_time = 0.0 if policy.harm_looks is None else policy.alpha_harm * ANYTIME_SHARE_OF_HARM
        planned = policy.alpha_harm - at_any_time
        metrics = len(policy.guardrails) + (count if policy.rule is Rule.GROUP_SEQUENTIAL else 0)
        anytime_harm = at_any_time / max(metrics, 1) / len(allocation.challengers)
        if policy.ships_on_any:
            # A treatment that harms one primary metric may ship on another one, so each counts like a guardrail.
            each = divided(planned / (count + len(policy.guardrails)))
            return cls(ship, each, each if policy.guardrails else 0.0, anytime_harm)
        if not policy.guardrails:
            return cls(ship, divided(planned / count), 0.0, anytime_harm)
        rest = planned * (1.0 - PRIMARY_SHARE_OF_HARM) / len(policy.guardrails)
        return cls(ship, divided(planned * PRIMARY_SHARE_OF_HARM / count), divided(rest), anytime_harm)
