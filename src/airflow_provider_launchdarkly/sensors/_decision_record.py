"""Decision records on a worker: their folder, and their lines in the task log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.audit_log.chain import Decision, canonical
from airflow_provider_launchdarkly.audit_log.changes import spent_before
from airflow_provider_launchdarkly.audit_log.ledger import LedgerError, take_share
from airflow_provider_launchdarkly.audit_log.store import (
    StoragePath,
    latest_standing,
    latest_wait,
    read_record,
    store_decision,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.decision.evidence import Spent, Standing
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import Target


def record_look(
    found: Mapping[str, Any],
    target: Target,
    policy: Policy,
    *,
    source: str,
    folder: str | None,
    log: Callable[..., object],
) -> dict[str, Any]:
    """Put one look on record, and log where it is. Safe to repeat.

    Args:
        found: The verdict as plain JSON with the keys of its target, ``evidence`` and ``looked_at``, as
            :class:`SignificanceCheck` returns it.
        target: The iteration.
        policy: The policy of the verdict.
        source: ``launchdarkly`` or ``sql``.
        folder: Folder of the records; None keeps none, and the log has the entry.
        log: Writes a line to the task's log.

    Returns:
        The verdict, with ``record``: where the look is on record.

    Raises:
        BrokenRecordError: The record was changed by someone else.
        OSError: The record cannot be read or written.
    """
    from airflow_provider_launchdarkly.checks.significance_result import NOT_IN_A_VERDICT

    keys = target.to_json()
    verdict = {name: value for name, value in found.items() if name not in NOT_IN_A_VERDICT}
    decision = Decision(
        at=str(found.get("looked_at")),
        target=keys,
        source=source,
        policy=policy.to_json(),
        evidence=found.get("evidence"),
        verdict={name: value for name, value in verdict.items() if name not in keys},
    )
    stored = store_decision(decision, folder, open_storage)
    if stored.path is None:
        log("No record_path is set. This look's entry:\n%s", canonical(stored.entry))
    else:
        log("Recorded in %s: entry %s, head %s", stored.path, stored.entries, stored.head)
    return {**verdict, "record": stored.to_json()}


def latest_recorded_wait(target: Target, policy: Policy, folder: str) -> timedelta | None:
    """Return the time after the start of the latest look on record, if it was a wait by this policy.

    Raises:
        BrokenRecordError, OSError: As for :func:`record_look`.
    """
    return latest_wait(target.to_json(), policy.to_json(), folder, open_storage)


def take_portfolio_share(
    found: Mapping[str, Any], target: Target, policy: Policy, *, source: str, folder: str | None
) -> int | None:
    """Take the iteration's share of its policy's portfolio, from what a poll found. Safe to repeat.

    Returns:
        The number of the share; None if the portfolio divides no error.

    Raises:
        ConfigurationError: There is no folder of records or no share left, or the portfolio's numbers differ.
        BrokenRecordError, OSError: As for :func:`record_look`.
    """
    if folder is None:
        raise ConfigurationError(
            "policy.portfolio needs decision records, since they are its ledger: set record_path, or [launchdarkly] "
            "record_path"
        )
    if policy.portfolio is None or policy.portfolio.each is None:
        return None
    try:
        return take_share(
            target.to_json(),
            policy.to_json(),
            folder,
            open_storage,
            at=str(found["looked_at"]),
            elapsed=timedelta(days=found["elapsed_days"]),
            source=source,
        )
    except LedgerError as error:
        raise ConfigurationError(str(error)) from None


def recorded_standing(target: Target, folder: str) -> Standing | None:
    """Return the crossing of the boundary that stands at the end of the record; None if none does.

    Raises:
        BrokenRecordError, OSError: As for :func:`record_look`.
    """
    return latest_standing(target.to_json(), folder, open_storage)


def recorded_spent(target: Target, policy: Policy, folder: str) -> Spent | None:
    """Return the error that other policies have spent on the iteration; None if none has judged it.

    Raises:
        BrokenRecordError, OSError: As for :func:`record_look`.
    """
    return spent_before(read_record(target.to_json(), folder, open_storage), policy)


def record_folder(record_path: str | None) -> str | None:
    """Return the folder of the records: a task's own, or ``[launchdarkly] record_path``; None if none are kept."""
    return record_path or conf.get("launchdarkly", "record_path", fallback="") or None


def open_storage(folder: str) -> StoragePath:
    """Open a folder of decision records."""
    from airflow.sdk import ObjectStoragePath

    path: StoragePath = ObjectStoragePath(folder)
    return path
