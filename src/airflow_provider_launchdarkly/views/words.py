"""An experiment in a few words, for a line of a list. Pure; whole sentences are those of :mod:`.explanations`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.notes import RELEASE, STOP
from airflow_provider_launchdarkly.views.releases import next_of_release
from airflow_provider_launchdarkly.views.unwatched import NOT_WATCHED
from airflow_provider_launchdarkly.views.winner_release import headline_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.views.model import ExperimentSummary, Share

# Characters of an error that a list shows.
_ROOM = 160


def in_shares(served: Sequence[Share]) -> str:
    """Return ``75 % Classic, 25 % Bold``, or ``everyone gets Bold``; empty where nothing is known."""
    if len(served) == 1:
        return everyone(served[0].treatment)
    return ", ".join(f"{share.percent:g} % {share.treatment}" for share in served)


def everyone(treatment: str | None) -> str:
    """Return who gets one treatment that everyone gets; with None, that it is not known who gets what."""
    return f"everyone gets {treatment}" if treatment else "people get what the experiment's flag serves"


def next_step(found: ExperimentSummary) -> str:
    """Return what the model's `next_step` is the time of."""
    if found.release is not None and found.release.winner is not None:
        return next_of_release(found.release)
    return "the change window opens" if found.state is State.AWAITING_WINDOW else "the stage ends at the latest"


def headline(found: ExperimentSummary, body: Mapping[str, Any]) -> str:
    """Return what comes next, or how it ended.

    Args:
        found: The experiment, without its headline.
        body: Its newest note.
    """
    release = found.release if found.release and found.release.winner else None
    fixed = {
        State.STARTING: "the first stage has not started yet",
        State.WORKING: headline_of(release) if release else "tasks are under way",
        State.REFUSED: "not approved: the experiment runs on as it is, and nobody watches it",
        State.UNWATCHED: _unwatched(found),
        State.OVERDUE: _unwatched(found),
        State.NEEDS_YOU: _asked(found),
    }
    if found.state in fixed:
        return fixed[found.state]
    if body.get("kind") == STOP:
        return _stopped(found.state, body)
    summary = reading.text(reading.mapping(body.get("latest")).get("summary"))
    if found.state is State.WAITING:
        return _waiting(found, body)
    if found.state is State.AWAITING_WINDOW:
        window = reading.text(reading.mapping(body.get("rollout")).get("window"))
        return f"waiting for the change window: {window}" if window else "waiting for the change window"
    if found.state is State.INVALID:
        return summary or reading.text(body.get("why")) or "the data cannot be trusted"
    return f"observed only: {summary or 'nothing was changed'}"


def _unwatched(found: ExperimentSummary) -> str:
    lost = found.unwatched
    if lost is None:
        return ""
    experiment = lost.what == NOT_WATCHED
    return f"nobody watches it, and no guardrail: {_cut(lost.why)}" if experiment else f"{lost.what} {_cut(lost.why)}"


def _asked(found: ExperimentSummary) -> str:
    if found.question is not None:
        return found.question.subject
    if found.handed_over is not None:
        return f"a person has to {found.handed_over.what} in LaunchDarkly"
    return headline_of(found.release) if found.release and found.release.winner else "a person is asked"


def _waiting(found: ExperimentSummary, body: Mapping[str, Any]) -> str:
    if trouble := reading.text(reading.mapping(body.get("trouble")).get("message")):
        return f"trying again after: {trouble}"
    if body.get("kind") == RELEASE:
        release = found.release
        if release is not None and release.trouble:
            return f"trying again after: {release.trouble}"
        return headline_of(release) if release is not None and release.winner else released(body)
    if not body.get("policy"):
        return "waiting for the end of the stage"
    done = reading.count(reading.mapping(body.get("latest")).get("look")) or 0
    return f"waiting for look {done + 1} of {found.looks}" if found.looks else "waiting for results"


def released(body: Mapping[str, Any]) -> str:
    """Return what a release does that ships a winner: ``Bold goes to everyone in steps: 5 %, 25 %, 50 %``.

    Args:
        body: Its note.
    """
    steps = ", ".join(f"{percent:g} %" for percent in reading.numbers(body.get("percents")))
    baseline = reading.text(body.get("baseline")) or "the baseline"
    winner = reading.text(body.get("winner")) or "the winner"
    return f"{winner} goes to everyone in steps: {steps}; the others get {baseline}"


def _stopped(state: State, body: Mapping[str, Any]) -> str:
    winner = reading.text(body.get("winner")) or "the winner"
    if state is State.ROLLED_BACK:
        harmed = ", ".join(_harm(text) for text in reading.texts(body.get("harmed")))
        return f"{harmed}: everyone is back on {winner}" if harmed else f"everyone is back on {winner}"
    if state is State.REGRESSED:
        return f"{reading.text(body.get('why')) or 'the release went back'}: everyone is back on {winner}"
    if state is State.INCONCLUSIVE:
        return f"no winner: everyone is back on {winner}"
    if body.get("ending") == "refused":
        return f"not approved: everyone is back on {winner}"
    return everyone(winner) if state is State.SHIPPED else f"stopped: {everyone(winner)}"


def _harm(found: str) -> str:
    """Return ``Bold harmed page-load-ms`` for ``page-load-ms: Bold``."""
    metric, _, treatment = found.partition(": ")
    return f"{treatment} harmed {metric}" if treatment else f"{metric} was harmed"


def _cut(text: str) -> str:
    """Return a message's beginning; the whole of it is where there is room."""
    return text if len(text) <= _ROOM else f"{text[:_ROOM].rstrip()}…"
