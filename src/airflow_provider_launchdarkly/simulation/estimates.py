"""The estimates at the stop of many experiments: `decision.estimate` on a grid of z values, and between them a line.

All experiments that stop at one look count as stopped on the planned path, with the information that the plan expects
there. `decide` takes each one's own; for traffic as planned, the two hardly differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.estimate import Path
from airflow_provider_launchdarkly.decision.policy_parts import Clock, Direction, Rule
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.effects import z_values
from airflow_provider_launchdarkly.simulation.sampling import MetricDraws
from airflow_provider_launchdarkly.simulation.stops import estimate_all

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.decision.boundaries import Boundary
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.simulation.sampling import Draws
    from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes

    Floats = NDArray[np.float64]

_Number = TypeVar("_Number", np.float64, np.int64)

# z values at which the estimates of one look are computed.
_GRID = 15


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of effects at the stop, as lifts on the primary metric; one entry for each experiment, NaN for none.

    Attributes:
        bias_adjusted: As `decision.verdict.Estimate`; only for those that shipped.
        median_unbiased: For those that shipped or ended inconclusive.
        lower: Lower end of its interval.
        upper: Upper end.
    """

    bias_adjusted: Floats
    median_unbiased: Floats
    lower: Floats
    upper: Floats

    def covers(self, lift: float) -> NDArray[np.bool_]:
        """Return whether each interval holds a lift."""
        return np.asarray((self.lower <= lift) & (lift <= self.upper))


def estimate_stops(
    policy: Policy,
    draws: Draws,
    outcomes: Outcomes,
    planned_shares: tuple[float, ...],
    started_at: datetime | None = None,
) -> Estimates:
    """Return the estimates at each experiment's stop, for its winner, or for the first treatment if there is none.

    Args:
        policy: The policy.
        draws: The measurements at each look.
        outcomes: The endings of the same experiments.
        planned_shares: The planned shares of the treatments, the baseline first.
        started_at: Start of the iterations; only needed for looks at cron times.
    """
    allocation = Allocation.of_shares(planned_shares)
    schedule = schedule_looks(policy, started_at, allocation)
    sign, margin = (policy.primary.direction or Direction.HIGHER).sign, policy.primary.margin
    row, shown = np.arange(len(outcomes.look)), np.maximum(outcomes.winner, 1)
    pair = np.stack([np.zeros_like(shown), shown], axis=1)

    def stopped_at(values: NDArray[_Number]) -> NDArray[_Number]:
        """Return the baseline's and the shown treatment's values at each stop."""
        return np.take_along_axis(values[row, outcomes.look], pair, axis=1)

    metric = MetricDraws(stopped_at(draws.primary.mean), stopped_at(draws.primary.variance))
    units = stopped_at(draws.units_of(draws.primary))
    z = z_values(metric, units, sign, margin)[:, 0]
    found = np.full((4, len(row)), np.nan)
    if policy.rule is Rule.GROUP_SEQUENTIAL:
        # The information clock's boundaries are those of the information that comes: here the planned one.
        exact = schedule._replace(planned_units=schedule.planned_units or 1)
        chosen = exact if policy.clock is Clock.INFORMATION else schedule
        boundary = chosen.ship_boundary(ErrorRates.of(policy, allocation).ship, policy.ship_spending)
        total = draws.units_of(draws.primary).sum(axis=2)[row, outcomes.look]
        moments = [draws.moments[look] for look in outcomes.look]
        shares = np.array([schedule.share(moment, int(count)) for moment, count in zip(moments, total, strict=True)])
        stopped = outcomes.are(Kind.SHIP) | (outcomes.are(Kind.INCONCLUSIVE) & ~outcomes.futile)
        _fill(found, z, shares, boundary, stopped)
        if policy.futility is not None and policy.futility.predictive_power is not None:
            below = np.full_like(found, np.nan)
            _fill(below, -z, shares, policy.futility.mirrored(boundary, None), outcomes.futile)
            found = np.where(outcomes.futile, -below[[0, 1, 3, 2]], found)
        found[0, ~outcomes.are(Kind.SHIP)] = np.nan
    lifts = _lifts(metric, units, sign * (z - found))
    lower, upper = (lifts[2], lifts[3]) if sign > 0 else (lifts[3], lifts[2])
    return Estimates(lifts[0], lifts[1], lower, upper)


def _lifts(metric: MetricDraws, units: NDArray[np.int64], distance: Floats) -> Floats:
    """Return `Effect.lift_at` by the treatments' own variances (Fieller's limits)."""
    square = distance * distance
    error = metric.variance / np.maximum(units, 1)
    base, top = metric.mean[:, 0], metric.mean[:, 1]
    leading = base * base - square * error[:, 0]
    inside = np.maximum(base * base * top * top - leading * (top * top - square * error[:, 1]), 0.0)
    ratio = np.full_like(distance, np.nan)
    np.divide(base * top - np.sign(distance) * np.sqrt(inside), leading, out=ratio, where=leading > 0)
    return ratio - 1.0


def _fill(found: Floats, z: Floats, shares: Floats, boundary: Boundary, chosen: NDArray[np.bool_]) -> None:
    """Write the estimates of the chosen experiments, as z values, by the planned look that is nearest to each stop."""
    planned = np.array(boundary.shares)
    nearest = np.abs(shares[:, None] - planned).argmin(axis=1)
    for look in np.unique(nearest[chosen]):
        members = chosen & (nearest == look) & np.isfinite(z)
        if not members.any():
            continue
        path = Path.of(boundary, boundary.shares[look], boundary.z[look])
        grid = np.linspace(z[members].min(), z[members].max() + 1e-9, _GRID)
        for index, exact in enumerate(estimate_all(path, grid)):
            found[index, members] = np.interp(z[members], grid, exact)
