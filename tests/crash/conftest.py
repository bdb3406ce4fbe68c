"""A bench for each process of the tests, and how many kills there were, at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crash.bench import Bench
from crash.warm import Warm
from support.surroundings import CONNECTION, connection_json

COUNTS = ("points", "kills", "states", "pairs", "schedules", "faults")


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    with Warm() as made:
        yield made


@pytest.fixture(scope="session")
def benches(warm: Warm) -> Iterator[Bench]:
    with Bench(warm, lanes=2) as bench:
        yield bench


@pytest.fixture
def bench(benches: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench, with a connection of the test's own that nobody kills."""
    monkeypatch.setenv(CONNECTION, connection_json(benches.emulator))
    return benches


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    properties = [pair for report in calls for pair in report.user_properties]
    for name in COUNTS:
        total = sum(value for key, value in properties if key == name)
        if total:
            terminalreporter.write_line(f"{name}: {total:,}")
