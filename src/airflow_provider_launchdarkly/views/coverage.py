"""The part of the reading model on the rows behind a look: whom they leave out, and how new they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the source of a look knows of its rows, beside the numbers.

    Attributes:
        several_treatments: Units that were left out since they saw several treatments; None if they were not counted.
        without_events: Each metric's key, and its measured units without an event of it.
        last_event_at: When the last event of any metric was; None if there is none, or it is not known.
        last_row_at: When the last row was, an exposure or an event; None if it is not known.
        hours_behind: Time from then to the look: how far the data are behind; None if it is not known.
    """

    several_treatments: int | None = None
    without_events: tuple[tuple[str, int], ...] = ()
    last_event_at: datetime | None = None
    last_row_at: datetime | None = None
    hours_behind: float | None = None


def newest_of(looks: Iterable[Coverage | None]) -> Coverage | None:
    """Return what is known of the rows behind the newest look that knows anything, from looks in their order."""
    return next((known for known in reversed(list(looks)) if known is not None), None)


def rows_of(coverage: Coverage) -> Iterator[tuple[str, str | datetime]]:
    """Yield what is known in words, each with a number in words or an instant."""
    if coverage.several_treatments is not None:
        yield "units left out, since they saw several treatments", f"{coverage.several_treatments:,}"
    for metric, units in coverage.without_events:
        yield f"units without an event of {metric}", f"{units:,}"
    if coverage.last_event_at is not None:
        yield "last event of a metric", coverage.last_event_at
    if coverage.last_row_at is not None:
        yield "last row, an exposure or an event", coverage.last_row_at
    if coverage.hours_behind is not None:
        yield "from the last row to the look", f"{coverage.hours_behind:.1f} h"
