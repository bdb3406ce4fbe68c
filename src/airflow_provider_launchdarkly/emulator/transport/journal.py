"""The journal of changes and the log of requests. Tests prove "at most once" with them. They hold no credential."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that changed something.

    Attributes:
        seq: The number of the entry, from 1.
        server_time: The time on the emulator's clock, in ISO 8601.
        operation: The name of the operation, such as `create_experiment`.
        method: The HTTP verb.
        path: The path without the query.
        body: The request's JSON.
        effects: The changes in order. Each has the keys and ids of what changed and its `kind`: `experiment.created`,
            `iteration.created`, `iteration.discarded`, `iteration.started`, `iteration.stopped`, `experiment.changed`,
            `experiment.archived`, `experiment.restored`, `flag.created`, `flag.changed`, `metric.created`,
            `metric_group.created`, `experimentation_settings.changed`, `holdout.created`, `holdout.changed`,
            `holdout.ended`, `layer.created`, `layer.changed`, `repository.created`, `branch.scanned`,
            `approval_request.created`, `approval_request.reviewed`, `approval_request.applied` or
            `approval_request.deleted`.
    """

    seq: int
    server_time: str
    operation: str
    method: str
    path: str
    body: Any
    effects: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A request, successful or not. Its `status` is None if the connection was closed without a response."""

    seq: int
    server_time: str
    operation: str
    method: str
    path: str
    query: str
    status: int | None
    fault: str | None = None


class Journal:
    """The latest changes since the start or the last reset, up to a fixed number.

    Attributes:
        entries: The entries, oldest first.
    """

    def __init__(self, size: int = 10_000):
        self.entries: deque[Entry] = deque(maxlen=size)
        self._seq = 0

    @property
    def dropped(self) -> int:
        """The number of older entries that it no longer has."""
        return self._seq - len(self.entries)

    def add(self, **fields: Any) -> None:
        """Add a change; it gets the next number."""
        self._seq += 1
        self.entries.append(Entry(seq=self._seq, **fields))

    def clear(self) -> None:
        """Remove all entries; the next one has number 1."""
        self.entries.clear()
        self._seq = 0

    def to_json(self) -> list[dict[str, Any]]:
        """Return the entries as plain JSON, oldest first."""
        return [asdict(entry) for entry in self.entries]

    def effects(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return all effects or those of one kind, oldest first."""
        return [dict(e) for entry in self.entries for e in entry.effects if kind is None or e["kind"] == kind]


class RequestLog:
    """The latest requests, up to a fixed number."""

    def __init__(self, size: int = 10_000):
        self._lines: deque[RequestLine] = deque(maxlen=size)
        self._seq = 0

    def add(self, **fields: Any) -> None:
        """Add a request."""
        self._seq += 1
        self._lines.append(RequestLine(seq=self._seq, **fields))

    def after(self, seq: int) -> list[RequestLine]:
        """Return the requests after a sequence number, oldest first, as far as the log still has them."""
        fresh = min(len(self._lines), max(0, self._seq - seq))
        return list(islice(self._lines, len(self._lines) - fresh, None))

    def clear(self) -> None:
        """Remove all requests; the sequence numbers go on."""
        self._lines.clear()
