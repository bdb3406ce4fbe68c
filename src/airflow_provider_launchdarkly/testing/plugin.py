"""The pytest plugin: fixtures for an emulator, an Airflow connection to it, and its clock.

pytest loads it wherever this package is installed, so it imports nothing but pytest until a test uses a fixture.
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
how the test's `launchdarkly_emulator` begins; the arguments are those of `EmulatorServer`"""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def launchdarkly_emulator(request: pytest.FixtureRequest) -> Iterator[EmulatorServer]:
    """A LaunchDarkly of the test's own on a free port; its clock stands still until the test turns it.

    `@pytest.mark.launchdarkly(scenario="no-effect")` or `(world="world.yaml")` lets it begin otherwise; markers of
    module, class and test add up, the nearest one wins.
    """
    from airflow_provider_launchdarkly.testing.server import EmulatorServer

    options: dict[str, Any] = {}
    for mark in request.node.iter_markers("launchdarkly"):  # the nearest comes first
        options = {**mark.kwargs, **options}
    with EmulatorServer(**options) as server:
        yield server


@pytest.fixture
def launchdarkly_connection(launchdarkly_emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Airflow connection `launchdarkly_default` to the emulator, in the environment; returns its id.

    It points to the first project of the emulator's world and to that project's first environment.
    """
    connection = launchdarkly_emulator.connection()
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION_ID.upper()}", json.dumps(connection))
    return CONNECTION_ID


@pytest.fixture
def launchdarkly_clock(launchdarkly_emulator: EmulatorServer) -> EmulatorClock:
    """The emulator's clock: `launchdarkly_clock.advance("P14D")`."""
    return launchdarkly_emulator.clock
