"""Which planned looks a record says were taken, for looks that wait for their data."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.audit_log.changes import decisive
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json
from airflow_provider_launchdarkly.decision.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.policy import Policy


class LooksTaken(NamedTuple):
    """The looks of one policy on a record.

    Attributes:
        latest: Planned time of the newest, after the iteration's start; 0 if there is none.
        ended: The evidence of the look that ended the waiting, if the last one did.
    """

    latest: timedelta = timedelta()
    ended: Evidence | None = None


def looks_taken(entries: Sequence[Mapping[str, Any]], policy: Policy) -> LooksTaken:
    """Read which looks of a policy were taken.

    Args:
        entries: A verified record.
        policy: The policy. Looks by one with other boundaries or metrics are not its looks.

    Raises:
        ValueError: The evidence of an ending cannot be read.
    """
    judged_by = decisive(policy.to_json())
    looks = [
        entry
        for entry in entries
        if entry["evidence"] is not None
        and not entry["evidence"].get("only_harm")
        and decisive(entry["policy"]) == judged_by
    ]
    if not looks:
        return LooksTaken()
    latest = max(timedelta(seconds=entry["evidence"]["elapsed_seconds"]) for entry in looks)
    last = looks[-1]
    ended = last["verdict"]["verdict"] != Kind.WAIT and last["evidence"].get("taken") is not None
    return LooksTaken(latest, evidence_from_json(last["evidence"]) if ended else None)
