"""Shares of a portfolio's error. The ledger is the decision records themselves: there is no other memory.

An iteration takes a share in two entries of its own record. The first is the claim: its policy names the portfolio.
Then all records are read, and the second entry says which share it got: one more than the claims of others. No lock is
needed. The i-th claim to be written reads the i - 1 before it, so it gets share i or a later one: however many claim
at once, at most as many get a share as there are.

It errs on the safe side. Two that claim at the same moment may both get the later share; then one is never given. If
several processes of one iteration write at the same moment, one may overwrite the share that another has just noted;
then it is counted anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.audit_log.chain import Decision
from airflow_provider_launchdarkly.audit_log.store import read_all, read_record, store_decision
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from airflow_provider_launchdarkly.audit_log.store import StoragePath

SHARE = "portfolio_share"
"""Field of an entry's verdict: the number of the share that the iteration got."""


class LedgerError(ValueError):
    """A portfolio has no share left, or its experiments disagree about it. The message names it, and the cure."""


def take_share(
    target: Mapping[str, str],
    policy: Mapping[str, Any],
    folder: str,
    open_path: Callable[[str], StoragePath],
    *,
    at: str,
    elapsed: timedelta,
    source: str,
) -> int:
    """Take an iteration's share of its policy's portfolio.

    Safe to repeat, at any point and by any number of processes: a share that is on record is the answer; a claim
    without one is counted again. All experiments of a portfolio need one folder, in a storage where a file is seen by
    all once it is written, as local disks, S3, Google Cloud Storage and Azure are.

    Args:
        target: Project, environment, experiment and iteration.
        policy: The policy, with its ``portfolio``.
        folder: Folder of the records, a path or URL.
        open_path: Opens the folder, for instance ``ObjectStoragePath``.
        at: Time by LaunchDarkly's clock, ISO 8601.
        elapsed: Time since the iteration's start.
        source: ``launchdarkly`` or ``sql``.

    Returns:
        The number of its share, from 1.

    Raises:
        LedgerError: There is no share left, or an experiment on record gives the portfolio other numbers.
        BrokenRecordError: A record in the folder differs from what was written.
        OSError: A record cannot be read or written.
    """
    portfolio = policy["portfolio"]
    name, experiments = portfolio["name"], portfolio["experiments"]

    def store(summary: str, **more: int) -> None:
        verdict = Verdict.wait(Reason.BETWEEN_LOOKS, summary, elapsed).to_json() | more
        store_decision(Decision(at, target, source, policy, None, verdict), folder, open_path)

    own = read_record(target, folder, open_path)
    share = _share_in(own, name)
    if share is None:
        if not _claims(own, name):
            # Before the claim too, so that a slip in these numbers does not stand in everybody's way.
            _count_others(target, portfolio, folder, open_path)
            store(f"asks for a share of portfolio {name!r}")
        share = 1 + _count_others(target, portfolio, folder, open_path)
        if share > experiments:
            raise LedgerError(
                f"portfolio {name!r} has no share left: its {experiments} are taken, by the records in {folder}. Plan "
                "another portfolio under a new name, or leave portfolio out of the policy"
            )
        store(f"has share {share} of {experiments} of portfolio {name!r}", **{SHARE: share})
        # Another process of the same iteration may have been first.
        share = _share_in(read_record(target, folder, open_path), name) or share
    return share


def _share_in(entries: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """Return the share that a record has, the first one if two processes took one each."""
    shares: list[int] = [entry["verdict"][SHARE] for entry in _claims(entries, name) if SHARE in entry["verdict"]]
    return shares[0] if shares else None


def _claims(entries: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Return the entries whose policy names the portfolio. Policies of older records have no such field."""
    return [entry for entry in entries if (entry["policy"].get("portfolio") or {}).get("name") == name]


def _count_others(
    target: Mapping[str, str], portfolio: Mapping[str, Any], folder: str, open_path: Callable[[str], StoragePath]
) -> int:
    """Count the iterations but this one that claim a share."""
    others = 0
    for path, entries in read_all(folder, open_path):
        claims = _claims(entries, portfolio["name"])
        for entry in claims:
            if entry["policy"]["portfolio"] != portfolio:
                raise LedgerError(
                    f"portfolio {portfolio['name']!r} is {_numbers(portfolio)} here and "
                    f"{_numbers(entry['policy']['portfolio'])} in {path}: write the same in each policy, or give the "
                    "new numbers a new name"
                )
        others += bool(claims) and entries[0]["target"] != target
    return others


def _numbers(portfolio: Mapping[str, Any]) -> str:
    return f"alpha {portfolio['alpha']:g} for {portfolio['experiments']} experiments"
