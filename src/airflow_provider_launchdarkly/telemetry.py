"""Counters and gauges in Airflow's own metrics (StatsD or OpenTelemetry, as Airflow is configured)."""

from __future__ import annotations

from functools import cache
from typing import Any


def count(name: str, number: int = 1) -> None:
    """Count events, as ``launchdarkly.NAME``. A call costs tens of microseconds, so many events make one."""
    _stats().incr(f"launchdarkly.{name}", number)


def gauge(name: str, value: float) -> None:
    """Set a gauge, ``launchdarkly.NAME``."""
    _stats().gauge(f"launchdarkly.{name}", value)


@cache  # the name is looked up anew at each import, which costs more than a count
def _stats() -> Any:
    from airflow.providers.common.compat.sdk import Stats

    return Stats
