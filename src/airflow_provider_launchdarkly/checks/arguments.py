"""Checks of arguments, as early as a DAG file is parsed. Pure, and cheap to import."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

# Statuses that a sensor can wait for.
RUNNING = "running"
STOPPED = "stopped"

# Events that a watcher's trigger fires.
START, STOP, VERDICT = "start", "stop", "verdict"

# What happens to the experiment if a person ends the task that waits for it.
LEAVE = "leave"
ROLLBACK = "rollback"


# What a wait for a release ends with, and what to do about one that completed without data on a metric.
COMPLETED, REVERTED, WAITING, REGRESSION = "completed", "reverted", "waiting", "regression"
OUTCOMES = (COMPLETED, REVERTED, WAITING, REGRESSION)
BY_DEFAULT = (COMPLETED, REVERTED, WAITING)
FAIL, END = "fail", "end"
UNMEASURED = (FAIL, END)

# The name of no wait, where people are told of each wait for a person.
NOTHING_TOLD = "nothing"

# Events of releases that a watcher's trigger fires, in the order in which they happen to one.
STARTED, REGRESSED = "started", "regressed"
RELEASE_KINDS = (STARTED, REGRESSED, WAITING, STOPPED, COMPLETED, REVERTED)


def validate_status(status: str) -> None:
    """Reject a status that no sensor can wait for.

    Raises:
        ConfigurationError: The status is neither ``running`` nor ``stopped``.
    """
    if status not in (RUNNING, STOPPED):
        raise ConfigurationError(f"status is {status!r}: write {RUNNING!r} or {STOPPED!r}")


def validate_units(units: Any) -> None:
    """Reject a number of units that no sensor can wait for.

    Raises:
        ConfigurationError: The number is not a whole number from 1.
    """
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise ConfigurationError(f"units_per_treatment is {units!r}: write a whole number from 1")


def validate_state(on: Any, variation: Any) -> None:
    """Reject a flag's state that no sensor can wait for.

    Raises:
        ConfigurationError: Both are None, or ``on`` is not a boolean.
    """
    if on is not None and not isinstance(on, bool):
        raise ConfigurationError(f"on is {shown(on)}: write True or False")
    if on is None and variation is None:
        raise ConfigurationError("on and variation are both None: give at least one, so that there is a state to reach")


def validate_on_kill(on_kill: str, *, supported: bool) -> None:
    """Reject an ``on_kill`` that this Airflow version or mode cannot honour.

    Args:
        on_kill: ``leave`` or ``rollback``.
        supported: True if Airflow calls the trigger when a person ends the task.

    Raises:
        ConfigurationError: The value is unknown, or it is ``rollback`` and not supported.
    """
    if on_kill not in (LEAVE, ROLLBACK):
        raise ConfigurationError(f"on_kill is {shown(on_kill)}: write {LEAVE} or {ROLLBACK}")
    if on_kill == ROLLBACK and not supported:
        raise ConfigurationError(
            f"on_kill is {ROLLBACK!r}, which needs Airflow 3.3 or later and deferrable=True: otherwise Airflow does "
            "not call the trigger when a person ends the task. Leave on_kill out, and stop the experiment in a task of "
            "your own"
        )


def validate_outcomes(outcomes: Iterable[str]) -> None:
    """Reject outcomes that no sensor can end with.

    Raises:
        ConfigurationError: There is none, or an unknown one.
    """
    wanted: Any = outcomes
    several = isinstance(wanted, Collection) and not isinstance(wanted, str)
    if not several or not wanted or not all(one in OUTCOMES for one in wanted):
        written = list(wanted) if several else wanted
        raise ConfigurationError(f"ends_on is {shown(written)}: write a list of {', '.join(OUTCOMES)}")


def validate_unmeasured(if_unmeasured: str) -> None:
    """Reject an unknown reaction to a release that completed without data on a metric.

    Raises:
        ConfigurationError: It is neither ``fail`` nor ``end``.
    """
    if if_unmeasured not in UNMEASURED:
        raise ConfigurationError(f"if_unmeasured is {shown(if_unmeasured)}: write {FAIL} or {END}")
