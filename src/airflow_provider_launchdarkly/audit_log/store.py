"""Where a record is kept: one file of JSON lines for an iteration, on a local disk or in an object store.

Object stores cannot append, so each look writes the file anew, in one piece: a reader sees the old record or the new
one, never half of one. No Airflow here: a path is anything that behaves like ``pathlib``'s, as ``ObjectStoragePath``.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.decision.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.audit_log.chain import Content


# How often a look is added at most: each time after the first, another process has written in between.
TRIES = 5


class StoragePath(Protocol):
    """What is needed of a path."""

    def __truediv__(self, name: str) -> Self: ...
    def read_text(self, encoding: str) -> str:
        """Read the file."""
        ...

    def write_text(self, data: str, encoding: str) -> int:
        """Write the file."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in a record after a look.

    Attributes:
        path: Where it is; None where no path is configured: then the entry is in the log alone.
        entries: How many looks it holds.
        head: Hash of its last entry: who has it can tell when entries were cut off.
        entry: The look's entry.
    """

    path: str | None
    entries: int
    head: str
    entry: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The summary for XCom."""
        return {"path": self.path, "entries": self.entries, "head": self.head}


def keep(content: Content, folder: str | None, open_path: Callable[[str], StoragePath]) -> Kept:
    """Add a look to its iteration's record. Safe to repeat.

    What was written is read back: where another process wrote at the same moment, the look is added to its record.

    Args:
        content: The look.
        folder: Where records are kept, a path or URL; None keeps nothing and only computes the entry.
        open_path: Makes a path of the folder's name, such as ``ObjectStoragePath``.

    Raises:
        BrokenRecordError: The record there is not what was written; it is left as it is.
        OSError: It cannot be read or written.
    """
    if folder is None:
        (entry,) = chain.append((), content)
        return Kept(None, 1, entry["hash"], entry)
    path = _place(open_path(folder), content.target)
    for _ in range(TRIES):
        before = _read(path)
        entries = chain.append(before, content)
        if len(entries) > len(before):
            _write(path, chain.write(entries))
            entries = _read(path)
        kept = next((entry for entry in entries if content.same(entry)), None)
        if kept is not None:
            return Kept(str(path), len(entries), entries[-1]["hash"], kept)
    raise OSError(f"{path}: other processes write this record again and again")


def last_waited(
    target: Mapping[str, str], policy: Mapping[str, Any], folder: str, open_path: Callable[[str], StoragePath]
) -> timedelta | None:
    """Time after the start of the latest look on record, where it was a wait by this policy.

    So a process that remembers nothing need not look again between two looks. An ending is never passed over: whoever
    asks after it was recorded must get to it again.

    Raises:
        BrokenRecordError, OSError: As :func:`keep`.
    """
    entries = _read(_place(open_path(folder), target))
    if not entries or entries[-1]["policy"] != policy or entries[-1]["verdict"]["verdict"] != Kind.WAIT:
        return None
    return timedelta(days=entries[-1]["verdict"]["elapsed_days"])


def _read(path: StoragePath) -> tuple[dict[str, Any], ...]:
    try:
        return chain.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()


def _place(folder: StoragePath, target: Mapping[str, str]) -> StoragePath:
    """``<folder>/<project>/<environment>/<experiment>/<iteration>.jsonl``."""
    names = [target[name] for name in ("project_key", "environment_key", "experiment_key", "iteration_id")]
    # Keys are LaunchDarkly's and harmless, but what decides where a file goes is quoted all the same.
    project, environment, experiment, iteration = (quote(name, safe="").replace(".", "%2E") for name in names)
    return folder / project / environment / experiment / f"{iteration}.jsonl"


def _write(path: StoragePath, text: str) -> None:
    local = _local(path)
    if local is None:
        # A PUT to an object store shows the whole object or the one before. It needs no folder.
        path.write_text(text, encoding="utf-8")
        return
    local.parent.mkdir(parents=True, exist_ok=True)
    temporary = local.with_name(f".{local.name}.{uuid.uuid4().hex}")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(local)


def _local(path: StoragePath) -> Path | None:
    """The path on this machine's disk, if that is where it is. Not by type: older remote paths are `Path`s too."""
    if getattr(path, "protocol", "") not in ("", "file", "local"):
        return None
    return Path(str(getattr(path, "path", path)))
