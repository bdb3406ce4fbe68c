"""The finding of a check: one line, fine or with the fault and its cure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.doctor.words import Words


class Status(StrEnum):
    """The outcome of a check."""

    FINE = "fine"
    """The provider works with this."""
    MISSING = "missing"
    """Something is missing or wrong; the line names the cure."""
    UNKNOWN = "unknown"
    """Reading cannot tell; the line says why, and what would."""
    FAILED = "failed"
    """The check could not do its work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: Name of the check.
        status: Its outcome.
        what: What was found.
        cure: What to do about it; None if there is nothing to do.
    """

    check: str
    status: Status
    what: Words
    cure: Words | None = None
