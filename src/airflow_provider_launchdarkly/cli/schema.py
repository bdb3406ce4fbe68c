"""The command `schema`: print the JSON Schema of rollout files, or of files of metrics, for editors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.cli.exit import ExitCode

if TYPE_CHECKING:
    import argparse

    from airflow_provider_launchdarkly.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add `schema` to the command line."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of rollout files, or of metrics",
        description="Print the JSON Schema of rollout files, or of files of metrics, for editors.",
    )
    parser.add_argument("--metrics", action="store_true", help="the schema of a file of metrics, such as metrics.yaml")


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    from airflow_provider_launchdarkly.rollout.schema import file_schema, metrics_schema

    print(json.dumps(metrics_schema() if arguments.metrics else file_schema(), indent=2))
    return ExitCode.OK
