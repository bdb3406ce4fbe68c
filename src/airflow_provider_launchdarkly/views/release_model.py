"""The reading model of a release: one as people see it. Plain values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

OVER = frozenset({"completed", "reverted"})
REGRESSION, ADVANCE, NEXT_PHASE, PERSON = "regression", "advance", "next_phase", "person"
REGRESSED, DISMISSED = "regressed", "regression_dismissed"


@dataclass(frozen=True, slots=True)
class ReleaseShown:
    """A release as the newest poll with news found it.

    Attributes:
        project: Key of the project.
        environment: Key of the environment.
        flag: Key of the flag.
        release_id: LaunchDarkly's id of it.
        status: Its status, in LaunchDarkly's words.
        reason: Why it waits or ended, in LaunchDarkly's words; None if it says nothing.
        waits_for: ``regression``, ``advance``, ``next_phase`` or ``person``; None if it does not wait.
        rule: The rule that it moves, by description or id; None where it is not known.
        percent: Share that gets the target now; None where it is not known.
        step: The step under way, from 1; None where none is.
        steps: How many steps its phase has.
        percents: Share of each step of its phase.
        phase: The phase under way, from 1.
        phases: How many phases it has.
        next_percent: Share of the next step; None if the phase has no further one.
        next_at: When the step under way ends.
        step_since: When the step under way began.
        metrics: The state of each metric, by key; ``no_data`` where LaunchDarkly has none.
        trouble: Why its wait failed, so that nobody watches it here; None if it did not.
        at: When this was found.
        dag_id: The DAG that awaits it.
        run_id: The run.
        launchdarkly: Its flag in LaunchDarkly.
        run: The DAG run, relative to Airflow's root.
        kind: ``guarded`` or ``progressive``; None where it is not known.
        started_at: When it started.
        ended_at: When it ended.
        winner: The treatment that it takes to everyone, if it ships an experiment's winner; None for every other.
        baseline: The treatment that the others get, then.
    """

    project: str
    environment: str
    flag: str
    release_id: str
    status: str
    reason: str | None = None
    rule: str | None = None
    percent: float | None = None
    step: int | None = None
    steps: int = 0
    phase: int | None = None
    phases: int = 0
    next_percent: float | None = None
    next_at: datetime | None = None
    metrics: tuple[tuple[str, str], ...] = ()
    trouble: str | None = None
    at: datetime | None = None
    dag_id: str = ""
    run_id: str = ""
    launchdarkly: str | None = None
    run: str | None = None
    step_since: datetime | None = None
    kind: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    winner: str | None = None
    baseline: str | None = None
    percents: tuple[float, ...] = ()
    waits_for: str | None = None

    @property
    def active(self) -> bool:
        """True while it has not ended, as far as it is known."""
        return self.status not in OVER

    @property
    def needs_person(self) -> bool:
        """True if it goes on only once a person has acted, and no rollout acts for them."""
        return self.waits_for in {ADVANCE, PERSON} or (self.waits_for == REGRESSION and self.winner is None)

    @property
    def bad(self) -> bool:
        """True if a metric regressed, or its wait failed."""
        return self.trouble is not None or bool(self.regressed)

    @property
    def regressed(self) -> tuple[str, ...]:
        """The metrics that regressed."""
        return tuple(key for key, state in self.metrics if state == REGRESSED)

    @property
    def name(self) -> str:
        """What it is called: ``guarded release``, or ``release`` where its kind is not known."""
        return f"{self.kind} release" if self.kind else "release"
