"""Forecast a plan: how likely it finds an effect and how long it runs, by integration and without simulation.

It assumes traffic that comes evenly, metrics that do not depend on each other, and means that are normal; the
simulation assumes none of the three.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.allocation import EVEN
from airflow_provider_launchdarkly.decision.assessment import FEWEST_UNITS_FOR_HARM
from airflow_provider_launchdarkly.decision.boundaries import crossing_probabilities, exit_probabilities, quantile
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.plan_concerns import ANY_START
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Clock, Direction, Rule
from airflow_provider_launchdarkly.decision.sample_size import contrast_with_variance, effect_to_find
from airflow_provider_launchdarkly.decision.schedule import schedule_looks

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.boundaries import Boundary
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Baseline, Guardrail, Traffic
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule

_MOST_STEPS = 40


class Forecast(NamedTuple):
    """The expected course of one plan, for one true change of the primary metric.

    Attributes:
        change: The true relative change, positive for better.
        ship: Probability that the treatment with the change ships.
        rollback: Probability that it is rolled back.
        futile: Probability that futility ends it before the plan's end.
        mean_days: Expected length, in days.
        ship_by: Probability to have shipped by each look.
    """

    change: float
    ship: float
    rollback: float
    futile: float
    mean_days: float
    ship_by: tuple[float, ...]

    @property
    def inconclusive(self) -> float:
        """Probability to end without a winner."""
        return max(1.0 - self.ship - self.rollback, 0.0)


class _Look(NamedTuple):
    """A look of the plan: its day, the units that have arrived, and the share of the plan that is over."""

    days: float
    units: float
    share: float


class Plan:
    """A plan of one policy at one allocation, under even traffic.

    Args:
        policy: The policy.
        allocation: The allocation. With several treatments, one of them has the change.
        traffic: The expected traffic; None for the policy's own, which also plans its units.
        correlation: Correlation of the metrics with a covariate that takes its part out of their variance (CUPED: Deng,
            Xu, Kohavi & Walker 2013, WSDM), which leaves ``1 - correlation^2`` of it.
        ships: False for a stage that ships nothing, and only rolls back.

    Raises:
        ValueError: The policy has no traffic, a baseline of 0, or a rule without boundaries.
    """

    def __init__(
        self,
        policy: Policy,
        allocation: Allocation,
        *,
        traffic: Traffic | None = None,
        correlation: float = 0.0,
        ships: bool = True,
    ) -> None:
        traffic = traffic or policy.traffic
        if traffic is None:
            raise ValueError("a forecast needs the policy's traffic: units_per_day, and the baseline's mean")
        if traffic.mean == 0:
            raise ValueError("traffic.mean is 0, so no relative change exists; give the baseline's mean")
        if policy.rule is not Rule.GROUP_SEQUENTIAL:
            raise ValueError(f"rule {policy.rule.value} has no boundaries to integrate; measure it with `simulate`")
        if policy.other_primaries:
            raise ValueError("a forecast is about one primary metric; measure several with `simulate`")
        self.policy, self.allocation, self.ships = policy, allocation, ships
        self.traffic, self.correlation = traffic, correlation
        self.schedule = schedule_looks(policy, ANY_START, allocation)
        self.rates = ErrorRates.of(policy, allocation)
        self.looks = self._looks()

    @property
    def days(self) -> float:
        """Day of the last look."""
        return self.looks[-1].days

    def forecast(self, change: float) -> Forecast:
        """Forecast the plan for a true relative change of the primary metric, positive for better."""
        drift = self.drift(change)
        exits = exit_probabilities(self._fractions, self._upper, self._lower, self._futile, drift)
        kept, proven = self._kept, self._proven
        shipped = tuple(crossed * shown for crossed, shown in zip(accumulate(exits.above), proven, strict=True))
        ship = rollback = futile = mean_days = 0.0
        running, ship_by = 1.0, []
        for place, look in enumerate(self.looks):
            fresh = max(shipped[place] - (shipped[place - 1] if place else 0.0), 0.0)
            lost = running * (1.0 - kept[place] / (kept[place - 1] if place else 1.0))
            alive = kept[place]
            ship += fresh * alive
            rollback += lost + exits.below[place] * alive
            futile += exits.between[place] * alive
            ended = lost + (fresh + exits.below[place] + exits.between[place]) * alive
            if place == len(self.looks) - 1:
                ended = running
            mean_days += ended * look.days
            running = max(running - ended, 0.0)
            ship_by.append(ship)
        return Forecast(change, ship, min(rollback, 1.0), min(futile, 1.0), mean_days, tuple(ship_by))

    def drift(self, change: float) -> float:
        """Return the expected z value at the last look, for a true relative change of the primary metric."""
        return self._drift(self.traffic, self.policy.primary.direction, change, self.policy.primary.margin)

    def smallest_effect(self, power: float) -> float | None:
        """Return the smallest relative change that ships with this probability; None if none does.

        Guardrails may roll back so often that it is out of reach. By secant steps on the scale of the normal
        distribution, on which power is nearly a straight line.
        """
        highest = self.forecast(self._change_of(12.0)).ship
        if highest <= power:
            return None
        wanted = -quantile(power)
        low, change = 0.0, self._change_of(quantile(self.rates.ship) - quantile(power))
        low_value = -quantile(max(self.forecast(low).ship, 1e-6))
        for _ in range(_MOST_STEPS):
            value = -quantile(min(max(self.forecast(change).ship, 1e-6), 1.0 - 1e-9))
            if abs(value - wanted) < 1e-3:
                break
            slope = (value - low_value) / (change - low)
            low, low_value = change, value
            change = max(change + (wanted - value) / slope, change / 2.0) if slope > 0 else change * 1.5
        return change

    def boundaries(self) -> tuple[Boundary, Boundary]:
        """Return the boundaries for success and for harm to the primary metric, as even traffic has them."""
        return expected_boundaries(self.policy, self.schedule, self.rates)

    @property
    def independent_ships(self) -> float:
        """How many independent comparisons the treatments have on the primary metric."""
        return math.log1p(-self.policy.alpha) / math.log1p(-self.rates.ship)

    def _looks(self) -> tuple[_Look, ...]:
        found = []
        for time in self.schedule.look_times:
            # Units count once burn-in and maturity are over; no look is before that.
            units = self.traffic.units_per_day * ((time - self.policy.lag) / DAY)
            found.append(_Look(time / DAY, units, self.schedule.share(time, int(units))))
            if self.schedule.ended(time, int(units)):
                break
        return tuple(found)

    @cached_property
    def _fractions(self) -> tuple[float, ...]:
        return tuple(look.units / self.looks[-1].units for look in self.looks)

    @cached_property
    def _upper(self) -> tuple[float, ...]:
        boundary, smallest = self.boundaries()[0], min(self.allocation.baseline, *self.allocation.challengers)

        def bound(look: _Look) -> float:
            early = look.days < self.policy.min_duration / DAY
            small = look.units * smallest < self.policy.min_units_per_treatment
            return math.inf if early or small or not self.ships else boundary.at(look.share)

        return tuple(bound(look) for look in self.looks)

    @cached_property
    def _lower(self) -> tuple[float, ...]:
        harm = self._harm(self.boundaries()[1])
        return tuple(-bound for bound in harm)

    @cached_property
    def _futile(self) -> tuple[float, ...]:
        """The z value at each look below which futility ends the experiment, as `Futility.ends` has it."""
        futility, wanted = self.policy.futility, effect_to_find(self.policy)
        final = self.schedule.ship_boundary(self.rates.ship, self.policy.ship_spending).z[-1]
        least = None if futility is None else futility.predictive_power or futility.conditional_power

        def floor(look: _Look, upper: float) -> float:
            if futility is None or least is None or not math.isfinite(upper) or look.share >= 1.0:
                return -math.inf
            apart, root = quantile(least) * math.sqrt(1.0 - look.share), math.sqrt(look.share)
            if futility.predictive_power is not None:
                return final * root - apart
            if wanted is None:
                return -math.inf
            # Where a margin is to be shown, a treatment that changes nothing is the one to find.
            planned = self.drift(self.policy.primary.minimum_detectable_effect or 0.0)
            return (final - planned * (1.0 - look.share) - apart) / root

        return tuple(floor(look, upper) for look, upper in zip(self.looks, self._upper, strict=True))

    @cached_property
    def _kept(self) -> tuple[float, ...]:
        """The probability that no guardrail has rolled back by each look, while nothing harms."""
        kept = [1.0] * len(self.looks)
        if not self.policy.guardrails:
            return tuple(kept)
        rates = self.rates._replace(primary_harm=self.rates.guardrail_harm)
        bound = self._harm(expected_boundaries(self.policy, self.schedule, rates)[1])
        for drift, count in Counter(self._guardrail_drift(each) for each in self.policy.guardrails).items():
            crossed = crossing_probabilities(self._fractions, bound, -drift)
            for place, lost in enumerate(accumulate(crossed)):
                kept[place] *= (1.0 - lost) ** (count * self._independent)
        return tuple(kept)

    @cached_property
    def _proven(self) -> tuple[float, ...]:
        """The probability that all guardrails to be proven have been, by each look, while nothing harms."""
        proven = [1.0] * len(self.looks)
        for guardrail in self.policy.guardrails:
            if guardrail.prove:
                crossed = crossing_probabilities(self._fractions, self._upper, self._guardrail_drift(guardrail))
                proven = [chance * shown for chance, shown in zip(proven, accumulate(crossed), strict=True)]
        return tuple(proven)

    def _harm(self, boundary: Boundary) -> tuple[float, ...]:
        smallest = min(self.allocation.baseline, *self.allocation.challengers)
        return tuple(
            boundary.at(look.share) if look.units * smallest >= FEWEST_UNITS_FOR_HARM else math.inf
            for look in self.looks
        )

    @cached_property
    def _independent(self) -> float:
        """How many independent comparisons a guardrail has: correlated ones are worth less than their number."""
        together = ErrorRates.of(self.policy, EVEN).guardrail_harm
        return math.log1p(-together) / math.log1p(-self.rates.guardrail_harm)

    def _guardrail_drift(self, guardrail: Guardrail) -> float:
        return self._drift(self.traffic.of(guardrail.metric), guardrail.direction, 0.0, guardrail.margin)

    def _drift(self, measured: Baseline, direction: Direction | None, change: float, margin: float) -> float:
        """Return the expected z value at the last look, in the smallest treatment."""
        sign = (direction or Direction.HIGHER).sign
        shares = (min(self.allocation.challengers), self.allocation.baseline)
        contrast, variance = contrast_with_variance(measured, sign, change, margin, shares)
        left = 1.0 - self.correlation**2
        return contrast * math.sqrt(self.looks[-1].units / (variance * left))

    def _change_of(self, drift: float) -> float:
        """Return about the change whose drift this is: exactly, where the variance does not depend on it."""
        small, start = 1e-3, self.drift(0.0)
        slope = (self.drift(small) - start) / small
        return max((drift - start) / slope, small)


def expected_boundaries(policy: Policy, schedule: LookSchedule, rates: ErrorRates) -> tuple[Boundary, Boundary]:
    """Return the boundaries for success and for harm that even traffic brings.

    The information clock then has the boundary of even traffic; by the clock alone there is insurance against growth.

    Args:
        policy: The policy.
        schedule: Its looks.
        rates: The error rates of its comparisons.
    """
    if policy.clock is Clock.INFORMATION:
        schedule = schedule._replace(planned_units=schedule.planned_units or policy.min_units_per_treatment)
    ship = schedule.ship_boundary(rates.ship, policy.ship_spending)
    return ship, schedule.harm_boundary(rates.primary_harm, policy.harm_spending)
