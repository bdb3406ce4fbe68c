"""Put a verdict into one line for people. No decision is made here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.config.percent import format_percent
from airflow_provider_launchdarkly.decision.standing import STILL_THERE, nominal_p

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.assessment import Assessment
    from airflow_provider_launchdarkly.decision.evidence import Coverage, Standing
    from airflow_provider_launchdarkly.decision.futility import Futility
    from airflow_provider_launchdarkly.decision.verdict import (
        Bar,
        Estimate,
        MetricJudgement,
        Prospects,
        Split,
        TreatmentEffect,
    )


def opening(assessed: Assessment, elapsed: timedelta) -> str:
    """Return `look 14 of 28, day 14.0, 27,951 units`."""
    if not assessed.look:
        return f"day {days(elapsed)}"
    return f"look {assessed.look} of {len(assessed.schedule.look_times)}, day {days(elapsed)}, {assessed.units:,} units"


def days(duration: timedelta) -> str:
    """Return a duration in days with one decimal."""
    return f"{duration / timedelta(days=1):.1f}"


def covered(coverage: Coverage) -> str:
    """Return `12 units saw several treatments and were left out; units without events: 1,200 in revenue; …`."""
    parts = []
    if coverage.crossovers is not None:
        parts.append(f"{coverage.crossovers:,} units saw several treatments and were left out")
    if coverage.without_events:
        listed = ", ".join(f"{count:,} in {metric}" for metric, count in coverage.without_events.items())
        parts.append(f"units without events: {listed}")
    if coverage.lateness is not None:
        parts.append(f"the last row came {coverage.lateness / timedelta(hours=1):.1f} h before the look")
    return "; ".join(parts)


def lift(compared: TreatmentEffect) -> str:
    """Return `Bold +6.1 % [+1.2 %, +11.0 %] at 90 %`."""
    if compared.lift is None:
        return compared.treatment if compared.difference is None else f"{compared.treatment} {compared.difference:+.4g}"
    text = f"{compared.treatment} {format_percent(compared.lift)}"
    if compared.lift_lower is not None and compared.lift_upper is not None:
        text += f" [{format_percent(compared.lift_lower)}, {format_percent(compared.lift_upper)}]"
        text += "" if compared.lift_level is None else f" at {100 * compared.lift_level:.4g} %"
    return text


def success(metric: MetricJudgement, compared: TreatmentEffect) -> str:
    """Return a treatment's effect on the primary metric, beside the bar."""
    text = f"{lift(compared)} on {metric.metric}"
    if compared.success is not None:
        return f"{text}, {bar(compared.success)}"
    return text if compared.p_best is None else f"{text}, probability to be best {compared.p_best:.3f}"


def stands(standing: Standing | None, compared: TreatmentEffect) -> str:
    """Return `, but look 12 crossed and stands`; nothing without a crossing, or if this look crosses by itself."""
    crosses = compared.success is not None and compared.success.reached
    return f", but look {standing.look} crossed and stands" if standing and not crosses else ""


def gone(metric: MetricJudgement, compared: TreatmentEffect, standing: Standing) -> str:
    """Return that a treatment crossed the boundary before, and that its effect is gone now."""
    p_value = nominal_p(compared.success, compared.z)
    known = "" if p_value is None else f" (p {p_value:.2g} > {STILL_THERE:g})"
    return f"{success(metric, compared)}; look {standing.look} crossed, but the effect is gone{known}"


def worth(found: Estimate | None) -> str:
    """Return `; bias-adjusted +4.2 %, median-unbiased +5.3 % [+0.4 %, +10.3 %] at 95 %`, as far as it is known."""
    if found is None:
        return ""
    adjusted = "" if found.bias_adjusted is None else f"bias-adjusted {format_percent(found.bias_adjusted)}, "
    text = f"; {adjusted}median-unbiased {format_percent(found.median_unbiased)}"
    if found.lower is not None and found.upper is not None:
        text += f" [{format_percent(found.lower)}, {format_percent(found.upper)}] at {100 * found.level:.4g} %"
    return text


def bar(judged: Bar, name: str = "z") -> str:
    """Return `z 2.71 ≥ 2.46`."""
    if judged.z is None or judged.boundary is None:
        return f"no {name} yet"
    return f"{name} {judged.z:.2f} {'≥' if judged.z >= judged.boundary else '<'} {judged.boundary:.2f}"


def prospects(hopes: Prospects) -> str:
    """Return `conditional power 87 % on this trend, 62 % at the planned effect, predictive power 79 %`."""
    planned = hopes.planned_conditional_power
    wanted = "" if planned is None else f", {chance(planned)} at the planned effect"
    trend = chance(hopes.conditional_power)
    return f"conditional power {trend} on this trend{wanted}, predictive power {chance(hopes.predictive_power)}"


def futile(metric: MetricJudgement, hopes: Prospects, futility: Futility) -> str:
    """Return `predictive power 0.4 % < 1 %`, with the metric if it is a guardrail."""
    if futility.predictive_power is not None:
        text = f"predictive power {chance(hopes.predictive_power)} < {chance(futility.predictive_power)}"
    else:
        found, least = hopes.planned_conditional_power or 0.0, futility.conditional_power or 0.0
        text = f"conditional power {chance(found)} < {chance(least)} at the planned effect"
    return text if metric.role == "primary" else f"{text} to show {metric.metric} within its margin"


def chance(probability: float) -> str:
    """Return `43 %`, and two digits below 10 %."""
    return f"{100 * probability:.0f} %" if probability >= 0.0995 else f"{100 * probability:.2g} %"


def harm(metric: MetricJudgement, compared: TreatmentEffect) -> str:
    """Return which metric was harmed, how much, and on what evidence."""
    beyond = f" (more than the {format_percent(metric.margin).lstrip('+')} that may be lost)" if metric.margin else ""
    decisive = compared.harmful or compared.harm
    harmed = f", {bar(decisive, 'harm z')}" if decisive else ""
    return f"{metric.metric} is harmed by {lift(compared)}{beyond}{harmed}{worth(compared.estimate)}"


def constant(metric: MetricJudgement) -> str:
    """Return that a metric is the same for every unit, and what follows."""
    return f"{metric.metric} is 0 for every unit of every treatment, so it shows no harm and no safety"


def no_harm(metric: MetricJudgement) -> str:
    """Return `conversion (Bold harm z 0.31 < 3.59)`."""
    bars = (
        f"{compared.treatment} {bar(compared.anytime_harm, 'harm z')}"
        for compared in metric.comparisons
        if compared.anytime_harm
    )
    return f"{metric.metric} ({', '.join(bars)})"


def split(tested: Split, metric: str | None = None) -> str:
    """Return `units are split 5200 to 4800 (52.0 % to 48.0 %), planned 50.0 % to 50.0 %`."""
    total = sum(tested.units) or 1
    counts = " to ".join(str(count) for count in tested.units)
    percent = " to ".join(f"{100 * count / total:.1f} %" for count in tested.units)
    planned = " to ".join(f"{100 * share:.1f} %" for share in tested.shares)
    measured_on = f" measured on {metric}" if metric else ""
    return f"units{measured_on} are split {counts} ({percent}), planned {planned}, p {tested.p_value:.2g}"
