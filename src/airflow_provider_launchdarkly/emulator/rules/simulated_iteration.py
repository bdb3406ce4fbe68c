"""Convert experiments and metrics into the inputs of the population simulator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.population.metric_results import shares_by_probability
from airflow_provider_launchdarkly.emulator.population.types import (
    Bandit,
    SimulatedArm,
    SimulatedIteration,
    SimulatedMetric,
)
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration, Metric, Treatment
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

NO_TRAFFIC = GroundTruth.from_dict({"people_per_day": 0})
"""The ground truth of a flag that has none in the world."""


def simulated_iteration(transaction: Transaction, experiment: Experiment, iteration: Iteration) -> SimulatedIteration:
    """Return the simulator's input for an iteration. A draft counts as starting now, with no units."""
    flag = transaction.flag(iteration.flag.flag_key)
    return SimulatedIteration(
        experiment_key=f"{experiment.environment_key}/{experiment.key}",
        number=iteration.number,
        started_at=from_milliseconds(transaction.now if iteration.started_at is None else iteration.started_at),
        ended_at=None if iteration.ended_at is None else from_milliseconds(iteration.ended_at),
        arms=tuple(_arm(flag, treatment) for treatment in iteration.treatments),
        audience=iteration.audience,
        off=tuple(
            (from_milliseconds(since), None if until is None else from_milliseconds(until))
            for since, until in iteration.off
        ),
        bandit=_bandit(transaction, experiment, iteration),
        single_people=transaction.settings.people == "single",
    )


def ground_truth_of(transaction: Transaction, iteration: Iteration) -> GroundTruth:
    """Return the ground truth of the flag that an iteration runs on."""
    return ground_truth(transaction, iteration.flag.flag_key)


def ground_truth(transaction: Transaction, flag_key: str) -> GroundTruth:
    """Return the ground truth of a flag."""
    return transaction.project.truths.get(flag_key, NO_TRAFFIC)


def _bandit(transaction: Transaction, experiment: Experiment, iteration: Iteration) -> Bandit | None:
    """Return how a bandit allocates its people: by its primary metric, or the last step of its primary funnel."""
    if experiment.type != "mab" or not iteration.reallocation_millis:
        return None
    if iteration.primary.is_group:
        *before, last = (item.key for item in transaction.metric_group(iteration.primary.key).metrics)
        metric = simulated_metric(transaction.metric(last), tuple(before))
    else:
        metric = simulated_metric(transaction.metric(iteration.primary.key))
    every = timedelta(milliseconds=iteration.reallocation_millis)
    return Bandit(metric, every, shares_by_probability)


def simulated_metric(metric: Metric, preceding: tuple[str, ...] = ()) -> SimulatedMetric:
    """Return the simulator's input for a metric. `preceding` are the keys of the funnel's steps before it."""
    return SimulatedMetric(
        key=metric.key,
        is_numeric=metric.is_numeric,
        higher_is_better=metric.higher_is_better,
        missing_counts_as_zero=metric.missing_counts_as_zero,
        preceding=preceding,
    )


def _arm(flag: Flag, treatment: Treatment) -> SimulatedArm:
    variation_id = treatment.parameters[0].variation_id
    return SimulatedArm(
        treatment_id=treatment.id,
        name=treatment.name,
        variation=next(v.label for v in flag.variations if v.id == variation_id),
        share=float(treatment.allocation_percent) / 100,
    )
