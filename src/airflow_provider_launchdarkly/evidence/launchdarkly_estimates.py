"""The mean and the deviation per unit of each treatment, from LaunchDarkly's results of one metric.

With a covariate (CUPED; Deng, Xu, Kohavi & Walker 2013, "Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data", WSDM) LaunchDarkly gives the share of the variance that it removes, and the posterior of
the adjusted mean, but not the adjusted mean itself. Under the normal model the posterior gives it back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.errors import UnexpectedResponseError
from airflow_provider_launchdarkly.decision.evidence import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_launchdarkly.api.models import MeasuredTreatment, Metric

# By this share the posterior's variance may differ from the one that `varianceReduction` implies.
TOLERANCE = 0.05


class Estimates(NamedTuple):
    """The measurements of one metric.

    Attributes:
        measurements: One for each treatment.
        caution: A sentence on the covariate that LaunchDarkly used; None if it used none.
    """

    measurements: tuple[Measurement, ...]
    caution: str | None = None


def estimates(key: str, results: Iterable[MeasuredTreatment]) -> Estimates:
    """Read the results of one metric.

    LaunchDarkly's CUPED-adjusted estimate is taken where its results give it for every treatment with units; else the
    data's own mean and deviation; else what follows from the posterior of the mean.

    Args:
        key: The metric, for errors and cautions.
        results: The results of each treatment, over everyone.

    Raises:
        UnexpectedResponseError: A treatment has units, but neither its data nor a distribution of a known kind.
    """
    found = tuple(results)
    measured = [result for result in found if result.units]
    if not any(result.variance_reduction for result in measured):
        return Estimates(tuple(_measurement(key, result) for result in found))
    adjusted = {result.treatment_id: _adjusted(result) for result in measured}
    if None in adjusted.values():
        caution = f"LaunchDarkly adjusts {key} by CUPED, but gives no adjusted estimate: the unadjusted one was judged"
        return Estimates(tuple(_measurement(key, result) for result in found), caution)
    caution = (
        f"LaunchDarkly's CUPED-adjusted estimate was judged on {key}: its covariate removes "
        f"{100 * _reduction(measured):.0f} % of the variance"
    )
    return Estimates(tuple(adjusted.get(result.treatment_id) or _measurement(key, result) for result in found), caution)


def check_rates(metric: Metric, results: Iterable[MeasuredTreatment]) -> None:
    """Refuse a mean that a metric of occurrences cannot have.

    A metric that is not numeric counts each occurrence as 1: averaged over a unit it is at most 1, summed it is not
    negative.

    Raises:
        UnexpectedResponseError: The message names metric, treatment and mean.
    """
    if metric.is_numeric:
        return
    highest = math.inf if metric.unit_aggregation_type == "sum" else 1.0
    for result in results:
        if result.data_mean is not None and not 0.0 <= result.data_mean <= highest:
            raise UnexpectedResponseError(
                f"the results of metric {metric.key!r} have a mean of {result.data_mean:g} for treatment "
                f"{result.treatment_name!r}, but it counts occurrences: a unit has from 0 to {highest:g}. Look at the "
                "metric in LaunchDarkly"
            )


def _reduction(measured: Sequence[MeasuredTreatment]) -> float:
    units = sum(result.units or 0 for result in measured)
    return sum((result.variance_reduction or 0.0) * (result.units or 0) for result in measured) / units


def _adjusted(result: MeasuredTreatment) -> Measurement | None:
    """Return the estimate behind the posterior of a normal model; None if it is not the adjusted one.

    The posterior's mean is ``w m + (1 - w) prior`` and its variance ``w s^2 / n``, for a weight `w` of the data
    (``dataWeight``, LaunchDarkly docs, "Statistical methodology"). The variance must agree with ``dataStdDev`` and
    ``varianceReduction``: a posterior of the unadjusted mean is no adjusted estimate.
    """
    distribution, model, units = result.distribution, result.bayesian_normal, result.units or 0
    if distribution is None or distribution.kind != "normal" or result.data_std_dev is None:
        return None
    mu, sigma = distribution.parameters.get("mu"), distribution.parameters.get("sigma")
    weight = model.data_weight if model and model.data_weight is not None else 1.0
    prior = model.prior_mean if model and model.prior_mean is not None else 0.0
    if mu is None or sigma is None or not 0.0 < weight <= 1.0:
        return None
    variance = sigma * sigma * units / weight
    expected = result.data_std_dev**2 * (1.0 - (result.variance_reduction or 0.0))
    if not math.isclose(variance, expected, rel_tol=TOLERANCE):
        return None
    return Measurement(
        result.treatment_id, units, (mu - (1.0 - weight) * prior) / weight, math.sqrt(variance), result.p_best
    )


def _measurement(key: str, result: MeasuredTreatment) -> Measurement:
    units = result.units or 0
    if not units:
        return Measurement(result.treatment_id, 0, None, None, result.p_best)
    mean, std_dev = result.data_mean, result.data_std_dev
    if mean is None or std_dev is None:
        mean, std_dev = _from_distribution(result, units)
    if mean is None or std_dev is None:
        raise UnexpectedResponseError(
            f"the results of metric {key!r} have {units} units for treatment {result.treatment_name!r}, but neither "
            "dataMean and dataStdDev nor a distribution of a known kind"
        )
    return Measurement(result.treatment_id, units, mean, std_dev, result.p_best)


def _from_distribution(result: MeasuredTreatment, units: int) -> tuple[float | None, float | None]:
    """Derive mean and standard deviation per unit from the posterior of the mean.

    The posterior's deviation is that of the mean, so a unit's is larger by the square root of the number of units. The
    prior stays in: with many units it is negligible, with few it only shrinks the difference.
    """
    if result.distribution is None:
        return None, None
    parameters = result.distribution.parameters
    kind = result.distribution.kind
    if kind == "normal":
        mu, sigma = parameters.get("mu"), parameters.get("sigma")
        if mu is not None and sigma is not None and sigma >= 0:
            return mu, sigma * math.sqrt(units)
    if kind == "beta":
        alpha, beta = parameters.get("alpha"), parameters.get("beta")
        if alpha is not None and beta is not None and alpha > 0 and beta > 0:
            rate = alpha / (alpha + beta)
            return rate, math.sqrt(rate * (1.0 - rate))
    return None, None
