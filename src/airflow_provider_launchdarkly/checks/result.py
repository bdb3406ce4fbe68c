"""What one look of a waiting sensor saw. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_launchdarkly.api.http.procedure import Procedure

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one look saw.

    Attributes:
        ends: Whether there is nothing more to wait for.
        summary: One line for people.
        output: Plain JSON; what the task returns if the look ends the waiting.
        is_news: Whether the line is worth the log; False for a look that read next to nothing.
        outcome: What the output is; None for what the trigger waits for.
        left: How long there is to wait, where that is known: the trigger does not sleep on beyond it.
    """

    ends: bool
    summary: str
    output: dict[str, Any]
    is_news: bool = True
    outcome: str | None = None
    left: timedelta | None = None


Check: TypeAlias = Callable[[], Procedure[CheckResult]]
"""Looks once each time it is called. May remember what it saw before; a fresh one has to decide the same."""
