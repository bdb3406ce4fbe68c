"""Serialize the results of an iteration: the current one, or the one that `iterationId` names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.population.metric_results import (
    GroupMember,
    serialize_group_results,
    serialize_metric_results,
)
from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import (
    ground_truth_of,
    simulated_iteration,
    simulated_metric,
)
from airflow_provider_launchdarkly.emulator.serializers.links import experiments_path, link
from airflow_provider_launchdarkly.emulator.serializers.metrics import metrics_in_group
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.population.types import (
        MetricStatistics,
        SimulatedIteration,
        SimulatedMetric,
    )
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def metric_results(
    transaction: Transaction, experiment: Experiment, metric_key: str, *, iteration_id: str | None, traffic: bool
) -> dict[str, JSON]:
    """Return a metric's results, or raise a 404 if the iteration does not measure it."""
    iteration = _iteration(experiment, iteration_id)
    if all(use.is_group or use.key != metric_key for use in iteration.metrics):
        raise not_found(f"experiment {experiment.key!r} does not measure the metric {metric_key!r}")
    simulated = simulated_iteration(transaction, experiment, iteration)
    metric = simulated_metric(transaction.metric(metric_key))
    truth = ground_truth_of(transaction, iteration)
    sliced = [(attribute, value) for attribute in iteration.attributes for value in truth.attribute_values(attribute)]
    here = f"{experiments_path(transaction.project.key, experiment.environment_key)}/{quote(experiment.key, safe='')}"
    return serialize_metric_results(
        _metric_statistics(transaction, iteration, simulated, metric),
        simulated,
        metric,
        slices={one: _metric_statistics(transaction, iteration, simulated, metric, attribute=one) for one in sliced},
        expand_traffic=traffic,
        links={"self": link(f"{here}/metrics/{quote(metric_key, safe='')}/results"), "parent": link(here)},
    )


def metric_group_results(
    transaction: Transaction, experiment: Experiment, group_key: str, *, iteration_id: str | None
) -> dict[str, JSON]:
    """Return the results of a group's metrics in their order, or raise a 404 if the iteration lacks the group."""
    iteration = _iteration(experiment, iteration_id)
    if all(use.key != group_key or not use.is_group for use in iteration.metrics):
        raise not_found(f"experiment {experiment.key!r} does not measure the metric group {group_key!r}")
    group, simulated = transaction.metric_group(group_key), simulated_iteration(transaction, experiment, iteration)
    keys = [item.key for item in group.metrics]
    members = []
    for place, representation in enumerate(metrics_in_group(transaction, group)):
        preceding = tuple(keys[:place]) if group.kind == "funnel" else ()
        metric = simulated_metric(transaction.metric(keys[place]), preceding)
        members.append(
            GroupMember(representation, metric, _metric_statistics(transaction, iteration, simulated, metric))
        )
    here = f"{experiments_path(transaction.project.key, experiment.environment_key)}/{quote(experiment.key, safe='')}"
    links = {"self": link(f"{here}/metric-groups/{quote(group_key, safe='')}/results"), "parent": link(here)}
    return serialize_group_results(members, simulated, links=links)


def _metric_statistics(
    transaction: Transaction,
    iteration: Iteration,
    simulated: SimulatedIteration,
    metric: SimulatedMetric,
    attribute: tuple[str, str] | None = None,
) -> MetricStatistics:
    as_of = from_milliseconds(transaction.now if transaction.results_as_of is None else transaction.results_as_of)
    return metric_statistics(
        ground_truth_of(transaction, iteration), transaction.world.seed, simulated, metric, as_of, attribute=attribute
    )


def _iteration(experiment: Experiment, iteration_id: str | None) -> Iteration:
    if iteration_id is None:
        return experiment.current
    for iteration in experiment.iterations:
        if iteration.id == iteration_id:
            return iteration
    raise not_found(f"experiment {experiment.key!r} has no iteration {iteration_id!r}")
