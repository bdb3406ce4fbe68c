"""Lines of a task's log: none is longer than 120 characters, whatever the names in it, but for JSON. Pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_LINE = 120
_INDENT = "    "


def lines_of(text: str) -> list[str]:
    """Return a text as lines for a log. What does not fit goes on in an indented line, and nothing is lost.

    Args:
        text: One line, or several. One that is a JSON object stays whole, so that it can be copied.
    """
    found: list[str] = []
    for line in text.splitlines() or [""]:
        if line.startswith("{"):
            found.append(line)
            continue
        found += textwrap.wrap(
            line, LONGEST_LINE, subsequent_indent=_INDENT, break_on_hyphens=False, replace_whitespace=False
        ) or [""]
    return found


def write_lines(write: Callable[..., object], text: str, *arguments: object) -> None:
    """Write a text to a log, in lines that fit.

    Args:
        write: Writes one line, such as ``log.info``.
        text: The text, with ``%s`` for each argument.
        arguments: The arguments.
    """
    for line in lines_of(text % arguments if arguments else text):
        write("%s", line)
