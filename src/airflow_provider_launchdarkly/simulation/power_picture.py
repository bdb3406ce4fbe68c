"""Draw a plan: when the effect ships, and what longer plans find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_launchdarkly.decision.power import PowerPlan

_POWER, _EFFECT = "#1b7f5c", "#2b6cb0"


def write_power_picture(plan: PowerPlan, path: Path) -> None:
    """Write a picture of a plan: the chance to have shipped by each day, and power and smallest effect by length.

    Args:
        plan: The plan.
        path: File to write; its suffix selects the format (png, svg, pdf).

    Raises:
        ValueError: The suffix is not a known format.
    """
    figure = Figure(figsize=(12.0, 5.0), layout="constrained")
    by_day, by_length = figure.subplots(1, 2)
    _draw_days(by_day, plan)
    _draw_lengths(by_length, plan)
    figure.savefig(path, dpi=120)


def _draw_days(axes: Any, plan: PowerPlan) -> None:
    days, shipped = zip(*plan.ship_by, strict=True)
    axes.step(days, shipped, where="post", color=_POWER)
    axes.axhline(plan.wanted_power, color="black", linewidth=0.5, linestyle=":")
    effect = "without an effect" if plan.effect is None else f"with an effect of {100 * plan.effect:+.2f} %"
    axes.set(xlabel="day of the last stage", ylabel="probability to have shipped", title=f"Shipped by day, {effect}")
    axes.set_ylim(0.0, 1.0)


def _draw_lengths(axes: Any, plan: PowerPlan) -> None:
    if plan.power is not None:
        axes.plot([row.days for row in plan.horizons], [row.power for row in plan.horizons], "o-", color=_POWER)
        axes.set_ylim(0.0, 1.0)
    axes.set(xlabel="length of the last stage in days", title="What longer plans find")
    axes.set_ylabel("power", color=_POWER)
    found = [row for row in plan.horizons if row.smallest_effect is not None]
    other = axes.twinx()
    other.plot([row.days for row in found], [100 * (row.smallest_effect or 0.0) for row in found], "s--", color=_EFFECT)
    other.set_ylabel(f"smallest effect with power {100 * plan.wanted_power:g} %, in %", color=_EFFECT)
    other.set_ylim(bottom=0.0)
