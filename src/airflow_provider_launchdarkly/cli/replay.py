"""The command `replay`: verify a decision record, and decide each look on it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.cli.record_files import read_entries, why_unreadable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.audit_log.replay import Replay, Replayed
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.decision.policy import Policy

ALL_FOLLOW = "Every verdict follows again."


def add_parser(commands: Commands) -> None:
    """Add `replay` to the command line."""
    parser = commands.add_parser(
        "replay",
        help="decide a decision record again, offline",
        description=(
            "Verify a decision record and decide every look on it again: by the policies on record, or by another one. "
            "Exits with 1 if the record is broken or cannot be read, with 2 if a verdict differs."
        ),
    )
    parser.add_argument(
        "record", metavar="RECORD", help="the record: a .jsonl file, or the URL of one, such as s3://bucket/it.jsonl"
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="decide by this policy, a YAML file, instead of those on record"
    )
    parser.add_argument(
        "--head", metavar="HASH", help="hash that the last entry must have, from the task's XCom or log"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Verify, decide again and print.

    Returns:
        :attr:`ExitCode.FINDING` if a verdict differs.

    Raises:
        CliError: The record is broken, or it or the policy cannot be read.
    """
    try:
        entries = read_entries(arguments.record, arguments.head)
        policy = _policy(arguments.policy)
        found = _replay(entries, policy)
    except (ValueError, OSError, ImportError) as error:
        raise _failure(arguments, error) from None
    print(json.dumps(_as_json(arguments, entries, found), indent=2) if arguments.json else _as_text(entries, found))
    return ExitCode.OK if found.agrees else ExitCode.FINDING


def _policy(path: str | None) -> Policy | None:
    if path is None:
        return None
    from airflow_provider_launchdarkly.decision.policy_files import read_policy

    return read_policy(path)


def _replay(entries: tuple[dict[str, Any], ...], policy: Policy | None) -> Replay:
    from airflow_provider_launchdarkly.audit_log.replay import replay

    return replay(entries, policy)


def _failure(arguments: argparse.Namespace, error: Exception) -> CliError:
    """Print the error as JSON if JSON is asked for, and return it for people."""
    broken = isinstance(error, chain.BrokenRecordError)
    if arguments.json:
        line = error.line if isinstance(error, chain.BrokenRecordError) else None
        print(json.dumps({"agrees": None, "broken": broken, "line": line, "error": str(error)}, indent=2))
    return CliError(why_unreadable(arguments.record, error))


def _as_json(arguments: argparse.Namespace, entries: tuple[dict[str, Any], ...], found: Replay) -> dict[str, Any]:
    head = entries[-1]["hash"] if entries else None
    return {"record": arguments.record, "entries": len(entries), "head": head, **found.to_json()}


def _as_text(entries: tuple[dict[str, Any], ...], found: Replay) -> str:
    if not entries:
        return "an empty record: nothing was decided"
    target = entries[0]["target"]
    where = "/".join(target[name] for name in ("project_key", "environment_key", "experiment_key"))
    lines = [
        f"{where}, iteration {target['iteration_id']}",
        f"{len(entries)} entries, the chain is whole, head {entries[-1]['hash']}",
        "",
        *(_line(look) for look in found.looks),
        "",
        conclusion(found),
    ]
    return "\n".join(lines)


def _line(look: Replayed) -> str:
    then, again = verdict_words(look.recorded), verdict_words(look.again)
    mark = " " if look.agrees else "≠"
    note = f"  ({look.note})" if look.note else ""
    return f"{look.seq:>4}  day {look.day:6.2f}  {then:<34} {mark} {again}{note}".rstrip()


def verdict_words(verdict: Mapping[str, Any] | None) -> str:
    """Return a verdict and its reason; empty where nothing is decided."""
    if verdict is None:
        return ""
    treatment = f" {verdict['treatment']!r}" if verdict.get("treatment") else ""
    return f"{verdict['verdict']}{treatment}: {verdict['reason']}"


def conclusion(found: Replay) -> str:
    """Return what came of a replay, in a sentence."""
    if found.policy is None:
        return ALL_FOLLOW if found.agrees else "Not every verdict follows again."
    then = _end(found.recorded_end, found.recorded_end.recorded if found.recorded_end else None)
    now = _end(found.end, found.end.again if found.end else None)
    return f"On record: {then}. By the other policy: {now}."


def _end(look: Replayed | None, verdict: Any) -> str:
    return "no ending" if look is None else f"{verdict_words(verdict)} on day {look.day:.2f}"
