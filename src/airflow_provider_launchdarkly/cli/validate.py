"""The command `validate`: check rollout files, without network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.cli.arguments import add_files
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.rollout_files import read_rollouts

if TYPE_CHECKING:
    import argparse

    from airflow_provider_launchdarkly.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add `validate` to the command line."""
    parser = commands.add_parser(
        "validate",
        help="check rollout files, without network",
        description="Check rollout files, without network. Exits with 1 if one is wrong.",
    )
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the files, and print warnings and errors.

    Returns:
        :attr:`ExitCode.ERROR` if a file is wrong.
    """
    from airflow_provider_launchdarkly.rollout.concerns import find_concerns

    rollouts, problems = read_rollouts(arguments.files)
    for entry in rollouts:
        for concern in find_concerns(entry.rollout):
            print(f"{entry.file}:{entry.line}: {entry.name}: warning: {concern}")
    print(f"valid rollouts: {len(rollouts)}" + (f", problems: {problems}" if problems else ""))
    return ExitCode.ERROR if problems else ExitCode.OK
