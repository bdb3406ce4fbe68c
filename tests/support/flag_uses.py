"""What uses a flag, read from the emulator's world itself: no call, none of the provider's code, none of its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.emulator.state.models import World


def uses(world: World, project_key: str, flag_key: str) -> list[str]:
    """Return a word for each thing that uses a flag, or may change it."""
    return [
        *_experiments(world, project_key, flag_key),
        *_others(world, project_key, flag_key),
        *_code(world, flag_key),
    ]


def _experiments(world: World, project_key: str, flag_key: str) -> Iterator[str]:
    project = world.projects[project_key]
    for (environment, key), experiment in project.experiments.items():
        mine = [iteration for iteration in experiment.iterations if iteration.flag.flag_key == flag_key]
        for iteration in mine:
            if iteration.status == "running":
                yield f"{key} runs by rule {iteration.flag.rule_id}"
            elif iteration.status == "not_started" and experiment.archived_at is None:
                yield f"{key} is drafted"
        held = [h for (place, _), h in project.holdouts.items() if place == environment and not h.ended]
        if mine and any(holdout.id == experiment.holdout_id for holdout in held):
            yield f"{key} is in a holdout"
        for layer in project.layers.values():
            if mine and any(part.experiment_key == key for part in layer.reservations.get(environment, ())):
                yield f"{key} is in layer {layer.key}"


def _others(world: World, project_key: str, flag_key: str) -> Iterator[str]:
    project = world.projects[project_key]
    for holdout in project.holdouts.values():
        if not holdout.ended and holdout.prerequisite_flag_key == flag_key:
            yield f"holdout {holdout.id} stands on it"
    for release in project.releases.values():
        if release.flag_key == flag_key and any(phase.ended_at is None for phase in release.phases):
            yield f"release {release.id} has not ended"
    for other in project.flags.values():
        for environment, config in other.configs.items():
            if any(needed.key == flag_key for needed in config.prerequisites):
                yield f"flag {other.key} needs it in {environment}"
    for request in project.approval_requests.values():
        declined = any(review.kind == "decline" for review in request.reviews)
        if request.flag_key == flag_key and request.applied_at is None and not declined:
            yield f"request {request.id} may change it in {request.environment_key}"


def _code(world: World, flag_key: str) -> Iterator[str]:
    for repository in world.repositories.values():
        for branch in repository.branches.values():
            for reference in branch.references:
                if any(hunk["flagKey"] == flag_key for hunk in reference["hunks"]):
                    yield f"{reference['path']} names it"
