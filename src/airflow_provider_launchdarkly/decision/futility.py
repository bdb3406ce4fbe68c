"""Futility: end an experiment early that will hardly ship, and say how likely it still is to ship.

Two measures by stochastic curtailment (Jennison & Turnbull 2000, "Group Sequential Methods with Applications to
Clinical Trials", chapter 10). With the share of information *t*, ``B = z sqrt(t)`` and the boundary *c* of the plan's
end, the path ends at ``B + theta (1 - t)`` with variance ``1 - t``, where theta is the z value that an effect gives at
the plan's end. Both leave out that the treatment may also ship before the end, so they are slightly too low.

The rule is non-binding: the boundaries for shipping are solved as if it did not exist. So it costs no error, and an
experiment that goes on nevertheless keeps its promise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.boundaries import Boundary, quantile, tail

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.verdict import Prospects

Power = Annotated[float, Field(gt=0.0, lt=0.5, strict=True)]


class Futility(StrictModel):
    """The power below which an experiment ends early, `inconclusive` with the reason `futile`.

    Attributes:
        predictive_power: Ends it when the probability to ship by the plan's end is lower, given only what was measured.
        conditional_power: Ends it when the probability to ship by the plan's end is lower, if the treatment has the
            planned effect: `primary.minimum_detectable_effect`, or no change where a margin is to be shown.

    Give exactly one of them.
    """

    predictive_power: Power | None = None
    conditional_power: Power | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("predictive_power", "conditional_power") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of predictive_power, conditional_power, not {' and '.join(given) or 'none'}; "
                "futility: off turns it off"
            )
        return self

    def ends(self, prospects: Prospects) -> bool:
        """Return whether a comparison with these prospects is futile."""
        if self.predictive_power is not None:
            return prospects.predictive_power < self.predictive_power
        found = prospects.planned_conditional_power
        return found is not None and self.conditional_power is not None and found < self.conditional_power

    def mirrored(self, boundary: Boundary, planned: float | None) -> Boundary:
        """Return the z values below which a look is futile, with the opposite sign: a boundary that futility crosses.

        Args:
            boundary: The boundary for shipping.
            planned: The z value that the planned effect gives at the plan's end; None without one.
        """
        final, least = boundary.z[-1], self.predictive_power or self.conditional_power or 0.0
        theta = planned if self.predictive_power is None else None
        bounds = []
        for share in boundary.shares:
            rest = max(1.0 - share, 0.0)
            short = quantile(least) * math.sqrt(rest)
            # Solved for z: there the power is the least one.
            if theta is None:
                lowest = final * math.sqrt(share) - short
            else:
                lowest = (final - theta * rest - short) / math.sqrt(share)
            bounds.append(-lowest)
        return Boundary(boundary.shares, tuple(bounds), boundary.spent)


def prospects(z: float, planned: float | None, share: float, boundary: Boundary) -> Prospects | None:
    """Return how likely a comparison is to reach the boundary of the plan's end.

    Args:
        z: Its z value now.
        planned: The z value that the planned effect would give now; None without a planned effect.
        share: Share of the plan's information that is in.
        boundary: Its boundary.

    Returns:
        The prospects; None before the first look and at the plan's end.
    """
    # Imported here, since each DAG file with a policy imports this module.
    from airflow_provider_launchdarkly.decision.verdict import Prospects

    if not 0.0 < share < 1.0:
        return None
    final, rest = boundary.z[-1], 1.0 - share
    # The effect measured so far and the planned one, as z values at the plan's end.
    trend, wanted = z / math.sqrt(share), None if planned is None else planned / math.sqrt(share)

    def conditional(theta: float) -> float:
        return tail((final - z * math.sqrt(share) - theta * rest) / math.sqrt(rest))

    return Prospects(
        conditional_power=conditional(trend),
        planned_conditional_power=None if wanted is None else conditional(wanted),
        # Spiegelhalter, Freedman & Blackburn (1986), Controlled Clinical Trials 7: the conditional power, averaged over
        # theta ~ N(trend, 1 / t), the posterior under a flat prior.
        predictive_power=tail((final * math.sqrt(share) - z) / math.sqrt(rest)),
    )
