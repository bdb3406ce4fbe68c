"""Which of a quarter's ships stand when the share of false ones among them is to be bounded.

Benjamini & Hochberg (1995), "Controlling the false discovery rate", JRSS B 57: of n experiments, those with the k
smallest p values stand, for the largest k whose p value is at most ``rate * k / n``. An experiment that did not ship
counts with 1. The p values are on record: see `reading`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.decision.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.portfolio.reading import Outcome


class Discovery(NamedTuple):
    """One ship under the bound.

    Attributes:
        outcome: The experiment.
        stands: Whether it stands.
    """

    outcome: Outcome
    stands: bool


class Discoveries(NamedTuple):
    """The ships of a quarter under the bound.

    Attributes:
        rate: The largest expected share of false ships among those that stand.
        family: Experiments that ended, shipped or not.
        ships: Those that shipped, the smallest p value first.
    """

    rate: float
    family: int
    ships: tuple[Discovery, ...]

    @property
    def all_stand(self) -> bool:
        """True if every ship stands."""
        return all(ship.stands for ship in self.ships)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "false_discovery_rate": self.rate,
            "family": self.family,
            "ships": [
                {
                    "experiment": ship.outcome.experiment,
                    "iteration": ship.outcome.iteration,
                    "p_value": ship.outcome.p_value,
                    "stands": ship.stands,
                }
                for ship in self.ships
            ],
        }


def bound_false_ships(outcomes: Sequence[Outcome], rate: float) -> Discoveries:
    """Say which ships stand so that the expected share of false ones among them is at most a rate.

    Args:
        outcomes: All experiments of the period; those that have not ended belong to the next one.
        rate: The bound, above 0 and below 1.
    """
    family = [outcome for outcome in outcomes if outcome.kind is not Kind.WAIT]
    shipped = sorted((one for one in family if one.kind is Kind.SHIP), key=lambda one: one.p_value)
    standing = standing_of([one.p_value for one in shipped], len(family), rate)
    ships = tuple(Discovery(one, place < standing) for place, one in enumerate(shipped))
    return Discoveries(rate, len(family), ships)


def standing_of(p_values: Sequence[float], family: int, rate: float) -> int:
    """Return how many of the p values, which rise, stand among so many tests."""
    return max((place for place, p in enumerate(p_values, start=1) if p <= rate * place / family), default=0)
