"""Counters and gauges in Airflow's own metrics (StatsD or OpenTelemetry, as Airflow is configured)."""

from __future__ import annotations


def count(name: str, number: int = 1) -> None:
    """Count events, as ``launchdarkly.NAME``. A call costs tens of microseconds, so many events make one."""
    from airflow.providers.common.compat.sdk import Stats

    Stats.incr(f"launchdarkly.{name}", number)


def gauge(name: str, value: float) -> None:
    """Set a gauge, ``launchdarkly.NAME``."""
    from airflow.providers.common.compat.sdk import Stats

    Stats.gauge(f"launchdarkly.{name}", value)
