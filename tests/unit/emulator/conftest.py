"""A running emulator, and a caller that talks to it over plain HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.emulator_caller import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.emulator_caller import StartEmulator


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


@pytest.fixture
def api(server: EmulatorServer) -> Iterator[Caller]:
    caller = Caller(server)
    with caller.http:
        yield caller


@pytest.fixture
def emulator_with() -> Iterator[StartEmulator]:
    """Start another emulator with the given options of `EmulatorServer`."""
    with ExitStack() as stack:

        def start(**options: Any) -> Caller:
            caller = Caller(stack.enter_context(EmulatorServer(**options)))
            stack.enter_context(caller.http)
            return caller

        yield start
