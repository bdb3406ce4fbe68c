"""Compute LaunchDarkly's metrics, from their definitions in the API. Pure.

Field names and their meaning are from the official client, version 25.0.1 (``MetricRep``, ``MetricPost``):
``windowStartOffset`` and ``windowEndOffset`` are milliseconds after a unit's first exposure, ``winsorLowerPercentile``
and ``winsorUpperPercentile`` percentiles above 0 and below 100.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.evidence.warehouse.definition import (
    Aggregation,
    Cap,
    EventsTable,
    MetricDefinition,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.api.models import Metric
    from airflow_provider_launchdarkly.api.models.metrics import MetricDenominator


class UncomputableMetricError(ConfigurationError):
    """A metric of LaunchDarkly's that cannot be computed from its events. The message names field, value and cure."""


def define_metric(
    metric: Metric,
    *,
    events: EventsTable,
    cuped: timedelta | None = None,
    cap: Cap | None = None,
    key: str | None = None,
    version_id: str | None = None,
) -> MetricDefinition:
    """Return what is computed for a metric.

    A metric of occurrences counts a unit once, or, with ``unitAggregationType`` ``sum``, each of its events. A unit
    without an event is 0 where ``eventDefault`` is not disabled, and is left out otherwise; with occurrences it is 0.

    Args:
        metric: The metric, in the version to compute.
        events: The table of its events.
        cuped: Time before a unit's first exposure for its covariate, for means.
        cap: Percentiles at which numbers are cut off, where the metric has none.
        key: The key by which the policy names it. Default: the metric's.
        version_id: The version that the iteration holds on to. Default: the metric's.

    Raises:
        UncomputableMetricError: The metric is of a kind that its events do not give.
    """
    aggregation = aggregation_of(metric.key, metric)
    if metric.filters:
        raise _uncomputable(metric.key, "has filters on the attributes of its events")
    if not metric.event_key:
        raise _uncomputable(metric.key, f"has no eventKey (kind {metric.kind or 'unknown'})")
    numbers = aggregation is not Aggregation.OCCURRENCE
    percentile = metric.percentile_value if metric.analysis_type == "percentile" else None
    if metric.analysis_type == "percentile" and percentile is None:
        raise _uncomputable(metric.key, "is analysed by a percentile and has no percentileValue")
    denominator = _denominator(metric, metric.denominator, events) if metric.denominator else None
    takes_covariate = percentile is None and denominator is None
    return MetricDefinition(
        key or metric.key,
        (metric.event_key,),
        aggregation,
        missing=value_without_events(metric),
        window=_window(metric.key, metric),
        cap=(_cap(metric) or (cap if percentile is None else None)) if numbers else None,
        percentile=percentile,
        covariate=cuped if takes_covariate else None,
        denominator=denominator,
        events_table=events,
        direction=Direction.of_success_criteria(metric.success_criteria),
        version_id=version_id or metric.version_id,
    )


def define_funnel(
    key: str, steps: Sequence[Metric], *, events: EventsTable, version_id: str | None = None
) -> MetricDefinition:
    """Return what is computed for a funnel: a unit counts if it has the events of all steps in their order.

    Args:
        key: Key of the metric group.
        steps: Its metrics, in order.
        events: The table of their events.
        version_id: The version of the last step, by which LaunchDarkly measures a funnel.

    Raises:
        UncomputableMetricError: A step counts no occurrences of an event, or steps have windows.
    """
    if not steps:
        raise _uncomputable(key, "is a funnel without metrics")
    for step in steps:
        define_metric(step, events=events)
        if step.is_numeric:
            raise _uncomputable(key, f"is a funnel with the numeric metric {step.key!r}")
        if step.window_end_offset is not None or step.window_start_offset is not None:
            raise _uncomputable(key, f"is a funnel, and its metric {step.key!r} has a window of its own")
    return MetricDefinition(
        key,
        tuple(step.event_key or "" for step in steps),
        Aggregation.OCCURRENCE,
        missing=0.0,
        events_table=events,
        direction=Direction.of_success_criteria(steps[-1].success_criteria),
        version_id=version_id or steps[-1].version_id,
    )


def aggregation_of(key: str, part: Metric | MetricDenominator) -> Aggregation:
    """Return what the events of one unit become.

    Raises:
        UncomputableMetricError: They are counted in a way of their own, such as ``count_distinct``.
    """
    match part.unit_aggregation_type or "average":
        case "average":
            return Aggregation.AVERAGE if part.is_numeric else Aggregation.OCCURRENCE
        case "sum":
            return Aggregation.SUM if part.is_numeric else Aggregation.COUNT
        case other:
            raise _uncomputable(key, f"has unitAggregationType {other}")


def value_without_events(metric: Metric) -> float | None:
    """Return the value of a unit without an event; None if such units are left out."""
    if not metric.is_numeric and metric.unit_aggregation_type in (None, "average"):
        return 0.0
    default = metric.event_default
    # Client 25.0.1, MetricEventDefaultRep: `disabled` is false where it is absent, and `value` is then 0.
    included = metric.include_units_without_events
    if included is None:
        included = default is None or not default.disabled
    return (default.value if default and default.value is not None else 0.0) if included else None


def _window(key: str, part: Metric | MetricDenominator) -> tuple[timedelta, timedelta] | None:
    start, end = part.window_start_offset, part.window_end_offset
    if end is None:
        if start:
            raise _uncomputable(key, f"has windowStartOffset {start} and no windowEndOffset")
        return None
    if not 0 <= (start or 0) < end:
        raise _uncomputable(key, f"has a window from {start or 0} to {end} milliseconds, which ends before it starts")
    return timedelta(milliseconds=start or 0), timedelta(milliseconds=end)


def _cap(part: Metric | MetricDenominator) -> Cap | None:
    lower, upper = part.winsor_lower_percentile, part.winsor_upper_percentile
    if lower is None and upper is None:
        return None
    return Cap(lower, upper, with_imputed=part.winsor_include_imputed)


def _denominator(metric: Metric, part: MetricDenominator, events: EventsTable) -> MetricDefinition:
    aggregation = aggregation_of(metric.key, part)
    if part.filters:
        raise _uncomputable(metric.key, "has filters on the attributes of its denominator's events")
    if not part.event_name:
        raise _uncomputable(metric.key, "has a denominator without eventName")
    return MetricDefinition(
        f"{metric.key}/denominator",
        (part.event_name,),
        aggregation,
        missing=0.0,
        window=_window(metric.key, part),
        cap=_cap(part) if aggregation is not Aggregation.OCCURRENCE else None,
        events_table=events,
    )


def _uncomputable(key: str, problem: str) -> UncomputableMetricError:
    return UncomputableMetricError(
        f"metric {key!r} {problem}, so it cannot be computed from the table of events: define it under `metrics` of "
        "the results, over a table or view of your own, by the same key"
    )
