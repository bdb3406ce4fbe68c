"""The result of one poll of an experiment's significance: the verdict, what it rests on, who gets what. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.checks.on_data import describe_taken
from airflow_provider_launchdarkly.checks.result import CheckResult
from airflow_provider_launchdarkly.decision.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.decision.summary import covered
from airflow_provider_launchdarkly.decision.verdict import Reason

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.models import Iteration
    from airflow_provider_launchdarkly.checks.flag_seen import FlagSeen
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.verdict import Verdict
    from airflow_provider_launchdarkly.evidence.source import Target

NOT_IN_A_VERDICT = frozenset({"evidence", "looked_at", "flag"})
"""What :meth:`SignificanceResult.to_record` has beside the verdict that a task returns."""


@dataclass(frozen=True, slots=True)
class SignificanceResult:
    """The result of one poll of an experiment's significance.

    Attributes:
        target: The iteration.
        at: Time of the poll, by LaunchDarkly's clock.
        verdict: The verdict.
        evidence: The numbers it rests on; None if it follows from the experiment's state and the clock alone.
        lateness: How late the look was, as text; empty if it was in time.
        trouble: Why a look between two planned ones failed; empty if it did not.
        iteration: The iteration as it was read; None if that does not matter.
        flag: Its flag, which a planned look reads; None if this poll did not.
    """

    target: Target
    at: datetime
    verdict: Verdict
    evidence: Evidence | None = None
    lateness: str = ""
    trouble: str = ""
    iteration: Iteration | None = None
    flag: FlagSeen | None = None

    @property
    def read_results(self) -> bool:
        """True if results were read: this poll was a look."""
        return self.evidence is not None

    @property
    def ends(self) -> bool:
        """True if the waiting is over."""
        return self.verdict.ends

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON, with the keys of its target."""
        return {**self.verdict.to_json(), "summary": self.summary, **self.target.to_json()}

    def to_record(self) -> dict[str, Any]:
        """Return :meth:`to_json` with ``evidence`` and ``looked_at``, from which the look is put on record.

        A planned look also has ``flag``, what the flag serves, for the pages.
        """
        evidence = evidence_to_json(self.evidence) if self.evidence else None
        flag = {"flag": self.flag.to_json()} if self.flag else {}
        return {**self.to_json(), "evidence": evidence, "looked_at": self.at.isoformat(), **flag}

    @property
    def summary(self) -> str:
        """The verdict's summary, and how late the look was."""
        late = self.lateness or (describe_taken(self.evidence) if self.evidence else "")
        return f"{self.verdict.summary} ({late})" if late else self.verdict.summary

    def to_check_result(self) -> CheckResult:
        """Return the result for a task: with ``evidence`` and ``looked_at``, from which the look is put on record."""
        # A look between two planned ones that finds no harm is no news: there may be thousands.
        planned = self.evidence is not None and not self.evidence.only_harm
        return CheckResult(
            self.ends,
            self.summary,
            self.to_record(),
            is_news=planned or self.ends,
            same_for=self.same_for,
            warning=self.warning,
            cautions=(*(self.verdict.cautions if self.ends else ()), *self._covered(), *self._unread()),
        )

    @property
    def same_for(self) -> timedelta | None:
        """The time to the next planned look, if nothing but the clock can make it due; else None."""
        if self.trouble or self.verdict.reason is not Reason.BETWEEN_LOOKS or self.verdict.next_look is None:
            return None
        return self.verdict.next_look - self.verdict.elapsed

    def _covered(self) -> tuple[str, ...]:
        """A line on what the source's rows cover, if it knows."""
        coverage = self.evidence.coverage if self.evidence else None
        return () if coverage is None else (covered(coverage),)

    def _unread(self) -> tuple[str, ...]:
        """A line on a flag that could not be read."""
        return (self.flag.trouble,) if self.flag is not None and self.flag.trouble else ()

    @property
    def warning(self) -> str | None:
        """The trouble with the look, with the cure of a late one, and with the flag; None if all is well."""
        found = [self.trouble] if self.trouble else []
        if self.lateness:
            cure = (
                "poll more often (poke_interval, or [launchdarkly] poll_interval), keep the triggerer running, or let"
            )
            found = [f"{self.lateness}: {cure} an emulator's clock run more slowly"]
        if self.flag is not None and self.flag.differs:
            found.append(
                f"{self.flag.differs}. People do not get the iteration's allocation, so find out who changed the flag, "
                "and set it as it was, or stop the experiment"
            )
        return ". ".join(found) or None
