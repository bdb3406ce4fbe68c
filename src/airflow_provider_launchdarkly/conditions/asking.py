"""What can be waited for, checked when the DAG file is parsed. Pure, and cheap to import."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError

RUNNING = "running"
STOPPED = "stopped"


def check_status(status: str) -> None:
    """Refuse a status that cannot be waited for.

    Raises:
        ConfigurationError: It is neither ``running`` nor ``stopped``.
    """
    if status not in (RUNNING, STOPPED):
        raise ConfigurationError(f"status is {status!r}: one can wait for {RUNNING!r} or {STOPPED!r}")


def check_units(units: Any) -> None:
    """Refuse a number of units that cannot be waited for.

    Raises:
        ConfigurationError: It is no whole number from 1.
    """
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise ConfigurationError(f"units_per_treatment is {units!r}: write a whole number from 1")


def check_state(on: Any, variation: Any) -> None:
    """Refuse a flag's state that cannot be waited for.

    Raises:
        ConfigurationError: Nothing is waited for, or ``on`` is no truth value.
    """
    if on is not None and not isinstance(on, bool):
        raise ConfigurationError(f"on is {on!r}: write True or False")
    if on is None and variation is None:
        raise ConfigurationError("on and variation are both missing: there is nothing to wait for")
