"""The allocation of a plan: the share of the units that each treatment gets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.decision.evidence import Evidence


class Allocation(NamedTuple):
    """The shares of the baseline and of the treatments that are compared with it. They sum to 1.

    A treatment without a share gets no units and is compared with nothing, so it is left out.

    Attributes:
        baseline: The baseline's share, above 0.
        challengers: The share of each treatment that is compared with it, above 0.
        known: Whether these are the planned shares; False for even ones that were assumed.
    """

    baseline: float
    challengers: tuple[float, ...]
    known: bool = True

    @classmethod
    def of_shares(cls, shares: Sequence[float], *, known: bool = True) -> Allocation:
        """Return the allocation of these shares, the baseline first; only their ratios matter.

        Raises:
            ValueError: The baseline or every other treatment has no share.
        """
        baseline, *others = shares
        served = [share for share in others if share > 0]
        if not baseline > 0 or not served:
            written = "/".join(f"{share:g}" for share in shares)
            raise ValueError(
                f"allocation {written}: give the baseline, which comes first, and at least one other treatment a share "
                "above 0"
            )
        total = math.fsum((baseline, *served))
        return cls(baseline / total, tuple(share / total for share in served), known)

    @classmethod
    def even(cls, treatments: int) -> Allocation:
        """Return an even allocation over so many treatments, the baseline included."""
        return cls.of_shares((1.0,) * treatments)

    @classmethod
    def of(cls, evidence: Evidence) -> Allocation:
        """Return the planned allocation of an iteration; an even one where a share is unknown or none is served."""
        baseline = evidence.baseline.share
        others = [treatment.share for treatment in evidence.challengers]
        known = [share for share in others if share is not None]
        if not baseline or len(known) < len(others) or not any(known):
            return cls.of_shares((1.0,) * len(evidence.treatments), known=False)
        return cls.of_shares((baseline, *known))

    @property
    def treatments(self) -> int:
        """Number of treatments that get units, with the baseline."""
        return 1 + len(self.challengers)

    @override
    def __str__(self) -> str:
        return "/".join(f"{100.0 * share:.4g}" for share in (self.baseline, *self.challengers))


EVEN = Allocation.even(2)
