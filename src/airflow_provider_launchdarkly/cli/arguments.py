"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import argparse

# The class of the result of `add_subparsers` has a private name.
Commands: TypeAlias = "argparse._SubParsersAction[Any]"  # noqa: SLF001

CONNECTION = (
    "LaunchDarkly is found by the Airflow connection in the environment (AIRFLOW_CONN_<ID>, as JSON or URI), else by "
    "LAUNCHDARKLY_ACCESS_TOKEN."
)


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the rollout files that a command reads."""
    parser.add_argument(
        "files", nargs="*", type=Path, default=[Path("rollouts")], metavar="FILE", help="files or folders; rollouts/"
    )


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where LaunchDarkly is."""
    parser.add_argument("--host", help="API base URL, with LAUNCHDARKLY_ACCESS_TOKEN in the environment")
    parser.add_argument("--project", help="project, where neither file nor connection names one")
    parser.add_argument("--environment", help="environment, where neither file nor connection names one")
