"""The reason that LaunchDarkly records for an iteration that ends on its baseline because a release ships its winner.

It tells our stop from a person's, which ended it on the baseline to stay there. Pure.
"""

from __future__ import annotations

_SHIPS = "ends on its baseline, and a release ships the winner"


def stop_reason(why: str) -> str:
    """Return why the iteration of a winner ends on its baseline, for LaunchDarkly's record."""
    return f"{_SHIPS}: {why}"


def is_stop_for_a_release(reason: str | None) -> bool:
    """Return whether an iteration ended because a release ships its winner, by the reason that was recorded."""
    return (reason or "").startswith(_SHIPS)
