"""What LaunchDarkly answers about holdouts and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.rules import holdouts
from airflow_provider_launchdarkly.emulator.serializers.experiments import experiment

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_launchdarkly.emulator.state.models import JSON, Holdout, Layer
    from airflow_provider_launchdarkly.emulator.state.transaction import Change


def holdout(change: Change, holdout: Holdout, expand: Collection[str] = ()) -> dict[str, JSON]:
    """A holdout as creating, patching and reading by id show it (`HoldoutRep`)."""
    return _holdout(change, holdout, expand) | {"experiments": _related(change, holdout)}


def holdout_detail(change: Change, holdout: Holdout, expand: Collection[str]) -> dict[str, JSON]:
    """A holdout as reading it by key shows it (`HoldoutDetailRep`); `rel-` before an expansion is for its members."""
    shown = _holdout(change, holdout, expand)
    members = holdouts.members(change, holdout)
    base_runs = holdouts.base_experiment(change, holdout).running is not None
    shown["isDirty"] = base_runs and any(member.running for member in members)
    if members:
        of_members = [name.removeprefix("rel-") for name in expand if name.startswith("rel-")]
        shown["relatedExperiments"] = [experiment(member, change, of_members) for member in members]
    return shown


def listed_holdout(change: Change, holdout: Holdout) -> dict[str, JSON]:
    """A holdout in a list (`SimpleHoldoutRep`)."""
    return {
        "_id": holdout.id,
        "key": holdout.base.key,
        "name": holdout.base.name,
        "status": holdouts.status(change, holdout),
        "createdAt": holdout.base.created_at,
        "updatedAt": holdout.updated_at,
        "experiments": _related(change, holdout),
    }


def _holdout(change: Change, holdout: Holdout, expand: Collection[str]) -> dict[str, JSON]:
    return {
        "_id": holdout.id,
        "status": holdouts.status(change, holdout),
        "description": holdout.base.description,
        "holdoutAmount": holdout.amount,
        "createdAt": holdout.base.created_at,
        "updatedAt": holdout.updated_at,
        "baseExperiment": experiment(holdouts.base_experiment(change, holdout), change, expand),
    }


def _related(change: Change, holdout: Holdout) -> list[dict[str, JSON]]:
    return [
        {"key": member.key, "name": member.name, "environment": member.environment_key}
        for member in holdouts.members(change, holdout)
    ]


def layer(change: Change, layer: Layer, environments: Collection[str] | None = None) -> dict[str, JSON]:
    """A layer with the reservations of the environments asked for, or of all that have any."""
    shown: dict[str, JSON] = {
        "key": layer.key,
        "name": layer.name,
        "description": layer.description,
        "createdAt": layer.created_at,
    }
    configurations = {
        environment: {"reservations": _reservations(change, layer, environment)}
        for environment in (layer.reservations if environments is None else environments)
    }
    return shown | ({"environments": configurations} if configurations else {})


def _reservations(change: Change, layer: Layer, environment_key: str) -> list[dict[str, JSON]]:
    return [
        {
            "experimentKey": held.experiment_key,
            "flagKey": change.experiment(environment_key, held.experiment_key).current.flag.flag_key,
            "reservationPercent": held.percent,
        }
        for held in layer.reservations.get(environment_key, ())
    ]
