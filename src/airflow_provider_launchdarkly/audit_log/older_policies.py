"""The policies of older entries: what each field that they lack was, by which they were judged.

A field of `Policy` gets an entry here when its default changes verdicts. Entries that were written before it existed
are judged by the value here, so each record replays as it was decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Field of the policy: the value by which entries without it were judged.
BEFORE: Mapping[str, Any] = {
    "clock": "time",
    "multiplicity": "bonferroni",
    "futility": None,
    "on_change": "accept",
    "on_repeat": "accept",
}


# The same for the fields of a metric, by its role in the policy.
METRICS_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "primary": {"test_split": False},
    "guardrails": {"test_split": False},
    "signals": {"test_split": False, "required": False},
}


def as_judged(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded policy with the fields that did not exist when it was written."""
    metrics = {role: _completed(policy[role], before) for role, before in METRICS_BEFORE.items() if role in policy}
    return {**BEFORE, **policy, **metrics}


def _completed(part: Any, before: Mapping[str, Any]) -> Any:
    """Return a metric of a policy, or each of several, with the fields that did not exist."""
    if isinstance(part, list):
        return [_completed(each, before) for each in part]
    return {**before, **part} if isinstance(part, dict) else part
