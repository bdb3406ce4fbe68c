"""Judge harm at any moment, as often as one likes: tests that need no plan of looks.

Each test is an e-process: a statistic that starts at 1 and that no betting strategy can expect to raise while there is
no harm. By Ville's inequality it ever reaches ``1 / alpha`` with probability at most alpha, at any number of looks
(Ramdas, Grünwald, Vovk & Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science
38). Both mix likelihood ratios over harms of several sizes, so a large harm is found early and a small one later. Both
follow from what is measured now: no earlier look is used. Standard library only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.decision.counts import table_of
from airflow_provider_launchdarkly.decision.verdict import Bar

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.counts import Table
    from airflow_provider_launchdarkly.decision.effects import Effect

# The sizes of harm among which the evidence is divided evenly: log odds ratios for 0/1 metrics (2 is a rate that falls
# to an eighth, 1/64 one that falls by 1.5 %), and standard deviations per unit for means.
LOG_ODDS = tuple(2.0**-power for power in range(-1, 7))
DEVIATIONS = tuple(2.0**-power for power in range(8))

# The mean of fewer units is not close enough to normal. 0/1 metrics need no such limit, since their test is exact.
FEWEST_UNITS = 50


def judge_at_any_time(found: Effect, margin: float, alpha: float) -> Bar:
    """Judge whether the treatment loses more than a margin of the baseline's mean, at any moment.

    Args:
        found: The treatment against the baseline on one metric.
        margin: Share of the baseline's mean that may be lost.
        alpha: Probability of ever finding harm, over any number of looks, if no more than the margin is lost.

    Returns:
        The evidence as a z value, positive for harm, beside the z value that it has to reach now. For a 0/1 metric it
        is the z value with which a mean would be as much evidence. Both are None while nothing can be judged.
    """
    table = table_of(found.treatment, found.baseline)
    evidence: float | None = None
    if table is not None:
        sizes, information = LOG_ODDS, _information(table)
        if information > 0:
            evidence = log_evidence_of_counts(table, 1.0 - found.sign * margin, -found.sign)
    else:
        sizes, information = DEVIATIONS, _shared_units(found.treatment.units, found.baseline.units)
        z = found.z(margin) if min(found.treatment.units, found.baseline.units) >= FEWEST_UNITS else None
        if z is not None:
            evidence = log_evidence_of_mean(-z, information)
    if evidence is None:
        return Bar(None, None, alpha, alpha, False)
    needed = -math.log(alpha)
    return Bar(
        z=z_of(evidence, information, sizes),
        boundary=z_of(needed, information, sizes),
        alpha=alpha,
        alpha_spent=alpha,
        reached=evidence >= needed,
    )


def log_evidence_of_counts(table: Table, ratio: float, towards: int) -> float:
    """Return the logarithm of the evidence that the rates differ by more than a ratio, in one direction.

    For a size d of harm it is the likelihood ratio of two rates whose odds ratio is ``exp(d)`` beyond that of
    "treatment = ratio times baseline", against that hypothesis, with the same pooled rate on both sides. Such a ratio
    is an e-variable for each unit that falls into a treatment by chance (Turner, Ly & Grünwald 2024, "Generic
    E-variables for exact sequential k-sample tests that allow for optional stopping", Journal of Statistical Planning
    and Inference 230, section 3), so their product is an e-process.

    Without an effect, the treatment of a unit is a coin toss that does not depend on the unit's value. So for rare 1s
    the order in which units and late conversions arrive does not matter; for frequent ones that arrive late it is an
    approximation. The pooled rate is the measured one; that raises the expected evidence from 1 to 1.022 at most (with
    a margin to 1.04, for 20 units or more), so an alpha of 5 % would be 5.1 %, if looks never ended.

    Args:
        table: The counts.
        ratio: The treatment's rate over the baseline's that is tolerated, above 0.
        towards: 1 if a higher rate is harm, -1 if a lower one is.

    Returns:
        The logarithm; 0, no evidence, if no unit or every unit is 1, or if no rate can be that much higher.
    """
    units = table.units + table.baseline_units
    share, pooled = table.units / units, (table.ones + table.baseline_ones) / units
    baseline = pooled / (share * ratio + 1.0 - share)
    treated = ratio * baseline
    if not (0.0 < pooled < 1.0 and 0.0 < share < 1.0 and treated < 1.0 and baseline < 1.0):
        return 0.0
    odds_ratio = treated * (1.0 - baseline) / (baseline * (1.0 - treated))
    return _mixed(
        [_log_likelihood_ratio(table, treated, baseline, odds_ratio * math.exp(towards * size)) for size in LOG_ODDS]
    )


def _log_likelihood_ratio(table: Table, treated: float, baseline: float, odds_ratio: float) -> float:
    """Return the log likelihood of rates with this odds ratio, over that of the given rates with the same pooled rate.

    With share f of the units, ``f treated' + (1 - f) baseline'`` keeps its value; the baseline's rate is then the root
    of a quadratic equation, in the form that subtracts no nearly equal numbers.
    """
    share = table.units / (table.units + table.baseline_units)
    pooled = share * treated + (1.0 - share) * baseline
    a = (1.0 - share) * (odds_ratio - 1.0)
    b = share * odds_ratio + 1.0 - share - pooled * (odds_ratio - 1.0)
    other = 2.0 * pooled / (b + math.sqrt(max(b * b + 4.0 * a * pooled, 0.0)))
    harmed = odds_ratio * other / (1.0 - other + odds_ratio * other)
    return (
        table.ones * _log(harmed / treated)
        + (table.units - table.ones) * _log((1.0 - harmed) / (1.0 - treated))
        + table.baseline_ones * _log(other / baseline)
        + (table.baseline_units - table.baseline_ones) * _log((1.0 - other) / (1.0 - baseline))
    )


def log_evidence_of_mean(z: float, units: float, sizes: tuple[float, ...] = DEVIATIONS) -> float:
    """Return the logarithm of the evidence of a z value for harm.

    For a size d, in standard deviations, it is ``d sqrt(m) z - d^2 m / 2`` with ``m = n_1 n_2 / (n_1 + n_2)``: a
    mixture of normal likelihood ratios (Robbins 1970, "Statistical methods related to the law of the iterated
    logarithm", Annals of Mathematical Statistics 41; Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49).
    With an estimated deviation it holds as the units grow (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas,
    arXiv:2103.06476, "Time-uniform central limit theory and asymptotic confidence sequences").

    Args:
        z: The difference over its standard error, positive for harm.
        units: The m of the formula; with `LOG_ODDS`, the information on the log odds ratio.
        sizes: The sizes of harm.
    """
    root = math.sqrt(units)
    return _mixed([size * (root * z - size * units / 2.0) for size in sizes])


def z_of(log_evidence: float, units: float, sizes: tuple[float, ...] = DEVIATIONS) -> float:
    """Return the z value with this evidence: the inverse of :func:`log_evidence_of_mean`.

    Newton's method from above: the evidence rises with z and is convex, so no step is too long.
    """
    root, count = math.sqrt(units), math.log(len(sizes))
    z = min((log_evidence + count + size * size * units / 2.0) / (size * root) for size in sizes)
    for _ in range(200):
        parts = [size * (root * z - size * units / 2.0) for size in sizes]
        value = _mixed(parts)
        slope = math.fsum(math.exp(part - value) * size for part, size in zip(parts, sizes, strict=True))
        step = (value - log_evidence) * len(sizes) / (slope * root)
        z -= step
        if abs(step) <= 1e-12 * max(1.0, abs(z)):
            break
    return z


def _mixed(logarithms: list[float]) -> float:
    """Return the logarithm of the mean of these numbers, given their logarithms."""
    largest = max(logarithms)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in logarithms) / len(logarithms))


def _log(value: float) -> float:
    """Return the logarithm, finite where rounding has made the value 0."""
    return math.log(max(value, 1e-300))


def _shared_units(units: float, baseline_units: float) -> float:
    return units * baseline_units / (units + baseline_units)


def _information(table: Table) -> float:
    """Return the information on the log odds ratio near no effect: the variance of the treatment's count of 1s."""
    pooled = (table.ones + table.baseline_ones) / (table.units + table.baseline_units)
    return _shared_units(table.units, table.baseline_units) * pooled * (1.0 - pooled)
