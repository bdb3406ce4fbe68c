"""The look schedule of a policy: the times of the looks, their planned information, and their boundaries.

The same policy and start give the same schedule in every process, so none needs to remember an earlier look.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.decision import boundaries
from airflow_provider_launchdarkly.decision.boundaries import Boundary
from airflow_provider_launchdarkly.decision.policy_parts import MOST_LOOKS

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_launchdarkly.decision.policy import Policy

# Without a planned number of units, boundaries are solved for traffic that grows in a straight line, from the plan's
# start to its end, by these factors. Growth is the unfavourable case: the looks then carry less information than the
# clock says and agree less with each other. Solved for it, an alpha of 5 % costs 4.5 % under even traffic and 5.1 %
# under threefold growth, instead of 5.0 % and 5.7 %; `concepts/how-we-decide.md` has the table. A false rollback is the
# cheaper error and harm must be found early, so harm insures itself against less.
SHIP_GROWTH = 2.5
HARM_GROWTH = 2.0

# With guardrails, harm to the primary metric takes this share of alpha_harm and the guardrails share the rest: a
# harmed primary metric cannot ship anyway.
PRIMARY_SHARE_OF_HARM = 0.03


# A Monday, for looks at cron times of an iteration that has not started.
_ANY_START = datetime(2024, 1, 1, tzinfo=UTC)


class LookSchedule(NamedTuple):
    """The looks of a policy, and the boundaries at them.

    Attributes:
        look_times: Time of each look after the iteration's start, rising; the last is the plan's end.
        min_duration: Nothing ships before.
        planned_units: Units over all treatments at which the plan ends early; None if only the clock ends it.
    """

    look_times: tuple[timedelta, ...]
    min_duration: timedelta
    planned_units: int | None

    @property
    def end(self) -> timedelta:
        """The latest end of the plan."""
        return self.look_times[-1]

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
        return bisect_left(self.look_times, self.min_duration) + 1

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
        return self.look_times[look - 1] / self.end if look else 0.0

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
        return self._solve(0, HARM_GROWTH, alpha, gamma)

    def _solve(self, first: int, growth: float, alpha: float, gamma: float) -> Boundary:
        """Solve the boundary of the looks from `first` on.

        The looks before spend nothing, and the spending function is stretched over the others: were the first look to
        spend what the earlier ones might have, the bar would be lower there than at the look after it.
        """
        growth = 1.0 if self.planned_units is not None else growth
        shares = [time / self.end for time in self.look_times]
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


def schedule_looks(policy: Policy, started_at: datetime | None = None, treatments: int = 2) -> LookSchedule:
    """Compute the look schedule of a policy.

    Args:
        policy: The policy.
        started_at: When the iteration started, aware; only needed for looks at cron times.
        treatments: Number of treatments, with the baseline; more need more units.

    Raises:
        ValueError: Cron looks without a start, or more than `MOST_LOOKS` of them.
    """
    times = look_times(policy, started_at)
    return LookSchedule(times, policy.min_duration, policy.planned_units or _units_for_power(policy, times, treatments))


def _units_for_power(policy: Policy, times: tuple[timedelta, ...], treatments: int) -> int | None:
    """Return the units over all treatments that detect the policy's effect with its power.

    ``n = 2 (drift * std_dev / effect)**2`` per treatment, where `drift` is the expected z value at the plan's end at
    which the boundary is crossed with that power (Jennison & Turnbull 2000, section 3.1). None if the policy names no
    effect, or if the expected traffic is too little before the plan's end: then time ends the plan.
    """
    needed = _needed_units(policy, times, treatments)
    return needed if needed is not None and needed < _expected_units(policy, times[-1]) else None


def find_plan_concerns(policy: Policy, treatments: int = 2) -> tuple[str, ...]:
    """Return a sentence for each planned number of units that the expected traffic does not bring in time.

    Solving the boundary takes some milliseconds, so only the command line asks for it.

    Args:
        policy: The policy.
        treatments: Number of treatments, with the baseline.
    """
    if policy.traffic is None:
        return ()
    times = look_times(policy, _ANY_START)
    expected, longest = _expected_units(policy, times[-1]), format_duration(policy.max_duration)
    arriving = f"{policy.traffic.units_per_day:g} a day bring {expected:,.0f} until max_duration {longest}"
    if policy.planned_units is not None:
        wanted = f"planned_units {policy.planned_units:,}"
        return (f"{wanted} do not arrive: {arriving}",) if policy.planned_units > expected else ()
    needed = _needed_units(policy, times, treatments)
    if needed is None or needed <= expected:
        return ()
    field = "margin" if policy.primary.margin else "minimum_detectable_effect"
    effect = policy.primary.margin or policy.primary.minimum_detectable_effect or 0.0
    least = effect * math.sqrt(needed / expected)
    concern = (
        f"primary.{field} {effect:g} does not fit: to find {100 * effect:g} % with power {policy.power:g} takes "
        f"{needed:,} units, and {arriving}; {least:.2g} fits, or a longer max_duration"
    )
    return (concern,)


def _expected_units(policy: Policy, end: timedelta) -> float:
    return 0.0 if policy.traffic is None else policy.traffic.units_per_day * (end.total_seconds() / 86400.0)


def _needed_units(policy: Policy, times: tuple[timedelta, ...], treatments: int) -> int | None:
    """Return the units that detect the policy's effect, however long they take; None if the policy names no effect."""
    relative = policy.primary.margin or policy.primary.minimum_detectable_effect
    if policy.traffic is None or relative is None or policy.traffic.mean == 0:
        return None
    shares = tuple(time / times[-1] for time in times)
    drift = _drift_for(shares, policy.alpha / (treatments - 1), policy.ship_spending, policy.power)
    effect = relative * abs(policy.traffic.mean)
    return math.ceil(treatments * 2.0 * (drift * policy.traffic.deviation / effect) ** 2)


@lru_cache(maxsize=64)
def _drift_for(fractions: tuple[float, ...], alpha: float, gamma: float, power: float) -> float:
    spent = tuple(boundaries.hwang_shih_decani(alpha, gamma, fraction) for fraction in fractions)
    z = boundaries.solve(fractions, spent)
    low, high = 0.0, 12.0
    while high - low > 1e-4:
        middle = (low + high) / 2.0
        found = math.fsum(boundaries.crossing_probabilities(fractions, z, middle))
        low, high = (middle, high) if found < power else (low, middle)
    return high


def look_times(policy: Policy, started_at: datetime | None = None) -> tuple[timedelta, ...]:
    """Return the times of the looks after the iteration's start; the last is `max_duration`.

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
    return (*(time for time in times if time < end), end)


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
