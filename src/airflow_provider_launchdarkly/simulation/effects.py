"""Compute many z values at once: `Effect.z` and the exact test of `Table`, in arrays.

The formulas stand here a second time, as the rules do in `vectorized_judge`. A property test holds both to the same z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from airflow_provider_launchdarkly.decision.counts import (
    ALIKE,
    ENOUGH_VARIANCE,
    LARGEST_SCALE,
    LITTLE_SKEWNESS,
    NEGLIGIBLE,
    OVERWHELMING,
    SMALLEST_TAIL,
    WHOLE,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.simulation.sampling import MetricDraws

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]
    Columns = tuple[Floats, Floats, Floats, Floats]


def z_values(metric: MetricDraws, units: NDArray[np.int64], sign: int = 1, margin: float = 0.0) -> Floats:
    """Return the evidence that each treatment loses less than a margin of the baseline's mean, as z values.

    Args:
        metric: Means and variances, with the baseline first on the last axis.
        units: Units, in the same shape.
        sign: 1 if higher is better, else -1.
        margin: Share of the baseline's mean that may be lost.

    Returns:
        One value for each treatment but the baseline; NaN if there is nothing to compare.
    """
    count = units.astype(np.float64)
    contrast, variance = _contrast(metric, count, _kept(metric, sign, margin))
    constant = (metric.variance[..., 1:] == 0) & (metric.variance[..., :1] == 0)
    constant &= metric.mean[..., 1:] == metric.mean[..., :1]
    known = (count[..., 1:] > 0) & (count[..., :1] > 0)
    z: Floats = np.full(contrast.shape, np.nan)
    np.divide(contrast, np.sqrt(variance), out=z, where=known & ~constant & (variance > 0))
    kept = 1.0 - sign * margin  # the mean of a 0/1 metric is not negative
    if kept > 0:
        ones, binary = ones_of(metric, count)
        columns = (ones[..., 1:], count[..., 1:], ones[..., :1], count[..., :1])
        chosen = known & binary[..., 1:] & binary[..., :1] & _needs_exact_test(columns)
        z[chosen] = _exact(_chosen(columns, chosen), kept)
    return sign * z


def expected_z(metric: MetricDraws, units: NDArray[np.int64], sign: int, margin: float, relative: float) -> Floats:
    """Return `Effect.expected_z` for arrays, NaN if there is none."""
    mean = metric.mean[..., :1]
    contrast, variance = _contrast(metric, units.astype(np.float64), _kept(metric, sign, margin))
    z: Floats = np.full(contrast.shape, np.nan)
    np.divide(relative * np.abs(mean), np.sqrt(variance), out=z, where=(mean != 0.0) & (variance > 0))
    return z


def _kept(metric: MetricDraws, sign: int, margin: float) -> Floats:
    """Return the share of the baseline's mean that has to be kept: a margin is a share of its size."""
    kept: Floats = 1.0 - sign * margin * np.copysign(1.0, metric.mean[..., :1])
    return kept


def _contrast(metric: MetricDraws, count: Floats, kept: Floats) -> tuple[Floats, Floats]:
    """Return ``treatment - kept * baseline`` and its variance, the larger of the own and the pooled."""
    some, many = np.maximum(count[..., :1], 1.0), np.maximum(count[..., 1:], 1.0)
    base, top = kept * kept * metric.variance[..., :1], metric.variance[..., 1:]
    contrast = metric.mean[..., 1:] - kept * metric.mean[..., :1]
    return contrast, np.maximum(top / many + base / some, top / some + base / many + contrast**2 / (many + some))


def ones_of(metric: MetricDraws, units: Floats) -> tuple[Floats, Booleans]:
    """Return how many units are 1, and whether the metric is 0/1, as `counts.ones_of`."""
    some = np.maximum(units, 1.0)
    found = metric.mean * units
    ones = np.round(found)
    expected = ones / some * (1.0 - ones / some)
    corrected = expected * some / np.maximum(units - 1.0, 1.0)
    alike = np.abs(metric.variance - expected) <= ALIKE * expected
    alike |= np.abs(metric.variance - corrected) <= ALIKE * corrected
    return ones, alike & (np.abs(found - ones) <= WHOLE) & (metric.mean >= 0.0) & (metric.mean <= 1.0)


def _needs_exact_test(columns: Columns) -> Booleans:
    """Return `Table.needs_exact_test` for arrays."""
    ones, units, baseline_ones, baseline_units = columns
    total = np.maximum(units + baseline_units, 1.0)
    rate, share = (ones + baseline_ones) / total, units / total
    variance = total * rate * (1.0 - rate) * share * (1.0 - share)
    lopsided = (1.0 - 2.0 * rate) * (1.0 - 2.0 * share)
    return np.asarray((variance < ENOUGH_VARIANCE) | (lopsided * lopsided > LITTLE_SKEWNESS**2 * variance))


def _chosen(columns: Columns, chosen: Booleans) -> Columns:
    first, second, third, fourth = (np.broadcast_to(column, chosen.shape)[chosen] for column in columns)
    return first, second, third, fourth


def _exact(columns: Columns, ratio: float) -> Floats:
    """Return `Table.z` for arrays."""
    ones, units, baseline_ones, baseline_units = columns
    both = ones + baseline_ones
    nothing = (both == 0) | ((both == units + baseline_units) & (ratio == 1.0))
    if ratio != 1.0:
        columns = _scaled(columns, ratio)
    above, below = _beyond(*columns), _beyond(*_mirrored(columns))
    total = above + 1.0 + below
    tail = np.maximum((np.minimum(above, below) + 0.5) / total, SMALLEST_TAIL)
    z: Floats = np.where(above <= below, -1.0, 1.0) * ndtri(tail)
    return np.where(nothing, np.nan, z)


def _scaled(columns: Columns, ratio: float) -> Columns:
    """Return `Table.scaled` for arrays."""
    ones, units, baseline_ones, baseline_units = columns
    a, c = ratio * (units + baseline_units), ones + baseline_ones
    b = ratio * (units + baseline_ones) + ones + baseline_units
    rate = np.minimum(2.0 * c / (b + np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0))), min(1.0, 1.0 / ratio))
    if ratio <= 1.0:
        scale = np.minimum((1.0 - ratio * rate) / np.maximum(1.0 - rate, 1e-300), LARGEST_SCALE)
        return ones, units, baseline_ones * scale, baseline_units * scale / ratio
    scale = np.minimum((1.0 - rate) / np.maximum(1.0 - ratio * rate, 1e-300), LARGEST_SCALE)
    return ones * scale, units * scale * ratio, baseline_ones, baseline_units


def _mirrored(columns: Columns) -> Columns:
    ones, units, baseline_ones, baseline_units = columns
    return units - ones, units, baseline_units - baseline_ones, baseline_units


def _beyond(ones: Floats, units: Floats, baseline_ones: Floats, baseline_units: Floats) -> Floats:
    """Return `counts._beyond` for all tables, step by step; every eighth step drops the finished tables."""
    found = np.zeros_like(ones)
    place = np.arange(len(ones))
    ones, zeros, baseline_zeros = ones.copy(), units - ones, baseline_units - baseline_ones
    baseline_ones, term, total = baseline_ones.copy(), np.ones_like(ones), np.zeros_like(ones)
    going = np.ones(len(ones), dtype=np.bool_)
    step = 0
    while len(place):
        going &= (zeros > 0.0) & (baseline_ones > 0.0)
        ones += 1.0
        baseline_zeros += 1.0
        following = np.where(going, term * (zeros * baseline_ones) / (ones * baseline_zeros), 0.0)
        total += following
        going &= ~((total > OVERWHELMING) | ((following < term) & (following < NEGLIGIBLE * total)))
        term = following
        zeros -= 1.0
        baseline_ones -= 1.0
        step += 1
        if step % 8 == 0 or not going.any():
            found[place[~going]] = total[~going]
            place, ones, zeros, term, total = place[going], ones[going], zeros[going], term[going], total[going]
            baseline_ones, baseline_zeros = baseline_ones[going], baseline_zeros[going]
            going = going[going]
    return found
