"""The output of a waiting task if harm ended the waiting. Light, since DAG files import it."""

from __future__ import annotations

from typing import Any

ENDED_BY = "ended_by"
"""Key of a waiting task's output: the verdict that ended the waiting, as plain JSON."""


def verdict_that_ended(output: Any) -> dict[str, Any] | None:
    """Return the verdict that ended a waiting task; None if what it waited for has come, or it did not run."""
    found = output.get(ENDED_BY) if hasattr(output, "get") else None
    return dict(found) if found else None
