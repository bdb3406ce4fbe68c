"""An experiment under way in an emulator whose clock the tests turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.running_experiment import ENV, KEY, Running, experiment


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Create and start an experiment in a fresh emulator."""
    servers: list[EmulatorServer] = []
    clients: list[LaunchDarklyClient] = []

    def begin(scenario: str = "effect", *, start: bool = True, **changes: Any) -> Running:
        server = EmulatorServer(scenario=scenario)
        server.start()
        servers.append(server)
        client = LaunchDarklyClient(server.url, server.token)
        clients.append(client)
        created = client.run(writes.create_experiment(ENV, experiment(server, **changes)))
        if start:
            client.run(writes.start_iteration(ENV, KEY, created.iteration.id, turn_flag_on=True))
        return Running(server, client, Target(ENV, KEY, created.iteration.id))

    yield begin
    for client in clients:
        client.close()
    for server in servers:
        server.stop()
