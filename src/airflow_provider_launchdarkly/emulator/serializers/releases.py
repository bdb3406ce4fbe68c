"""Serialize releases, as the models of client 25.0.1 have them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.errors import ApiError
from airflow_provider_launchdarkly.emulator.rules.targeting import index_of
from airflow_provider_launchdarkly.emulator.serializers.links import project_path, resource_links
from airflow_provider_launchdarkly.emulator.serializers.metrics import listed_metric

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.release_models import Release, ReleaseMetric, ReleasePhase
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def release(transaction: Transaction, release: Release, expand: Collection[str] = ()) -> dict[str, JSON]:
    """Return the JSON of a release; `expand=metrics` adds the definitions of its metrics."""
    flag = transaction.flag(release.flag_key)
    original = flag.variations[index_of(flag, release.original_variation_id)]
    target = flag.variations[index_of(flag, release.target_variation_id)]
    return {
        "id": release.id,
        "status": release.status,
        **_present(statusReason=release.reason),
        "projectKey": transaction.project.key,
        "environmentKey": release.environment_key,
        "flagKey": release.flag_key,
        "originalVariationId": original.id,
        "originalVariationValue": original.value,
        "targetVariationId": target.id,
        "targetVariationValue": target.value,
        "randomizationUnit": release.randomization_unit,
        "cleanupBehavior": release.cleanup_behavior,
        "kind": "guarded" if release.guarded else "progressive",
        "metrics": [_metric(transaction, metric, expand) for metric in release.metrics],
        "phases": [_phase(index, phase) for index, phase in enumerate(release.phases)],
        "currentPhaseIndex": release.current,
        "advancementMode": release.advancement_mode,
        "createdAt": release.created_at,
        **_present(startedAt=release.started_at, endedAt=release.ended_at),
        "_links": resource_links(
            releases_path(transaction.project.key, release.flag_key, release.environment_key), release.id
        ),
    }


def releases_path(project_key: str, flag_key: str, environment_key: str) -> str:
    """Return the path of a flag's releases in an environment."""
    flag, environment = quote(flag_key, safe=""), quote(environment_key, safe="")
    return f"{project_path(project_key)}/flags/{flag}/environments/{environment}/releases"


def _metric(transaction: Transaction, metric: ReleaseMetric, expand: Collection[str]) -> dict[str, JSON]:
    representation: dict[str, JSON] = {
        "metricKey": metric.key,
        "metricVersionId": metric.version_id,
        "autoRollback": metric.auto_rollback,
    }
    if "metrics" in expand:
        try:
            version = transaction.metric_version(metric.key, metric.version_id)
        except ApiError:  # a deleted metric keeps its key, and has no definition
            return representation
        representation["definition"] = listed_metric(transaction, version)
    return representation


def _phase(index: int, phase: ReleasePhase) -> dict[str, JSON]:
    return {
        "id": phase.id,
        "phaseIndex": index,
        "ruleId": phase.rule_id,
        **_present(description=phase.description),
        "status": phase.status,
        **_present(statusReason=phase.reason),
        "steps": [
            {
                "stepIndex": number,
                "allocation": step.allocation,
                "durationMillis": step.duration_millis,
                **_present(startedAt=step.started_at, endedAt=step.ended_at),
            }
            for number, step in enumerate(phase.steps)
        ],
        **_present(currentStepIndex=phase.current_step, startedAt=phase.started_at, endedAt=phase.ended_at),
        "metricStatuses": dict(phase.metric_statuses),
    }


def _present(**fields: JSON) -> dict[str, JSON]:
    return {name: value for name, value in fields.items() if value is not None}
