"""The check of a release: whether it has ended or waits for somebody, and what its metrics are. A pure procedure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints.releases import get_release
from airflow_provider_launchdarkly.api.errors import ReleaseEndedError, ReleaseUnmeasuredError
from airflow_provider_launchdarkly.api.models.base import iso
from airflow_provider_launchdarkly.checks.arguments import FAIL, REGRESSION, WAITING
from airflow_provider_launchdarkly.checks.result import WHILE_NOTHING_CHANGES, CheckResult
from airflow_provider_launchdarkly.config.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import (
        EnvironmentRelease,
        FeatureFlag,
        ReleasePhase,
        ReleasePhaseInput,
        ReleasePost,
        ReleaseStep,
    )

# What a release waits for, where LaunchDarkly gives no reason.
_UNSAID = {
    "advance": "between two phases: a person has to advance it in LaunchDarkly",
    "next_phase": "between two phases: the next one starts by itself",
    "person": "LaunchDarkly names no reason: a person has to resume or stop it there",
}


def check_release(
    env: EnvironmentRef,
    flag_key: str,
    release_id: str,
    ends_on: Iterable[str],
    *,
    if_unmeasured: str = FAIL,
    told: str | None = None,
) -> Procedure[CheckResult]:
    """Check whether a release has come to one of the wanted outcomes.

    Args:
        env: Project and environment.
        flag_key: The flag.
        release_id: The release.
        ends_on: Outcomes that end the waiting: ``completed``, ``reverted``, ``waiting`` or ``regression``. A release
            that waits for its next phase, which starts by itself, has come to none of them.
        if_unmeasured: ``fail`` raises if a guarded release completed and a metric has no state, ``end`` returns it.
        told: The name of the last wait for a person that notifiers were called for (see :func:`wait_of`). A wait of
            another name ends the check too, so that they are called again. None if there are no notifiers.

    Raises:
        ReleaseEndedError: It ended, and not in one of the wanted outcomes.
        ReleaseUnmeasuredError: It completed, and LaunchDarkly has no data on a metric that was to guard it.
        NotFoundError: There is no such release, or it ended more than 90 days ago.
        LaunchDarklyError: As the calls raise.
    """
    response = yield get_release(env, flag_key, release_id)
    release: EnvironmentRelease = response.value
    wanted = tuple(ends_on)
    summary = summary_of(release)
    if release.ended and release.status not in wanted:
        raise ReleaseEndedError(
            f"release {release_id!r} of flag {flag_key!r} is {summary}, and {' or '.join(wanted)} was waited for: add "
            f"{release.status!r} to ends_on to go on from there",
            status=release.status,
        )
    if release.completed and release.unmeasured and if_unmeasured == FAIL:
        raise ReleaseUnmeasuredError(
            f"release {release_id!r} of flag {flag_key!r} is completed, and LaunchDarkly has no state of "
            f"{', '.join(release.unmeasured)} in a phase: it has reached everyone without that guard. Find out whether "
            "the metric gets events; if_unmeasured='end' goes on from there",
            metrics=release.unmeasured,
        )
    output = release_output(env, release)
    reached = has_come_to(output, wanted)
    is_to_be_told = told is not None and wait_of(output) not in (None, told)
    headline = summary if reached else f"waiting for {' or '.join(wanted)}: {summary}"
    return CheckResult(reached or is_to_be_told, headline, output, same_for=WHILE_NOTHING_CHANGES)


def has_come_to(found: Mapping[str, Any], wanted: Iterable[str]) -> bool:
    """Return whether a release has come to one of the wanted outcomes by now.

    Args:
        found: The release as :func:`release_output` returns it.
        wanted: As ``ends_on`` of :func:`check_release`.
    """
    if wait_of(found) is None:
        outcomes = {found["status"]} - {WAITING}
    else:
        outcomes = {WAITING, REGRESSION} if found["waits_for"] == REGRESSION else {WAITING}
    return bool(outcomes & set(wanted))


def wait_of(found: Mapping[str, Any]) -> str | None:
    """Return what tells the wait for a person, in which a release is now, from others of it; None if it is in none.

    Args:
        found: The release as :func:`release_output` returns it.
    """
    if found["waits_for"] in (None, "next_phase"):
        return None
    phases = [f"{phase['status']} {phase['step']}" for phase in found["phases"]]
    return " ".join((found["waits_for"], *found["regressed"], "in", ", ".join(phases)))


def release_output(env: EnvironmentRef, release: EnvironmentRelease) -> dict[str, Any]:
    """Return a release as plain JSON, as operators and the sensor return it."""
    return {
        "project_key": env.project_key,
        "environment_key": env.environment_key,
        "flag_key": release.flag_key,
        "release_id": release.id,
        "status": release.status,
        "reason": release.status_reason,
        "waits_for": release.waits_for,
        "kind": release.kind,
        "original_variation_id": release.original_variation_id,
        "original_variation_value": release.original_variation_value,
        "target_variation_id": release.target_variation_id,
        "target_variation_value": release.target_variation_value,
        "metrics": release.metric_states,
        "regressed": list(release.regressed),
        "unmeasured": list(release.unmeasured),
        "current_phase": release.current_phase_index,
        "phases": [_phase(phase) for phase in release.phases],
        "started_at": iso(release.started_at),
        "ended_at": iso(release.ended_at),
    }


def summary_of(release: EnvironmentRelease) -> str:
    """Return a release's state as one line: ``in_progress, 10 % since …; checkout-conversion ok``."""
    why = release.status_reason or _UNSAID.get(str(release.waits_for))
    state = f"{release.status} ({why})" if why else release.status
    parts = [state]
    if release.current_phase_index is not None and release.current_phase_index < len(release.phases):
        phase = release.phases[release.current_phase_index]
        step = phase.current_step_index or 0
        if step < len(phase.steps):
            place = f"step {step + 1} of {len(phase.steps)}"
            if len(release.phases) > 1:
                place = f"phase {release.current_phase_index + 1} of {len(release.phases)}, {place}"
            parts.append(f"{place}: {phase.steps[step].allocation / 1000:g} %")
    metrics = ", ".join(f"{key} {state.replace('_', ' ')}" for key, state in release.metric_states.items())
    return "; ".join(part for part in (", ".join(parts), metrics) if part)


def design_in_words(post: ReleasePost, flag: FeatureFlag) -> str:
    """Return a release to start as a person makes it in LaunchDarkly, as one line without a full stop.

    ``from 'Classic' to 'Bold', on a new rule for all contexts of the kind user, in steps of 10 % for 1d, 50 % for 2d``

    Args:
        post: The release.
        flag: Its flag.
    """
    names = (_variation(flag, post.original_variation_id), _variation(flag, post.target_variation_id))
    ways = f"from {names[0]} to {names[1]}"
    if post.release_plan_key is not None:
        return f"{ways}, by release plan {post.release_plan_key!r}"
    guards = ", ".join(
        f"{metric.metric_key} ({'rolls back' if metric.auto_rollback else 'waits'} on a regression)"
        for metric in post.metrics or ()
    )
    parts = [
        f"a {'guarded' if guards else 'progressive'} release {ways}",
        *(_phase_in_words(phase) for phase in post.phases or ()),
        f"randomization unit {post.randomization_unit}",
        f"guarded by {guards}" if guards else "",
        f"advanced {post.advancement_mode}" if len(post.phases or ()) > 1 else "",
        f"before rule {post.before_rule_id!r}" if post.before_rule_id else "",
        f"at its end: {post.cleanup_behavior or 'leave_rules_in_place'}",
    ]
    return ", ".join(part for part in parts if part)


def _variation(flag: FeatureFlag, variation_id: str) -> str:
    found = flag.variation(variation_id)
    return repr(variation_id if found is None else found.name or found.value)


def _phase_in_words(phase: ReleasePhaseInput) -> str:
    steps = ", ".join(
        f"{step.allocation / 1000:g} % for {format_duration(timedelta(milliseconds=step.duration_millis))}"
        for step in phase.steps
    )
    clauses = " and ".join(
        f"{clause.context_kind or 'context'}.{clause.attribute} {'not ' if clause.negate else ''}{clause.op} "
        f"{', '.join(map(str, clause.values))}"
        for clause in phase.clauses or ()
    )
    rule = f"on rule {phase.rule_id!r}" if phase.rule_id is not None else f"on a new rule where {clauses}"
    return f"{rule}, in steps of {steps}"


def _end_of_step(phase: ReleasePhase) -> datetime | None:
    """Return when the step under way ends by its plan; None if none is under way, or it has not begun."""
    step = _step_under_way(phase)
    if step is None or step.started_at is None:
        return None
    return step.started_at + timedelta(milliseconds=step.duration_millis)


def _step_under_way(phase: ReleasePhase) -> ReleaseStep | None:
    number = phase.current_step_index
    if number is None or not 0 <= number < len(phase.steps) or phase.ended_at is not None:
        return None
    return phase.steps[number]


def _phase(phase: ReleasePhase) -> dict[str, Any]:
    step = _step_under_way(phase)
    return {
        "rule_id": phase.rule_id,
        "description": phase.description,
        "status": phase.status,
        "reason": phase.status_reason,
        "step": phase.current_step_index,
        "percents": [step.allocation / 1000 for step in phase.steps],
        "step_started_at": None if step is None else iso(step.started_at),
        "step_ends_at": iso(_end_of_step(phase)),
        "metrics": dict(phase.metric_statuses),
    }
