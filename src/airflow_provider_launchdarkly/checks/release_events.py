"""Events of a flag's releases: what has happened to each of them, as far as LaunchDarkly's models tell.

Pure procedures without memory, for the watcher's trigger: the same read gives the same events, each with the names by
which the watcher notes that it has fired.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints.releases import get_release
from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.api.models.releases import DISMISSED, REGRESSED
from airflow_provider_launchdarkly.api.reads.releases import every_release
from airflow_provider_launchdarkly.checks import arguments
from airflow_provider_launchdarkly.checks.release import release_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import EnvironmentRelease, ReleasePhase

_WAITS_FOR_REGRESSION = "waiting_regression_detected"
_REGRESSION = frozenset({_WAITS_FOR_REGRESSION, "reverted_regression_detected"})
_BY_HAND = frozenset({"completed_manual", "reverted_manual"})


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """An event that happens once to a release.

    Attributes:
        kind: ``started``, ``regressed``, ``waiting``, ``stopped``, ``completed`` or ``reverted``.
        names: What it consists of, the same in every read: a regression has one name for each metric in each phase. It
            is new while any of them is.
        content: Payload of the trigger's event: plain JSON.
    """

    kind: str
    names: tuple[str, ...]
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """The state of a flag's releases in one read.

    Attributes:
        events: What has happened to them, oldest release first.
        releases: Ids of all releases.
        whole: False if a release under way is listed without its phases, so that it has to be read alone.
        exists: Whether there is such a flag.
    """

    events: tuple[ReleaseEvent, ...] = ()
    releases: frozenset[str] = frozenset()
    whole: bool = True
    exists: bool = True


def read_state(env: EnvironmentRef, flag_key: str) -> Procedure[State]:
    """Read what has happened to the releases of a flag in an environment.

    Returns:
        The state; an empty one while the flag does not exist.

    Raises:
        LaunchDarklyError: As the calls raise.
    """
    try:
        listed = (yield from every_release(env, flag_key)).items
    except NotFoundError:
        return State(exists=False)
    releases = []
    for release in listed:
        whole: EnvironmentRelease = release
        if _is_bare(release):
            whole = (yield get_release(env, flag_key, release.id)).value
        releases.append(whole)
    return replace(state_of(env, releases), whole=True)


def state_of(env: EnvironmentRef, releases: Iterable[EnvironmentRelease]) -> State:
    """Return what has happened to releases, given newest first."""
    oldest_first = tuple(releases)[::-1]
    return State(
        events=tuple(event for release in oldest_first for event in _events(env, release)),
        releases=frozenset(release.id for release in oldest_first),
        whole=not any(map(_is_bare, oldest_first)),
    )


def _is_bare(release: EnvironmentRelease) -> bool:
    return not release.phases and not release.ended


def _events(env: EnvironmentRef, release: EnvironmentRelease) -> Iterator[ReleaseEvent]:
    happened = {
        arguments.STARTED: [""] if _has_started(release) else [],
        arguments.REGRESSED: list(_regressions(release)),
        arguments.WAITING: list(_waits(release)),
        arguments.STOPPED: [""] if _was_stopped(release) else [],
        arguments.COMPLETED: [""] if release.completed else [],
        arguments.REVERTED: [""] if release.reverted else [],
    }
    for kind, details in happened.items():
        if details:
            names = tuple(f"{' '.join(filter(None, (kind, detail)))}:{release.id}" for detail in details)
            yield ReleaseEvent(kind, names, {"event": f"release_{kind}", **release_output(env, release)})


def _has_started(release: EnvironmentRelease) -> bool:
    return release.started_at is not None or release.status in ("in_progress", "waiting", "completed")


def _regressions(release: EnvironmentRelease) -> Iterator[str]:
    """Yield that there was a regression, the phases that had one, and their metrics: also those dismissed since.

    A wait without a reason is none.
    """
    found = []
    for place, phase in enumerate(release.phases):
        metrics = [key for key, state in phase.metric_statuses.items() if state in (REGRESSED, DISMISSED)]
        if metrics or phase.status_reason in _REGRESSION:
            found += [f"{place}", *(f"{place} {metric}" for metric in metrics)]
    if found or release.status_reason in _REGRESSION:
        yield from ("", *found)


def _waits(release: EnvironmentRelease) -> Iterator[str]:
    """Yield where and why it waits, and each metric whose regression it waits for."""
    if not release.waiting:
        return
    reason = release.status_reason or ""
    place = release.current_phase_index
    if place is None or not 0 <= place < len(release.phases):
        ended = sum(phase.ended_at is not None for phase in release.phases)
        yield f"after {ended} {reason}".rstrip()
        return
    phase: ReleasePhase = release.phases[place]
    yield f"{place} {phase.current_step_index or 0} {reason}".rstrip()
    if reason == _WAITS_FOR_REGRESSION:
        yield from (f"{place} {metric}" for metric, state in phase.metric_statuses.items() if state == REGRESSED)


def _was_stopped(release: EnvironmentRelease) -> bool:
    """Return whether somebody ended it. A stop between two phases may show only in the phases that never started."""
    if not release.ended:
        return False
    skipped = (phase for phase in release.phases if phase.started_at is None)
    return release.status_reason in _BY_HAND or any(phase.status_reason in _BY_HAND for phase in skipped)
