"""The data behind pictures of a simulation: the boundaries by day, sample paths, and the endings by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Rule
from airflow_provider_launchdarkly.decision.verdict import Kind

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.simulation.report import Simulation

ENDINGS = (Kind.SHIP, Kind.ROLLBACK, Kind.INCONCLUSIVE, Kind.INVALID)


class Bounds(NamedTuple):
    """The boundaries of a simulated plan, up to the look that ends it.

    Attributes:
        days: Day of each look.
        ship: z at which a treatment ships.
        harm: z at which it is rolled back, negative.
        ships: Whether something may ship at the look.
    """

    days: list[float]
    ship: list[float]
    harm: list[float]
    ships: list[bool]


def days_of(simulation: Simulation) -> list[float]:
    """Return the day of each look."""
    return [time / DAY for time in simulation.schedule.look_times]


def bounds_of(policy: Policy, simulation: Simulation, allocation: Allocation) -> Bounds | None:
    """Return the boundaries of the plan that was simulated; None for a rule that has none."""
    if policy.rule is not Rule.GROUP_SEQUENTIAL:
        return None
    schedule, rates = simulation.schedule, ErrorRates.of(policy, allocation)
    ship = schedule.ship_boundary(rates.ship, policy.ship_spending)
    harm = schedule.harm_boundary(rates.primary_harm, policy.harm_spending)
    # By units, the plan is over before its last look.
    judged = int(np.argmax(simulation.shares >= 1.0)) + 1
    days = days_of(simulation)[:judged]
    shares = [float(share) for share in simulation.shares[:judged]]
    return Bounds(
        days,
        [ship.at(share) for share in shares],
        [-harm.at(share) for share in shares],
        [when >= policy.min_duration / DAY for when in days],
    )


def endings_by_look(simulation: Simulation, *, effect: bool) -> dict[str, list[float]]:
    """Return, for each ending, the share of the experiments that end so at each look.

    Args:
        simulation: The simulation.
        effect: Those with the effect, or those without.
    """
    found = simulation.with_effect if effect else simulation.no_effect
    looks = len(simulation.schedule.look_times)
    return {
        kind.value: [
            float(count) / len(found.look) for count in np.bincount(found.look[found.are(kind)], minlength=looks)
        ]
        for kind in ENDINGS
    }
