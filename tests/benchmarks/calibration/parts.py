"""All groups of the calibration, in the order of the table."""

from __future__ import annotations

from functools import cache

from calibration import (
    approvals,
    changing_effects,
    edits,
    harm,
    harm_looks,
    null_worlds,
    planning,
    ramps,
    reference,
    worth,
)
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
        *approvals.approvals(),
        *edits.policy_edits(),
        *harm.harm_in_minutes(),
        *harm_looks.harm_looks(),
        *ramps.example_ramps(),
        *reference.reference_plan(),
        *worth.estimates_at_the_stop(),
        *planning.planned_power(),
    )
