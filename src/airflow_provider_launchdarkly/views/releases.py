"""Releases for people to see: the note that a release sensor leaves with what it polled, and how it is read. Pure.

The key begins as that of other notes, so one list of keys has both; it has a part more, so no experiment is read from
it. The note is written when a poll has news, and costs LaunchDarkly nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.notes import PREFIX, SCHEMA
from airflow_provider_launchdarkly.views.release_model import (
    ADVANCE,
    NEXT_PHASE,
    OVER,
    PERSON,
    REGRESSED,
    REGRESSION,
    ReleaseShown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_RELEASE = "release"
_OF_A_RELEASE = ("status", "reason", "waits_for", "metrics", "current_phase", "started_at", "ended_at")
_OF_A_PHASE = ("rule_id", "description", "step", "percents", "step_started_at", "step_ends_at")

_WAITS = {
    ADVANCE: "It goes on once a person advances or stops it in LaunchDarkly.",
    NEXT_PHASE: "Its next phase starts by itself.",
    PERSON: "LaunchDarkly names no reason, and no metric regressed. A person has to resume or stop it there.",
}


def release_key(project: str, environment: str, flag: str) -> str:
    """Return the XCom key of the note on a flag's release."""
    return "/".join((PREFIX, _RELEASE, *(quote(part, safe="") for part in (project, environment, flag))))


def release_place(key: str) -> tuple[str, str, str] | None:
    """Return project, environment and flag that a key names; None for another XCom."""
    name, *parts = key.split("/")
    if name != PREFIX or len(parts) != 4 or parts[0] != _RELEASE:
        return None
    project, environment, flag = map(unquote, parts[1:])
    return project, environment, flag


def release_note(found: Mapping[str, Any], *, at: datetime, url: str | None) -> dict[str, Any]:
    """Return the note on a release, from the output of its check.

    Args:
        found: The release as operators and the sensor return it.
        at: The time, aware.
        url: Address of the flag in LaunchDarkly.
    """
    phases = [{name: phase.get(name) for name in _OF_A_PHASE} for phase in found.get("phases") or ()]
    return {
        "schema": SCHEMA,
        "kind": _RELEASE,
        "at": at.isoformat(),
        "project": found["project_key"],
        "environment": found["environment_key"],
        "flag": found["flag_key"],
        "release": found["release_id"],
        **{name: found.get(name) for name in _OF_A_RELEASE},
        "release_kind": found.get("kind"),
        "phases": phases,
        "url": url,
        "trouble": None,
    }


def read_release(
    body: Mapping[str, Any], *, dag_id: str = "", run_id: str = "", run: str | None = None
) -> ReleaseShown | None:
    """Return a release from its note; None if it is no such note. Tolerant, as all reading of notes is.

    Args:
        body: The note.
        dag_id: The DAG whose task left it.
        run_id: The run.
        run: Address of the run.
    """
    names = [reading.text(body.get(name)) for name in ("project", "environment", "flag", "release", "status")]
    if body.get("kind") != _RELEASE or None in names:
        return None
    project, environment, flag, release_id, status = (name or "" for name in names)
    phases = reading.mappings(body.get("phases"))
    current = reading.count(body.get("current_phase"))
    phase = phases[current] if current is not None and 0 <= current < len(phases) else {}
    listed = phase.get("percents")
    percents = [reading.number(each) for each in listed] if isinstance(listed, list | tuple) else []
    step = reading.count(phase.get("step"))
    known = step is not None and 0 <= step < len(percents)
    place = step if known and step is not None else None
    following = percents[place + 1] if place is not None and place + 1 < len(percents) else None
    active = status not in OVER
    return ReleaseShown(
        project,
        environment,
        flag,
        release_id,
        status,
        reading.text(body.get("reason")),
        rule=reading.text(phase.get("description")) or reading.text(phase.get("rule_id")),
        percent=percents[place] if place is not None and active else None,
        step=place + 1 if place is not None and active else None,
        steps=len(percents),
        phase=current + 1 if phase and current is not None else None,
        phases=len(phases),
        next_percent=following if active else None,
        next_at=reading.instant(phase.get("step_ends_at")) if status == "in_progress" else None,
        metrics=tuple((str(key), str(state)) for key, state in reading.mapping(body.get("metrics")).items()),
        trouble=reading.text(body.get("trouble")),
        at=reading.instant(body.get("at")),
        dag_id=dag_id,
        run_id=run_id,
        launchdarkly=reading.text(body.get("url")),
        run=run,
        step_since=reading.instant(phase.get("step_started_at")) if active else None,
        kind=reading.text(body.get("release_kind")),
        started_at=reading.instant(body.get("started_at")),
        ended_at=reading.instant(body.get("ended_at")),
        # A release that has not begun, or is over, has no phase under way.
        percents=reading.numbers((phase or next(iter(phases), {})).get("percents")),
        waits_for=_waits_for(body) if status == "waiting" else None,
    )


_DO = {
    ADVANCE: "Advance the release to its next phase, or stop it, in LaunchDarkly",
    PERSON: "Resume the release, or stop it, in LaunchDarkly",
}


def told_of_wait(found: Mapping[str, Any], *, url: str | None) -> dict[str, Any]:
    """Return what people are told of a release that waits for one of them, in the form of a task's output.

    Args:
        found: The release as operators and the sensor return it. It waits.
        url: Address of the flag in LaunchDarkly.
    """
    phases, place = found["phases"], found["current_phase"]
    phase: Mapping[str, Any] = phases[place] if place is not None and 0 <= place < len(phases) else {}
    step, percents = phase.get("step"), phase.get("percents") or ()
    now = "what the phases of the release serve so far"
    if step is not None and 0 <= step < len(percents):
        target, original = (shown(found[f"{which}_variation_value"]) for which in ("target", "original"))
        now = f"{percents[step]:g} % get {target}, and the others {original}"
    regressed = ", ".join(found["regressed"]) or "a metric"
    do = _DO.get(found["waits_for"], f"Dismiss the regression of {regressed}, or stop the release, in LaunchDarkly")
    reason = found["reason"] or "LaunchDarkly names no reason"
    return {
        "why": f"Release {found['release_id']} of flag {found['flag_key']} waits for a person: {reason}",
        "now": now,
        "follows": "Nothing by itself: people keep what they get, and the task waits, until somebody acts.",
        "do": [f"{do}{f': {url}' if url else '.'}"],
        **{name: found[name] for name in ("project_key", "environment_key", "flag_key", "release_id")},
    }


def _waits_for(body: Mapping[str, Any]) -> str:
    """Return what a release waits for, also from the note of a version that did not say it."""
    if said := reading.text(body.get("waits_for")):
        return said
    reason = reading.text(body.get("reason"))
    if reason == "waiting_regression_detected" or REGRESSED in reading.mapping(body.get("metrics")).values():
        return REGRESSION
    return ADVANCE if reason == "waiting_phase_ended" else PERSON


def release_in_words(release: ReleaseShown) -> str:
    """Return a release in a line without instants: ``in progress: step 2 of 3, 25 % get the target; errors ok``."""
    state = release.status.replace("_", " ")
    why = f" ({release.reason.replace('_', ' ')})" if release.reason else ""
    parts = []
    if release.step is not None:
        where = f"phase {release.phase} of {release.phases}, " if release.phases > 1 else ""
        parts.append(f"{where}step {release.step} of {release.steps}, {release.percent or 0:g} % get the target")
    if release.rule:
        parts.append(f"rule {release.rule}")
    metrics = ", ".join(f"{key} {state.replace('_', ' ')}" for key, state in release.metrics)
    told = "; ".join((*parts, *((metrics,) if metrics else ())))
    return f"{state}{why}: {told}" if told else f"{state}{why}"


def next_of_release(release: ReleaseShown) -> str:
    """Return what the end of the step under way brings: ``next step, 50 %``."""
    return f"next step, {release.next_percent:g} %" if release.next_percent is not None else "the last step ends"


def to_do_for_release(release: ReleaseShown) -> str:
    """Return what a release that waits goes on with, and what a person has to do for it, as sentences; else nothing."""
    if release.waits_for == REGRESSION and release.winner is not None:
        return f"The rollout stops it, so that everyone gets {release.baseline} again."
    if release.waits_for == REGRESSION:
        what = f"stops the release, or dismisses the regression of {', '.join(release.regressed) or 'a metric'}"
        return f"It goes on once a person {what}, in LaunchDarkly."
    return _WAITS.get(release.waits_for or "", "")
