"""Judge harm at any moment for many experiments at once: the e-processes of `decision.anytime`, in arrays.

The formulas stand here a second time, as those of `effects` do. A property test holds both to the same evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

from airflow_provider_launchdarkly.decision.anytime import DEVIATIONS, FEWEST_UNITS, LOG_ODDS
from airflow_provider_launchdarkly.simulation.effects import ones_of, z_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.simulation.sampling import MetricDraws

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]
    Columns = tuple[Floats, ...]


def harmed_at_any_time(
    metric: MetricDraws, units: NDArray[np.int64], sign: int, margin: float, alpha: float
) -> Booleans:
    """Return which treatments lose more than a margin of the baseline's mean, by the tests that hold at any moment.

    Args:
        metric: Means and variances, with the baseline first on the last axis.
        units: Units, in the same shape.
        sign: 1 if higher is better, else -1.
        margin: Share of the baseline's mean that may be lost.
        alpha: Probability of ever finding harm where no more than the margin is lost.

    Returns:
        One value for each treatment but the baseline.
    """
    needed = -np.log(alpha)
    return np.asarray(log_evidence(metric, units, sign, margin, at_least=needed) >= needed)


def log_evidence(
    metric: MetricDraws, units: NDArray[np.int64], sign: int, margin: float, *, at_least: float = -np.inf
) -> Floats:
    """Return the logarithm of each treatment's evidence of harm; 0 where nothing can be judged.

    Args:
        metric: As for :func:`harmed_at_any_time`, and so the next three.
        units: Units.
        sign: 1 or -1.
        margin: The margin.
        at_least: Evidence that matters, above 0: where there is certainly less, 0 is returned, which saves time.
    """
    count = units.astype(np.float64)
    few = np.minimum(count[..., :1], count[..., 1:])
    ones, binary = ones_of(metric, count)
    counted = binary[..., 1:] & binary[..., :1] & (few >= 1)
    found: Floats = np.zeros(counted.shape)
    columns = tuple(
        np.broadcast_to(column, counted.shape)[counted]
        for column in (ones[..., 1:], count[..., 1:], ones[..., :1], count[..., :1])
    )
    found[counted] = _of_counts(columns, 1.0 - sign * margin, -sign, at_least)
    means = ~counted & (few >= FEWEST_UNITS)
    if means.any():
        z = -z_values(metric, units, sign, margin)
        # No size of harm has more evidence than z^2 / 2.
        means &= np.maximum(z, 0.0) ** 2 / 2.0 >= at_least if at_least > 0.0 else ~np.isnan(z)
        shared = count[..., 1:] * count[..., :1] / np.maximum(count[..., 1:] + count[..., :1], 1.0)
        found[means] = _of_means(z[means], shared[means])
    return found


def _of_counts(columns: Columns, ratio: float, towards: int, at_least: float) -> Floats:
    """Return `log_evidence_of_counts` for arrays."""
    ones, units, baseline_ones, baseline_units = columns
    share = units / (units + baseline_units)
    pooled = (ones + baseline_ones) / (units + baseline_units)
    baseline = pooled / (share * ratio + 1.0 - share)
    treated = ratio * baseline
    possible = (pooled > 0.0) & (pooled < 1.0) & (treated < 1.0) & (baseline < 1.0)
    if at_least > 0.0:
        # No rates have more evidence than the measured ones.
        rate, baseline_rate = ones / units, baseline_ones / baseline_units
        with np.errstate(divide="ignore", invalid="ignore"):
            most = xlogy(ones, rate / treated) + xlogy(units - ones, (1.0 - rate) / (1.0 - treated))
            most += xlogy(baseline_ones, baseline_rate / baseline)
            most += xlogy(baseline_units - baseline_ones, (1.0 - baseline_rate) / (1.0 - baseline))
        possible &= (most >= at_least) & (towards * (rate - ratio * baseline_rate) > 0.0)
    found: Floats = np.zeros(ones.shape)
    chosen = tuple(column[possible] for column in (*columns, treated, baseline))
    found[possible] = _mixture(chosen, towards)
    return found


def _mixture(columns: Columns, towards: int) -> Floats:
    ones, units, baseline_ones, baseline_units, treated, baseline = columns
    share = units / (units + baseline_units)
    pooled = (ones + baseline_ones) / (units + baseline_units)
    odds_ratio = treated * (1.0 - baseline) / (baseline * (1.0 - treated))
    found: Floats = np.full(ones.shape, -np.inf)
    for size in LOG_ODDS:
        odds = odds_ratio * np.exp(towards * size)
        a, b = (1.0 - share) * (odds - 1.0), share * odds + 1.0 - share - pooled * (odds - 1.0)
        other = 2.0 * pooled / (b + np.sqrt(np.maximum(b * b + 4.0 * a * pooled, 0.0)))
        harmed = odds * other / (1.0 - other + odds * other)
        part = ones * _log(harmed / treated) + (units - ones) * _log((1.0 - harmed) / (1.0 - treated))
        part += baseline_ones * _log(other / baseline)
        part += (baseline_units - baseline_ones) * _log((1.0 - other) / (1.0 - baseline))
        np.logaddexp(found, part, out=found)
    return np.asarray(found - np.log(len(LOG_ODDS)))


def _log(value: Floats) -> Floats:
    return np.log(np.maximum(value, 1e-300))


def _of_means(z: Floats, units: Floats) -> Floats:
    """Return `log_evidence_of_mean` for arrays."""
    root = np.sqrt(units)
    found: Floats = np.full(z.shape, -np.inf)
    for size in DEVIATIONS:
        np.logaddexp(found, size * (root * z - size * units / 2.0), out=found)
    return np.asarray(found - np.log(len(DEVIATIONS)))
