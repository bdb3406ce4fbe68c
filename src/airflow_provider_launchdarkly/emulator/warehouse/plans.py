"""The plan of each iteration of a world: its rows, its metrics, and the batches that are there by now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.population.population_cache import population_of
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import (
    ground_truth_of,
    simulated_iteration,
    simulated_metric,
)
from airflow_provider_launchdarkly.emulator.state.transaction import Transaction
from airflow_provider_launchdarkly.emulator.warehouse.crowd import HOUR_MILLIS, Crowd, can_return
from airflow_provider_launchdarkly.emulator.warehouse.databases import WarehouseError
from airflow_provider_launchdarkly.emulator.warehouse.rows import IterationRows, Served, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
    from airflow_provider_launchdarkly.emulator.population.people import Population
    from airflow_provider_launchdarkly.emulator.population.types import SimulatedIteration, SimulatedMetric
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration, Metric, World
    from airflow_provider_launchdarkly.emulator.state.settings import Settings
    from airflow_provider_launchdarkly.emulator.warehouse.options import WarehouseOptions


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of an iteration, and how the simulator measures it."""

    metric: Metric
    simulated: SimulatedMetric


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of an iteration: the rows to write.

    Attributes:
        rows: Its rows.
        environment_id: Its environment.
        experiment_key: Its experiment.
        measured: Its metrics, those of groups included.
        streams: The events of its metrics, by name.
        batches: The batches of rows that are in the tables by now.
        analysed: The last hour that the results dataset covers by now.
        drawn_by: What decides about its rows: if this changes, they are written anew.
        results_by: The same for its results.
    """

    rows: IterationRows
    environment_id: str
    experiment_key: str
    measured: tuple[Measured, ...]
    streams: dict[str, Stream]
    batches: int
    analysed: int
    drawn_by: str
    results_by: str

    @property
    def iteration(self) -> Iteration:
        """The iteration."""
        return self.rows.crowd.iteration

    @property
    def started_at(self) -> int:
        """Its start, epoch milliseconds."""
        return self.rows.crowd.started_at


def plans(world: World, settings: Settings, now: int, options: WarehouseOptions) -> Iterator[Plan]:
    """Return what is to be written for each iteration that has started, at a time in epoch milliseconds.

    Raises:
        WarehouseError: Two metrics of an iteration have the same events.
    """
    for project in world.projects.values():
        transaction = Transaction(world=world, project=project, now=now, settings=settings)
        for experiment in project.experiments.values():
            before: Crowd | None = None
            for iteration in experiment.iterations:
                if iteration.started_at is not None:
                    plan = _plan(transaction, experiment, iteration, before, options)
                    before = plan.rows.crowd
                    yield plan


def _plan(
    transaction: Transaction,
    experiment: Experiment,
    iteration: Iteration,
    before: Crowd | None,
    options: WarehouseOptions,
) -> Plan:
    started_at, now = iteration.started_at or 0, transaction.now
    simulated = simulated_iteration(transaction, experiment, iteration)
    truth, flag = ground_truth_of(transaction, iteration), transaction.flag(iteration.flag.flag_key)
    population = population_of(truth, transaction.world.seed, simulated)
    until = now if iteration.ended_at is None else min(now, iteration.ended_at)
    hours = max(0, until - started_at) // HOUR_MILLIS
    returns = before is not None and bool(options.returning) and can_return(before, iteration, population)
    # A person who returns brings events from before, which a covariate would count.
    correlated = any(metric.correlation for metric in truth.metrics.values())
    crowd = Crowd(
        population,
        iteration,
        started_at=started_at,
        hours=hours,
        options=options,
        before=before if returns and not correlated else None,
    )
    measured = tuple(_measured(transaction, iteration))
    visible = max(0, now - options.lag_millis - started_at) // HOUR_MILLIS
    ended = iteration.ended_at is not None
    others = tuple(kind for kind in transaction.project.context_kinds if kind != iteration.randomization_unit)
    environment_id = transaction.environment(experiment.environment_key).id
    drawn_by = _drawn_by(transaction.world.seed, simulated, truth, options)
    return Plan(
        rows=IterationRows(
            crowd=crowd,
            served=[_served(flag, treatment.parameters[0].variation_id) for treatment in iteration.treatments],
            outside=_served(flag, iteration.flag.not_in_experiment_variation_id),
            flag_key=flag.key,
            environment_id=environment_id,
            other_kinds=others[: options.context_kinds - 1],
        ),
        environment_id=environment_id,
        experiment_key=experiment.key,
        measured=measured,
        streams=_streams(transaction, experiment, iteration, population, measured),
        batches=min(visible, hours + (options.late_hours if options.late_share else 0)) if ended else visible,
        analysed=min(visible, hours),
        drawn_by=drawn_by,
        results_by=f"{drawn_by} {options.of_results}",
    )


def _drawn_by(seed: int, simulated: SimulatedIteration, truth: GroundTruth, options: WarehouseOptions) -> str:
    parts = (seed, simulated.started_at, simulated.arms, simulated.audience, truth.source, options.of_rows)
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _served(flag: Flag, variation_id: str) -> Served:
    value = next(variation.value for variation in flag.variations if variation.id == variation_id)
    return Served(variation_id, value if isinstance(value, str) else json.dumps(value))


def _measured(transaction: Transaction, iteration: Iteration) -> Iterator[Measured]:
    for use in iteration.metrics:
        if not use.is_group:
            metric = transaction.metric(use.key)
            yield Measured(metric, simulated_metric(metric))
            continue
        group = transaction.metric_group(use.key)
        keys = tuple(item.key for item in group.metrics)
        for place, key in enumerate(keys):
            metric = transaction.metric(key)
            preceding = keys[:place] if group.kind == "funnel" else ()
            yield Measured(metric, simulated_metric(metric, preceding))


def _streams(
    transaction: Transaction,
    experiment: Experiment,
    iteration: Iteration,
    population: Population,
    measured: tuple[Measured, ...],
) -> dict[str, Stream]:
    streams: dict[str, Stream] = {}
    by_event: dict[str, str] = {}
    for one in measured:
        steps = population.steps(one.simulated)
        for place in range(1, len(steps) + 1):
            metric = transaction.metric(steps[place - 1])
            event_key = metric.event_key or metric.key
            stream = Stream(steps[:place], event_key, metric.is_numeric, metric.unit_aggregation)
            if by_event.setdefault(event_key, stream.name) != stream.name:
                raise WarehouseError(
                    f"experiment {experiment.key!r}, iteration {iteration.number}: the metrics {by_event[event_key]!r} "
                    f"and {stream.name!r} have the same events, {event_key!r}, but separate truths; give one metric "
                    "another event key, or measure only one, or write `after` into the truth of a funnel's step"
                )
            streams[stream.name] = stream
    return streams
