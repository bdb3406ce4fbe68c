"""The official clients and the emulator that they run against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from contract.official import VERSIONS, ClientProcess, OfficialClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def processes() -> Iterator[dict[str, ClientProcess]]:
    """The official clients by version."""
    started = {version: ClientProcess(version) for version in VERSIONS}
    yield started
    for process in started.values():
        process.end()


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    """An emulator with its default settings, on a Monday morning that stands still."""
    with EmulatorServer() as server:
        yield server


@pytest.fixture(params=VERSIONS)
def client(
    request: pytest.FixtureRequest, processes: dict[str, ClientProcess], emulator: EmulatorServer
) -> OfficialClient:
    """Each official client in turn, with `LD-API-Version: beta` as LaunchDarkly's page for experiments asks for."""
    return OfficialClient(processes[request.param], processes[VERSIONS[-1]], emulator)
