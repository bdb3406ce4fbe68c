"""The command `portfolio`: what a quarter's experiments are worth, from their decision records."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.portfolio.reading import Period


def add_parser(commands: Commands) -> None:
    """Add `portfolio` to the command line."""
    parser = commands.add_parser(
        "portfolio",
        help="what a quarter's experiments are worth, from their decision records",
        description=(
            "Read decision records and print what the experiments are likely worth: each one's effect without the luck "
            "of being chosen, the probability that it is no better than the baseline, the expected sum of what "
            "shipped, and the share of false ships. It needs six experiments. Exits with 2 if a ship does not stand "
            "under --false-discovery-rate."
        ),
    )
    parser.add_argument(
        "records", nargs="+", metavar="RECORDS", help="record_path's folder, or .jsonl files, patterns, or their URLs"
    )
    parser.add_argument(
        "--quarter", metavar="QUARTER", help="only experiments that ended in it, such as 2026Q4, in UTC"
    )
    parser.add_argument("--since", metavar="DATE", help="only experiments that ended on that day or later")
    parser.add_argument("--until", metavar="DATE", help="only experiments that ended on that day or earlier")
    parser.add_argument(
        "--false-discovery-rate",
        type=_rate,
        metavar="X",
        help="say which ships stand if the share of false ones may be X, by Benjamini-Hochberg over the period",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, such as 2026Q4.html; it loads nothing")
    parser.add_argument("--picture", metavar="FILE", type=_svg, help="write the picture alone, such as 2026Q4.svg")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Read the records, print, and write the page and the picture.

    Returns:
        :attr:`ExitCode.FINDING` if a ship does not stand under the false discovery rate that is asked for.

    Raises:
        CliError: There are too few experiments, or records, a date or a file make it impossible.
    """
    from airflow_provider_launchdarkly.portfolio.discovery import bound_false_ships
    from airflow_provider_launchdarkly.portfolio.page import as_html
    from airflow_provider_launchdarkly.portfolio.picture import draw
    from airflow_provider_launchdarkly.portfolio.reading import read_records
    from airflow_provider_launchdarkly.portfolio.report import summarize
    from airflow_provider_launchdarkly.portfolio.words import as_text, discoveries_as_text

    try:
        period = _period(arguments)
        outcomes, rate = read_records(arguments.records, period), arguments.false_discovery_rate
        found = summarize(outcomes, period)
        discoveries = None if rate is None else bound_false_ships(outcomes, rate)
        for path, text in ((arguments.html, as_html), (arguments.picture, draw)):
            if path is not None:
                path.write_text(text(found), encoding="utf-8")
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from None
    if arguments.json:
        bounded = {} if discoveries is None else {"discoveries": discoveries.to_json()}
        print(json.dumps({**found.to_json(), **bounded}, indent=2))
    else:
        print(as_text(found))
        if discoveries is not None:
            print("", discoveries_as_text(discoveries), sep="\n")
    return ExitCode.OK if discoveries is None or discoveries.all_stand else ExitCode.FINDING


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < 1:
        raise argparse.ArgumentTypeError(f"a share between 0 and 1, such as 0.2, not {text!r}")
    return rate


def _svg(text: str) -> Path:
    if not text.endswith(".svg"):
        raise argparse.ArgumentTypeError(f"the picture is SVG, so name it .svg, not {text!r}")
    return Path(text)


def _period(arguments: argparse.Namespace) -> Period:
    from airflow_provider_launchdarkly.portfolio.reading import Period

    if arguments.quarter is None:
        return Period.between(arguments.since, arguments.until)
    if arguments.since is not None or arguments.until is not None:
        raise ValueError("give --quarter, or --since and --until, and not both")
    return Period.of_quarter(arguments.quarter)
