"""The command `schema`: print the JSON Schema of rollout files, for editors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.cli.exit import ExitCode

if TYPE_CHECKING:
    import argparse

    from airflow_provider_launchdarkly.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add `schema` to the command line."""
    commands.add_parser(
        "schema",
        help="print the JSON Schema of rollout files",
        description="Print the JSON Schema of rollout files, for editors.",
    )


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - it has no options
    """Print the schema."""
    from airflow_provider_launchdarkly.rollout.schema import file_schema

    print(json.dumps(file_schema(), indent=2))
    return ExitCode.OK
