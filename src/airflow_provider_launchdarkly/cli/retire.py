"""The command `retire`: archive a flag that has done its work, or say why it stays. It only judges without --apply."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_project, duration, keys
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    import argparse

    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.retirement.retire import Retirement


def add_parser(commands: Commands) -> None:
    """Add `retire` to the command line."""
    parser = commands.add_parser(
        "retire",
        help="archive a flag that serves everyone the same and that nothing uses, or say why it stays",
        description=(
            "Judge whether a flag has done its work: everyone has got one variation for long enough, its status is "
            "launched or inactive, neither code, an experiment, a release, another flag, a holdout nor a layer uses "
            "it, and no change of it awaits its approval. "
            "Without --apply it writes nothing. With --apply it archives the flag and its experiments if nothing "
            f"speaks against it. {CONNECTION} Exits with 2 if something does."
        ),
    )
    parser.add_argument("flag", metavar="FLAG", help="the flag's key")
    add_project(parser)
    parser.add_argument(
        "--environments",
        metavar="KEYS",
        type=keys,
        default=(),
        help="environments in which everyone has to get the same, by comma; all of the project",
    )
    parser.add_argument(
        "--served-for",
        metavar="DURATION",
        type=duration,
        default="30d",
        help="how long everyone must have got it, such as 30d",
    )
    parser.add_argument(
        "--require-code-references",
        action="store_true",
        help="keep the flag if LaunchDarkly has no code references to look at",
    )
    parser.add_argument(
        "--without-approval-requests",
        action="store_true",
        help="do not keep the flag if LaunchDarkly does not show which changes of it await an approval",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--apply", action="store_true", help="archive the flag and its experiments")
    either.add_argument(
        "--propose",
        action="store_true",
        help="print the text of a pull request that removes the flag from the code: where it is named, what stays",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Judge the flag, archive it if asked to, and print.

    Returns:
        :attr:`ExitCode.FINDING` if something speaks against retiring the flag.

    Raises:
        CliError: LaunchDarkly cannot be read or written, or an argument is wrong.
    """
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.retirement.reasons import RetirementRule
    from airflow_provider_launchdarkly.retirement.retire import retire_flag

    rule = RetirementRule(
        arguments.served_for,
        arguments.environments,
        require_code_references=arguments.require_code_references,
        require_approval_requests=not arguments.without_approval_requests,
    )
    try:
        access = Access(os.environ, arguments.host, arguments.project)
        settings = access.settings(arguments.connection)
        work = retire_flag(
            access.project_key(settings),
            arguments.flag,
            rule,
            mode="propose" if arguments.propose else "archive",
            dry_run=not arguments.apply,
            comment="airflow-launchdarkly retire",
        )
        with Clients() as clients:
            retired = clients.of(settings).run(work)
    except LaunchDarklyError as error:
        raise CliError(str(error)) from None
    if arguments.json:
        print(json.dumps({**retired.to_json(), "applied": arguments.apply and not retired.reasons}, indent=2))
    else:
        print(_text(retired, apply=arguments.apply, propose=arguments.propose))
    return ExitCode.FINDING if retired.reasons else ExitCode.OK


def _text(retired: Retirement, *, apply: bool, propose: bool) -> str:
    flag_key = retired.use.flag.key
    if retired.reasons:
        lines = [f"{flag_key} stays:"]
        for reason in retired.reasons:
            lines += [f"- {reason.what}", f"  cure: {reason.cure}"]
        return "\n".join(lines)
    if propose:
        return retired.card.rstrip("\n")
    things = [f"experiment {key} in {env}" for env, key in retired.experiments] + [f"flag {flag_key}"]
    if apply:
        return f"archived: {', '.join(things)}" if retired.changed else f"archived already: {', '.join(things)}"
    if retired.use.flag.archived:
        return f"archived already: flag {flag_key}"
    return f"nothing speaks against it; --apply archives: {', '.join(things)}"
