"""The result of one poll, and the time in its log line. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from airflow_provider_launchdarkly.api.http.procedure import Procedure
from airflow_provider_launchdarkly.config.durations import describe_span


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one poll.

    Attributes:
        ends: True if the waiting is over.
        summary: One line for people, the state first.
        output: Plain JSON. The task returns it if the waiting is over.
        is_news: False if the line is not worth a line in the trigger's log.
        outcome: Key of the output in the trigger's event; None for the trigger's own.
        left: Time left to wait, if it is known: the trigger sleeps no longer.
        same_for: Time for which another poll of the same state would only repeat this result; None if it might not.
        warning: One line for the log, about what a person should change; None if there is nothing to warn of.
        cautions: Lines for the log beneath the summary: what limits the meaning of the outcome.
        background: Lines for a worker's log while it waits: who gets what, and what is watched.
    """

    ends: bool
    summary: str
    output: dict[str, Any]
    is_news: bool = True
    outcome: str | None = None
    left: timedelta | None = None
    same_for: timedelta | None = None
    warning: str | None = None
    cautions: tuple[str, ...] = ()
    background: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The summary, with the verdict and its reason in front: ``rollback (guardrail_harmed): look 3 of 4, …``."""
        verdict, reason = self.output.get("verdict"), self.output.get("reason")
        if not (isinstance(verdict, str) and isinstance(reason, str)) or self.summary.startswith((verdict, "waiting")):
            return self.summary
        return f"{verdict} ({reason}): {self.summary}"


WHILE_NOTHING_CHANGES = timedelta(days=36_500)
"""The time for which a result holds that follows from the state alone."""

Check: TypeAlias = Callable[[], Procedure[CheckResult]]
"""Each call polls once. A check may remember its latest poll; a fresh one must come to the same decisions."""


def describe_time(moment: datetime, now: datetime) -> str:
    """Return a time to come as text, such as ``2026-12-04 09:00 UTC (in 14 h)``.

    Args:
        moment: The time, aware.
        now: The present, aware, by the same clock.
    """
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC (in {describe_span(moment - now)})"
