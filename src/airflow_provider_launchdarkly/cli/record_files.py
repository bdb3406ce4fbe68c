"""Decision records that a command is given by path or URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_provider_launchdarkly.audit_log import chain


def read_entries(record: str, head: str | None = None) -> tuple[dict[str, Any], ...]:
    """Read a record and verify its chain.

    Args:
        record: A path, or a URL such as ``s3://bucket/it.jsonl``.
        head: The hash that the last entry must have; None takes any.

    Raises:
        BrokenRecordError: It differs from what was written, or ends with another entry.
        ValueError, OSError, ImportError: It cannot be read.
    """
    entries = chain.read(_text(record))
    if head and (not entries or entries[-1]["hash"] != head):
        raise chain.BrokenRecordError(len(entries) or 1, f"the last entry is not {head}")
    return entries


def is_record(name: str) -> bool:
    """Return whether an argument names a record's file, rather than an experiment or a run."""
    return name.endswith(".jsonl")


def why_unreadable(record: str, error: Exception) -> str:
    """Return an error of :func:`read_entries` for people."""
    return f"{record}: {'broken at ' if isinstance(error, chain.BrokenRecordError) else ''}{error}"


def _text(record: str) -> str:
    if "://" not in record:
        return Path(record).read_bytes().decode()
    from upath import UPath  # Airflow's own ObjectStoragePath is one; here, outside Airflow, there are no connections

    return UPath(record).read_bytes().decode()
