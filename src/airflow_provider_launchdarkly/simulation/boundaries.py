"""Solve the boundaries of many looks at once, as `decision.boundaries` solves one.

Each row is a path of its own: the information of the looks up to now, and what they may spend.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from airflow_provider_launchdarkly.decision.boundaries import FARTHEST, tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

# A little coarser than `decision.boundaries`: z values are exact to about 0.00002.
_REACH = 5.0
_PANEL = 5.0
_MOST_PANELS = 500

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = (_NODES + 1.0) / 2.0, _WEIGHTS / 2.0

# Rows that are solved together: their arrays then fit into a processor's cache.
_ROWS = 64

# Paths that are solved to learn how the boundaries of many similar paths differ.
_SAMPLE = 16
# A boundary that is predicted counts as known to within so many times the largest error of the predictions tried.
_DOUBT = 3.0

_NEVER = tail(FARTHEST)


def crossed(z: Floats, fractions: Floats, spent: Floats) -> Booleans:
    """Return whether each z value reaches the boundary of the last look of its path.

    Only where it matters is a boundary solved: it is never below the one of a single look that may spend all the error
    so far, and never above the one of a single look that may spend this look's part.

    Args:
        z: One for each path; NaN reaches nothing.
        fractions: Shape (paths, looks): information of each look as a share of the last one's, rising, the last 1; 0 at
            looks that had none.
        spent: The same shape: cumulative error by each look.
    """
    last = np.where(fractions[:, :-1] > 0.0, spent[:, :-1], 0.0).max(axis=1, initial=0.0)
    step = spent[:, -1] - last
    possible = step > _NEVER
    least = np.where(possible, -ndtri(np.minimum(spent[:, -1], 0.5)), FARTHEST)
    most = np.where(possible, -ndtri(np.clip(step, _NEVER, 0.5)), FARTHEST)
    found: Booleans = np.asarray(z >= most)
    unclear = np.flatnonzero(possible & (z >= least) & (z < most))
    if len(unclear) > 2 * _SAMPLE:
        found[unclear] = _predicted(z[unclear], fractions[unclear], spent[unclear])
    elif len(unclear):
        found[unclear] = z[unclear] >= solve_last(fractions[unclear], spent[unclear])
    return found


def _predicted(z: Floats, fractions: Floats, spent: Floats) -> Booleans:
    """Return whether each z value reaches its boundary, which is solved only where a prediction leaves a doubt.

    The boundary of a path follows from how close its latest looks are, nearly in a straight line. The line is fitted to
    a sample of solved paths, with the most unusual ones. What is close to its prediction is solved too, and whatever
    that shows of the error of the line widens what counts as close.
    """
    features = _features(fractions, spent)
    rows = {*np.linspace(0, len(z) - 1, _SAMPLE, dtype=np.int64).tolist()}
    rows |= {int(number) for feature in features.T for number in (feature.argmin(), feature.argmax())}
    known, solved = np.zeros(len(z), dtype=np.bool_), np.zeros(len(z))
    doubt, more, predicted = 0.0, np.array(sorted(rows)), np.zeros(len(z))
    while len(more):
        known[more], solved[more] = True, solve_last(fractions[more], spent[more])
        line = np.linalg.lstsq(features[known], solved[known], rcond=None)[0]
        predicted = features @ line
        doubt = max(doubt, _DOUBT * float(np.abs(predicted - solved)[known].max()) + 1e-3)
        more = np.flatnonzero(~known & (np.abs(z - predicted) < doubt))
    return np.asarray(z >= np.where(known, solved, predicted))


def _features(fractions: Floats, spent: Floats) -> Floats:
    """Return what the boundary of each path mostly depends on, with a constant."""
    columns = [np.ones(len(fractions)), fractions.mean(axis=1), spent[:, -1] - spent[:, max(spent.shape[1] - 2, 0)]]
    for back in (2, 3, 4, 6):
        if fractions.shape[1] >= back:
            columns += [fractions[:, -back], np.sqrt(np.maximum(1.0 - fractions[:, -back], 0.0))]
    return np.stack(columns, axis=1)


def solve_last(fractions: Floats, spent: Floats) -> Floats:
    """Return the boundary at the last look of each path; arguments as for :func:`crossed`."""
    found = np.full(len(fractions), FARTHEST)
    steps = np.diff(_kept_up(fractions, spent), axis=1, prepend=0.0)
    taken = (fractions > 0.0) & (steps > _NEVER)
    patterns, which = np.unique(taken, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        if not pattern[-1]:
            continue
        rows = np.flatnonzero(which.ravel() == number)
        path, step = fractions[np.ix_(rows, pattern)], steps[np.ix_(rows, pattern)]
        # Paths with close looks need finer points, so similar paths are solved together.
        order = np.argsort(np.diff(path, axis=1).min(axis=1, initial=1.0))
        for part in np.array_split(order, math.ceil(len(order) / _ROWS)):
            found[rows[part]] = _last_bound(path[part], step[part], spent[rows[part], -1])
    return found


def _kept_up(fractions: Floats, spent: Floats) -> Floats:
    """Return what is spent by each look, where looks without information spend nothing."""
    kept: Floats = np.maximum.accumulate(np.where(fractions > 0.0, spent, 0.0), axis=1)
    return kept


def _last_bound(times: Floats, steps: Floats, total: Floats) -> Floats:
    """Return the last boundary of paths whose every look is a step; the recursion of `decision.boundaries`."""
    rows, looks = times.shape
    floor = -ndtri(np.minimum(total, 0.5))
    now = np.zeros(rows)
    points, masses = np.zeros((rows, 1)), np.ones((rows, 1))
    for look in range(looks):
        time = times[:, look]
        deviation = np.sqrt(time - now)
        bound = _bound_for(points, masses, deviation, np.sqrt(time), steps[:, look])
        if look == looks - 1:
            break
        root, left = np.sqrt(time), np.sqrt(1.0 - time)
        upper = np.minimum(bound, _REACH * root)
        nearest = np.minimum(bound, np.minimum(np.minimum(floor, 0.0), floor * root))
        lower = np.minimum(np.maximum(-_REACH * root, nearest - _REACH * left - 0.5), upper - 1e-6)
        finest = np.sqrt(np.minimum(time - now, times[:, look + 1] - time))
        panels = int(min(max(2.0, math.ceil(((upper - lower) / (_PANEL * finest)).max())), _MOST_PANELS))
        shares = ((np.arange(panels)[:, None] + _NODES) / panels).ravel()
        width = upper - lower
        places = lower[:, None] + width[:, None] * shares
        scale = 1.0 / (deviation * math.sqrt(2.0))
        kernel = (places * scale[:, None])[:, :, None] - (points * scale[:, None])[:, None, :]
        np.multiply(kernel, kernel, out=kernel)
        np.negative(kernel, out=kernel)
        np.exp(kernel, out=kernel)
        density = np.matmul(kernel, masses[:, :, None])[..., 0]
        masses = density * (np.tile(_WEIGHTS, panels) / panels * width[:, None] * scale[:, None] / math.sqrt(math.pi))
        points, now = places, time
    root_now: Floats = bound / np.sqrt(times[:, -1])
    return root_now


def _bound_for(points: Floats, masses: Floats, deviation: Floats, root: Floats, probability: Floats) -> Floats:
    """Return the place that is exceeded with a given probability, by safeguarded Newton steps."""
    low, high = -FARTHEST * root, FARTHEST * root
    bound: Floats = np.minimum(high, -ndtri(np.minimum(probability, 0.5)) * root)
    for _ in range(40):
        distance = (points - bound[:, None]) / deviation[:, None]
        above = (masses * ndtr(distance)).sum(axis=1)
        excess = above - probability
        slope = (masses * np.exp(-0.5 * distance * distance)).sum(axis=1) / (deviation * math.sqrt(2.0 * math.pi))
        low, high = np.where(excess > 0.0, bound, low), np.where(excess > 0.0, high, bound)
        # On the scale of logarithms the tail is nearly a straight line.
        distant = above * np.log(np.maximum(above, 1e-300) / probability)
        following = bound + distant / np.maximum(slope, 1e-300)
        outside = ~((following > low) & (following < high))
        following = np.where(outside, (low + high) / 2.0, following)
        moved = float(np.abs(following - bound).max())
        bound = following
        if moved < 1e-7:
            break
    return bound
