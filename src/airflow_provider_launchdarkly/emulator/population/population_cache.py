"""Return the statistics of a metric at a time, and keep the drawn people so that the next request is cheap."""

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
    """Return the statistics of ``metric`` at ``as_of``, in whole hours since the iteration's start.

    The result depends on the arguments alone: the same seed gives the same people, and a later ``as_of`` the same
    people and more. ``truth`` keeps the draws, so a later time costs only the days in between. It is not thread-safe.

    Args:
        truth: The ground truth.
        seed: Determines all draws.
        iteration: The iteration; its data ends when it ends.
        metric: A metric, or a step of a funnel.
        as_of: An aware time; before the start the statistics are empty.
        attribute: The (attribute, value) of the people to count; None for all people.

    Raises:
        ValueError: The ground truth lacks the attribute's value, or has another kind of the metric.
    """
    if attribute is not None and attribute[1] not in truth.attribute_values(attribute[0]):
        known = ", ".join(truth.attribute_values(attribute[0])) or "none"
        raise ValueError(f"attribute {attribute[0]!r} has no value {attribute[1]!r} in the truth; use one of: {known}")
    return population_of(truth, seed, iteration).statistics(metric, as_of, iteration.ended_at, attribute)


def population_of(truth: GroundTruth, seed: int, iteration: SimulatedIteration) -> Population:
    """Return the people of an iteration, from the cache if they are there."""
    key = (
        seed,
        iteration.experiment_key,
        iteration.number,
        iteration.started_at,
        iteration.arms,
        iteration.audience,
        iteration.off,
        iteration.bandit,
        iteration.single_people,
    )
    if key not in truth.drawn:
        truth.drawn[key] = Population(truth, seed, iteration)
        if len(truth.drawn) > _KEPT_POPULATIONS:
            truth.drawn.popitem(last=False)
    truth.drawn.move_to_end(key)
    return cast("Population", truth.drawn[key])
