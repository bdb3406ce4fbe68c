"""The release that ships an experiment's winner: which one, who gets what, what happened, what follows. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views import notes as kinds
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.model import Happening, Share
from airflow_provider_launchdarkly.views.release_model import DISMISSED, NEXT_PHASE, REGRESSED, REGRESSION
from airflow_provider_launchdarkly.views.releases import read_release, to_do_for_release

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.views.release_model import ReleaseShown

_BACK: Mapping[str, str] = {
    "reverted_insufficient_data": "LaunchDarkly has no data on a metric",
    "reverted_manual": "it was stopped in LaunchDarkly",
    "reverted_discarded": "the flag was turned off or archived",
}


def release_of_winner(bodies: Sequence[Mapping[str, Any]], releases: Iterable[ReleaseShown]) -> ReleaseShown | None:
    """Return the release that ships an experiment's winner, as it was found last; None if none was started.

    Args:
        bodies: The experiment's notes, oldest first.
        releases: What release sensors have found.
    """
    body: Mapping[str, Any] = next((each for each in reversed(bodies) if each.get("kind") == kinds.RELEASE), {})
    started = read_release(reading.mapping(body.get("shown")))
    if started is None:
        return None
    # What its end says is newer than what its sensor saw: a rollout stops a release that waits.
    ends = (read_release(reading.mapping(each.get("shown"))) for each in bodies if each.get("kind") == kinds.STOP)
    known = (*(end for end in ends if end is not None), *releases)
    found = next((each for each in known if each.release_id == started.release_id), started)
    return replace(
        found,
        kind=found.kind or started.kind,
        started_at=found.started_at or started.started_at or started.at,
        winner=reading.text(body.get("winner")) or "the winner",
        baseline=reading.text(body.get("baseline")) or "the baseline",
    )


def shares_in(release: ReleaseShown) -> tuple[Share, ...]:
    """Return who gets what in the release of a winner; empty where it is not known."""
    fixed = {"pending": 0.0, "completed": 100.0, "reverted": 0.0}
    percent = fixed.get(release.status, release.percent)
    if percent is None:
        return ()
    shares = (Share(str(release.baseline), 100.0 - percent, baseline=True), Share(str(release.winner), percent))
    return tuple(share for share in shares if share.percent > 0)


def headline_of(release: ReleaseShown) -> str:
    """Return where the release of a winner stands, without instants."""
    name, winner = release.name, release.winner
    if release.status == "pending":
        return f"the {name} of {winner} has not begun its first step: everyone gets {release.baseline}"
    if release.status == "completed":
        return f"the {name} has completed: everyone gets {winner}"
    if release.status == "reverted":
        return f"the {name} of {winner} went back, as {_why_back(release)}: everyone gets {release.baseline}"
    if release.waits_for is not None:
        return f"the {name} of {winner} waits{_why_it_waits(release)}"
    if release.step is None:
        return f"a {name} takes {winner} to everyone"
    return f"a {name} takes {winner} to everyone: step {release.step} of {release.steps}, {release.percent or 0:g} %"


def metrics_in_words(release: ReleaseShown) -> str:
    """Return what LaunchDarkly says of the metrics that guard a release, as a sentence; empty if nothing guards it."""
    if not release.metrics:
        return "No metric guards it." if release.kind == "progressive" else ""
    states = ", ".join(f"{key} {state.replace('_', ' ')}" for key, state in release.metrics)
    return f"LaunchDarkly judges its metrics: {states}."


def follows_in(release: ReleaseShown) -> Iterator[str]:
    """Yield what follows in the release of a winner that is under way, a sentence each."""
    if release.waits_for == REGRESSION:
        yield f"The rollout stops the release, so that everyone gets {release.baseline} again, and ends regressed."
        return
    if release.waits_for is not None:
        yield to_do_for_release(release)
    if not release.active:
        return
    if release.next_percent is not None:
        yield f"When step {release.step} ends, {release.next_percent:g} % get {release.winner}."
    yield f"When the last step ends, everyone gets {release.winner}, and the rollout ends."
    if guards := [key for key, _ in release.metrics]:
        back = f"everyone gets {release.baseline} again, and the rollout ends regressed"
        yield f"If {' or '.join(guards)} regresses, {back}."


def happened_in(release: ReleaseShown, *, task_id: str | None = None) -> Iterator[Happening]:
    """Yield what happened in the release of a winner: its start, its regressions and its end.

    Args:
        release: The release.
        task_id: The task that started it; None where it is not known.
    """
    steps = ", ".join(f"{percent:g} %" for percent in release.percents)
    what = f"ended on {release.baseline}, and a {release.name} of {release.winner} started: {steps}"
    yield Happening(release.started_at, what, None, task_id)
    found_at = release.ended_at or release.at
    for key, state in release.metrics:
        if state == REGRESSED:
            yield Happening(found_at, f"{key} regressed in the release", "LaunchDarkly")
        elif state == DISMISSED:
            yield Happening(found_at, f"the regression of {key} was dismissed in LaunchDarkly")
    if not release.active:
        yield Happening(found_at, headline_of(release))


def _why_it_waits(release: ReleaseShown) -> str:
    if release.waits_for == REGRESSION:
        return f": {', '.join(release.regressed) or 'a metric'} regressed"
    return " for its next phase" if release.waits_for == NEXT_PHASE else " for a person in LaunchDarkly"


def _why_back(release: ReleaseShown) -> str:
    if release.regressed:
        return f"{', '.join(release.regressed)} regressed"
    reason = release.reason or ""
    return _BACK.get(reason) or f"LaunchDarkly says {reason.replace('_', ' ') or 'no reason'}"
