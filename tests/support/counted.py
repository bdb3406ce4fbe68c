"""What Airflow's metrics would get of the provider's counters and gauges."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_launchdarkly import telemetry

if TYPE_CHECKING:
    import pytest

Counted: TypeAlias = tuple[Counter[str], dict[str, float]]


def count_in(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Return the sums of the counters, and the newest values of the gauges, from now on."""
    counts: Counter[str] = Counter()
    gauges: dict[str, float] = {}

    class Stats:
        @staticmethod
        def incr(name: str, count: int = 1) -> None:
            counts[name] += count

        @staticmethod
        def gauge(name: str, value: float) -> None:
            gauges[name] = value

    monkeypatch.setattr(telemetry, "_stats", lambda: Stats)
    return counts, gauges
