"""The command `portfolio`: what a quarter's experiments are worth, from their decision records."""

from __future__ import annotations

import argparse
import json
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
            "shipped, and the share of false ships. It needs six experiments."
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
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, such as 2026Q4.html; it loads nothing")
    parser.add_argument("--picture", metavar="FILE", type=_svg, help="write the picture alone, such as 2026Q4.svg")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Read the records, print, and write the page and the picture.

    Raises:
        CliError: There are too few experiments, or records, a date or a file make it impossible.
    """
    from airflow_provider_launchdarkly.portfolio.page import as_html
    from airflow_provider_launchdarkly.portfolio.picture import draw
    from airflow_provider_launchdarkly.portfolio.reading import read_records
    from airflow_provider_launchdarkly.portfolio.report import summarize
    from airflow_provider_launchdarkly.portfolio.words import as_text

    try:
        period = _period(arguments)
        found = summarize(read_records(arguments.records, period), period)
        for path, text in ((arguments.html, as_html), (arguments.picture, draw)):
            if path is not None:
                path.write_text(text(found), encoding="utf-8")
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from None
    print(json.dumps(found.to_json(), indent=2) if arguments.json else as_text(found))
    return ExitCode.OK


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
