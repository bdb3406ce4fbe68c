"""The command `plan`: compare rollout files with LaunchDarkly. Only reads."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access, add_files
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.rollout_files import read_rollouts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.rollout.drift import Drift
    from airflow_provider_launchdarkly.rollout.files import NamedRollout

MARKS = {"create": "+", "change": "~", "drifted": "!", "equal": "="}


def add_parser(commands: Commands) -> None:
    """Add `plan` to the command line."""
    parser = commands.add_parser(
        "plan",
        help="compare rollout files with LaunchDarkly",
        description=(
            f"Compare rollout files with LaunchDarkly, field by field. Changes nothing. {CONNECTION} Exits with 1 if a "
            "file or a call fails, with 2 if a rollout differs."
        ),
    )
    add_files(parser)
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare each rollout and print the differences.

    Returns:
        :attr:`ExitCode.ERROR` if a file or a call failed, else :attr:`ExitCode.FINDING` if a rollout differs.
    """
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.rollout.drift import DriftStatus, compare

    rollouts, failures = read_rollouts(arguments.files)
    access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
    counts = dict.fromkeys(DriftStatus, 0)
    with Clients() as clients:
        for entry in rollouts:
            try:
                settings = access.settings(entry.rollout.connection)
                env = access.environment_ref(settings, entry.rollout.project, entry.rollout.environment)
                drift = clients.of(settings).run(compare(entry.rollout, env))
            except LaunchDarklyError as error:
                failures += 1
                print(f"{entry.file}:{entry.line}: {entry.name}: {error}", file=sys.stderr)
                continue
            counts[drift.status] += 1
            print("\n".join(_describe(entry, drift)))
    print(", ".join(f"{count} {status.value}" for status, count in counts.items()))
    if failures:
        return ExitCode.ERROR
    return ExitCode.OK if counts[DriftStatus.EQUAL] == len(rollouts) else ExitCode.FINDING


def _describe(entry: NamedRollout, drift: Drift) -> Iterator[str]:
    from airflow_provider_launchdarkly.rollout.concerns import find_concerns

    status = drift.status.value
    stage = f", stage {drift.stage + 1} of {len(entry.rollout.stages)}" if drift.stage is not None else ""
    iteration = f" ({drift.iteration_status}{stage})" if drift.iteration_status else ""
    yield f"{MARKS[status]} {status:8} {entry.name}{iteration}  {entry.file}:{entry.line}"
    for concern in (*find_concerns(entry.rollout), *drift.warnings):
        yield f"    warning: {concern}"
    for difference in drift.differences:
        if status == "create":
            yield f"    {difference.field}: {difference.asked}"
        else:
            yield f"    {difference.field}: file {difference.asked!r}, LaunchDarkly {difference.found!r}"
