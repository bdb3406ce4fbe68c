"""Joins an experiment with the ground truth about its people: the facts from which its population is drawn."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.population.ground_truth import Truth
from airflow_provider_launchdarkly.emulator.population.metric_results import shares_by_probability
from airflow_provider_launchdarkly.emulator.population.types import ArmFacts, Bandit, IterationFacts, MetricFacts
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Flag, Iteration, Metric, Treatment
    from airflow_provider_launchdarkly.emulator.state.transaction import Change

NOBODY = Truth.from_dict({"people_per_day": 0})
"""What is true of a flag of which the world says nothing."""


def iteration_facts(change: Change, experiment: Experiment, iteration: Iteration) -> IterationFacts:
    """What the truth needs to know of an iteration. One that has not started begins now, with nobody in it yet."""
    flag = change.flag(iteration.flag.flag_key)
    return IterationFacts(
        experiment_key=f"{experiment.environment_key}/{experiment.key}",
        number=iteration.number,
        flag_key=flag.key,
        started_at=from_milliseconds(change.now if iteration.started_at is None else iteration.started_at),
        ended_at=None if iteration.ended_at is None else from_milliseconds(iteration.ended_at),
        arms=tuple(_arm(flag, treatment) for treatment in iteration.treatments),
        audience=iteration.audience,
        off=tuple(
            (from_milliseconds(since), None if until is None else from_milliseconds(until))
            for since, until in iteration.off
        ),
        bandit=_bandit(change, experiment, iteration),
    )


def truth_of(change: Change, iteration: Iteration) -> Truth:
    """What is true of the flag that an iteration runs on."""
    return change.project.truths.get(iteration.flag.flag_key, NOBODY)


def _bandit(change: Change, experiment: Experiment, iteration: Iteration) -> Bandit | None:
    """How a bandit divides its people: by its primary metric, a funnel's last step."""
    if experiment.type != "mab" or not iteration.reallocation_millis:
        return None
    if iteration.primary.is_group:
        *before, last = (item.key for item in change.metric_group(iteration.primary.key).metrics)
        metric = metric_facts(change.metric(last), tuple(before))
    else:
        metric = metric_facts(change.metric(iteration.primary.key))
    every = timedelta(milliseconds=iteration.reallocation_millis)
    return Bandit(metric, every, shares_by_probability)


def metric_facts(metric: Metric, preceding: tuple[str, ...] = ()) -> MetricFacts:
    """What counts of a metric; `preceding` are the funnel steps before it."""
    return MetricFacts(
        key=metric.key,
        kind=metric.kind,
        is_numeric=metric.is_numeric,
        higher_is_better=metric.higher_is_better,
        missing_counts_as_zero=metric.missing_counts_as_zero,
        preceding=preceding,
    )


def _arm(flag: Flag, treatment: Treatment) -> ArmFacts:
    variation_id = treatment.parameters[0].variation_id
    return ArmFacts(
        treatment_id=treatment.id,
        name=treatment.name,
        variation_id=variation_id,
        variation=next(v.label for v in flag.variations if v.id == variation_id),
        share=float(treatment.allocation_percent) / 100,
        baseline=treatment.baseline,
    )
