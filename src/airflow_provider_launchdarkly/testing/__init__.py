"""For tests of code that talks to LaunchDarkly: the emulator in this process, on a free port."""

from airflow_provider_launchdarkly.testing.server import EmulatorClock, EmulatorServer

__all__ = ["EmulatorClock", "EmulatorServer"]
