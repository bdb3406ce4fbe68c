"""Evidence as plain JSON and back, without loss: a replay must decide by the same numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_launchdarkly.decision.evidence import (
    Coverage,
    EarlierLook,
    Evidence,
    Measurement,
    MetricEvidence,
    ReleaseEvidence,
    Spent,
    Standing,
    Taken,
    TreatmentEvidence,
)
from airflow_provider_launchdarkly.decision.policy_parts import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    """Return evidence as plain JSON: durations in seconds, times in ISO 8601."""
    return {
        "elapsed_seconds": evidence.elapsed.total_seconds(),
        "started_at": evidence.started_at.isoformat() if evidence.started_at else None,
        "primary_metric": evidence.primary_metric,
        "probability_of_mismatch": evidence.probability_of_mismatch,
        "unchanged_for_seconds": None if evidence.unchanged_for is None else evidence.unchanged_for.total_seconds(),
        "cautions": list(evidence.cautions),
        **({"only_harm": True} if evidence.only_harm else {}),
        **({"taken": _taken_to_json(evidence)} if evidence.taken else {}),
        **({"coverage": _coverage_to_json(evidence.coverage)} if evidence.coverage else {}),
        **({"releases": [_release_to_json(each) for each in evidence.releases]} if evidence.releases else {}),
        "standing": evidence.standing._asdict() if evidence.standing else None,
        "spent": _spent_to_json(evidence.spent),
        "repeats": evidence.repeats,
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
        "earlier": [earlier_to_json(look) for look in evidence.earlier],
    }


def earlier_to_json(look: EarlierLook) -> dict[str, Any]:
    """Return an earlier look as plain JSON, short since each later look repeats it.

    Each metric maps the ids of its treatments to ``[units, mean, std_dev]``; treatments without data are left out.
    """
    return {
        "elapsed_seconds": look.elapsed.total_seconds(),
        "metrics": {
            metric.key: {
                measured.treatment_id: [measured.units, measured.mean, measured.std_dev]
                for measured in metric.measurements
                if measured.units and measured.mean is not None and measured.std_dev is not None
            }
            for metric in look.metrics
        },
    }


def earlier_from_json(value: Mapping[str, Any]) -> EarlierLook:
    """Read back what :func:`earlier_to_json` wrote.

    Raises:
        ValueError: This is no earlier look.
    """
    try:
        return EarlierLook(
            timedelta(seconds=value["elapsed_seconds"]),
            tuple(
                MetricEvidence(
                    key, tuple(Measurement(name, *(number for number in numbers)) for name, numbers in measured.items())
                )
                for key, measured in value["metrics"].items()
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no earlier look: {type(error).__name__}: {error}") from None


def evidence_from_json(value: Mapping[str, Any]) -> Evidence:
    """Read back what :func:`evidence_to_json` wrote, in this version or in another one.

    Unknown fields are ignored and absent ones take their defaults, as the schema of the decision record has it.

    Raises:
        ValueError: A field is missing, or is no evidence. The message names it.
    """
    try:
        started_at, unchanged = value.get("started_at"), value.get("unchanged_for_seconds")
        return _known(
            Evidence,
            {
                **value,
                "elapsed": timedelta(seconds=value["elapsed_seconds"]),
                "treatments": tuple(_known(TreatmentEvidence, treatment) for treatment in value["treatments"]),
                "metrics": tuple(_metric(metric) for metric in value["metrics"]),
                "started_at": datetime.fromisoformat(started_at) if started_at else None,
                "unchanged_for": None if unchanged is None else timedelta(seconds=unchanged),
                "cautions": tuple(value.get("cautions", ())),
                "earlier": tuple(earlier_from_json(look) for look in value.get("earlier", ())),
                "standing": _known(Standing, value["standing"]) if value.get("standing") else None,
                "spent": _spent(value.get("spent")),
                "taken": _taken(value.get("taken")),
                "coverage": _coverage(value.get("coverage")),
                "releases": tuple(_release(each) for each in value.get("releases", ())),
            },
        )
    except KeyError as error:
        raise ValueError(f"the evidence has no field {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"this is no evidence: {error}") from None


def _taken_to_json(evidence: Evidence) -> dict[str, Any] | None:
    taken = evidence.taken
    if taken is None:
        return None
    return {
        "at_seconds": taken.at.total_seconds(),
        "late_seconds": (taken.at - evidence.elapsed).total_seconds(),
        "arrived_seconds": None if taken.arrived is None else taken.arrived.total_seconds(),
        "left_out": list(taken.left_out),
    }


def _taken(value: Mapping[str, Any] | None) -> Taken | None:
    if value is None:
        return None
    arrived = value.get("arrived_seconds")
    at = timedelta(seconds=value["at_seconds"])
    return Taken(at, None if arrived is None else timedelta(seconds=arrived), tuple(value.get("left_out", ())))


def _coverage_to_json(coverage: Coverage) -> dict[str, Any]:
    last_event, last_batch = coverage.last_event, coverage.last_batch
    return {
        "crossovers": coverage.crossovers,
        "without_events": dict(coverage.without_events),
        "last_event": last_event.isoformat() if last_event else None,
        "last_batch": last_batch.isoformat() if last_batch else None,
        "lateness_seconds": None if coverage.lateness is None else coverage.lateness.total_seconds(),
    }


def _coverage(value: Mapping[str, Any] | None) -> Coverage | None:
    if value is None:
        return None
    times = {
        name: datetime.fromisoformat(value[name]) if value.get(name) else None for name in ("last_event", "last_batch")
    }
    late = value.get("lateness_seconds")
    return _known(
        Coverage,
        {
            **value,
            **times,
            "without_events": dict(value.get("without_events", {})),
            "lateness": None if late is None else timedelta(seconds=late),
        },
    )


def _release_to_json(release: ReleaseEvidence) -> dict[str, Any]:
    return {**release._asdict(), "metrics": dict(release.metrics)}


def _release(value: Mapping[str, Any]) -> ReleaseEvidence:
    return _known(ReleaseEvidence, {**value, "metrics": dict(value["metrics"])})


def _spent_to_json(spent: Spent | None) -> dict[str, Any] | None:
    if spent is None:
        return None
    numbers = {"ship": spent.ship, "harm": spent.harm, "until_seconds": spent.until.total_seconds()}
    return {**numbers, "changes": list(spent.changes)}


def _spent(value: Mapping[str, Any] | None) -> Spent | None:
    if value is None:
        return None
    until = timedelta(seconds=value["until_seconds"])
    return Spent(value["ship"], value["harm"], until, tuple(value.get("changes", ())))


def _metric(value: Mapping[str, Any]) -> MetricEvidence:
    measurements = tuple(_known(Measurement, measured) for measured in value["measurements"])
    direction = Direction(value["direction"]) if value.get("direction") else None
    return _known(MetricEvidence, {**value, "measurements": measurements, "direction": direction})


def _known(kind: Callable[..., T], value: Mapping[str, Any]) -> T:
    """Build a named tuple from those fields of a mapping that it has."""
    fields: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 - mypy takes a class for a plain callable
    return kind(**{name: value[name] for name in fields if name in value})
