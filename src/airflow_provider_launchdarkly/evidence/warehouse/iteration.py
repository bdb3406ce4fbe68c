"""The parts of an iteration that both sources in LaunchDarkly's tables use: variations, pinned metrics, caution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Iteration, Metric
    from airflow_provider_launchdarkly.api.models.experiments import MeasuredMetric, Treatment
    from airflow_provider_launchdarkly.evidence.source import LookContext


def variations_of(iteration: Iteration) -> tuple[str, dict[str, str]]:
    """Return the key of an iteration's flag, and the treatment's id for the id of each variation.

    Raises:
        StateError: LaunchDarkly does not show a variation of each treatment.
    """
    for flag_key in iteration.flags:
        found = {treatment.variation_of(flag_key): treatment.id for treatment in iteration.treatments}
        if found and None not in found and len(found) == len(iteration.treatments):
            return flag_key, {variation: id_ for variation, id_ in found.items() if variation is not None}
    flags = ", ".join(iteration.flags) or "none"
    raise StateError(
        f"LaunchDarkly does not show which variation each treatment of iteration {iteration.id!r} serves (flags: "
        f"{flags}), so exposures cannot be told apart: look at the treatments in LaunchDarkly"
    )


def served(iteration: Iteration) -> list[Treatment]:
    """Return the treatments of an iteration that anybody is allocated to."""
    return [treatment for treatment in iteration.treatments if treatment.allocation_percent != 0]


def pinned_metric(look_context: LookContext, measured: MeasuredMetric) -> Procedure[Metric]:
    """Read a metric in the version that the iteration holds on to, or as it is where that version is not shown.

    Args:
        look_context: The look, which keeps the definition for later looks of the same process.
        measured: The metric as the iteration names it.
    """
    known = look_context.definitions.get(measured.key)
    if known is not None:
        return known
    project_key = look_context.target.environment.project_key
    try:
        metric: Metric = (yield endpoints.get_metric(project_key, measured.key, version_id=measured.version_id)).value
    except NotFoundError:
        if measured.version_id is None:
            raise
        metric = (yield endpoints.get_metric(project_key, measured.key)).value
    look_context.definitions[measured.key] = metric
    return metric


def open_ended_caution(keys: Sequence[str]) -> str:
    """Return what limits the numbers of metrics without a window."""
    return (
        f"only what has happened so far was judged on {', '.join(keys)}: without a window, each unit counts from its "
        "exposure on, so a treatment that only acts sooner looks better for a while"
    )
