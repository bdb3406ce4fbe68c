"""A verdict's plain JSON, from an XCom, an asset event or a decision record, as the reading model's look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views.model import Comparison, Look, MetricAtLook, SplitTest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def look_of(
    verdict: Mapping[str, Any],
    *,
    at: datetime | None = None,
    stage: int = 1,
    iteration_id: str = "",
    ships_from_day: float | None = None,
) -> Look:
    """Read a verdict.

    Args:
        verdict: The verdict; fields that it lacks are not known.
        at: When it was given.
        stage: The stage whose iteration it is about, from 1.
        iteration_id: The iteration, if the verdict does not name it.
        ships_from_day: The policy's `min_duration` in days: before it no boundary ships anything. None if unknown.
    """
    elapsed = float(verdict.get("elapsed_days") or 0.0)
    too_early = ships_from_day is not None and elapsed < ships_from_day
    return Look(
        number=verdict.get("look") or 0,
        of=verdict.get("looks") or 0,
        at=at,
        elapsed_days=elapsed,
        verdict=str(verdict.get("verdict")),
        reason=str(verdict.get("reason") or ""),
        summary=str(verdict.get("summary") or ""),
        stage=stage,
        iteration_id=str(verdict.get("iteration_id") or iteration_id),
        units=verdict.get("units"),
        metrics=tuple(_metric(metric, too_early=too_early) for metric in verdict.get("metrics") or ()),
        split=split_of(verdict.get("split")),
        only_harm=verdict.get("look") is None and bool(verdict.get("metrics") or verdict.get("harmed")),
        cautions=tuple(verdict.get("cautions") or ()),
    )


def split_of(split: Mapping[str, Any] | None) -> SplitTest | None:
    """Read a verdict's test of the split; None where there is none."""
    if not split:
        return None
    return SplitTest(
        treatments=tuple(split["treatments"]),
        units=tuple(split["units"]),
        shares=tuple(100.0 * share for share in split["shares"]),
        p_value=split["p_value"],
        alpha=split["alpha"],
        mismatch=bool(split["mismatch"]),
    )


def _metric(metric: Mapping[str, Any], *, too_early: bool) -> MetricAtLook:
    role = str(metric.get("role"))
    return MetricAtLook(
        metric=str(metric.get("metric")),
        role=role,
        direction=str(metric.get("direction")),
        margin=metric.get("margin") or 0.0,
        comparisons=tuple(
            _comparison(compared, role, too_early=too_early) for compared in metric.get("comparisons") or ()
        ),
    )


def _comparison(compared: Mapping[str, Any], role: str, *, too_early: bool) -> Comparison:
    success = compared.get("success") or {}
    # A signal's bar for harm delays a ship; it rolls nothing back.
    bars = [compared.get(name) or {} for name in ("harm", "anytime_harm")] if role != "signal" else [{}]
    harm = next((bar for bar in bars if bar.get("reached")), None) or next(
        (bar for bar in bars if bar.get("boundary") is not None), bars[0]
    )
    estimate, hopes = compared.get("estimate") or {}, compared.get("prospects") or {}
    adjusted = estimate.get("bias_adjusted")
    return Comparison(
        treatment=str(compared.get("treatment")),
        units=compared.get("units") or 0,
        baseline_units=compared.get("baseline_units") or 0,
        lift=compared.get("lift"),
        lower=compared.get("lift_lower"),
        upper=compared.get("lift_upper"),
        level=compared.get("lift_level"),
        z=success.get("z") if success else compared.get("z"),
        boundary=None if too_early else success.get("boundary"),
        harm_z=harm.get("z"),
        harm_boundary=harm.get("boundary"),
        better=bool(success.get("reached")),
        harmed=bool(harm.get("reached")),
        chance=hopes.get("predictive_power"),
        worth=estimate.get("median_unbiased") if adjusted is None else adjusted,
    )
