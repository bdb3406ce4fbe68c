"""The command `doctor`: read-only checks of a real account, each line fine or with a cure."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.doctor.examination import Examination
    from airflow_provider_launchdarkly.doctor.finding import Finding
    from airflow_provider_launchdarkly.doctor.warehouse import Warehouse


def add_parser(commands: Commands) -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="check a real account: token, rights, results, warehouse",
        description=(
            "Check what the provider needs of a LaunchDarkly account and of a warehouse: each line is fine, or says "
            "what is missing and the cure. It ends with a summary for a bug report, which holds no token and no "
            f"key. Only reads, unless --sandbox allows it to write. {CONNECTION} Exits with 1 if a check could not do "
            "its work, with 2 if something is missing."
        ),
    )
    parser.add_argument(
        "--connection", metavar="ID", default=DEFAULT_CONNECTION, help="Airflow connection to LaunchDarkly"
    )
    add_access(parser)
    parser.add_argument("--experiment", metavar="KEY", help="experiment to look at; one that was started, if not given")
    parser.add_argument(
        "--warehouse",
        metavar="ID",
        help="Airflow connection of the warehouse that LaunchDarkly exports to; it needs Airflow",
    )
    parser.add_argument("--schema", metavar="NAME", help="schema of the Data Export; launchdarkly, in SQLite main")
    parser.add_argument(
        "--results-schema",
        metavar="NAME",
        help="schema of the warehouse-native results; launchdarkly_results, in SQLite main",
    )
    parser.add_argument(
        "--sandbox",
        metavar="PROJECT",
        help="allow it to write in this project: it makes a flag, a metric and an experiment, runs the experiment "
        "through its life, and deletes what LaunchDarkly deletes; it archives the rest",
    )
    parser.add_argument(
        "--write", metavar="FILE", type=Path, help="write the summary as JSON, for `emulator --like FILE`"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print their findings.

    Returns:
        :attr:`ExitCode.ERROR` if a check could not do its work, else :attr:`ExitCode.FINDING` if something is missing.

    Raises:
        CliError: The file cannot be written.
    """
    from airflow_provider_launchdarkly.doctor import report
    from airflow_provider_launchdarkly.doctor.examination import Examination
    from airflow_provider_launchdarkly.doctor.finding import Status

    def show(finding: Finding) -> None:
        if not arguments.json:
            print(report.line(finding), flush=True)

    examination = Examination(show)
    _examine(examination, arguments)
    findings = examination.findings
    found = json.dumps(report.as_json(findings, examination.likeness), indent=2)
    if arguments.json:
        print(found)
    else:
        print(f"\nFor a bug report, without tokens and keys:\n\n{report.summary(findings)}")
    if arguments.write is not None:
        try:
            arguments.write.write_text(f"{found}\n", encoding="utf-8")
        except OSError as error:
            raise CliError(f"--write {arguments.write}: {error.strerror}; choose another file") from None
    statuses = {finding.status for finding in findings}
    if Status.FAILED in statuses:
        return ExitCode.ERROR
    return ExitCode.FINDING if Status.MISSING in statuses else ExitCode.OK


def _examine(examination: Examination, arguments: argparse.Namespace) -> None:
    from airflow_provider_launchdarkly.cli.credentials import Access
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.launchdarkly import checks, unusable
    from airflow_provider_launchdarkly.doctor.sandbox import Sandbox

    access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
    try:
        settings = access.settings(arguments.connection)
    except ConfigurationError as error:
        examination.add(unusable(error))
        if arguments.warehouse is not None:
            examination.examine_warehouse(None, _warehouse(arguments))
        return
    has_warehouse = arguments.warehouse is not None
    with Account(
        settings, project=arguments.project, environment=arguments.environment, experiment=arguments.experiment
    ) as account:
        reached = examination.examine(account, checks(has_warehouse=has_warehouse))
        if has_warehouse:
            warehouse = _warehouse(arguments, now=account.server_time())
            examination.examine_warehouse(account if reached else None, warehouse)
        if reached and arguments.sandbox is not None:
            with _terminated_like_interrupted():
                examination.operate(Sandbox(account, examination.likeness, arguments.sandbox))


def _warehouse(arguments: argparse.Namespace, now: datetime | None = None) -> Warehouse:
    from airflow_provider_launchdarkly.doctor.warehouse import Warehouse

    return Warehouse(arguments.warehouse, now or datetime.now(UTC), arguments.schema, arguments.results_schema)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that what was made is deleted again."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
