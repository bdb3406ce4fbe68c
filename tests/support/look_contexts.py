"""Contexts of looks: an iteration of two or three treatments, some days after its start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import Iteration
from airflow_provider_launchdarkly.evidence.source import LookContext, Target

STARTED_AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
METRIC = "checkout-conversion"


def look_context(
    days: float = 10,
    names: tuple[str, ...] = ("Classic", "Bold"),
    *,
    burn_in: timedelta = timedelta(),
    maturity: timedelta = timedelta(),
) -> LookContext:
    """Return the context of a look so many days after the start; treatment `Bold` has the id `id-bold`."""
    iteration = Iteration.model_validate(
        {
            "_id": "it-1",
            "status": "running",
            "startedAt": int(STARTED_AT.timestamp() * 1000),
            "primarySingleMetric": {"key": METRIC},
            "metrics": [{"key": METRIC}, {"key": "page-load-ms"}],
            "treatments": [
                {
                    "_id": f"id-{name.lower()}",
                    "name": name,
                    "baseline": number == 0,
                    "allocationPercent": f"{100 / len(names)}",
                }
                for number, name in enumerate(names)
            ],
        }
    )
    target = Target(EnvironmentRef("demo", "production"), "bold-checkout-button", "it-1")
    at = STARTED_AT + timedelta(days=days)
    return LookContext(target, iteration, STARTED_AT, at, burn_in=burn_in, maturity=maturity)
