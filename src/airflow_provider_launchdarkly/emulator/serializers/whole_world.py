"""Serialize everything in a world once, to find what a snapshot refers to and does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.serializers import (
    experiments,
    flags,
    holdouts_and_layers,
    metrics,
    releases,
)
from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import World
    from airflow_provider_launchdarkly.emulator.state.settings import Settings

_EVERYTHING = ("treatments", "draftIteration", "previousIterations", "secondaryMetrics", "analysisConfig")


def check(world: World, settings: Settings, now: int) -> None:
    """Reject a world with a part that refers to something that the world does not have.

    Args:
        world: The world.
        settings: The switches.
        now: The time, epoch milliseconds.

    Raises:
        ValueError: A part cannot be shown; the message names its project.
    """
    for project in world.projects.values():
        transaction = Transaction(world=world, project=project, now=now, settings=settings)
        try:
            for flag in project.flags.values():
                flags.flag(project, flag, list(project.environments))
            for environment in project.environments.values():
                flags.environment(project, environment, settings)
            for metric in project.metrics.values():
                metrics.metric(transaction, metric)
            for group in project.metric_groups.values():
                metrics.metric_group(transaction, group)
            for experiment in project.experiments.values():
                experiments.experiment(experiment, transaction, _EVERYTHING)
            for holdout in project.holdouts.values():
                holdouts_and_layers.holdout(transaction, holdout)
            for layer in project.layers.values():
                holdouts_and_layers.layer(transaction, layer)
            for release in project.releases.values():
                releases.release(transaction, release, ("metrics",))
        except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError, StopIteration) as error:
            raise ValueError(f"the snapshot is broken: project {project.key!r} lacks a part: {error!r}") from None
