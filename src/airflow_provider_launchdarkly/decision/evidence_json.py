"""Evidence as plain JSON and back, without loss: what is decided again later must be what was decided then. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.policy import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping


def evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    """Everything a verdict rests on; durations in seconds, moments in ISO 8601."""
    return {
        "elapsed_seconds": evidence.elapsed.total_seconds(),
        "started_at": evidence.started_at.isoformat() if evidence.started_at else None,
        "primary_metric": evidence.primary_metric,
        "probability_of_mismatch": evidence.probability_of_mismatch,
        "unchanged_for_seconds": None if evidence.unchanged_for is None else evidence.unchanged_for.total_seconds(),
        "treatments": [
            {
                "id": treatment.id,
                "name": treatment.name,
                "baseline": treatment.baseline,
                "share": treatment.share,
                "exposed": treatment.exposed,
            }
            for treatment in evidence.treatments
        ],
        "metrics": [
            {
                "key": metric.key,
                "direction": metric.direction.value if metric.direction else None,
                "measurements": [
                    {
                        "treatment_id": measured.treatment_id,
                        "units": measured.units,
                        "mean": measured.mean,
                        "std_dev": measured.std_dev,
                        "p_best": measured.p_best,
                    }
                    for measured in metric.measurements
                ],
            }
            for metric in evidence.metrics
        ],
    }


def evidence_from_json(value: Mapping[str, Any]) -> Evidence:
    """Read back what :func:`evidence_to_json` wrote.

    Raises:
        EvidenceError: It is no evidence.
        KeyError, TypeError, ValueError: The same, where a field is missing or of another kind.
    """
    started_at, unchanged = value["started_at"], value["unchanged_for_seconds"]
    return Evidence(
        elapsed=timedelta(seconds=value["elapsed_seconds"]),
        treatments=tuple(TreatmentEvidence(**treatment) for treatment in value["treatments"]),
        metrics=tuple(
            MetricEvidence(
                key=metric["key"],
                measurements=tuple(Measurement(**measured) for measured in metric["measurements"]),
                direction=Direction(metric["direction"]) if metric["direction"] else None,
            )
            for metric in value["metrics"]
        ),
        primary_metric=value["primary_metric"],
        started_at=datetime.fromisoformat(started_at) if started_at else None,
        probability_of_mismatch=value["probability_of_mismatch"],
        unchanged_for=None if unchanged is None else timedelta(seconds=unchanged),
    )
