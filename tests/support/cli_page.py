"""Writes docs/reference/cli.md from the command line's parsers: `python tests/support/cli_page.py`. A test compares."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_launchdarkly.cli import exit as cli_exit
from airflow_provider_launchdarkly.cli.main import PROGRAM, parser

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

HEAD = """\
<!-- Written by tests/support/cli_page.py; a test holds this page equal to what it writes. -->

# The command line

`airflow-launchdarkly COMMAND` checks and compares rollout files, plans experiments, measures what a policy costs,
shows experiments, verifies decision records, reports on them and sums them up, examines an account, and runs the
emulator. No command imports Airflow but those that read a warehouse: `results-sql`, `past-looks` and
`doctor --warehouse`. None writes to LaunchDarkly but `doctor --sandbox`. Each command prints its part of this page with
`--help`.

## Exit codes

| Code | Name | Meaning |
|---:|---|---|
"""


def page() -> str:
    """Return the page."""
    codes = [f"| {code.value} | `{code.name}` | {_doc(code.name)} |" for code in cli_exit.ExitCode]
    return HEAD + "\n".join([*codes, *_commands()]) + "\n"


def _doc(name: str) -> str:
    """Return the text below a member of the enum."""
    source = Path(cli_exit.__file__).read_text(encoding="utf-8")
    found = re.search(rf'{name} = \d+\n    """(.*?)"""', source, re.DOTALL)
    assert found
    return " ".join(found[1].split())


def _commands() -> Iterator[str]:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        options = [action for action in command._actions if not isinstance(action, argparse._HelpAction)]
        positional = [_usage(action) for action in options if not action.option_strings]
        usage = [PROGRAM, name, *positional, *(["[OPTIONS]"] if len(options) > len(positional) else [])]
        yield from ("", f"## {name}", "", f"`{' '.join(usage)}`")
        yield from ("", str(command.description).replace("%%", "%").replace("AIRFLOW_CONN_<ID>", "`AIRFLOW_CONN_<ID>`"))
        if options:
            yield from ("", "| Argument | Default | |", "|---|---|---|")
        for action in options:
            yield f"| `{_written(action)}` | {_default(action)} | {str(action.help).replace('%%', '%')} |"


def _usage(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"*": f"[{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _written(action: argparse.Action) -> str:
    if not action.option_strings:
        return _usage(action)
    if action.nargs == 0:
        return action.option_strings[0]
    value = action.metavar or ("{" + ",".join(action.choices) + "}" if action.choices else action.dest.upper())
    return f"{action.option_strings[0]} {value}"


def _default(action: argparse.Action) -> str:
    if action.default in (None, False, [], argparse.SUPPRESS) or not action.option_strings:
        return ""
    return f"`{action.default}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
