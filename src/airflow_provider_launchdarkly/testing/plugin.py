"""The pytest plugin: fixtures for an emulator, an Airflow connection to it, and its clock.

pytest loads it in every project that has this package, so it imports only pytest until a test uses a fixture.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.testing.server import EmulatorClock, EmulatorServer

CONNECTION_ID = "launchdarkly_default"
_MARKER = """\
launchdarkly(scenario="effect", world=None, snapshot=None, settings=None, seed=42, start=None, clock_rate=0): \
options of the test's `launchdarkly_emulator`; they are the arguments of `EmulatorServer`"""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `launchdarkly`."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def launchdarkly_emulator(request: pytest.FixtureRequest) -> Iterator[EmulatorServer]:
    """Run an emulator for one test on a free port; its clock stands still until the test advances it.

    `@pytest.mark.launchdarkly(scenario="no-effect")` sets options of `EmulatorServer`. The options of module, class and
    test are merged, and the nearest marker wins.

    Yields:
        The running emulator.
    """
    from airflow_provider_launchdarkly.testing.server import EmulatorServer

    options: dict[str, Any] = {}
    for mark in request.node.iter_markers("launchdarkly"):  # the nearest comes first
        options = {**mark.kwargs, **options}
    with EmulatorServer(**options) as server:
        yield server


@pytest.fixture
def launchdarkly_connection(launchdarkly_emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the Airflow connection `launchdarkly_default` to the emulator, as an environment variable.

    Its defaults are the first project of the emulator's world and the first environment of that project.

    Returns:
        The connection's id, `launchdarkly_default`.
    """
    connection = launchdarkly_emulator.connection()
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION_ID.upper()}", json.dumps(connection))
    return CONNECTION_ID


@pytest.fixture
def launchdarkly_clock(launchdarkly_emulator: EmulatorServer) -> EmulatorClock:
    """Return the clock of the test's emulator: `launchdarkly_clock.advance("P14D")`."""
    return launchdarkly_emulator.clock
