"""Read a metric's fields from a request body: those that the emulator uses, and those that it keeps and shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import Metric
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

CRITERIA: Final = ("HigherThanBaseline", "LowerThanBaseline")
_TEXTS: Final = ("selector", "traceQuery", "traceValueLocation", "unitAggregationField", "valueColumn")
_OBJECTS: Final = ("filters", "denominator", "dataSource")
_OFFSETS: Final = ("windowStartOffset", "windowEndOffset")
_BOUNDS: Final = ("winsorLowerPercentile", "winsorUpperPercentile")
DETAILS: Final = (*_TEXTS, *_OBJECTS, *_OFFSETS, *_BOUNDS, "winsorIncludeImputed", "percentileValue", "urls")
_URLS: Final = {"exact": "url", "canonical": "url", "substring": "substring", "regex": "pattern"}


def with_fields(transaction: Transaction, metric: Metric, body: RequestBody) -> Metric:
    """Return a metric with the fields of a body that creates it or shows it as patched.

    Args:
        transaction: The transaction.
        metric: The metric, whose key, kind, `is_numeric` and maintainer stand.
        body: All other fields.

    Raises:
        ApiError: 400, a field is missing or wrong.
    """
    if metric.kind == "custom":
        body.text("eventKey")
        if metric.is_numeric:
            body.text("successCriteria")
    event_default = body.object("eventDefault") if "eventDefault" in body else RequestBody({})
    changed = replace(
        metric,
        name=body.optional_text("name") or metric.key,
        higher_is_better=body.choice("successCriteria", CRITERIA, CRITERIA[0]) == CRITERIA[0],
        event_key=body.optional_text("eventKey"),
        unit=body.optional_text("unit"),
        unit_aggregation=body.choice("unitAggregationType", ("average", "sum", "count_distinct"), "average"),
        analysis_type=body.choice("analysisType", ("mean", "percentile"), "mean"),
        missing_counts_as_zero=not event_default.flag("disabled", default=False),
        description=body.optional_text("description") or "",
        tags=tuple(dict.fromkeys(body.texts("tags"))),
        randomization_units=body.texts("analysisUnits") or body.texts("randomizationUnits") or ("user",),
        details=_details(body),
    )
    if "maintainerId" in body:
        check_member(transaction, body.text("maintainerId"))
        changed = replace(changed, maintainer_id=body.text("maintainerId"))
    _check_needed(changed, body)
    return changed


def _details(body: RequestBody) -> dict[str, Any]:
    details: dict[str, Any] = {name: body.text(name) for name in _TEXTS if name in body}
    details |= {name: body.raw(name) for name in _OBJECTS if name in body and body.object(name).names()}
    details |= {name: body.integer(name) for name in _OFFSETS if name in body}
    details |= {name: _percentile(body, name) for name in _BOUNDS if name in body}
    if all(name in details for name in _BOUNDS) and details[_BOUNDS[0]] >= details[_BOUNDS[1]]:
        raise invalid_request(f"{body.path(_BOUNDS[1])} must be greater than {_BOUNDS[0]}")
    if "winsorIncludeImputed" in body:
        details["winsorIncludeImputed"] = body.flag("winsorIncludeImputed")
    if "percentileValue" in body:
        details["percentileValue"] = body.integer("percentileValue")
        if not 0 < details["percentileValue"] < 100:
            raise invalid_request(f"{body.path('percentileValue')} must be between 0 and 100")
    if "urls" in body:
        details["urls"] = [_url(item) for item in body.objects("urls")]
    if "dataSource" in details:
        body.object("dataSource").text("key")
    return details


def _percentile(body: RequestBody, name: str) -> float:
    value = body.raw(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 100:
        raise invalid_request(f"{body.path(name)} must be a number between 0 and 100, not {value!r}")
    return value


def _url(item: RequestBody) -> dict[str, str]:
    kind = item.choice("kind", _URLS, "")
    return {"kind": kind, _URLS[kind]: item.text(_URLS[kind])}


def _check_needed(metric: Metric, body: RequestBody) -> None:
    """Raise a 400 for a field that the metric's kind needs and does not have (client 25.0.1, MetricPost)."""
    needed = {
        "urls": metric.kind in ("click", "pageview"),
        "selector": metric.kind == "click",
        "traceQuery": metric.kind == "trace",
        "traceValueLocation": metric.kind == "trace" and metric.is_numeric,
        "percentileValue": metric.analysis_type == "percentile",
        "unitAggregationField": metric.unit_aggregation == "count_distinct",
    }
    for name, is_needed in needed.items():
        if is_needed and name not in metric.details:
            raise invalid_request(f"{body.path(name)} is required")
