"""The command `airflow-launchdarkly`. Each verb is a module here, with `add_parser(commands)` and `run(arguments)`.

A verb imports what it needs when it runs, so `--help` stays quick.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from typing import TYPE_CHECKING, Never, Protocol

from typing_extensions import override

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.cli import (
    doctor,
    emulator,
    hygiene,
    init,
    notify,
    past_looks,
    plan,
    portfolio,
    power,
    replay,
    report,
    results_sql,
    retire,
    schema,
    show,
    simulate,
    validate,
)
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.cli.arguments import Commands

PROGRAM = "airflow-launchdarkly"


class Verb(Protocol):
    """A module that is a verb of the command line."""

    def add_parser(self, commands: Commands) -> None:
        """Add the verb's parser, named as in :data:`VERBS`."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the verb and return its :class:`ExitCode`; raise :class:`CliError` if it cannot do its work."""


VERBS: Mapping[str, Verb] = {
    "validate": validate,
    "plan": plan,
    "init": init,
    "notify": notify,
    "schema": schema,
    "show": show,
    "power": power,
    "simulate": simulate,
    "replay": replay,
    "report": report,
    "past-looks": past_looks,
    "results-sql": results_sql,
    "portfolio": portfolio,
    "retire": retire,
    "hygiene": hygiene,
    "emulator": emulator,
    "doctor": doctor,
}


class _Parser(argparse.ArgumentParser):
    """A parser that exits with :attr:`ExitCode.ERROR` for wrong arguments: argparse's own 2 means a finding here."""

    @override
    def error(self, message: str) -> Never:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.ERROR, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    main_parser = _Parser(prog=PROGRAM, description="LaunchDarkly experiments, run by Airflow.")
    main_parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = main_parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for verb in VERBS.values():
        verb.add_parser(commands)
    for command in commands.choices.values():
        command.add_argument(
            "--traceback", action="store_true", help="show where an error comes from, for a report of a bug"
        )
    return main_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments after the program's name. Default: those of the process.

    Returns:
        An :class:`ExitCode`. Wrong arguments raise ``SystemExit`` with :attr:`ExitCode.ERROR`.
    """
    arguments = parser().parse_args(argv)
    try:
        code = VERBS[arguments.command].run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough. Python writes what is left at its end, to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except CliError as error:
        return _fail(arguments, error, str(error), error.code)
    except Exception as error:  # noqa: BLE001 - the last stop: a command ends with a sentence
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        cure = "this is a bug, or a case that the command does not know: run it again with --traceback, and report that"
        return _fail(arguments, error, f"{said} ({cure})", ExitCode.ERROR)
    return code


def _fail(arguments: argparse.Namespace, error: Exception, said: str, code: ExitCode) -> int:
    """Print an error, with its traceback if that was asked for."""
    if arguments.traceback:
        error.__suppress_context__ = False
        traceback.print_exception(error)
    print(f"{PROGRAM} {arguments.command}: {said}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
