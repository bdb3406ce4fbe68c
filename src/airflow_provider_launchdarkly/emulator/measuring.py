"""Joins an experiment with the truth about its people: which iteration is asked for, what was measured of it so far.

The published results routes answer for the current iteration unless `iterationId` names another.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator import results
from airflow_provider_launchdarkly.emulator.clock import from_milliseconds
from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.facts import ArmFacts, Bandit, IterationFacts, MetricFacts
from airflow_provider_launchdarkly.emulator.observing import observe
from airflow_provider_launchdarkly.emulator.rendering.links import experiments_path, link
from airflow_provider_launchdarkly.emulator.rendering.metrics import metrics_in_group
from airflow_provider_launchdarkly.emulator.truth import Truth

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.change import Change
    from airflow_provider_launchdarkly.emulator.facts import Observation
    from airflow_provider_launchdarkly.emulator.state import JSON, Experiment, Flag, Iteration, Metric, Treatment

NOBODY = Truth.from_dict({"people_per_day": 0})
"""What is true of a flag of which the world says nothing."""


def metric_results(
    change: Change, experiment: Experiment, metric_key: str, *, iteration_id: str | None, traffic: bool
) -> dict[str, JSON]:
    """One metric's results: 404 if the experiment does not measure it."""
    iteration = _iteration(experiment, iteration_id)
    if all(use.is_group or use.key != metric_key for use in iteration.metrics):
        raise not_found(f"experiment {experiment.key!r} does not measure the metric {metric_key!r}")
    facts, metric = iteration_facts(change, experiment, iteration), metric_facts(change.metric(metric_key))
    truth = truth_of(change, iteration)
    sliced = [(attribute, value) for attribute in iteration.attributes for value in truth.attribute_values(attribute)]
    here = f"{experiments_path(change.project.key, experiment.environment_key)}/{quote(experiment.key, safe='')}"
    return results.metric_results(
        _observe(change, iteration, facts, metric),
        facts,
        metric,
        slices={one: _observe(change, iteration, facts, metric, attribute=one) for one in sliced},
        expand_traffic=traffic,
        links={"self": link(f"{here}/metrics/{quote(metric_key, safe='')}/results"), "parent": link(here)},
    )


def metric_group_results(
    change: Change, experiment: Experiment, group_key: str, *, iteration_id: str | None
) -> dict[str, JSON]:
    """A metric group's results, metric by metric in its order: 404 if the experiment does not measure it."""
    iteration = _iteration(experiment, iteration_id)
    if all(use.key != group_key or not use.is_group for use in iteration.metrics):
        raise not_found(f"experiment {experiment.key!r} does not measure the metric group {group_key!r}")
    group, facts = change.metric_group(group_key), iteration_facts(change, experiment, iteration)
    keys = [item.key for item in group.metrics]
    members = []
    for place, representation in enumerate(metrics_in_group(change, group)):
        preceding = tuple(keys[:place]) if group.kind == "funnel" else ()
        metric = metric_facts(change.metric(keys[place]), preceding)
        members.append(results.GroupMember(representation, metric, _observe(change, iteration, facts, metric)))
    here = f"{experiments_path(change.project.key, experiment.environment_key)}/{quote(experiment.key, safe='')}"
    links = {"self": link(f"{here}/metric-groups/{quote(group_key, safe='')}/results"), "parent": link(here)}
    return results.metric_group_results(members, facts, links=links)


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
    return Bandit(metric, every, results.shares_by_probability)


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


def _observe(
    change: Change,
    iteration: Iteration,
    facts: IterationFacts,
    metric: MetricFacts,
    attribute: tuple[str, str] | None = None,
) -> Observation:
    as_of = from_milliseconds(change.now if change.results_as_of is None else change.results_as_of)
    return observe(truth_of(change, iteration), change.world.seed, facts, metric, as_of, attribute=attribute)


def _iteration(experiment: Experiment, iteration_id: str | None) -> Iteration:
    if iteration_id is None:
        return experiment.current
    for iteration in experiment.iterations:
        if iteration.id == iteration_id:
            return iteration
    raise not_found(f"experiment {experiment.key!r} has no iteration {iteration_id!r}")
