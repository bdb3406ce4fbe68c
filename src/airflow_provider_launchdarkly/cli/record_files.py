"""Decision records that a command is given by path or URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.audit_log import chain

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.audit_log.store import StoragePath


def read_entries(record: str, head: str | None = None) -> tuple[dict[str, Any], ...]:
    """Read a record and verify its chain.

    Args:
        record: A path, or a URL such as ``s3://bucket/it.jsonl``.
        head: The hash that the last entry must have; None takes any.

    Raises:
        BrokenRecordError: It differs from what was written, or ends with another entry.
        ValueError, OSError, ImportError: It cannot be read.
    """
    from airflow_provider_launchdarkly.audit_log.store import read_file

    entries = read_file(_path(record))
    if head and (not entries or entries[-1]["hash"] != head):
        raise chain.BrokenRecordError(len(entries) or 1, f"the last entry is not {head}")
    return entries


def is_record(name: str) -> bool:
    """Return whether an argument names a record's file, rather than an experiment or a run."""
    return name.endswith(".jsonl")


def why_unreadable(record: str, error: Exception) -> str:
    """Return an error of :func:`read_entries` for people."""
    said = str(error).removeprefix(f"{record}: ")
    return f"{record}: {'broken at ' if isinstance(error, chain.BrokenRecordError) else ''}{said}"


def _path(record: str) -> StoragePath:
    if "://" not in record:
        return Path(record)
    from upath import UPath  # Airflow's own ObjectStoragePath is one; here, outside Airflow, there are no connections

    path: StoragePath = UPath(record)
    return path
