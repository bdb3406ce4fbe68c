"""`decision.estimate.estimate` for many z values at one stop: the same equations, solved for all of them at once.

Most of the work is the probability to have crossed before the stop, which depends on the effect alone. It is computed
once on a fine grid of effects; between them a cubic is exact to about a millionth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from airflow_provider_launchdarkly.decision.estimate import IMPOSSIBLE, LEVEL, Path, crossings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.decision.boundaries import Crossings

    Floats = NDArray[np.float64]

# Expected z values at the stop: how far from the measured one an effect is searched, and the steps of the grid.
_FARTHEST = 12.0
_STEP = 0.1
# Halvings of the interval that holds an effect: to within 2e-6.
_HALVINGS = 24
# No path is followed further from its mean than this many standard deviations.
_REACH = 8.0


def estimate_all(path: Path, z: Floats) -> Floats:
    """Return the four estimates of `decision.estimate.StopEstimate` for each z value.

    Args:
        path: The looks, with the boundary at which they stopped.
        z: The z values at the stop, positive towards that boundary.

    Returns:
        Shape (4, z values), in the order of the fields of `StopEstimate`.
    """
    stop, found = path.stop, np.empty((4, len(z)))
    crossings = crossings_of(path)
    before = np.zeros(len(z))
    for look in range(stop):
        before += _beyond(crossings, look, np.full(len(z), path.bounds[look]), z)[0]
    # An effect as large as the measured one would have crossed before: the earlier looks do not count.
    impossible = (1.0 - before < IMPOSSIBLE) if stop else np.zeros(len(z), dtype=np.bool_)
    if impossible.any():
        found[:, impossible] = estimate_all(Path(path.fractions[stop:], path.bounds[stop:], 0), z[impossible])
    rest = ~impossible
    if rest.any():
        lower, median, upper = _solved(crossings, path, z[rest])
        found[:, rest] = z[rest] - _excess(crossings, path, median), median, lower, upper
    return found


def _solved(crossings: Crossings, path: Path, z: Floats) -> Floats:
    """Return the effects at which what was seen, or stronger evidence, has the probabilities of tail, half and tail."""
    tail = (1.0 - LEVEL) / 2.0
    wanted = np.repeat([tail, 0.5, 1.0 - tail], len(z))
    seen = np.tile(z, 3)
    if path.stop == 0:
        return np.asarray(seen + ndtri(wanted)).reshape(3, -1)
    start = float(z.min()) - _FARTHEST
    steps = math.ceil((float(z.max()) + _FARTHEST - start) / _STEP) + 3
    drifts = start + _STEP * np.arange(steps, dtype=np.float64)
    earlier = np.zeros(len(drifts))
    for look in range(path.stop):
        earlier += _beyond(crossings, look, np.full(len(drifts), path.bounds[look]), drifts)[0]
    low, high = seen - _FARTHEST + _STEP, seen + _FARTHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        stronger = _between(earlier, (middle - start) / _STEP) + _beyond(crossings, path.stop, seen, middle)[0]
        low, high = np.where(stronger < wanted, middle, low), np.where(stronger < wanted, high, middle)
    return np.asarray((low + high) / 2.0).reshape(3, -1)


def _between(values: Floats, place: Floats) -> Floats:
    """Return the cubic through the four values around each place, which is an index with a fraction."""
    first = np.clip(place.astype(np.int64) - 1, 0, len(values) - 4)
    t = place - first - 1.0
    a, b, c, d = (values[first + number] for number in range(4))
    return np.asarray(
        -a * t * (t - 1.0) * (t - 2.0) / 6.0
        + b * (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
        - c * (t + 1.0) * t * (t - 2.0) / 2.0
        + d * (t + 1.0) * t * (t - 1.0) / 6.0
    )


def _excess(crossings: Crossings, path: Path, drifts: Floats) -> Floats:
    """Return `decision.estimate.excess` for many effects."""
    ever, seen = np.zeros(len(drifts)), np.zeros(len(drifts))
    for look, (fraction, bound) in enumerate(zip(path.fractions, path.bounds, strict=True)):
        probability, place = _beyond(crossings, look, np.full(len(drifts), bound), drifts)
        ever += probability
        seen += place / fraction
    crosses = ever > 1e-12
    return np.where(crosses, np.divide(seen, ever, out=np.zeros(len(ever)), where=crosses) - drifts, 0.0)


def _beyond(crossings: Crossings, look: int, bounds: Floats, drifts: Floats) -> tuple[Floats, Floats]:
    """Return `Crossings.beyond` for pairs of a z value and an effect."""
    fraction, time, all_points, all_masses = crossings.reaching(look)
    points, masses = np.array(all_points), np.array(all_masses)
    length = fraction - time
    deviation = math.sqrt(length)
    moved, place = drifts * length, bounds * math.sqrt(fraction)
    # The points are sorted: those too far below every bound are left out.
    kept = slice(int(np.searchsorted(points, float((place - moved).min()) - _REACH * deviation)), None)
    points, masses = points[kept], masses[kept]
    weight = np.exp(drifts[:, None] * points - (0.5 * drifts * drifts * time)[:, None]) * masses
    centre = points + moved[:, None]
    distance = (centre - place[:, None]) / deviation
    share = weight * ndtr(distance)
    density = np.exp(-0.5 * distance * distance) * (deviation / math.sqrt(2.0 * math.pi))
    return share.sum(axis=1), (centre * share + weight * density).sum(axis=1)
