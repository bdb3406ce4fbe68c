"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable
    from datetime import timedelta

# The class of the result of `add_subparsers` has a private name.
Commands: TypeAlias = "argparse._SubParsersAction[Any]"  # noqa: SLF001

# Python reads no whole number of thousands of digits, and none is needed.
_MOST_DIGITS = 18

# The most treatments of a simulation or a plan.
MOST_TREATMENTS = 10

# A thousandth of a percent is the finest that LaunchDarkly's weights can say.
_LEAST_SHARE = 1e-5
_LARGEST_SHARE = 1e9

CONNECTION = (
    "LaunchDarkly is found by the Airflow connection in the environment (AIRFLOW_CONN_<ID>, as JSON or URI), else by "
    "LAUNCHDARKLY_ACCESS_TOKEN."
)


def add_files(parser: ArgumentParser) -> None:
    """Add the rollout files that a command reads."""
    parser.add_argument(
        "files", nargs="*", type=Path, default=[Path("rollouts")], metavar="FILE", help="files or folders; rollouts/"
    )


def add_access(parser: ArgumentParser) -> None:
    """Add the options that say where LaunchDarkly is."""
    parser.add_argument("--host", help="API base URL, with LAUNCHDARKLY_ACCESS_TOKEN in the environment")
    parser.add_argument("--project", help="project, where neither file nor connection names one")
    parser.add_argument("--environment", help="environment, where neither file nor connection names one")


def add_project(parser: ArgumentParser) -> None:
    """Add the options that say where LaunchDarkly is, for commands on a whole project."""
    parser.add_argument(
        "--connection", metavar="ID", default=DEFAULT_CONNECTION, help="Airflow connection to LaunchDarkly"
    )
    parser.add_argument("--host", help="API base URL, with LAUNCHDARKLY_ACCESS_TOKEN in the environment")
    parser.add_argument("--project", help="project, where the connection names none")


def keys(text: str) -> tuple[str, ...]:
    """Read keys that are separated by commas, each once."""
    return tuple(dict.fromkeys(key.strip() for key in text.split(",") if key.strip()))


def duration(text: str) -> timedelta:
    """Read a duration such as ``30d``.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    from airflow_provider_launchdarkly.config.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_allocation(parser: ArgumentParser) -> None:
    """Add the options that say how units are divided among the treatments."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--allocation",
        type=shares,
        default="50/50",
        metavar="SHARES",
        help="the shares of the treatments, the baseline first, such as 90/10 or 80/10/10",
    )
    either.add_argument(
        "--treatments",
        dest="allocation",
        type=_even,
        default=argparse.SUPPRESS,
        metavar="N",
        help="so many treatments of equal shares, with the baseline",
    )


def shares(text: str) -> tuple[float, ...]:
    """Read shares such as ``90/10``, the baseline first; they sum to 1 when returned.

    Raises:
        argparse.ArgumentTypeError: They are no shares of 2 to 10 treatments.
    """
    try:
        found = tuple(float(part) for part in text.split("/"))
    except ValueError:
        found = ()
    if not (2 <= len(found) <= MOST_TREATMENTS and all(0 < share <= _LARGEST_SHARE for share in found)) or (
        min(found) < _LEAST_SHARE * math.fsum(found)
    ):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is no allocation: write 2 to {MOST_TREATMENTS} shares above 0, the baseline first, such as "
            "90/10, none below a thousandth of a percent of all"
        )
    return tuple(share / math.fsum(found) for share in found)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of a whole number within limits, as the type of an argument."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not (is_number and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}, not {shown(text)}")
        return int(text)

    return read


def _even(text: str) -> tuple[float, ...]:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and 2 <= int(text) <= MOST_TREATMENTS):
        raise argparse.ArgumentTypeError(f"from 2 to {MOST_TREATMENTS} treatments, not {shown(text)}")
    return (1.0 / int(text),) * int(text)
