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
}


def as_judged(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded policy with the fields that did not exist when it was written."""
    return {**BEFORE, **policy}
