"""What can be waited for, checked when the DAG file is parsed. Pure, and cheap to import."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError

RUNNING = "running"
STOPPED = "stopped"

# What becomes of an experiment when a person ends the task that waits for it.
LEAVE = "leave"
ROLLBACK = "rollback"


def validate_status(status: str) -> None:
    """Refuse a status that cannot be waited for.

    Raises:
        ConfigurationError: It is neither ``running`` nor ``stopped``.
    """
    if status not in (RUNNING, STOPPED):
        raise ConfigurationError(f"status is {status!r}: one can wait for {RUNNING!r} or {STOPPED!r}")


def validate_units(units: Any) -> None:
    """Refuse a number of units that cannot be waited for.

    Raises:
        ConfigurationError: It is no whole number from 1.
    """
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise ConfigurationError(f"units_per_treatment is {units!r}: write a whole number from 1")


def validate_state(on: Any, variation: Any) -> None:
    """Refuse a flag's state that cannot be waited for.

    Raises:
        ConfigurationError: Nothing is waited for, or ``on`` is no truth value.
    """
    if on is not None and not isinstance(on, bool):
        raise ConfigurationError(f"on is {on!r}: write True or False")
    if on is None and variation is None:
        raise ConfigurationError("on and variation are both missing: there is nothing to wait for")


def validate_on_kill(on_kill: str, *, heard: bool) -> None:
    """Refuse an answer to being killed that nobody would carry out.

    Args:
        on_kill: ``leave`` or ``rollback``.
        heard: Whether anybody is told that a person has ended the waiting.

    Raises:
        ConfigurationError: It is neither, or would never happen.
    """
    if on_kill not in (LEAVE, ROLLBACK):
        raise ConfigurationError(f"on_kill is {on_kill!r}: write {LEAVE} or {ROLLBACK}")
    if on_kill == ROLLBACK and not heard:
        raise ConfigurationError(
            f"on_kill is {ROLLBACK!r}, which needs Airflow 3.3 or later and deferrable=True: otherwise nobody is told "
            "that a person has ended the waiting. Leave it out, and stop the experiment by a task of your own"
        )
