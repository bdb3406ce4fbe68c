"""The reason that LaunchDarkly records for an iteration that ends on its baseline because a release ships its winner.

It tells our stop from a person's, which ended it on the baseline to stay there. Pure.
"""

from __future__ import annotations

SHIPS_BY_RELEASE = "ends on its baseline, and a release ships the winner"
"""The beginning of the reason."""


def stop_reason(why: str) -> str:
    """Return why the iteration of a winner ends on its baseline, for LaunchDarkly's record."""
    return f"{SHIPS_BY_RELEASE}: {why}"


def is_stop_for_a_release(reason: str | None) -> bool:
    """Return whether an iteration ended because a release ships its winner, by the reason that was recorded."""
    return (reason or "").startswith(SHIPS_BY_RELEASE)
