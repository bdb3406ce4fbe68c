"""A stack of each kind with an emulator beside it, one for each pytest process, and the blows that are printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.driver import RECOVERY
from chaos.stacks import CeleryStack, LocalStack
from stack.demo import Emulator

STACKS = {"local": LocalStack, "celery": CeleryStack}


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator as a process of its own, its clock standing still."""
    running = Emulator("effect", 42, tmp_path_factory.mktemp("emulator") / "emulator.log")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, emulator: Emulator) -> Iterator[LocalStack]:
    """A running Airflow of the kind that the test names, with the ramps."""
    environment = {
        "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT": emulator.connection,
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
    }
    with STACKS[request.param](Path(__file__).parent / "dags", environment) as running:
        running.keep_logs = True
        yield running
        running.keep_logs = request.session.testsfailed > 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each recovery took, with xdist too."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = [text for report in reports for name, text in getattr(report, "user_properties", ()) if name == RECOVERY]
    if lines:
        terminalreporter.section("recoveries")
    for line in dict.fromkeys(lines):
        terminalreporter.write_line(str(line))
