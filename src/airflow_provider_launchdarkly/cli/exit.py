"""The exit codes of all commands, and the one error that they raise."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command, as ``terraform plan -detailed-exitcode`` has them."""

    OK = 0
    """The command did its work, and there is nothing to do."""

    ERROR = 1
    """The command could not do its work: an argument, a file, the access or a call is wrong. The error says which."""

    FINDING = 2
    """The command did its work, and found a difference or an exceeded budget."""


class CliError(Exception):
    """A command cannot do its work.

    Args:
        message: The field, the value and the cure, for people.
        code: The exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(message)
        self.code = code
