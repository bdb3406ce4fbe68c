"""All groups of the calibration, in the order of the table."""

from __future__ import annotations

from functools import cache

from calibration import changing_effects, harm_looks, null_worlds, ramps, reference
from calibration.cells import Group


@cache
def every_group() -> tuple[Group, ...]:
    """Return every group; each process makes them once."""
    return (
        *null_worlds.splits(),
        *null_worlds.several_treatments(),
        *null_worlds.traffic_patterns(),
        *null_worlds.small_treatments_in_uneven_traffic(),
        *null_worlds.maturing_metrics(),
        *changing_effects.effects_that_change(),
        *null_worlds.looks(),
        *harm_looks.harm_looks(),
        *ramps.example_ramps(),
        *reference.reference_plan(),
    )
