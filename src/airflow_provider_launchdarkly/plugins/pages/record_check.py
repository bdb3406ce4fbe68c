"""Check a decision record's chain for its page, where the API server may read the folder of the records.

The folder is that of the API server's own ``[launchdarkly] record_path``, never one that a note names: what stands in
an XCom opens no file here. A record elsewhere is shown as its task left it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.configuration import conf

from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError
from airflow_provider_launchdarkly.audit_log.store import read_record

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.audit_log.store import StoragePath
    from airflow_provider_launchdarkly.views.model import ExperimentDetail, Record

log = logging.getLogger(__name__)


def with_checked_record(detail: ExperimentDetail) -> ExperimentDetail:
    """Return an experiment with its record's chain checked, if the record is in the configured folder.

    Reads the whole record: call it in a thread. It never raises: a record that cannot be read here stays unchecked.

    Args:
        detail: The experiment.
    """
    folder = conf.get("launchdarkly", "record_path", fallback="")
    record, looks = detail.record, detail.looks
    if not folder or record is None or record.path is None or not looks:
        return detail
    summary = detail.summary
    target = {
        "project_key": summary.project,
        "environment_key": summary.environment,
        "experiment_key": summary.key,
        "iteration_id": looks[-1].iteration_id,
    }
    try:
        return replace(detail, record=_checked(record, target, folder))
    except Exception as error:  # noqa: BLE001 - the storage's own errors are many, and the page is worth more than this
        log.warning("the decision record of %s is not checked: %s: %s", summary.key, type(error).__name__, error)
        return detail


def _checked(record: Record, target: dict[str, str], folder: str) -> Record:
    try:
        entries = read_record(target, folder, _open)
    except BrokenRecordError as error:
        return replace(record, whole=False, trouble=f"broken at {error}", checked_at=None)
    hashes = [entry["hash"] for entry in entries]
    if not hashes:
        return record  # it is in another folder
    if record.head and record.head not in hashes:
        lost = f"the entry that the task wrote last, {record.head}, is not in it: it was cut off, or written anew"
        return replace(record, whole=False, trouble=lost, checked_at=None)
    return replace(record, entries=len(hashes), head=hashes[-1], whole=True, trouble=None, checked_at=None)


def _open(folder: str) -> StoragePath:
    from airflow.sdk import ObjectStoragePath

    path: StoragePath = ObjectStoragePath(folder)
    return path
