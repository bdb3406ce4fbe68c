"""Serialize holdouts and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.rules import holdouts
from airflow_provider_launchdarkly.emulator.serializers.experiments import experiment

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Holdout, Layer
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def holdout(transaction: Transaction, holdout: Holdout, expand: Collection[str] = ()) -> dict[str, JSON]:
    """Return the JSON of a holdout as create, patch and read by id return it (`HoldoutRep`)."""
    return _holdout(transaction, holdout, expand) | {"experiments": _related(transaction, holdout)}


def holdout_detail(transaction: Transaction, holdout: Holdout, expand: Collection[str]) -> dict[str, JSON]:
    """Return the JSON of a holdout read by key (`HoldoutDetailRep`); an `expand` with `rel-` is for its experiments."""
    representation = _holdout(transaction, holdout, expand)
    members = holdouts.members(transaction, holdout)
    base_runs = holdouts.base_experiment(transaction, holdout).running is not None
    representation["isDirty"] = base_runs and any(member.running for member in members)
    if members:
        of_members = [name.removeprefix("rel-") for name in expand if name.startswith("rel-")]
        representation["relatedExperiments"] = [experiment(member, transaction, of_members) for member in members]
    return representation


def listed_holdout(transaction: Transaction, holdout: Holdout) -> dict[str, JSON]:
    """Return the JSON of a holdout in a list (`SimpleHoldoutRep`)."""
    return {
        "_id": holdout.id,
        "key": holdout.base.key,
        "name": holdout.base.name,
        "status": holdouts.status(transaction, holdout),
        "createdAt": holdout.base.created_at,
        "updatedAt": holdout.updated_at,
        "experiments": _related(transaction, holdout),
    }


def _holdout(transaction: Transaction, holdout: Holdout, expand: Collection[str]) -> dict[str, JSON]:
    return {
        "_id": holdout.id,
        "status": holdouts.status(transaction, holdout),
        "description": holdout.base.description,
        "holdoutAmount": holdout.amount,
        "createdAt": holdout.base.created_at,
        "updatedAt": holdout.updated_at,
        "baseExperiment": experiment(holdouts.base_experiment(transaction, holdout), transaction, expand),
    }


def _related(transaction: Transaction, holdout: Holdout) -> list[dict[str, JSON]]:
    return [
        {"key": member.key, "name": member.name, "environment": member.environment_key}
        for member in holdouts.members(transaction, holdout)
    ]


def layer(transaction: Transaction, layer: Layer, environments: Collection[str] | None = None) -> dict[str, JSON]:
    """Return the JSON of a layer with the reservations of some environments, or of all that have any."""
    representation: dict[str, JSON] = {
        "key": layer.key,
        "name": layer.name,
        "description": layer.description,
        "createdAt": layer.created_at,
    }
    configurations = {
        environment: {"reservations": _reservations(transaction, layer, environment)}
        for environment in (layer.reservations if environments is None else environments)
    }
    return representation | ({"environments": configurations} if configurations else {})


def _reservations(transaction: Transaction, layer: Layer, environment_key: str) -> list[dict[str, JSON]]:
    return [
        {
            "experimentKey": held.experiment_key,
            "flagKey": transaction.experiment(environment_key, held.experiment_key).current.flag.flag_key,
            "reservationPercent": held.percent,
        }
        for held in layer.reservations.get(environment_key, ())
    ]
