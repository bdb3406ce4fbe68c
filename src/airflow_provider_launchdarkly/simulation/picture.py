"""Draw a simulation: the boundaries with sample paths, and the days on which experiments end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.drawn import bounds_of, days_of, endings_by_look

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.simulation.report import Simulation

_TALLEST = 6.0
_COLOURS = {Kind.SHIP: "#1b7f5c", Kind.ROLLBACK: "#c0392b", Kind.INCONCLUSIVE: "#9aa5b1", Kind.INVALID: "#8e44ad"}


def write_picture(policy: Policy, simulation: Simulation, allocation: Allocation, path: Path) -> None:
    """Write a picture of a simulation.

    Args:
        policy: The simulated policy.
        simulation: The simulation.
        allocation: The simulated allocation.
        path: File to write; its suffix selects the format (png, svg, pdf).

    Raises:
        ValueError: The suffix is not a known format.
    """
    figure = Figure(figsize=(12.0, 5.0), layout="constrained")
    over_time, ends = figure.subplots(1, 2)
    _draw_paths(over_time, policy, simulation, allocation)
    _draw_ends(ends, simulation)
    figure.savefig(path, dpi=120)


def _draw_paths(axes: Any, policy: Policy, simulation: Simulation, allocation: Allocation) -> None:
    days = np.array(days_of(simulation))
    for paths, colour, label in zip(simulation.paths, ("#9aa5b1", "#2b6cb0"), ("no effect", "effect"), strict=True):
        axes.plot(days, paths[:20].T, color=colour, linewidth=0.6, alpha=0.6)
        axes.plot([], [], color=colour, label=label)
    bounds = bounds_of(policy, simulation, allocation)
    if bounds is not None:
        judged, ships = np.array(bounds.days), np.array(bounds.ships)
        axes.plot(judged[ships], np.array(bounds.ship)[ships], color=_COLOURS[Kind.SHIP], label="ship")
        axes.plot(judged, np.array(bounds.harm), color=_COLOURS[Kind.ROLLBACK], label="roll back")
        axes.axvline(judged[-1], color="black", linewidth=0.5, linestyle=":", label="end of the plan")
    axes.set(xlabel="day", ylabel="z of the primary metric", ylim=(-_TALLEST, _TALLEST), title="Boundary at each look")
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.legend(loc="upper right")


def _draw_ends(axes: Any, simulation: Simulation) -> None:
    days = np.array(days_of(simulation))
    base = np.zeros(len(days))
    for kind, shares in endings_by_look(simulation, effect=True).items():
        counts = np.array(shares)
        axes.bar(days, counts, bottom=base, width=0.9 * days[-1] / len(days), color=_COLOURS[Kind(kind)], label=kind)
        base += counts
    axes.set(xlabel="day", ylabel="share of experiments", title="When experiments with the effect end")
    axes.set_ylim(0.0, 1.1 * float(base.max()))
    axes.legend(loc="upper left")
