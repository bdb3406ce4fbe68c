"""The information clock of `decision.information` for many experiments: which z values reach their boundaries.

Each experiment's history is what its own earlier looks measured. The rules stand here a second time, as in
`vectorized_judge`; tests hold both to the same verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_launchdarkly.decision import boundaries as one_boundary
from airflow_provider_launchdarkly.decision.information import CLEAR, LEAST_STEP
from airflow_provider_launchdarkly.decision.schedule import HARM_GROWTH, SHIP_GROWTH, information
from airflow_provider_launchdarkly.simulation.boundaries import crossed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.decision.schedule import LookSchedule
    from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Readings:
    """`Reading` for every experiment and look; a weight of 0 stands for no information."""

    weight: Floats
    variance: Floats
    mean: Floats
    clear: Booleans

    def shares(self, rows: NDArray[np.int64], looks: list[int], now: int) -> Floats:
        """Return `Reading.share_of` of these looks in one look, in the axes experiment and look.

        Args:
            rows: The experiments; the others are not computed.
            looks: The looks.
            now: The one look.
        """
        chosen, last = np.ix_(rows, np.array(looks)), np.ix_(rows, np.array([now]))
        weight, variance, mean = self.weight[last], self.variance[last], self.mean[last]
        weights = self.weight[chosen]
        known = (weights > 0.0) & (weight > 0.0)
        spread = np.divide(self.variance[chosen], variance, out=np.ones(known.shape), where=known)
        factor = np.minimum(spread, 1.0 / spread)
        clear = self.clear[chosen] & self.clear[last] & known
        growth = np.divide(self.mean[chosen], mean, out=np.ones(known.shape), where=clear)
        factor = np.where(clear, np.minimum(factor, growth * growth / spread), factor)
        part = np.divide(weights, weight, out=np.zeros(known.shape), where=known)
        return np.asarray(np.where(known, np.minimum(part * factor, 1.0), 0.0))


class InformationClocks:
    """The boundaries of all looks of many experiments.

    Args:
        schedule: The looks.
        draws: What was measured.
        ended: Whether the plan has ended, in the axes experiment and look.
    """

    def __init__(self, schedule: LookSchedule, draws: Draws, ended: Booleans) -> None:
        self._schedule, self._draws, self._ended = schedule, draws, ended
        self._numbers = [schedule.look_at(moment) for moment in draws.moments]
        self._total = draws.units_of(draws.primary).sum(axis=2).astype(np.float64)
        self._known: dict[tuple[int, int], _Readings] = {}

    def earlier(self, look: int) -> dict[int, int]:
        """Return the earlier looks that a look knows: their index by their number in the plan."""
        found: dict[int, int] = {}
        for index, number in enumerate(self._numbers[:look]):
            if 0 < number < self._numbers[look]:
                found.setdefault(number, index)
        return found

    def ship(self, z: Floats, metric: MetricDraws, challenger: int, alpha: float, gamma: float) -> Booleans:
        """Return where success reaches its boundary, at the looks that have one by information.

        Args:
            z: The evidence, in the axes experiment and look.
            metric: The metric.
            challenger: Index of the treatment that is compared with the baseline, from 1.
            alpha: One-sided error over all looks.
            gamma: Shape of the spending function.
        """
        readings = self._readings(metric, challenger)
        return self._crossed(z, readings, self._schedule.first_ship_look, SHIP_GROWTH, (alpha, gamma))

    def harm(self, z: Floats, metric: MetricDraws, challenger: int, alpha: float, gamma: float) -> Booleans:
        """Return where harm reaches its boundary; arguments as for :meth:`ship`."""
        return self._crossed(
            z, self._readings(metric, challenger), self._schedule.spends_from, HARM_GROWTH, (alpha, gamma)
        )

    def known(self, *, ship: bool) -> Booleans:
        """Return which looks have a boundary by information: an earlier look is known, and they may spend error."""
        first = self._schedule.first_ship_look if ship else self._schedule.spends_from
        looks = enumerate(self._numbers)
        return np.array([number >= first and bool(self.earlier(look)) for look, number in looks], dtype=np.bool_)

    def _crossed(
        self, z: Floats, readings: _Readings, first: int, growth: float, spending: tuple[float, float]
    ) -> Booleans:
        found = np.zeros(z.shape, dtype=np.bool_)
        for look, number in enumerate(self._numbers):
            known = self.earlier(look)
            # No boundary is below the one of a single look with all the error.
            rows = np.flatnonzero(z[:, look] >= one_boundary.quantile(min(spending[0], 0.5)))
            if number < first or not known or not len(rows):
                continue
            places = self._places(look, known, growth)
            now = np.ones((len(rows), 1))
            shares = np.hstack([readings.shares(rows, [*known.values()], look), now])
            fractions = _filled(places, [*known, number], shares)[:, first:]
            progress = self._progress(look, known, places, rows)
            spent = _spent_by(progress[:, first:], progress[:, [first - 1]], *spending)
            found[rows, look] = crossed(z[rows, look], _apart(fractions), spent)
        return found

    def _places(self, look: int, known: dict[int, int], growth: float) -> list[float]:
        times = [
            self._draws.moments[known[number]] if number in known else self._schedule.look_times[number - 1]
            for number in range(1, self._numbers[look])
        ]
        times.append(self._draws.moments[look])
        return [0.0, *(information(self._schedule.progress(time), growth) for time in times)]

    def _progress(self, look: int, known: dict[int, int], places: list[float], rows: NDArray[np.int64]) -> Floats:
        """Return the share of the plan that was over at each look of the plan, from 0 to this one."""
        schedule, number = self._schedule, self._numbers[look]
        if schedule.planned_units is None:
            shares = [0.0, *(schedule.progress(time) for time in schedule.look_times[:number])]
            progress = np.tile(shares, (len(rows), 1))
        else:
            units = self._total[rows][:, [*known.values(), look]]
            filled = _filled(places, [*known, number], units)
            progress = np.minimum(1.0, filled / schedule.planned_units)
            for earlier in range(1, number + 1):
                time = schedule.look_times[earlier - 1]
                if time < schedule.min_duration:
                    progress[:, earlier] = np.minimum(progress[:, earlier], time / schedule.min_duration)
            progress = np.maximum.accumulate(progress, axis=1)
        progress[self._ended[rows, look], -1] = 1.0
        return progress

    def _readings(self, metric: MetricDraws, challenger: int) -> _Readings:
        key = (id(metric), challenger)
        if key not in self._known:
            self._known[key] = _read(metric, self._draws.units_of(metric), challenger)
        return self._known[key]


def _read(metric: MetricDraws, counts: NDArray[np.int64], challenger: int) -> _Readings:
    """Return `information.read` for every experiment and look."""
    units, others = counts[..., challenger].astype(np.float64), counts[..., 0].astype(np.float64)
    mean, other_mean = metric.mean[..., challenger], metric.mean[..., 0]
    total = np.maximum(units + others, 1.0)
    weight, contrast = units * others / total, mean - other_mean
    variance = (units * metric.variance[..., challenger] + others * metric.variance[..., 0]) / total
    variance = variance + weight / total * contrast * contrast
    common = (units * mean + others * other_mean) / total
    clear = common * common >= CLEAR * CLEAR * variance / total
    return _Readings(np.where(variance > 0.0, weight, 0.0), variance, common, clear)


def _filled(places: list[float], known: list[int], values: Floats) -> Floats:
    """Return values for each look from 0 on: the known ones, and those on the line between them."""
    at = np.array([0.0, *(places[number] for number in known)])
    right = np.clip(np.searchsorted(at, places), 1, len(at) - 1)
    share = (np.array(places) - at[right - 1]) / (at[right] - at[right - 1])
    anchored = np.hstack([np.zeros((len(values), 1)), values])
    left = anchored[:, right - 1]
    return np.asarray(left + share * (anchored[:, right] - left))


def _spent_by(progress: Floats, before: Floats, alpha: float, gamma: float) -> Floats:
    """Return `information.spent_by` for arrays."""
    skipped, spent = (_spending(gamma, part) for part in (before, progress))
    left = np.where(skipped < 1.0, 1.0 - skipped, 1.0)
    return np.asarray(np.where((progress >= 1.0) | (skipped >= 1.0), alpha, alpha * (spent - skipped) / left))


def _spending(gamma: float, fraction: Floats) -> Floats:
    """Return `hwang_shih_decani` for an error of 1."""
    if abs(gamma) < 1e-9:
        return fraction
    spent: Floats = np.expm1(-gamma * fraction) / np.expm1(-gamma)
    return spent


def _apart(fractions: Floats) -> Floats:
    """Return `information.apart` for arrays; looks without information keep their 0."""
    found = fractions.copy()
    following, kept = fractions[:, -1].copy(), fractions[:, -1].copy()
    for look in range(fractions.shape[1] - 2, -1, -1):
        fraction = fractions[:, look]
        has = fraction > 0.0
        kept = np.where(has, kept * np.minimum(fraction / following, 1.0 - LEAST_STEP), kept)
        following = np.where(has, fraction, following)
        found[:, look] = np.where(has, kept, 0.0)
    return found
