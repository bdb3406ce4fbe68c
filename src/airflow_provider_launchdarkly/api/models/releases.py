"""Environment releases: a flag's rule moves to another variation step by step, guarded by metrics or not.

Beta since LaunchDarkly's client 25.0.0: https://launchdarkly.com/docs/api/environment-releases
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Page, Read, Table, Text, Write, YesNo
from airflow_provider_launchdarkly.api.models.metrics import Metric

REGRESSED = "regressed"
DISMISSED = "regression_dismissed"
NO_DATA = "no_data"
"""Our word for a metric that LaunchDarkly gives no state of."""

WaitsFor = Literal["regression", "advance", "next_phase", "person"]
"""What a waiting release waits for. ``regression``: a person stops it or dismisses it. ``advance``: a person starts its
next phase. ``next_phase``: its next phase, which starts by itself. ``person``: LaunchDarkly names no reason."""

_WAITS_FOR: dict[str | None, WaitsFor] = {
    "waiting_regression_detected": "regression",
    "waiting_phase_ended": "advance",
}

# The worst state first. No data is worse than a good state.
_WORST_FIRST = (REGRESSED, NO_DATA, DISMISSED, "ok")

HealthCheck = Literal[
    "flag_evaluations_any", "flag_evaluations_with_context", "metric_events_any", "metric_events_with_context"
]
"""A check that LaunchDarkly makes before a release starts."""

Resolution = Literal[
    "roll_forward_all_phases",
    "roll_forward_current_phase_and_remove_pending_phases",
    "roll_back_all_phases_and_remove_pending_phases",
    "roll_back_current_phase_and_remove_pending_phases",
]
"""How a stop resolves a release: to the target (forward) or to the original (back), and which of its phases."""

CleanupBehavior = Literal["leave_rules_in_place", "remove_rules_and_update_default_rule"]
"""The end of a completed release's rules: they stay, or they give way to a default rule that serves the target."""

AdvancementMode = Literal["manual", "automatic"]
"""The way from one phase to the next: a person starts it, or it starts by itself."""

ClauseOperator = Literal[
    "in",
    "endsWith",
    "startsWith",
    "matches",
    "contains",
    "lessThan",
    "lessThanOrEqual",
    "greaterThan",
    "greaterThanOrEqual",
    "before",
    "after",
    "segmentMatch",
    "semVerEqual",
    "semVerLessThan",
    "semVerGreaterThan",
]
"""What a clause of a new rule compares by."""

LARGEST_GUARDED = 50_000


class ReleaseStep(Read):
    """A step: the share that gets the target, in thousandths of a percent, and its length in milliseconds."""

    step_index: int = 0
    allocation: int = 0
    duration_millis: int = 0
    started_at: Instant = None
    ended_at: Instant = None


class ReleasePhase(Read):
    """A phase: one rule of the flag, and the steps at which it moves. ``metric_statuses`` are by metric key."""

    id: Text = ""
    phase_index: int = 0
    rule_id: str | None = None
    description: str | None = None
    status: Text = ""
    status_reason: str | None = None
    steps: Many[ReleaseStep] = ()
    current_step_index: int | None = None
    started_at: Instant = None
    ended_at: Instant = None
    metric_statuses: Table[Text] = Field(default_factory=dict)


class ReleaseMetric(Read):
    """A metric that guards a release. ``definition`` is there only with ``expand=metrics``."""

    metric_key: Text = ""
    metric_version_id: str | None = None
    auto_rollback: YesNo = False
    definition: Metric | None = None


class EnvironmentRelease(Read):
    """A release of one flag in one environment.

    ``status`` is ``pending``, ``in_progress``, ``waiting``, ``completed`` or ``reverted``; ``status_reason`` says why
    it waits or ended.
    """

    id: str
    status: Text = ""
    status_reason: str | None = None
    flag_key: Text = ""
    original_variation_id: Text = ""
    original_variation_value: JsonValue = None
    target_variation_id: Text = ""
    target_variation_value: JsonValue = None
    randomization_unit: Text = ""
    cleanup_behavior: Text = ""
    kind: Text = ""
    metrics: Many[ReleaseMetric] = ()
    phases: Many[ReleasePhase] = ()
    current_phase_index: int | None = None
    advancement_mode: Text = ""
    created_at: Instant = None
    started_at: Instant = None
    ended_at: Instant = None

    @property
    def completed(self) -> bool:
        """True if it reached the target."""
        return self.status == "completed"

    @property
    def reverted(self) -> bool:
        """True if it went back to the original."""
        return self.status == "reverted"

    @property
    def ended(self) -> bool:
        """True if it is over, one way or the other."""
        return self.completed or self.reverted

    @property
    def waiting(self) -> bool:
        """True if it is paused, not always until somebody acts: see ``waits_for``."""
        return self.status == "waiting"

    @property
    def waits_for(self) -> WaitsFor | None:
        """What it waits for; None if it does not wait.

        LaunchDarkly may give no reason, and a release waits between two phases however they advance (client 25.0.1,
        ``ReleaseStatusReason`` and ``EnvironmentRelease``). So only a reason or a metric makes a wait a regression.
        """
        if not self.waiting:
            return None
        if self.regressed:
            return "regression"
        if self.status_reason in _WAITS_FOR:
            return _WAITS_FOR[self.status_reason]
        if any(phase.status == "waiting" for phase in self.phases):
            return "person"
        to_come = any(phase.status == "pending" for phase in self.phases)
        return "advance" if to_come and self.advancement_mode == "manual" else "next_phase"

    @property
    def regressed(self) -> tuple[str, ...]:
        """Keys of the metrics that regressed in a phase, and that nobody dismissed."""
        return self._in_state(REGRESSED)

    @property
    def dismissed(self) -> tuple[str, ...]:
        """Keys of the metrics whose regression somebody dismissed in a phase."""
        return self._in_state(DISMISSED)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Keys of the metrics that a phase which started has no state of: no data, which is no good news."""
        started = [phase for phase in self.phases if phase.started_at is not None]
        return tuple(
            metric.metric_key
            for metric in self.metrics
            if any(not phase.metric_statuses.get(metric.metric_key) for phase in started)
        )

    @property
    def metric_states(self) -> dict[str, str]:
        """Each metric's state over the phases that started: the worst one; ``no_data`` where one has none."""
        started = [phase for phase in self.phases if phase.started_at is not None]
        states = {}
        for metric in self.metrics:
            found = {phase.metric_statuses.get(metric.metric_key) or NO_DATA for phase in started}
            known = [state for state in _WORST_FIRST if state in found]
            states[metric.metric_key] = known[0] if known else next(iter(found), NO_DATA)
        return states

    def _in_state(self, state: str) -> tuple[str, ...]:
        return tuple(
            metric.metric_key
            for metric in self.metrics
            if any(phase.metric_statuses.get(metric.metric_key) == state for phase in self.phases)
        )


class ReleasePage(Page):
    """One page of a flag's releases, newest first."""

    items: Many[EnvironmentRelease] = ()


class ReleaseClauseInput(Write):
    """A condition of a new rule. ``context_kind`` is left out for ``segmentMatch`` alone."""

    attribute: str
    op: ClauseOperator
    values: tuple[str | bool | int | float, ...]
    context_kind: str | None = None
    negate: bool | None = None

    @model_validator(mode="after")
    def _of_a_kind(self) -> Self:
        if self.context_kind is None and self.op != "segmentMatch":
            raise ValueError("contextKind is required unless op is segmentMatch")
        return self


class ReleaseStepInput(Write):
    """A step: the share that gets the target, in thousandths of a percent, and its length in milliseconds."""

    allocation: Annotated[int, Field(ge=1, le=100_000)]
    duration_millis: Annotated[int, Field(ge=1)]


class ReleasePhaseInput(Write):
    """A phase, on an existing rule (``rule_id``) or with the ``clauses`` of a new one."""

    steps: Annotated[tuple[ReleaseStepInput, ...], Field(min_length=1)]
    rule_id: str | None = None
    clauses: tuple[ReleaseClauseInput, ...] | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _one_rule_and_rising_steps(self) -> Self:
        if (self.rule_id is None) == (not self.clauses):
            raise ValueError("give ruleId for an existing rule, or clauses for a new one")
        if self.rule_id is not None and self.description is not None:
            raise ValueError("description is that of a new rule; an existing rule keeps its own")
        shares = [step.allocation for step in self.steps]
        if any(later <= earlier for earlier, later in pairwise(shares)):
            raise ValueError(f"each step's allocation must be greater than the one before, not {shares}")
        return self


class ReleaseMetricInput(Write):
    """A metric that guards a release; with ``auto_rollback`` its regression reverts it, else the release waits."""

    metric_key: str
    auto_rollback: bool = False


class ReleasePost(Write):
    """A release to start: in full, or with ``release_plan_key`` in place of unit, phases, metrics, mode and cleanup."""

    original_variation_id: str
    target_variation_id: str
    before_rule_id: str | None = None
    release_plan_key: str | None = None
    randomization_unit: str | None = None
    advancement_mode: AdvancementMode | None = None
    phases: Annotated[tuple[ReleasePhaseInput, ...], Field(min_length=1)] | None = None
    metrics: tuple[ReleaseMetricInput, ...] | None = None
    bypass_health_checks: tuple[HealthCheck, ...] | None = None
    cleanup_behavior: CleanupBehavior | None = None
    comment: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.original_variation_id == self.target_variation_id:
            raise ValueError(
                "originalVariationId and targetVariationId are the same: a release moves from one to the other"
            )
        inline = {
            "randomizationUnit": self.randomization_unit,
            "phases": self.phases,
            "metrics": self.metrics,
            "advancementMode": self.advancement_mode,
            "cleanupBehavior": self.cleanup_behavior,
        }
        if self.release_plan_key is not None:
            given = [name for name, value in inline.items() if value is not None]
            if given:
                raise ValueError(f"releasePlanKey supplies {', '.join(given)}: leave them out")
            return self
        missing = [name for name in ("randomizationUnit", "phases") if inline[name] is None]
        if missing:
            raise ValueError(f"give {' and '.join(missing)}, or a releasePlanKey")
        self._check_phases(self.phases or ())
        return self

    def _check_phases(self, phases: tuple[ReleasePhaseInput, ...]) -> None:
        if len(phases) > 1 and self.advancement_mode is None:
            raise ValueError("advancementMode is required with several phases: manual or automatic")
        if len(phases) > 1 and any(phase.rule_id is not None for phase in phases):
            raise ValueError("ruleId is possible in a release of one phase alone: give clauses")
        largest = max(step.allocation for phase in phases for step in phase.steps)
        if self.metrics and largest > LARGEST_GUARDED:
            raise ValueError(
                f"a step's allocation is {largest}; a guarded release allows at most {LARGEST_GUARDED} (50 %), since "
                "as many contexts of the original are its control"
            )
