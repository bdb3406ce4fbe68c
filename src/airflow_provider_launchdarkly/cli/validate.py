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
        help="check rollout files and files of metrics, without network",
        description="Check rollout files and files of metrics, without network. Exits with 1 if one is wrong.",
    )
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the files, and print warnings and errors.

    Returns:
        :attr:`ExitCode.ERROR` if a file is wrong.
    """
    from airflow_provider_launchdarkly.rollout.files import rollout_files
    from airflow_provider_launchdarkly.rollout.known_good import KnownGood
    from airflow_provider_launchdarkly.rollout.metric_sections import is_metrics_file

    rollouts, problems = read_rollouts(arguments.files, concerns=True)
    for entry in rollouts:
        for concern in entry.concerns or ():
            print(f"{entry.file}:{entry.line}: {entry.name}: warning: {concern}")
    # A file that holds a valid rollout is no file of metrics.
    others = set(rollout_files(arguments.files)) - {entry.file for entry in rollouts}
    known_good = KnownGood.configured()
    counts = {"files of metrics": sum(is_metrics_file(file, known_good) for file in others), "problems": problems}
    more = "".join(f", {name}: {count}" for name, count in counts.items() if count)
    print(f"valid rollouts: {len(rollouts)}{more}")
    return ExitCode.ERROR if problems else ExitCode.OK
