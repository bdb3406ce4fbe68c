"""The command `init`: write a rollout file from an experiment that exists. Only reads from LaunchDarkly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    import argparse

    from airflow_provider_launchdarkly.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add `init` to the command line."""
    parser = commands.add_parser(
        "init",
        help="write a rollout file from an experiment",
        description=f"Write a commented rollout file from an experiment that exists. {CONNECTION}",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="the experiment's key")
    parser.add_argument("--connection", default="launchdarkly_default", metavar="ID", help="the Airflow connection")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to this new file. Default: the terminal")
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file.

    Raises:
        CliError: The experiment cannot be read, or the file cannot be written or exists already.
    """
    try:
        text = _initial_file(arguments)
        if arguments.output is None:
            print(text, end="")
        else:
            with arguments.output.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        raise CliError(f"--output {arguments.output} exists already; name a new file") from None
    except (LaunchDarklyError, OSError) as error:
        raise CliError(str(error)) from None
    return ExitCode.OK


def _initial_file(arguments: argparse.Namespace) -> str:
    from airflow_provider_launchdarkly.api.endpoints import get_experiment, get_flag
    from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.rollout.export import flag_of, initial_file

    access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
    settings = access.settings(arguments.connection)
    env = access.environment_ref(settings, None, None)
    with Clients() as clients:
        client = clients.of(settings)
        experiment = client.send(get_experiment(env, arguments.experiment, expand=ITERATIONS)).value
        key = flag_of(experiment)
        flag = client.send(get_flag(env.project_key, key, environments=(env.environment_key,))).value
    return initial_file(env, experiment, flag)
