"""The emulator in a test: it starts, stops, restarts, and imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_provider_launchdarkly.emulator.transport.app import CannotCloseError, build_app
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.emulator.transport.faults import Fault
from airflow_provider_launchdarkly.testing import EmulatorServer

if TYPE_CHECKING:
    from support.emulator_caller import Caller, StartEmulator


def test_two_servers_run_side_by_side_with_separate_worlds(emulator_with: StartEmulator) -> None:
    one, two = emulator_with(), emulator_with()
    one.create()
    assert one.server.url != two.server.url
    assert two.get(two.experiments).json()["items"] == []


def test_a_stopped_server_refuses_connections_and_a_restart_keeps_its_state(api: Caller) -> None:
    api.create()
    api.server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(api.server.url)
    assert len(api.server.journal()) == 1
    api.server.start()
    assert httpx.get(f"{api.server.url}/projects/demo/experiments/bold").status_code == 200


def test_stopping_twice_does_no_harm() -> None:
    server = EmulatorServer()
    with server:
        pass
    server.stop()


def test_its_connection_is_what_airflow_takes(server: EmulatorServer) -> None:
    assert server.connection(environment_key="test") == {
        "conn_type": "launchdarkly",
        "host": server.url,
        "password": "api-emulator",
        "extra": {"project_key": "demo", "environment_key": "test"},
    }


def test_errors_of_a_control_reach_the_test(server: EmulatorServer) -> None:
    with pytest.raises(ValueError, match="never goes back"):
        server.clock.set("2020-01-01T00:00:00Z")
    with pytest.raises(ValueError, match="no such operation"):
        server.fault("nothing", "status")
    with pytest.raises(ValueError, match="no such switch"):
        server.switch(nothing="on")
    with pytest.raises(ValueError, match="no such switch"):
        EmulatorServer(settings={"nothing": "on"})
    assert server.clock.now() == EmulatorServer().clock.now()


def test_the_app_without_its_server_raises_at_a_fault_that_closes_connections() -> None:
    import asyncio

    emulator = Emulator()
    emulator.faults.add(Fault("*", "close_before"), emulator.clock.now())

    async def ask() -> None:
        transport = httpx.ASGITransport(build_app(emulator))
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
            with pytest.raises(CannotCloseError):
                await client.get("/api/v2")
            assert (await client.get("/api/v2", headers={"Authorization": "api-emulator"})).status_code == 200

    asyncio.run(ask())


def loaded_by(modules: str) -> set[str]:
    code = f"import sys, {modules}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


HEAVY = {"airflow", "httpx", "pydantic", "numpy", "scipy", "fastapi", "pytest", "pendulum"}


def test_it_imports_neither_airflow_nor_our_client_nor_anything_heavy() -> None:
    loaded = loaded_by("airflow_provider_launchdarkly.emulator.transport.server")
    assert not HEAVY & {name.partition(".")[0] for name in loaded}
    assert not [name for name in loaded if name.startswith("airflow_provider_launchdarkly.api")]


def test_the_command_line_imports_nothing_heavy() -> None:
    loaded = loaded_by("airflow_provider_launchdarkly.cli")
    assert not HEAVY & {name.partition(".")[0] for name in loaded}
