"""Evidence for tests: by default one metric, a baseline and a treatment, evenly split."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_launchdarkly.decision.evidence import Evidence, Measurement, MetricEvidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.policy_parts import Direction

CONTROL, BOLD, QUIET = "id-control", "id-bold", "id-quiet"
NAMES = {CONTROL: "Control", BOLD: "Bold", QUIET: "Quiet"}
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def rates(
    key: str, units: int | tuple[int, ...], *values: float, direction: Direction | None = Direction.HIGHER
) -> MetricEvidence:
    """Return a conversion metric with these rates, the baseline's first."""
    counts = (units,) * len(values) if isinstance(units, int) else units
    return MetricEvidence(
        key,
        tuple(
            Measurement(treatment, count, rate if count else None, (rate * (1 - rate)) ** 0.5 if count else None)
            for treatment, count, rate in zip(NAMES, counts, values, strict=False)
        ),
        direction,
    )


def shifted(
    key: str, z: float, units: int = 10_000, *, direction: Direction | None = Direction.HIGHER
) -> MetricEvidence:
    """Return a numeric metric (mean 100, deviation 20) whose treatment differs by so many standard errors."""
    difference = z * 20.0 * (2.0 / units) ** 0.5
    return MetricEvidence(
        key,
        (Measurement(CONTROL, units, 100.0, 20.0), Measurement(BOLD, units, 100.0 + difference, 20.0)),
        direction,
    )


def evidence(
    day: float,
    *metrics: MetricEvidence,
    exposed: tuple[int, ...] | None = None,
    shares: tuple[float, ...] | None = None,
    unchanged_for: timedelta | None = None,
    probability_of_mismatch: float | None = None,
) -> Evidence:
    """Return the evidence of a day; the first metric is the experiment's primary one.

    Without exposures or shares no split is tested.
    """
    count = len(metrics[0].measurements)
    exposures = exposed or (None,) * count
    planned: tuple[float | None, ...] = shares or (None if exposed is None else 1.0,) * count
    return Evidence(
        elapsed=timedelta(days=day),
        treatments=tuple(
            TreatmentEvidence(treatment, NAMES[treatment], treatment == CONTROL, share, units)
            for treatment, share, units in zip(list(NAMES)[:count], planned, exposures, strict=True)
        ),
        metrics=metrics,
        primary_metric=metrics[0].key,
        started_at=MONDAY,
        unchanged_for=unchanged_for,
        probability_of_mismatch=probability_of_mismatch,
    )
