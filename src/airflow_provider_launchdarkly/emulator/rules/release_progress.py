"""Move releases on as the clock advances: steps end, metrics are compared, regressions revert or pause.

LaunchDarkly does not publish its test for a regression. Here it is a mixture sequential probability ratio test of the
difference of the means (Johari, Pekelis & Walsh 2017, "Always valid inference", equation 4) at `ALPHA`, so that a look
at every full hour raises no more false alarms than one would.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.population.types import SimulatedArm, SimulatedIteration
from airflow_provider_launchdarkly.emulator.rules import release_transitions as transitions
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import ground_truth, simulated_metric
from airflow_provider_launchdarkly.emulator.rules.targeting import index_of, with_config
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds
from airflow_provider_launchdarkly.emulator.state.flag_models import WHOLE_ROLLOUT

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.population.types import TreatmentStatistics
    from airflow_provider_launchdarkly.emulator.state.models import Metric
    from airflow_provider_launchdarkly.emulator.state.release_models import (
        MetricStatus,
        Release,
        ReleaseMetric,
        ReleasePhase,
    )
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

ALPHA = 0.05
"""The chance that a metric without a true difference is ever called regressed."""
MIXTURE = 0.1
"""The standard deviation of the mixture, relative to the original's mean: the difference that is found soonest."""
FEWEST_UNITS = 100
"""The fewest units of each variation that a regression is looked for in: below, the means are not normal."""
_HOUR = 3_600_000


class _Sums(NamedTuple):
    """A variation's units in all steps of a phase so far, and the sums of their values and squared values."""

    units: int
    total: float
    squares: float


def advance_due_releases(transaction: Transaction) -> None:
    """Store in the world what releases have become by now, without an entry in the journal: no request causes it."""
    for before in list(transaction.project.releases.values()):
        release = before
        while (at := _next_event(release)) is not None and at <= transaction.now:
            following = _at(transaction, release, at)
            if (
                transitions.on_flag(transaction.project.flags[release.flag_key], following)
                != (transaction.project.flags[release.flag_key].configs[release.environment_key])
            ):
                serve(transaction, following, at)
            release = following
        if release is not before:
            transaction.project.releases[release.id] = release


def serve(transaction: Transaction, release: Release, now: int) -> None:
    """Store in the world that the flag serves what the release's present state asks for."""
    flag = transaction.project.flags[release.flag_key]
    served = transitions.on_flag(flag, release)
    transaction.project.flags[flag.key] = with_config(flag, release.environment_key, served, now)


def _next_event(release: Release) -> int | None:
    """Return when a step or a wait ends, or metrics are next compared; None if nothing is due any more."""
    if release.current is None:
        last = release.last_started
        if last is None or last.ended_at is None or not release.between_phases or release.advancement_mode == "manual":
            return None
        return last.ended_at + _HOUR
    phase = release.phases[release.current]
    step = phase.steps[phase.current_step or 0]
    if step.started_at is None or phase.checked_at is None:
        return None
    due = []
    if phase.status == "in_progress":
        due.append(step.started_at + step.duration_millis + step.paused_millis)
    elif phase.reason is None and phase.waiting_since is not None:
        due.append(phase.waiting_since + _HOUR)
    if release.guarded:
        due.append(phase.checked_at + _HOUR)
    return min(due, default=None)


def _at(transaction: Transaction, release: Release, at: int) -> Release:
    """Return what a release becomes at its next event."""
    if release.between_phases:
        following = next(index for index, phase in enumerate(release.phases) if phase.status == "pending")
        return transitions.start_phase(release, following, at)
    if release.guarded:
        release = _compared(transaction, release, at)
    if release.current is None:
        return release
    return _moved_on(transaction, release, release.phases[release.current], at)


def _moved_on(transaction: Transaction, release: Release, phase: ReleasePhase, at: int) -> Release:
    """Return the release with the step of its active phase ended, if that is due."""
    step = phase.steps[phase.current_step or 0]
    end = (step.started_at or 0) + step.duration_millis + step.paused_millis
    if phase.status == "waiting" and phase.reason is None and at >= (phase.waiting_since or at) + _HOUR:
        return transitions.resume(release, at)
    if phase.status != "in_progress" or end > at:
        return release
    last = (phase.current_step or 0) + 1 == len(phase.steps)
    missing = [metric.key for metric in release.metrics if metric.key not in phase.metric_statuses]
    if last and missing and transaction.settings.release_without_data == "revert":
        scope = transaction.settings.release_rollback
        return transitions.revert(release, at, "reverted_insufficient_data", scope)
    if transaction.settings.release_pauses == "between_steps":
        return transitions.pause(release, at, None)
    return transitions.end_step(release, at, pauses=transaction.settings.release_pauses == "between_phases")


def _compared(transaction: Transaction, release: Release, at: int) -> Release:
    """Return the release with its metrics compared; a new regression reverts it or lets it wait."""
    phase = release.phases[release.current or 0]
    statuses: dict[str, MetricStatus] = dict(phase.metric_statuses)
    found = []
    for metric in release.metrics:
        if statuses.get(metric.key) in ("regressed", "regression_dismissed"):
            continue
        status = _status(transaction, release, metric, at)
        if status is not None:
            statuses[metric.key] = status
        if status == "regressed":
            found.append(metric)
    release = transitions.move(release, lambda p: replace(p, metric_statuses=statuses, checked_at=at))
    if any(metric.auto_rollback for metric in found):
        scope = transaction.settings.release_rollback
        return transitions.revert(release, at, "reverted_regression_detected", scope)
    if found and phase.reason is None:
        return transitions.pause(release, at)
    return release


def _status(transaction: Transaction, release: Release, guard: ReleaseMetric, at: int) -> MetricStatus | None:
    """Return a metric's state in the active phase; None before it has had an event and both variations have units."""
    if guard.key not in transaction.project.metrics:
        return None
    metric = transaction.metric_version(guard.key, guard.version_id)
    sums = _sums(transaction, release, metric, at)
    if sums is None:
        return None
    original, target = sums
    return "regressed" if _is_worse(original, target, higher_is_better=metric.higher_is_better) else "ok"


def _sums(transaction: Transaction, release: Release, metric: Metric, at: int) -> tuple[_Sums, _Sums] | None:
    """Return the sums of the original and the target over the steps of the active phase; None without data."""
    truth = ground_truth(transaction, release.flag_key)
    simulated, as_of = simulated_metric(metric), from_milliseconds(at)
    of_step: list[tuple[TreatmentStatistics, ...]] = []
    for number in range(len(release.phases[release.current or 0].steps)):
        iteration = _simulated_step(transaction, release, number)
        if iteration is not None:
            statistics = metric_statistics(truth, transaction.world.seed, iteration, simulated, as_of)
            of_step.append(statistics.treatments)
    arms = list(zip(*of_step, strict=True))
    if not any(step.responders for arm in arms for step in arm):
        return None
    original, target = (
        _Sums(
            units=sum(step.units for step in arm),
            total=sum(step.sum for step in arm),
            squares=sum(step.sum_of_squares for step in arm),
        )
        for arm in arms
    )
    return (original, target) if original.units and target.units else None


def _simulated_step(transaction: Transaction, release: Release, number: int) -> SimulatedIteration | None:
    """Return a started step as the simulator's input: the target, and the original's measured share beside it."""
    index = release.current or 0
    step = release.phases[index].steps[number]
    if step.started_at is None:
        return None
    flag = transaction.project.flags[release.flag_key]
    labels = [
        flag.variations[index_of(flag, variation_id)].label
        for variation_id in (release.original_variation_id, release.target_variation_id)
    ]
    return SimulatedIteration(
        experiment_key=f"{release.environment_key}/release/{release.id}/{index}",
        number=number + 1,
        started_at=from_milliseconds(step.started_at),
        ended_at=None if step.ended_at is None else from_milliseconds(step.ended_at),
        arms=tuple(SimulatedArm(label, label, label, 0.5) for label in labels),
        audience=2 * step.allocation / WHOLE_ROLLOUT,
        single_people=transaction.settings.people == "single",
    )


def _is_worse(original: _Sums, target: _Sums, *, higher_is_better: bool) -> bool:
    """Return whether the target is worse, by the test that the module describes."""
    if min(original.units, target.units) < FEWEST_UNITS:
        return False
    difference = target.total / target.units - original.total / original.units
    if difference == 0 or (difference > 0) == higher_is_better:
        return False
    variance = _variance_of_mean(original) + _variance_of_mean(target)
    spread = (MIXTURE * original.total / original.units) ** 2
    if variance <= 0 or spread <= 0:
        return variance <= 0
    exponent = spread * difference**2 / (2 * variance * (variance + spread))
    return exponent + 0.5 * math.log(variance / (variance + spread)) >= math.log(1 / ALPHA)


def _variance_of_mean(sums: _Sums) -> float:
    mean = sums.total / sums.units
    return max(0.0, sums.squares / sums.units - mean**2) / sums.units
