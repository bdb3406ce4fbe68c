"""What has been measured of an experiment's people by a time. Keeps who was drawn, so that asking again is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from airflow_provider_launchdarkly.emulator.population.people import Population

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
    from airflow_provider_launchdarkly.emulator.population.types import (
        MetricStatistics,
        SimulatedIteration,
        SimulatedMetric,
    )

_KEPT_POPULATIONS = 512


def metric_statistics(
    truth: GroundTruth,
    seed: int,
    iteration: SimulatedIteration,
    metric: SimulatedMetric,
    as_of: datetime,
    *,
    attribute: tuple[str, str] | None = None,
) -> MetricStatistics:
    """Return what has been measured of ``metric`` by ``as_of``, in whole hours since the iteration's start.

    A pure function of its arguments: the same seed gives the same people, and a later ``as_of`` the same people and
    more, whatever was asked before. What was drawn is kept with ``truth``, so that asking again costs next to nothing
    and a later time only the days in between. Not for several threads at once.

    Args:
        truth: what is true.
        seed: of all draws.
        iteration: whose people; data ends at its end.
        metric: one metric, or one step of a funnel.
        as_of: aware; before the start nothing is measured.
        attribute: (attribute, value) to look only at the people with that value.

    Raises:
        ValueError: the truth knows no such attribute value, or knows the metric as numeric where it is a conversion.
    """
    if attribute is not None and attribute[1] not in truth.attribute_values(attribute[0]):
        known = ", ".join(truth.attribute_values(attribute[0])) or "none"
        raise ValueError(
            f"attribute {attribute[0]!r} has no value {attribute[1]!r} in the truth; values known: {known}"
        )
    return population_of(truth, seed, iteration).statistics(metric, as_of, iteration.ended_at, attribute)


def population_of(truth: GroundTruth, seed: int, iteration: SimulatedIteration) -> Population:
    """Return the people of an iteration, the same object for as long as it is asked for now and then."""
    key = (
        seed,
        iteration.experiment_key,
        iteration.number,
        iteration.started_at,
        iteration.arms,
        iteration.audience,
        iteration.off,
        iteration.bandit,
    )
    if key not in truth.drawn:
        truth.drawn[key] = Population(truth, seed, iteration)
        if len(truth.drawn) > _KEPT_POPULATIONS:
            truth.drawn.popitem(last=False)
    truth.drawn.move_to_end(key)
    return cast("Population", truth.drawn[key])
