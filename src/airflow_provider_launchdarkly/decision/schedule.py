"""The look schedule of a policy: the times of the looks, their planned information, and their boundaries.

The same policy and start give the same schedule in every process, so none needs to remember an earlier look.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.decision import boundaries
from airflow_provider_launchdarkly.decision.allocation import EVEN
from airflow_provider_launchdarkly.decision.boundaries import Boundary
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.policy_parts import DAY, MOST_LOOKS
from airflow_provider_launchdarkly.decision.sample_size import (
    drift_for,
    effect_to_find,
    expected_units,
    needed_units,
    power_of_each,
)

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy

# Without a planned number of units, boundaries are solved for traffic that grows in a straight line, from the plan's
# start to its end, by these factors. Growth is the unfavourable case: the looks then carry less information than the
# clock says and agree less with each other. Solved for it, an alpha of 5 % costs 4.5 % under even traffic and 5.1 %
# under threefold growth, instead of 5.0 % and 5.7 %; `concepts/how-we-decide.md` has the table. A false rollback is the
# cheaper error and harm must be found early, so harm insures itself against less.
SHIP_GROWTH = 2.5
HARM_GROWTH = 2.0


class LookSchedule(NamedTuple):
    """The looks of a policy, and the boundaries at them.

    Attributes:
        look_times: Time of each look after the iteration's start, rising; the last is the plan's end.
        min_duration: Nothing ships before.
        planned_units: Units over all treatments at which the plan ends early; None if only the clock ends it.
        lag: Time until the first unit counts; the plan's clock starts then.
        spends_from: Number of the first look at which error is spent, from 1; a later one after a change of the policy.
    """

    look_times: tuple[timedelta, ...]
    min_duration: timedelta
    planned_units: int | None
    lag: timedelta = timedelta()
    spends_from: int = 1

    @property
    def end(self) -> timedelta:
        """The latest end of the plan."""
        return self.look_times[-1]

    def progress(self, time: timedelta) -> float:
        """Return the share of the plan that is over at a time after the start, by the clock: 0 before `lag`."""
        return max((time - self.lag) / (self.end - self.lag), 0.0)

    def look_at(self, elapsed: timedelta) -> int:
        """Return the number of the latest look whose time has come, from 1; 0 before the first."""
        return bisect_right(self.look_times, elapsed)

    def ended(self, elapsed: timedelta, units: int) -> bool:
        """Return whether the plan has ended."""
        full = self.planned_units is not None and units >= self.planned_units and elapsed >= self.min_duration
        return full or elapsed >= self.end

    @property
    def first_ship_look(self) -> int:
        """Number of the first look at which something may ship, from 1."""
        return max(bisect_left(self.look_times, self.min_duration) + 1, self.spends_from)

    def planned_share(self, elapsed: timedelta, units: float) -> float:
        """Return the share of the planned units that counts before the plan's end, 0 to 1.

        The plan does not end before `min_duration`, so before it the share is not ahead of the time.
        """
        share = min(1.0, units / self.planned_units) if self.planned_units else 0.0
        return min(share, elapsed / self.min_duration) if elapsed < self.min_duration else share

    def share(self, elapsed: timedelta, units: int) -> float:
        """Return the share of the plan that is over, 0 to 1.

        With planned units it is the share of them that has arrived, which is the information fraction. Without, it is
        the share of the plan's duration at the latest planned look. At the plan's end it is 1: all error is spent then,
        however many units arrived.
        """
        if self.ended(elapsed, units):
            return 1.0
        if self.planned_units is not None:
            return min(1.0, units / self.planned_units)
        look = self.look_at(elapsed)
        return self.progress(self.look_times[look - 1]) if look else 0.0

    def ship_boundary(self, alpha: float, gamma: float) -> Boundary:
        """Return the boundary for success. Error is only spent at looks at which something may ship.

        Args:
            alpha: One-sided error over all looks.
            gamma: Shape of the spending function.
        """
        return self._solve(self.first_ship_look - 1, SHIP_GROWTH, alpha, gamma)

    def harm_boundary(self, alpha: float, gamma: float) -> Boundary:
        """Return the boundary for harm, which is judged at every look.

        Args:
            alpha: One-sided error over all looks.
            gamma: Shape of the spending function.
        """
        return self._solve(self.spends_from - 1, HARM_GROWTH, alpha, gamma)

    def _solve(self, first: int, growth: float, alpha: float, gamma: float) -> Boundary:
        """Solve the boundary of the looks from `first` on.

        The looks before spend nothing, and the spending function is stretched over the others: were the first look to
        spend what the earlier ones might have, the bar would be lower there than at the look after it.
        """
        growth = 1.0 if self.planned_units is not None else growth
        shares = [self.progress(time) for time in self.look_times]
        fractions = [information(share, growth) for share in shares]
        before = boundaries.hwang_shih_decani(1.0, gamma, fractions[first - 1]) if first else 0.0
        spent = tuple(
            alpha * (boundaries.hwang_shih_decani(1.0, gamma, fraction) - before) / (1.0 - before)
            for fraction in fractions[first:]
        )
        return Boundary(tuple(shares[first:]), boundaries.solve(tuple(fractions[first:]), spent), spent)


def information(share: float, growth: float) -> float:
    """Return the information fraction after a share of the time, under traffic that grows linearly by a factor.

    It is the share of the units that have arrived: ``(2 t + (growth - 1) t^2) / (growth + 1)``.
    """
    return (2.0 * share + (growth - 1.0) * share * share) / (growth + 1.0)


def schedule_looks(policy: Policy, started_at: datetime | None = None, allocation: Allocation = EVEN) -> LookSchedule:
    """Compute the look schedule of a policy.

    Args:
        policy: The policy.
        started_at: When the iteration started, aware; only needed for looks at cron times.
        allocation: The planned allocation; an uneven one, and more treatments, need more units.

    Raises:
        ValueError: Cron looks without a start, or more than `MOST_LOOKS` of them.
    """
    times = look_times(policy, started_at)
    planned = policy.planned_units
    if planned is None:
        needed = units_for_power(policy, times, allocation)
        # Units that the expected traffic does not bring before the plan's end plan nothing: then time ends the plan.
        planned = needed if needed is not None and needed < expected_units(policy, times[-1] / DAY) else None
    return LookSchedule(times, policy.min_duration, planned, policy.lag)


def units_for_power(policy: Policy, times: tuple[timedelta, ...], allocation: Allocation) -> int | None:
    """Return the units over all treatments that find the policy's effect with its power, however long they take.

    Solving the boundary takes some milliseconds.

    Args:
        policy: The policy.
        times: Times of its looks.
        allocation: The planned allocation.

    Returns:
        The units; None if the policy names no effect or no traffic.
    """
    if policy.traffic is None or effect_to_find(policy) is None:
        return None
    # By units: the spending follows them, so the boundary is that of even traffic.
    by_units = LookSchedule(times, policy.min_duration, policy.min_units_per_treatment, policy.lag)
    boundary = by_units.ship_boundary(ErrorRates.of(policy, allocation).ship, policy.ship_spending)
    return needed_units(policy, drift_for(boundary.shares, boundary.z, power_of_each(policy)), allocation)


def look_times(policy: Policy, started_at: datetime | None = None) -> tuple[timedelta, ...]:
    """Return the times of the looks after the iteration's start; the last is `max_duration`.

    Times at which no unit counts yet, because of `burn_in` and `maturity`, are no looks.

    Args:
        policy: The policy.
        started_at: When the iteration started, aware; only needed for looks at cron times.
    """
    looks, end = policy.looks, policy.max_duration
    times: list[timedelta]
    if looks.every is not None:
        times = [looks.every * number for number in range(1, int(end / looks.every) + 1)]
    elif looks.cron is not None:
        if started_at is None:
            raise ValueError(f"looks at cron {looks.cron!r} need the iteration's start, which is not known")
        if started_at.utcoffset() is None:
            raise ValueError(f"the iteration's start {started_at} has no time zone")
        from airflow_provider_launchdarkly.decision.cron import Cron

        fires = Cron.parse(looks.cron, looks.timezone).between(started_at, started_at + end)
        times = [moment - started_at for moment in islice(fires, MOST_LOOKS + 1)]
        if len(times) > MOST_LOOKS:
            raise ValueError(
                f"looks.cron {looks.cron!r} makes more than {MOST_LOOKS} looks before max_duration "
                f"{format_duration(end)}; take one that fires less often"
            )
    else:
        times = list(looks.times)
    return (*(time for time in times if policy.lag < time < end), end)


def due_look(
    policy: Policy | LookSchedule,
    elapsed: timedelta,
    *,
    previous: timedelta | None = None,
    tolerance: timedelta | None = None,
    started_at: datetime | None = None,
) -> int | None:
    """Return the look that is due now, if any.

    With `previous`, a look is due when its time has come since then. A fresh process has no previous time: for it a
    look is due only within the tolerance, so that a restart between two looks adds none. A missed look costs a little
    power and nothing else. After the plan's end a look is always due.

    Args:
        policy: The policy, or its schedule.
        elapsed: Time since the iteration's start, by LaunchDarkly's clock.
        previous: `elapsed` of the same process's previous call.
        tolerance: Time for which a look stays due for a fresh process; None is a quarter of the time to the next look.
            Where a new process checks at an interval, it should be at least that interval.
        started_at: When the iteration started; only needed for looks at cron times.

    Returns:
        The look's number, from 1; None between looks.
    """
    schedule = policy if isinstance(policy, LookSchedule) else schedule_looks(policy, started_at)
    look = schedule.look_at(elapsed)
    if look == 0:
        return None
    if elapsed >= schedule.end:
        return look
    time = schedule.look_times[look - 1]
    if previous is not None:
        return look if time > previous else None
    if tolerance is None:
        tolerance = (schedule.look_times[look] - time) / 4
    return look if elapsed - time <= tolerance else None


def next_look(
    policy: Policy | LookSchedule, elapsed: timedelta, *, started_at: datetime | None = None
) -> timedelta | None:
    """Return the time of the next look after the iteration's start; None at or after the plan's end."""
    schedule = policy if isinstance(policy, LookSchedule) else schedule_looks(policy, started_at)
    look = schedule.look_at(elapsed)
    return schedule.look_times[look] if look < len(schedule.look_times) else None
