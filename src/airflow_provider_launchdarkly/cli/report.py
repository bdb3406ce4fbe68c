"""The command `report`: a decision record as one HTML file, its chain checked and its verdicts decided again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.cli.record_files import read_entries, why_unreadable
from airflow_provider_launchdarkly.cli.replay import conclusion, verdict_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.audit_log.replay import Replay
    from airflow_provider_launchdarkly.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add `report` to the command line."""
    parser = commands.add_parser(
        "report",
        help="write a decision record as one HTML file, for a ticket or an auditor",
        description=(
            "Verify a decision record, decide every look on it again, and write charts, numbers and the answer into "
            "one HTML file that loads nothing and runs nothing. Exits with 1 if the record is broken or cannot be "
            "read, with 2 if a verdict does not follow again; the file then says so."
        ),
    )
    parser.add_argument(
        "record", metavar="RECORD", help="the record: a .jsonl file, or the URL of one, such as s3://bucket/it.jsonl"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="the file to write, or - for the standard output; the record's name with .html"
    )
    parser.add_argument(
        "--head", metavar="HASH", help="hash that the last entry must have, from the task's XCom or log"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify, decide again and write the file.

    Returns:
        :attr:`ExitCode.FINDING` if a verdict does not follow again.

    Raises:
        CliError: The record is broken or cannot be read, or the file cannot be written.
    """
    from airflow_provider_launchdarkly.audit_log.replay import replay
    from airflow_provider_launchdarkly.pictures.report import report_page
    from airflow_provider_launchdarkly.views.records import detail_of_record, verdict_in_words

    try:
        entries = read_entries(arguments.record, arguments.head)
        found = replay(entries)
        detail = detail_of_record(entries, path=arguments.record, whole=True)
    except (ValueError, OSError, ImportError) as error:
        raise CliError(why_unreadable(arguments.record, error)) from None
    text = report_page(
        detail,
        chip=verdict_in_words(detail.summary.look) if detail.summary.look else "nothing judged yet",
        answer=conclusion(found),
        agrees=found.agrees,
        entries=list(_rows(entries, found)),
        about=_about(entries, checked=arguments.head is not None),
    )
    if arguments.output == "-":
        sys.stdout.write(text)
        return ExitCode.OK if found.agrees else ExitCode.FINDING
    file = Path(arguments.output) if arguments.output else Path(_name(arguments.record)).with_suffix(".html")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"--output {file}: {error.strerror}; name a file in a folder that exists") from None
    print(f"{file}: {len(entries)} entries, the chain is whole. {conclusion(found)}")
    return ExitCode.OK if found.agrees else ExitCode.FINDING


def _rows(entries: Sequence[Mapping[str, Any]], found: Replay) -> Iterator[tuple[str, ...]]:
    for entry, look in zip(entries, found.looks, strict=True):
        again = look.note or ("the same" if look.agrees else verdict_words(look.again))
        summary = str(entry["verdict"].get("summary") or "")
        yield (str(look.seq), str(entry["at"]), f"{look.day:.2f}", verdict_words(look.recorded), again, summary)


def _about(entries: Sequence[Mapping[str, Any]], *, checked: bool) -> Iterator[str]:
    target = entries[-1]["target"]
    where = "/".join(target[name] for name in ("project_key", "environment_key", "experiment_key"))
    yield f"{where}, iteration {target['iteration_id']}, decided on evidence from {entries[-1]['source']}."
    yield (
        "The last entry is the expected one, so no line was cut off."
        if checked
        else "That no line was cut off the end can be seen by the last hash, which the task's log has too."
    )
    yield f"Decided again by airflow-provider-launchdarkly {__version__}."


def _name(record: str) -> str:
    """Return the file's name, in the current folder for a record that is elsewhere."""
    return record.rpartition("/")[2] if "://" in record else record
