"""Finds the release for which an iteration has ended, whether or not the task that started it could return it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.writes.stop_for_release import is_stop_for_a_release
from airflow_provider_launchdarkly.rollout.unwatched import ReleaseLeft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.api.models import EnvironmentRelease, Iteration
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


# The name of a treatment that is not known.
_WINNER = "the winner"


def as_shown(left: ReleaseLeft, release: EnvironmentRelease) -> tuple[ReleaseLeft, str]:
    """Return a release as LaunchDarkly shows it now, and that as a sentence."""
    reason = f" ({release.status_reason})" if release.status_reason else ""
    found = replace(left, release_id=release.id, going=not release.ended)
    return found, f"LaunchDarkly shows it as {release.status}{reason}."


def release_after(hook: LaunchDarklyHook, iteration: Iteration) -> tuple[ReleaseLeft, str] | None:
    """Return the release for which an iteration has ended, and its state as a sentence; None if it ended otherwise.

    That is the newest of the flag's releases that began since and start from the variation of the baseline. The task
    that starts it may have ended between LaunchDarkly's start and its own.

    Args:
        hook: The hook.
        iteration: The iteration, with its treatments.

    Raises:
        LaunchDarklyError: As the calls raise.
    """
    if not iteration.stopped or not is_stop_for_a_release(iteration.winning_reason) or not iteration.flags:
        return None
    flag_key = next(iter(iteration.flags))
    if (found := release_among(hook.list_releases(flag_key), iteration, flag_key)) is not None:
        release, winner = found
        return as_shown(ReleaseLeft(flag_key, release.id, winner), release)
    names = [each.name for each in iteration.treatments if not each.baseline]
    winner = names[0] if len(names) == 1 else _WINNER
    return ReleaseLeft(flag_key, None, winner, going=False), "LaunchDarkly lists none."


def release_among(
    releases: Iterable[EnvironmentRelease], iteration: Iteration, flag_key: str
) -> tuple[EnvironmentRelease, str] | None:
    """Return the release for which an iteration has ended, and the winner's name; None if it is not among them.

    Args:
        releases: The flag's releases, newest first.
        iteration: The iteration, stopped for a release, with its treatments.
        flag_key: The flag.
    """
    names = {each.variation_of(flag_key): each.name for each in iteration.treatments if not each.baseline}
    since, baseline = iteration.ended_at, iteration.baseline
    original = baseline.variation_of(flag_key) if baseline else None
    for release in releases:
        began = release.created_at
        if release.original_variation_id == original and began is not None and since is not None and began >= since:
            return release, names.get(release.target_variation_id, _WINNER)
    return None
