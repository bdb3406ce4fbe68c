"""The command `hygiene`: running experiments that nobody ends, that measure nobody, or that nobody owns. Only reads."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_project, duration, keys
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_launchdarkly.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add `hygiene` to the command line."""
    parser = commands.add_parser(
        "hygiene",
        help="running experiments that are past their plan, have nobody, no owner, or a flag that is archived or off",
        description=(
            "Look at every running experiment of a project: is it past its plan, has anybody been in it, does "
            "anybody still request its flag, has it a maintainer, is its flag archived or off? "
            f"Only reads. {CONNECTION} Exits with 2 if it finds something."
        ),
    )
    add_project(parser)
    parser.add_argument(
        "--environments", metavar="KEYS", type=keys, default=(), help="environments, by comma; all of the project"
    )
    parser.add_argument(
        "--max-duration", metavar="DURATION", type=duration, default="28d", help="how long an iteration may run"
    )
    parser.add_argument(
        "--plan",
        metavar="EXPERIMENT=DURATION",
        type=_plan,
        action="append",
        default=[],
        dest="plans",
        help="how long this experiment may run, such as bold=56d; may be repeated",
    )
    parser.add_argument(
        "--traffic-after",
        metavar="DURATION",
        type=duration,
        default="1d",
        help="how long an iteration may run before it has to have somebody, and how long nobody may have requested its "
        "flag",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Read the experiments, and print what is wrong.

    Returns:
        :attr:`ExitCode.FINDING` if something is.

    Raises:
        CliError: LaunchDarkly cannot be read, or an argument is wrong.
    """
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.retirement.hygiene import HygieneRule, read_hygiene

    rule = HygieneRule(arguments.environments, arguments.max_duration, dict(arguments.plans), arguments.traffic_after)
    try:
        access = Access(os.environ, arguments.host, arguments.project)
        settings = access.settings(arguments.connection)
        with Clients() as clients:
            report = clients.of(settings).run(read_hygiene(access.project_key(settings), rule))
    except LaunchDarklyError as error:
        raise CliError(str(error)) from None
    print(json.dumps(report.to_json(), indent=2) if arguments.json else report.text)
    return ExitCode.FINDING if report.findings else ExitCode.OK


def _plan(text: str) -> tuple[str, timedelta]:
    key, equals, written = text.rpartition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is no plan: write EXPERIMENT=DURATION, such as bold=56d")
    return key, duration(written)
