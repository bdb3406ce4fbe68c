"""The files of decision records: JSON lines, one file for each iteration, on a local disk or in an object store.

Object stores cannot append, so each decision rewrites the file in one piece: a reader sees the old record or the new
one, never a part. A path is anything with ``pathlib``'s interface, such as Airflow's ``ObjectStoragePath``.
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
from airflow_provider_launchdarkly.config.regular_files import read_text
from airflow_provider_launchdarkly.decision.evidence import Standing, as_earlier
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json
from airflow_provider_launchdarkly.decision.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_launchdarkly.audit_log.chain import Decision
    from airflow_provider_launchdarkly.decision.evidence import EarlierLook, Evidence


# Each further try follows a write of another process in between.
TRIES = 5


class StoragePath(Protocol):
    """A path, as far as this module uses it."""

    def __truediv__(self, name: str) -> Self: ...
    def read_text(self, encoding: str) -> str:
        """Read the file."""
        ...

    def write_text(self, data: str, encoding: str) -> int:
        """Write the file."""
        ...

    def rglob(self, pattern: str) -> Iterator[Self]:
        """Find files below the folder."""
        ...


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision on record.

    Attributes:
        path: Path of the record; None where none is configured: then only the task's log has the entry.
        entries: Number of entries of the record.
        head: Hash of the last entry; with it, entries that were cut off are found.
        entry: The decision's entry.
    """

    path: str | None
    entries: int
    head: str
    entry: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the summary for XCom."""
        return {"path": self.path, "entries": self.entries, "head": self.head}


def store_decision(decision: Decision, folder: str | None, open_path: Callable[[str], StoragePath]) -> StoredDecision:
    """Add a decision to its iteration's record.

    Safe to repeat: a decision that is on record already changes nothing. The file is read back after the write: if
    another process wrote at the same moment, the decision is added to its record.

    Args:
        decision: The decision.
        folder: Folder of the records, a path or URL; with None nothing is written and only the entry is computed.
        open_path: Opens the folder, for instance ``ObjectStoragePath``.

    Raises:
        BrokenRecordError: The record differs from what was written; it is left as it is.
        OSError: The record cannot be read or written.
    """
    if folder is None:
        (entry,) = chain.append((), decision)
        return StoredDecision(None, 1, entry["hash"], entry)
    path = _file(open_path(folder), decision.target)
    for _ in range(TRIES):
        before = _read(path)
        entries = chain.append(before, decision)
        if len(entries) > len(before):
            _write(path, chain.write(entries))
            entries = _read(path)
        stored = next((entry for entry in entries if decision.is_recorded_in(entry)), None)
        if stored is not None:
            return StoredDecision(str(path), len(entries), entries[-1]["hash"], stored)
    raise OSError(f"{path}: other processes rewrote this record {TRIES} times; give each run a record_path of its own")


def latest_wait(
    target: Mapping[str, str], policy: Mapping[str, Any], folder: str, open_path: Callable[[str], StoragePath]
) -> timedelta | None:
    """Return when the latest look on record took place, if it was a wait by this policy.

    So a fresh process need not repeat a look. After an ending it gets None: it has to arrive at the ending again.

    Returns:
        Time after the iteration's start; None without such a wait.

    Raises:
        BrokenRecordError, OSError: As :func:`store_decision`.
    """
    entries = [entry for entry in read_record(target, folder, open_path) if not is_claim(entry)]
    if not entries or entries[-1]["policy"] != policy or entries[-1]["verdict"]["verdict"] != Kind.WAIT:
        return None
    return timedelta(days=entries[-1]["verdict"]["elapsed_days"])


def latest_standing(target: Mapping[str, str], folder: str, open_path: Callable[[str], StoragePath]) -> Standing | None:
    """Return the crossing that stands at the latest planned look on record; None if none does.

    So a retry after a ship verdict, or a clear, need not cross the boundary once more.

    Raises:
        BrokenRecordError, OSError: As :func:`store_decision`.
    """
    entries = read_record(target, folder, open_path)
    looks = [entry for entry in entries if entry["evidence"] is not None and not entry["evidence"].get("only_harm")]
    found = looks[-1]["verdict"].get("standing") if looks else None
    return Standing(**{name: found[name] for name in Standing._fields}) if found else None


def is_claim(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is about a share of a portfolio, and not about a look or an ending."""
    return entry["evidence"] is None and entry["verdict"]["verdict"] == Kind.WAIT


def looks_in(entries: Iterable[Mapping[str, Any]]) -> tuple[EarlierLook, ...]:
    """Return what each planned look of these entries measured; looks for harm alone, and endings, are none."""
    found = (entry["evidence"] for entry in entries)
    return tuple(as_earlier(measured_in(part)) for part in found if part is not None and not part.get("only_harm"))


def measured_in(evidence: Mapping[str, Any]) -> Evidence:
    """Return an entry's evidence without the earlier looks, which other entries hold.

    Raises:
        ValueError: This is no evidence.
    """
    return evidence_from_json({**evidence, "earlier": ()})


def read_record(
    target: Mapping[str, str], folder: str, open_path: Callable[[str], StoragePath]
) -> tuple[dict[str, Any], ...]:
    """Read an iteration's record; empty if there is none yet.

    Raises:
        BrokenRecordError, OSError: As :func:`store_decision`.
    """
    return _read(_file(open_path(folder), target))


def read_all(folder: str, open_path: Callable[[str], StoragePath]) -> Iterator[tuple[str, tuple[dict[str, Any], ...]]]:
    """Read every record in a folder as it is now, each with its path.

    Raises:
        BrokenRecordError, OSError: As :func:`store_decision`; the message names the file.
    """
    root = open_path(folder)
    storage = getattr(root, "fs", None)
    if storage is not None:
        # Object stores are asked anew: fsspec remembers what a folder had.
        storage.invalidate_cache()
    for path in root.rglob("*.jsonl"):
        try:
            yield str(path), _read(path)
        except chain.BrokenRecordError as error:
            raise chain.BrokenRecordError(error.line, f"{str(error).partition(': ')[2]} (in {path})") from None


def read_file(path: StoragePath) -> tuple[dict[str, Any], ...]:
    """Read the record in a file, on a local disk or in an object store.

    Raises:
        BrokenRecordError: It differs from what was written.
        OSError, ValueError: It cannot be read, or is no file.
    """
    local = _local(path)
    return chain.read(path.read_text(encoding="utf-8") if local is None else read_text(local))


def _read(path: StoragePath) -> tuple[dict[str, Any], ...]:
    try:
        return read_file(path)
    except FileNotFoundError:
        return ()


def _file(folder: StoragePath, target: Mapping[str, str]) -> StoragePath:
    """Return ``<folder>/<project>/<environment>/<experiment>/<iteration>.jsonl``."""
    names = [target[name] for name in ("project_key", "environment_key", "experiment_key", "iteration_id")]
    # LaunchDarkly's keys are harmless, but no part of a path is taken unquoted.
    project, environment, experiment, iteration = (quote(name, safe="").replace(".", "%2E") for name in names)
    return folder / project / environment / experiment / f"{iteration}.jsonl"


def _write(path: StoragePath, text: str) -> None:
    local = _local(path)
    if local is None:
        # After a PUT, an object store serves the old object or the new one. It needs no folder.
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
    """Return the path on this machine's disk; None for a remote one. Older remote paths are `Path`s too."""
    if getattr(path, "protocol", "") not in ("", "file", "local"):
        return None
    return Path(str(getattr(path, "path", path)))
