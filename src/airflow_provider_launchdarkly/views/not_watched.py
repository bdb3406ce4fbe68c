"""What nobody watches any more, in words: why, who gets what, and what a person has to do. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views import notes as kinds
from airflow_provider_launchdarkly.views import reading
from airflow_provider_launchdarkly.views.release_model import REGRESSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.views.handed_over import HandedOver
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown
    from airflow_provider_launchdarkly.views.unwatched import Unwatched


def lost_release(body: Mapping[str, Any]) -> bool:
    """Return whether an experiment has ended, for a release or otherwise, and its rollout came to no ending."""
    return body.get("kind") == kinds.END and body.get("ending") == "unwatched"


def as_ended(found: Unwatched, body: Mapping[str, Any]) -> Unwatched:
    """Return what the end of a rollout has said of what nobody watches any more."""
    lost = reading.text(body.get("what")) or "Nobody watches the release of the winner."
    return replace(
        found,
        why=reading.text(body.get("why")) or found.why,
        serves=reading.text(body.get("now")) or found.serves,
        cure=" ".join(reading.texts(body.get("do"))) or found.cure,
        what=lost if lost_release(body) else found.what,
    )


def release_not_watched(found: Unwatched, release: ReleaseShown, rollout: Mapping[str, Any]) -> Unwatched:
    """Return that nobody watches the release of the winner, and who has to stop it if it waits for that."""
    why = release.trouble or found.why
    if not release.active:
        return replace(found, why=why, what="Nobody ends this rollout: its winner's release is over.")
    what = "Nobody watches the release of the winner, with which LaunchDarkly goes on."
    stop = f"stop the release of flag {release.flag} in LaunchDarkly, back to {release.baseline}"
    if release.waits_for != REGRESSION:
        return replace(found, why=why, what=what, cure=f"{found.cure}; or {stop}")
    people = reading.texts(rollout.get("reviewers"))
    by = f" (reviewers: {', '.join(people)})" if people else ""
    then = f", and clear the task {found.task_id}" if found.task_id else ""
    what = f"The release of the winner waits for a person: {', '.join(release.regressed) or 'a metric'} regressed."
    return replace(found, why=why, what=what, cure=f"{stop}{by}{then}")


def change_not_made(found: Unwatched, change: HandedOver, task_id: str) -> Unwatched:
    """Return that nobody has made a change in LaunchDarkly while its task waited for it."""
    what = "The winner's release has not been started." if change.release else found.what
    why = f"task {task_id} failed, which waited for a person to {change.what} in LaunchDarkly"
    cure = f"{change.to_do}. Then clear the task {task_id}.{change.reviewers}"
    if change.requested:
        cure = f"clear the task {task_id}, which asks anew, and have the request approved.{change.reviewers}"
    return replace(found, what=what, why=why, cure=cure)
