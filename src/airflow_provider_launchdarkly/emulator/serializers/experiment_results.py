"""Joins an experiment with the truth about its people: which iteration is asked for, what was measured of it so far.

The published results routes answer for the current iteration unless `iterationId` names another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.population.metric_results import (
    GroupMember,
    serialize_group_results,
    serialize_metric_results,
)
from airflow_provider_launchdarkly.emulator.population.population_cache import observe
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import iteration_facts, metric_facts, truth_of
from airflow_provider_launchdarkly.emulator.serializers.links import experiments_path, link
from airflow_provider_launchdarkly.emulator.serializers.metrics import metrics_in_group
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.population.types import IterationFacts, MetricFacts, Observation
    from airflow_provider_launchdarkly.emulator.state.models import JSON, Experiment, Iteration
    from airflow_provider_launchdarkly.emulator.state.transaction import Change


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
    return serialize_metric_results(
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
        members.append(GroupMember(representation, metric, _observe(change, iteration, facts, metric)))
    here = f"{experiments_path(change.project.key, experiment.environment_key)}/{quote(experiment.key, safe='')}"
    links = {"self": link(f"{here}/metric-groups/{quote(group_key, safe='')}/results"), "parent": link(here)}
    return serialize_group_results(members, facts, links=links)


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
