"""What LaunchDarkly answers about experiments: field names, links, and what has to be asked for with `expand`.

LaunchDarkly REST docs, Experiments: `previousIterations`, `draftIteration`, `secondaryMetrics`, `treatments` and
`analysisConfig` come only when expanded, and not even then when they are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.rules.experiment_patch import MUTABLE
from airflow_provider_launchdarkly.emulator.serializers.links import experiments_path, flags_path, link, resource_links
from airflow_provider_launchdarkly.emulator.serializers.metrics import dependent_metric, group_with_metrics, metric_v2
from airflow_provider_launchdarkly.emulator.state.generations import (
    EXPERIMENT_SINCE_25,
    ITERATION_SINCE_25,
    is_17,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_launchdarkly.emulator.state.models import JSON, Experiment, Iteration, Treatment
    from airflow_provider_launchdarkly.emulator.state.transaction import Change


def experiment(experiment: Experiment, change: Change, expand: Collection[str] = ()) -> dict[str, JSON]:
    """An experiment as LaunchDarkly shows it."""
    shown: dict[str, JSON] = {
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
        "_links": resource_links(experiments_path(change.project.key, experiment.environment_key), experiment.key),
        "currentIteration": iteration(experiment.current, experiment, change, expand),
    }
    if experiment.archived_at is not None:
        shown["archivedDate"] = experiment.archived_at
    if experiment.holdout_id is not None:
        shown["holdoutId"] = experiment.holdout_id
    if "draftIteration" in expand and experiment.draft is not None:
        shown["draftIteration"] = iteration(experiment.draft, experiment, change, expand)
    if "previousIterations" in expand and experiment.previous:
        shown["previousIterations"] = [iteration(i, experiment, change, expand) for i in experiment.previous]
    if "analysisConfig" in expand and experiment.analysis_config:
        shown["analysisConfig"] = dict(experiment.analysis_config)
    if "mutableFieldsByStatus" in expand:
        shown["mutableFieldsByStatus"] = {
            status: {name: list(operations) for name, operations in fields.items()}
            for status, fields in MUTABLE.items()
        }
    return without(shown, EXPERIMENT_SINCE_25) if is_17(change.settings.generation) else shown


def iteration(
    iteration: Iteration, experiment: Experiment, change: Change, expand: Collection[str] = ()
) -> dict[str, JSON]:
    """An iteration as LaunchDarkly shows it."""
    shown: dict[str, JSON] = {
        "_id": iteration.id,
        "hypothesis": iteration.hypothesis,
        "status": iteration.status,
        "createdAt": iteration.created_at,
        "version": iteration.version,
        "canReshuffleTraffic": iteration.can_reshuffle,
        "flags": {iteration.flag.flag_key: _flag_use(iteration, experiment, change)},
        "randomizationUnit": iteration.randomization_unit,
        "metrics": [dependent_metric(change, use) for use in iteration.metrics],
    }
    if iteration.covariate_id is not None:
        shown["covariateInfo"] = {
            "id": iteration.covariate_id,
            "fileName": f"{iteration.covariate_id}.csv",
            "createdAt": iteration.created_at,
        }
    if iteration.layer_snapshot is not None:
        snapshot = iteration.layer_snapshot
        shown["layerSnapshot"] = {
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
    shown.update((name, value) for name, value in optional.items() if value is not None)
    if iteration.primary.is_group:
        shown["primaryFunnel"] = group_with_metrics(change, change.metric_group(iteration.primary.key))
    else:
        shown["primarySingleMetric"] = metric_v2(change, change.metric(iteration.primary.key))
    shown["primaryMetric"] = dependent_metric(change, iteration.primary)
    if "treatments" in expand and iteration.treatments:
        shares = zip(iteration.treatments, iteration.percents, strict=True)
        shown["treatments"] = [_treatment(treatment, percent) for treatment, percent in shares]
    if "secondaryMetrics" in expand:
        secondary = [use for use in iteration.metrics if use != iteration.primary and not use.is_group]
        if secondary:
            shown["secondaryMetrics"] = [metric_v2(change, change.metric(use.key)) for use in secondary]
    return without(shown, ITERATION_SINCE_25) if is_17(change.settings.generation) else shown


def _flag_use(iteration: Iteration, experiment: Experiment, change: Change) -> dict[str, JSON]:
    use = iteration.flag
    shown: dict[str, JSON] = {
        "targetingRule": use.rule_id,
        "flagConfigVersion": use.config_version,
        "notInExperimentVariationId": use.not_in_experiment_variation_id,
        "_links": {"self": link(f"{flags_path(change.project.key)}/{quote(use.flag_key, safe='')}")},
    }
    rules = change.flag(use.flag_key).configs[experiment.environment_key].rules
    rule = next((rule for rule in rules if rule.id == use.rule_id), None)
    if rule is not None:
        shown["targetingRuleDescription"] = rule.description or ""
        shown["targetingRuleClauses"] = [dict(clause) for clause in rule.clauses]
    return shown


def _treatment(treatment: Treatment, percent: str) -> dict[str, JSON]:
    return {
        "_id": treatment.id,
        "name": treatment.name,
        "allocationPercent": percent,
        "baseline": treatment.baseline,
        "parameters": [{"variationId": p.variation_id, "flagKey": p.flag_key} for p in treatment.parameters],
    }
