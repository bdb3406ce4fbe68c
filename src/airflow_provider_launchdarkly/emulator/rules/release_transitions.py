"""Move a release from state to state, and compute what its rules then serve. Pure functions of values.

LaunchDarkly's REST API, "Start an environment release" and "Stop an environment release" (client 25.0.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, assert_never

from airflow_provider_launchdarkly.emulator.rules.targeting import index_of
from airflow_provider_launchdarkly.emulator.state.flag_models import (
    WHOLE_ROLLOUT,
    ReleaseAllocation,
    Rollout,
    WeightedVariation,
)
from airflow_provider_launchdarkly.emulator.state.release_models import REMOVE_RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Rule, Serving
    from airflow_provider_launchdarkly.emulator.state.release_models import Release, ReleasePhase

Scope = Literal["all_phases", "current_phase"]


def with_phase(release: Release, index: int, phase: ReleasePhase) -> Release:
    """Return the release with one phase replaced."""
    return replace(release, phases=(*release.phases[:index], phase, *release.phases[index + 1 :]))


def start_phase(release: Release, index: int, now: int) -> Release:
    """Return the release with a pending phase started at its first step."""
    phase = release.phases[index]
    first = replace(phase.steps[0], started_at=now)
    started = replace(
        phase, status="in_progress", started_at=now, current_step=0, checked_at=now, steps=(first, *phase.steps[1:])
    )
    return with_phase(release, index, started)


def end_step(release: Release, now: int, *, pauses: bool = False) -> Release:
    """Return the release with its active phase at the next step, or at its end after the last one.

    Args:
        release: The release.
        now: The time.
        pauses: True if a phase that follows by itself does so only after a while.
    """
    index, phase = _active(release)
    place = phase.current_step or 0
    if place + 1 == len(phase.steps):
        return complete_phase(release, now, pauses=pauses)
    ended, following = phase.steps[place], phase.steps[place + 1]
    steps = list(phase.steps)
    steps[place] = replace(ended, ended_at=now)
    steps[place + 1] = replace(following, started_at=now)
    return with_phase(release, index, replace(phase, steps=tuple(steps), current_step=place + 1, checked_at=now))


def complete_phase(release: Release, now: int, *, pauses: bool = False) -> Release:
    """Return the release with its active phase completed by its last step, and the next one started if that is due."""
    index, phase = _active(release)
    release = with_phase(release, index, _ended(phase, now, "completed", "completed_automatic"))
    if index + 1 == len(release.phases):
        return replace(release, cleaned_up=release.cleanup_behavior == REMOVE_RULES)
    follows = release.advancement_mode == "automatic" and not pauses
    return start_phase(release, index + 1, now) if follows else release


def revert(release: Release, now: int, reason: str, scope: Scope) -> Release:
    """Return the release reverted: the active phase, with `all_phases` the completed ones too; pending ones go."""

    def reverted(phase: ReleasePhase) -> ReleasePhase:
        if phase.status == "pending":
            return _ended(phase, now, "reverted", "reverted_discarded")
        if phase.active:
            return _ended(phase, now, "reverted", reason)
        if phase.status == "completed" and scope == "all_phases":
            return replace(phase, status="reverted", reason=reason)
        return phase

    return replace(release, phases=tuple(reverted(phase) for phase in release.phases))


def roll_forward(release: Release, now: int, scope: Scope) -> Release:
    """Return the release completed by hand: the active phase, with `all_phases` the pending ones too."""

    def forward(phase: ReleasePhase) -> ReleasePhase:
        if phase.active:
            return _ended(phase, now, "completed", "completed_manual")
        if phase.status == "pending" and scope == "all_phases":
            return replace(phase, status="completed", reason="completed_manual")
        if phase.status == "pending":
            return _ended(phase, now, "reverted", "reverted_discarded")
        return phase

    final_was_active = release.phases[-1].active
    return replace(
        release,
        phases=tuple(forward(phase) for phase in release.phases),
        cleaned_up=final_was_active and release.cleanup_behavior == REMOVE_RULES,
    )


def pause(release: Release, now: int, reason: str | None = "waiting_regression_detected") -> Release:
    """Return the release waiting: for somebody to dismiss a regression or to stop it, or without a reason."""
    return move(release, lambda phase: replace(phase, status="waiting", reason=reason, waiting_since=now))


def resume(release: Release, now: int) -> Release:
    """Return a release that waits without a reason at its next step."""
    return end_step(move(release, lambda phase: replace(phase, status="in_progress", waiting_since=None)), now)


def dismiss(release: Release, now: int) -> Release:
    """Return a release that waits for a regression with that dismissed: its step goes on for the time it had left."""
    index, phase = _active(release)
    place, since = phase.current_step or 0, phase.waiting_since or now
    step = phase.steps[place]
    resumed = replace(step, paused_millis=step.paused_millis + now - since)
    return with_phase(
        release,
        index,
        replace(
            phase,
            status="in_progress",
            reason=None,
            waiting_since=None,
            steps=(*phase.steps[:place], resumed, *phase.steps[place + 1 :]),
            metric_statuses={
                key: "regression_dismissed" if status == "regressed" else status
                for key, status in phase.metric_statuses.items()
            },
        ),
    )


def on_flag(flag: Flag, release: Release) -> FlagConfig:
    """Return the flag's configuration in the release's environment with what its rules serve in its present state."""
    config = flag.configs[release.environment_key]
    target = index_of(flag, release.target_variation_id)
    phases = {phase.rule_id: phase for phase in release.phases}
    if release.cleaned_up:
        rules = tuple(rule for rule in config.rules if rule.id not in phases)
        return replace(config, rules=rules, fallthrough=target)
    return replace(
        config,
        rules=tuple(
            served
            for rule in config.rules
            if (served := _on_rule(flag, release, rule, phases.get(rule.id))) is not None
        ),
    )


def _on_rule(flag: Flag, release: Release, rule: Rule, phase: ReleasePhase | None) -> Rule | None:
    """Return a rule as its phase wants it; None for the rule of a phase that was discarded before it started."""
    if phase is None:
        return rule
    original, target = index_of(flag, release.original_variation_id), index_of(flag, release.target_variation_id)
    match phase.status:
        case "pending":
            return replace(rule, serving=original, disabled=True)
        case "completed":
            return replace(rule, serving=target, disabled=False)
        case "reverted":
            return None if phase.started_at is None else replace(rule, serving=original, disabled=False)
        case "in_progress" | "waiting":
            return replace(rule, serving=_rollout(release, phase, original, target), disabled=False)
        case _:
            assert_never(phase.status)


def _rollout(release: Release, phase: ReleasePhase, original: int, target: int) -> Serving:
    """Return the split of a step: in a guarded release as many measured contexts of the original as of the target."""
    share = phase.steps[phase.current_step or 0].allocation
    if not release.guarded:
        split = (WeightedVariation(original, WHOLE_ROLLOUT - share), WeightedVariation(target, share))
        return Rollout(split, context_kind=release.randomization_unit)
    weights = (
        WeightedVariation(original, share),
        WeightedVariation(target, share),
        WeightedVariation(original, WHOLE_ROLLOUT - 2 * share, untracked=True),
    )
    return Rollout(weights, context_kind=release.randomization_unit, release=ReleaseAllocation(release.id, original))


def move(release: Release, change: Callable[[ReleasePhase], ReleasePhase]) -> Release:
    """Return the release with its active phase changed."""
    index, phase = _active(release)
    return with_phase(release, index, change(phase))


def _active(release: Release) -> tuple[int, ReleasePhase]:
    if release.current is None:
        raise ValueError(f"release {release.id} has no active phase")
    return release.current, release.phases[release.current]


def _ended(phase: ReleasePhase, now: int, status: Literal["completed", "reverted"], reason: str) -> ReleasePhase:
    place = phase.current_step
    steps = phase.steps
    if place is not None and steps[place].ended_at is None:
        steps = (*steps[:place], replace(steps[place], ended_at=now), *steps[place + 1 :])
    return replace(
        phase,
        status=status,
        reason=reason,
        steps=steps,
        ended_at=None if phase.started_at is None else now,
        waiting_since=None,
    )
