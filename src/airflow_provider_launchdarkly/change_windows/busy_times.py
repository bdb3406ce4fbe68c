"""Answers quickly when a calendar's events take place, however often they recur. Pure."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.change_windows.time_zones import EARLIEST, LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from airflow_provider_launchdarkly.change_windows.calendar import Event

_EPOCH = datetime(2000, 1, 3, tzinfo=UTC)
_CHUNK = timedelta(weeks=4)


class BusyTimes:
    """The times at which events take place.

    Events recur for ever, so they are expanded in chunks of four weeks, each when it is first asked for.
    """

    def __init__(self, events: Sequence[Event], reader: tzinfo) -> None:
        """Create it.

        Args:
            events: The events.
            reader: The time zone of whole days, and of times to which the calendar gives none.
        """
        self._events = events
        self._reader = reader
        self._chunks: dict[int, tuple[list[datetime], list[datetime]]] = {}

    def covers(self, at: datetime) -> bool:
        """Return True if an event takes place at an instant."""
        if not self._events:
            return False
        starts, ends = self._chunk((at - _EPOCH) // _CHUNK)
        index = bisect_right(starts, at) - 1
        return index >= 0 and at < ends[index]

    def ends(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the instants of a span, its end not included, at which events end and none goes on."""
        if self._events:
            for number in range((begin - _EPOCH) // _CHUNK, (end - _EPOCH) // _CHUNK + 1):
                yield from (moment for moment in self._chunk(number)[1] if begin <= moment < end)

    def _chunk(self, number: int) -> tuple[list[datetime], list[datetime]]:
        """Return begins and ends of the spans that overlap a chunk: sorted, and none overlaps another."""
        if number not in self._chunks:
            try:
                begin = _EPOCH + number * _CHUNK
                end = begin + _CHUNK
            except OverflowError:
                begin, end = (EARLIEST, EARLIEST + _CHUNK) if number < 0 else (LATEST - _CHUNK, LATEST)
            starts: list[datetime] = []
            ends: list[datetime] = []
            for start, stop in sorted(span for event in self._events for span in event.spans(begin, end, self._reader)):
                if ends and start <= ends[-1]:
                    ends[-1] = max(ends[-1], stop)
                else:
                    starts.append(start)
                    ends.append(stop)
            self._chunks[number] = starts, ends
        return self._chunks[number]
