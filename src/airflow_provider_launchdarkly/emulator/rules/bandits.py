"""Reallocate the traffic of running bandits as the clock advances.

LaunchDarkly docs, "Multi-armed bandits": Thompson sampling. Each arm's share becomes its probability to be best, at the
frequency chosen when the iteration was created. The documentation does not say whether that raises the flag's version;
here it does not.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.population.population_cache import population_of
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import ground_truth_of, simulated_iteration
from airflow_provider_launchdarkly.emulator.rules.targeting import experiment_rollout, with_serving
from airflow_provider_launchdarkly.emulator.state.flag_models import WHOLE_ROLLOUT
from airflow_provider_launchdarkly.emulator.state.models import Reallocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

_HOUR_MILLIS = 3_600_000


def reallocate_due_bandits(transaction: Transaction) -> None:
    """Store every due reallocation in the world, without an entry in the journal, since no request causes it."""
    for place in transaction.project.bandits:
        experiment = transaction.project.experiments[place]
        running = experiment.running
        if running is not None and running.started_at is not None and running.reallocation_millis:
            due = (transaction.now - running.started_at) // running.reallocation_millis * running.reallocation_millis
            at = running.started_at + due
            if due > 0 and (running.reallocation is None or running.reallocation.at < at):
                _reallocate(transaction, experiment, running, at)


def exact_percentages(shares: Sequence[float]) -> tuple[str, ...]:
    """Return shares as percentages with at most three decimals that add up to exactly 100."""
    whole = sum(shares)
    exact = [share / whole * WHOLE_ROLLOUT for share in shares]
    weights = [int(weight) for weight in exact]
    by_rest = sorted(range(len(exact)), key=lambda index: weights[index] - exact[index])
    for index in by_rest[: WHOLE_ROLLOUT - sum(weights)]:
        weights[index] += 1
    return tuple(f"{(Decimal(weight) / 1000).normalize():f}" for weight in weights)


def _reallocate(transaction: Transaction, experiment: Experiment, running: Iteration, at: int) -> None:
    simulated = simulated_iteration(transaction, experiment, running)
    population = population_of(ground_truth_of(transaction, running), transaction.world.seed, simulated)
    shares = population.divided((at - (running.started_at or at)) // _HOUR_MILLIS)
    moved = replace(running, reallocation=Reallocation(at, exact_percentages(shares)))
    iterations = tuple(moved if i.id == running.id else i for i in experiment.iterations)
    environment_key, project = experiment.environment_key, transaction.project
    project.experiments[environment_key, experiment.key] = replace(experiment, iterations=iterations)
    flag = project.flags[running.flag.flag_key]
    rollout = experiment_rollout(flag, moved, experiment.key)
    config = with_serving(flag.configs[environment_key], running.flag.rule_id, rollout)
    project.flags[flag.key] = replace(flag, configs={**flag.configs, environment_key: config})
