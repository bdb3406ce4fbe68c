"""The data model of environment releases: a release, its phases, their steps, and the metrics that guard it.

LaunchDarkly's REST API, "Environment releases (beta)", new in client 25.0.0. Times are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

ReleaseStatus: TypeAlias = Literal["pending", "in_progress", "waiting", "completed", "reverted"]
MetricStatus: TypeAlias = Literal["ok", "regressed", "regression_dismissed"]
ACTIVE = ("in_progress", "waiting")
REMOVE_RULES = "remove_rules_and_update_default_rule"
LEAVE_RULES = "leave_rules_in_place"


@dataclass(frozen=True, slots=True)
class ReleaseStep:
    """A step: the share of the rule's contexts that get the target, in thousandths of a percent, and for how long.

    `paused_millis` is the time that it spent waiting, which does not count as its duration.
    """

    allocation: int
    duration_millis: int
    started_at: int | None = None
    ended_at: int | None = None
    paused_millis: int = 0


@dataclass(frozen=True, slots=True)
class ReleaseMetric:
    """A metric that guards a release, by its version at the start."""

    key: str
    version_id: str
    auto_rollback: bool = False


@dataclass(frozen=True, slots=True)
class ReleasePhase:
    """A phase: a rule, and the steps at which it moves to the target.

    `checked_at` is when its metrics were last compared, `waiting_since` when it began to wait.
    """

    id: str
    rule_id: str
    steps: tuple[ReleaseStep, ...]
    description: str | None = None
    status: ReleaseStatus = "pending"
    reason: str | None = None
    current_step: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    metric_statuses: Mapping[str, MetricStatus] = field(default_factory=dict)
    checked_at: int | None = None
    waiting_since: int | None = None

    @property
    def active(self) -> bool:
        """True if it has started and not ended."""
        return self.status in ACTIVE


@dataclass(frozen=True, slots=True)
class Release:
    """A release of one flag in one environment. `cleaned_up` says that its rules gave way to the default rule."""

    id: str
    environment_key: str
    flag_key: str
    original_variation_id: str
    target_variation_id: str
    randomization_unit: str
    phases: tuple[ReleasePhase, ...]
    created_at: int
    metrics: tuple[ReleaseMetric, ...] = ()
    advancement_mode: Literal["manual", "automatic"] = "automatic"
    cleanup_behavior: Literal["remove_rules_and_update_default_rule", "leave_rules_in_place"] = "leave_rules_in_place"
    cleaned_up: bool = False

    @property
    def guarded(self) -> bool:
        """True if metrics guard it."""
        return bool(self.metrics)

    @property
    def current(self) -> int | None:
        """The index of the active phase; None before the first, between phases and after the end."""
        return next((index for index, phase in enumerate(self.phases) if phase.active), None)

    @property
    def last_started(self) -> ReleasePhase | None:
        """The phase that started last."""
        started = [phase for phase in self.phases if phase.started_at is not None]
        return started[-1] if started else None

    @property
    def between_phases(self) -> bool:
        """True if a phase has ended and the next one waits to be started."""
        return self.current is None and any(phase.status == "pending" for phase in self.phases)

    @property
    def active(self) -> bool:
        """True if it has not ended."""
        return self.current is not None or self.between_phases

    @property
    def status(self) -> ReleaseStatus:
        """The status: the active phase's, `waiting` between phases, else that of the phase that started last."""
        if self.current is not None:
            return self.phases[self.current].status
        if self.between_phases:
            return "waiting" if self.last_started else "pending"
        return self.last_started.status if self.last_started else "reverted"

    @property
    def reason(self) -> str | None:
        """The reason of the status, if it has one."""
        if self.current is not None:
            return self.phases[self.current].reason
        if self.between_phases:
            manual = self.advancement_mode == "manual"
            return "waiting_phase_ended" if manual and self.last_started else None
        return self.last_started.reason if self.last_started else "reverted_discarded"

    @property
    def started_at(self) -> int | None:
        """The start of the first phase."""
        return self.phases[0].started_at

    @property
    def ended_at(self) -> int | None:
        """The end of the last started phase, once the release has ended."""
        return None if self.active or self.last_started is None else self.last_started.ended_at

    def holds(self, rule_id: str) -> bool:
        """Return whether it is active and serves, or at its end sets, this rule."""
        own = any(phase.rule_id == rule_id for phase in self.phases)
        return self.active and (own or (rule_id == "fallthrough" and self.cleanup_behavior == REMOVE_RULES))
