"""Test code that calls LaunchDarkly: the emulator in the test's process, on a free port, and pytest fixtures.

The server is imported on first use, since pytest loads this package's plugin in every project that has it installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing.server import EmulatorClock, EmulatorServer

__all__ = ["EmulatorClock", "EmulatorServer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_provider_launchdarkly.testing import server

    return getattr(server, name)
