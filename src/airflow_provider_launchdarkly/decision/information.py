"""The information clock: the boundary of one look, from the information of this look and of the earlier ones.

Error is spent by the plan (calendar spending, Lan & DeMets 1989, Statistics in Medicine 8), so what a look may spend
does not depend on what was measured. How much two looks agree with each other follows from the information that each of
them had, which is measured (two time scales: Lan, Reboussin & DeMets 1994, Communications in Statistics 23). So growth,
press days, late data and metrics that mature keep the error, though the plan does not foresee them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision import boundaries
from airflow_provider_launchdarkly.decision.evidence import EarlierLook
from airflow_provider_launchdarkly.decision.schedule import HARM_GROWTH, SHIP_GROWTH, information

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_launchdarkly.decision.evidence import Evidence, MetricEvidence
    from airflow_provider_launchdarkly.decision.schedule import LookSchedule

# A mean that is this many standard errors away from 0 is known well enough to compare its growth.
CLEAR = 5.0

# Information of two looks differs by this share at least: looks on the same data would agree perfectly, and no boundary
# can be solved for them. Counting less agreement than there is raises the boundary.
LEAST_STEP = 2.5e-3

# So many measurements of earlier looks, at most, stand in an entry of the decision record: some 130 kB.
MOST_NUMBERS = 2000


class Reading(NamedTuple):
    """The information of a look for one comparison.

    Attributes:
        weight: Harmonic number of units, ``n_t n_b / (n_t + n_b)``.
        variance: Variance of all values of both treatments around their common mean.
        mean: That mean.
        clear: Whether the mean is clearly not 0.
    """

    weight: float
    variance: float
    mean: float
    clear: bool

    def share_of(self, later: Reading) -> float:
        """Return the share of a later look's information that this look had, 0 to 1.

        Two looks' z values correlate by its root. The score ``weight * difference`` is a martingale on the clock of its
        variance ``weight * variance`` (Lan & Zucker 1993, Statistics in Medicine 12), whether a unit's value is fixed
        after the exposure or grows with each event. In two cases the looks have less in common. Events that happen
        once, such as conversions with a delay, bring ``weight * rate / (1 - rate)``, in general ``weight * mean^2 /
        variance``. Averages that settle while the units stand still bring ``weight / variance``. The smallest share of
        all is taken, so the looks never count as more alike than they are.
        """
        spread = self.variance / later.variance
        factor = min(spread, 1.0 / spread)
        if self.clear and later.clear:
            growth = self.mean / later.mean
            factor = min(factor, growth * growth / spread)
        return min(self.weight / later.weight * factor, 1.0)


def read(metric: MetricEvidence, treatment_id: str, baseline_id: str) -> Reading | None:
    """Return what a look has for a treatment and the baseline on one metric; None if it has no information."""
    treatment, baseline = metric.of(treatment_id), metric.of(baseline_id)
    if treatment is None or baseline is None:
        return None
    # `of` returns complete measurements only.
    units, mean, deviation = float(treatment.units), treatment.mean or 0.0, treatment.std_dev or 0.0
    others, other_mean, other_deviation = float(baseline.units), baseline.mean or 0.0, baseline.std_dev or 0.0
    total = units + others
    weight, contrast = units * others / total, mean - other_mean
    variance = (units * deviation * deviation + others * other_deviation * other_deviation) / total
    variance += weight / total * contrast * contrast
    if variance <= 0.0:
        return None
    common = (units * mean + others * other_mean) / total
    return Reading(weight, variance, common, common * common >= CLEAR * CLEAR * variance / total)


class Bound(NamedTuple):
    """The boundary of one look.

    Attributes:
        z: The z value to reach.
        spent: Cumulative one-sided error up to and including this look.
        taken: For each look before that could be crossed its information, as a share of this look's, and its boundary.
    """

    z: float
    spent: float
    taken: tuple[tuple[float, float], ...]


class _Side(NamedTuple):
    """Success or harm: the first look that may spend, the growth that fills gaps, the error, its spending function."""

    first: int
    growth: float
    alpha: float
    gamma: float


class InformationClock:
    """The boundaries of the look that is due, for each comparison.

    A planned look that is due but was not recorded counts as taken; its information is filled in between the known
    looks as under growing traffic (`schedule.SHIP_GROWTH`). So with gaps the error is at most that of the clock alone.

    Args:
        schedule: The looks.
        evidence: What this look measured, and what the earlier ones did.
        primary: Key of the primary metric, whose units are planned.
    """

    def __init__(self, schedule: LookSchedule, evidence: Evidence, primary: str) -> None:
        self._schedule, self._evidence, self._primary = schedule, evidence, primary
        self._look = schedule.look_at(evidence.elapsed)
        self._earlier = earlier_by_number(schedule, evidence)

    @property
    def lacks_history(self) -> bool:
        """True after the first look if no earlier one is known."""
        return self._look > 1 and not self._earlier

    def ship(self, metric: MetricEvidence, treatment_id: str, alpha: float, gamma: float) -> Bound | None:
        """Return the boundary for success; None if no earlier look is known, or nothing may ship yet.

        Args:
            metric: The metric of this look.
            treatment_id: The treatment that is compared with the baseline.
            alpha: One-sided error over all looks.
            gamma: Shape of the spending function.
        """
        side = _Side(self._schedule.first_ship_look, SHIP_GROWTH, alpha, gamma)
        return self._bound(metric, treatment_id, side)

    def harm(self, metric: MetricEvidence, treatment_id: str, alpha: float, gamma: float) -> Bound | None:
        """Return the boundary for harm; None if no earlier look is known. Arguments as for :meth:`ship`."""
        return self._bound(metric, treatment_id, _Side(self._schedule.spends_from, HARM_GROWTH, alpha, gamma))

    def _bound(self, metric: MetricEvidence, treatment_id: str, side: _Side) -> Bound | None:
        if self._look < side.first:
            return None
        known = self._information(metric, treatment_id)
        if not known:
            return None
        looks = range(side.first, self._look + 1)
        places = self._places(side.growth)
        fractions = self._filled(places, {**known, self._look: 1.0})
        progress = self._progress(places)
        spent = [spent_by(progress[look], progress[side.first - 1], side.alpha, side.gamma) for look in looks]
        taken = [(fractions[look], cumulative) for look, cumulative in zip(looks, spent, strict=True)]
        # A look without information cannot have been crossed, so what it might have spent is left.
        taken = [(fraction, cumulative) for fraction, cumulative in taken if fraction > 0.0]
        path = apart([fraction for fraction, _ in taken])
        *before, z = boundaries.solve_afresh(path, [cumulative for _, cumulative in taken])
        return Bound(z, spent[-1], tuple(zip(path[:-1], before, strict=True)))

    def _information(self, metric: MetricEvidence, treatment_id: str) -> dict[int, float]:
        """Return the share of today's information that each known look had, by its number."""
        baseline_id = self._evidence.baseline.id
        now = read(metric, treatment_id, baseline_id)
        if now is None:
            return {}
        known = {}
        for number, look in self._earlier.items():
            measured = look.metric(metric.key)
            if measured is not None:
                then = read(measured, treatment_id, baseline_id)
                known[number] = then.share_of(now) if then is not None else 0.0
        return known

    def _progress(self, places: Sequence[float]) -> list[float]:
        """Return the share of the plan that was over at each look, from 0 to today's: of the units, if planned."""
        schedule, evidence = self._schedule, self._evidence
        planned = schedule.planned_units
        looks = range(1, self._look + 1)
        if planned is None:
            return [0.0, *(schedule.progress(schedule.look_times[look - 1]) for look in looks)]
        metrics = {number: look.metric(self._primary) for number, look in self._earlier.items()}
        units = {number: float(metric.units) for number, metric in metrics.items() if metric is not None}
        now = evidence.metric(self._primary).units
        filled = self._filled(places, {**units, self._look: float(now)})
        progress, highest = [0.0], 0.0
        for look in looks:
            highest = max(highest, schedule.planned_share(schedule.look_times[look - 1], filled[look]))
            progress.append(highest)
        if schedule.ended(evidence.elapsed, now):
            progress[-1] = 1.0
        return progress

    def _places(self, growth: float) -> list[float]:
        """Return each look's place, from 0 to today's, on an axis on which growing traffic makes a straight line."""
        progress, earlier = self._schedule.progress, self._earlier
        times = [
            earlier[look].elapsed if look in earlier else self._schedule.look_times[look - 1]
            for look in range(1, self._look)
        ]
        return [0.0, *(information(progress(time), growth) for time in (*times, self._evidence.elapsed))]

    @staticmethod
    def _filled(places: Sequence[float], known: dict[int, float]) -> list[float]:
        """Return a value for each look: the known one, or one on the line between the known ones around it."""
        anchors = [0, *sorted(known)]
        values = {0: 0.0, **known}
        found = []
        for look, place in enumerate(places):
            right = anchors[bisect_left(anchors, look)]
            if right == look:
                found.append(values[look])
                continue
            left = anchors[bisect_left(anchors, look) - 1]
            share = (place - places[left]) / (places[right] - places[left])
            found.append(values[left] + share * (values[right] - values[left]))
        return found


def known_looks(schedule: LookSchedule, looks: Iterable[EarlierLook], evidence: Evidence) -> tuple[EarlierLook, ...]:
    """Return the looks before the one that is due, as :attr:`Evidence.earlier` takes them.

    Of a look that was taken several times, the first counts; the look that is due is left out. What the evidence does
    not measure is left out as well. Long plans with many metrics keep every second look, or fewer: each entry of a
    decision record repeats them.

    Args:
        schedule: The looks.
        looks: What was measured so far, in any order.
        evidence: What the look that is due measured.
    """
    wanted = {metric.key: {measured.treatment_id for measured in metric.measurements} for metric in evidence.metrics}
    numbers = sum(len(treatments) for treatments in wanted.values())
    every = max(1, math.ceil(len(schedule.look_times) * numbers / MOST_NUMBERS))
    ordered = tuple(sorted(looks, key=lambda look: look.elapsed))
    found = earlier_by_number(schedule, evidence._replace(earlier=ordered))
    return tuple(
        EarlierLook(
            look.elapsed,
            tuple(
                metric._replace(
                    measurements=tuple(part for part in metric.measurements if part.treatment_id in wanted[metric.key])
                )
                for metric in look.metrics
                if metric.key in wanted
            ),
        )
        for number, look in found.items()
        if number % every == 0
    )


def earlier_by_number(schedule: LookSchedule, evidence: Evidence) -> dict[int, EarlierLook]:
    """Return the earlier looks by their number in the plan.

    The number of the look that is due is left out, so a repeated look has the same history as the first time. Of a look
    that was taken several times, the first counts.
    """
    found: dict[int, EarlierLook] = {}
    for look in evidence.earlier:
        number = schedule.look_at(look.elapsed)
        if 0 < number < schedule.look_at(evidence.elapsed):
            found.setdefault(number, look)
    return found


def spent_by(progress: float, before: float, alpha: float, gamma: float) -> float:
    """Return the error that may be spent when a share of the plan is over.

    Args:
        progress: The share of the plan.
        before: The share at the last look at which nothing could be spent; the function is stretched over the rest.
        alpha: One-sided error over all looks.
        gamma: Shape of the spending function.
    """
    skipped = boundaries.hwang_shih_decani(1.0, gamma, before)
    if progress >= 1.0 or skipped >= 1.0:
        return alpha
    return alpha * (boundaries.hwang_shih_decani(1.0, gamma, progress) - skipped) / (1.0 - skipped)


def apart(fractions: Sequence[float]) -> list[float]:
    """Return the fractions, rising by `LEAST_STEP` at least; the last one stays as it is, and so do larger steps."""
    found = [fractions[-1]]
    for before, after in pairwise(reversed(fractions)):
        found.append(found[-1] * min(after / before, 1.0 - LEAST_STEP))
    return found[::-1]
