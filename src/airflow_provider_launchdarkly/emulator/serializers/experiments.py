"""Serialize experiments and their iterations.

LaunchDarkly REST docs, Experiments: `previousIterations`, `draftIteration`, `secondaryMetrics`, `treatments` and
`analysisConfig` need `expand`, and are omitted when they are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.rules.experiment_patch import MUTABLE
from airflow_provider_launchdarkly.emulator.serializers.links import experiments_path, flags_path, link, resource_links
from airflow_provider_launchdarkly.emulator.serializers.metrics import dependent_metric, group_with_metrics, metric_v2

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration, Treatment
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def experiment(experiment: Experiment, transaction: Transaction, expand: Collection[str] = ()) -> dict[str, JSON]:
    """Return the JSON of an experiment."""
    representation: dict[str, JSON] = {
        "_id": experiment.id,
        "key": experiment.key,
        "name": experiment.name,
        "description": experiment.description,
        "_maintainerId": experiment.maintainer_id,
        "_creationDate": experiment.created_at,
        "environmentKey": experiment.environment_key,
        "methodology": experiment.methodology,
        "dataSource": experiment.data_source,
        "type": experiment.type,
        "tags": list(experiment.tags),
        "_links": resource_links(experiments_path(transaction.project.key, experiment.environment_key), experiment.key),
        "currentIteration": iteration(experiment.current, experiment, transaction, expand),
    }
    if experiment.archived_at is not None:
        representation["archivedDate"] = experiment.archived_at
    if experiment.holdout_id is not None:
        representation["holdoutId"] = experiment.holdout_id
    if "draftIteration" in expand and experiment.draft is not None:
        representation["draftIteration"] = iteration(experiment.draft, experiment, transaction, expand)
    if "previousIterations" in expand and experiment.previous:
        representation["previousIterations"] = [
            iteration(i, experiment, transaction, expand) for i in experiment.previous
        ]
    if "analysisConfig" in expand and experiment.analysis_config:
        representation["analysisConfig"] = dict(experiment.analysis_config)
    if "mutableFieldsByStatus" in expand:
        representation["mutableFieldsByStatus"] = {
            status: {name: list(operations) for name, operations in fields.items()}
            for status, fields in MUTABLE.items()
        }
    return transaction.settings.api.experiment(representation)


def iteration(
    iteration: Iteration, experiment: Experiment, transaction: Transaction, expand: Collection[str] = ()
) -> dict[str, JSON]:
    """Return the JSON of an iteration."""
    representation: dict[str, JSON] = {
        "_id": iteration.id,
        "hypothesis": iteration.hypothesis,
        "status": iteration.status,
        "createdAt": iteration.created_at,
        "version": iteration.version,
        "canReshuffleTraffic": iteration.can_reshuffle,
        "flags": {iteration.flag.flag_key: _flag_use(iteration, experiment, transaction)},
        "randomizationUnit": iteration.randomization_unit,
        "metrics": [dependent_metric(transaction, use) for use in iteration.metrics],
    }
    if iteration.covariate_id is not None:
        representation["covariateInfo"] = {
            "id": iteration.covariate_id,
            "fileName": f"{iteration.covariate_id}.csv",
            "createdAt": iteration.created_at,
        }
    if iteration.layer_snapshot is not None:
        snapshot = iteration.layer_snapshot
        representation["layerSnapshot"] = {
            "key": snapshot.key,
            "name": snapshot.name,
            "reservationPercent": snapshot.reservation_percent,
            "otherReservationPercent": snapshot.other_reservation_percent,
        }
    optional = {
        "startedAt": iteration.started_at,
        "endedAt": iteration.ended_at,
        "winningTreatmentId": iteration.winning_treatment_id,
        "winningReason": iteration.winning_reason,
        "reallocationFrequencyMillis": iteration.reallocation_millis,
        "attributes": list(iteration.attributes) or None,
    }
    representation.update((name, value) for name, value in optional.items() if value is not None)
    if iteration.primary.is_group:
        representation["primaryFunnel"] = group_with_metrics(
            transaction, transaction.metric_group(iteration.primary.key)
        )
    else:
        representation["primarySingleMetric"] = metric_v2(transaction, transaction.metric(iteration.primary.key))
    representation["primaryMetric"] = dependent_metric(transaction, iteration.primary)
    if "treatments" in expand and iteration.treatments:
        shares = zip(iteration.treatments, iteration.percentages, strict=True)
        representation["treatments"] = [_treatment(treatment, percent) for treatment, percent in shares]
    if "secondaryMetrics" in expand:
        secondary = [use for use in iteration.metrics if use != iteration.primary and not use.is_group]
        if secondary:
            representation["secondaryMetrics"] = [
                metric_v2(transaction, transaction.metric(use.key)) for use in secondary
            ]
    return transaction.settings.api.iteration(representation)


def _flag_use(iteration: Iteration, experiment: Experiment, transaction: Transaction) -> dict[str, JSON]:
    use = iteration.flag
    representation: dict[str, JSON] = {
        "targetingRule": use.rule_id,
        "flagConfigVersion": use.config_version,
        "notInExperimentVariationId": use.not_in_experiment_variation_id,
        "_links": {"self": link(f"{flags_path(transaction.project.key)}/{quote(use.flag_key, safe='')}")},
    }
    rules = transaction.flag(use.flag_key).configs[experiment.environment_key].rules
    rule = next((rule for rule in rules if rule.id == use.rule_id), None)
    if rule is not None:
        representation["targetingRuleDescription"] = rule.description or ""
        representation["targetingRuleClauses"] = [dict(clause) for clause in rule.clauses]
    return representation


def _treatment(treatment: Treatment, percent: str) -> dict[str, JSON]:
    return {
        "_id": treatment.id,
        "name": treatment.name,
        "allocationPercent": percent,
        "baseline": treatment.baseline,
        "parameters": [{"variationId": p.variation_id, "flagKey": p.flag_key} for p in treatment.parameters],
    }
