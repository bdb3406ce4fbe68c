"""The places in a query's text at which a driver binds a placeholder.

SQL dialects disagree on what ends a string and what begins a comment. A place is wrong only if it is wrong in each of
the dialects below: a query is not refused for an apostrophe in another database's comment.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Span = tuple[int, int]


class _Stretch(NamedTuple):
    """A string, a quoted name or a comment, in which no placeholder belongs."""

    span: Span
    text: str

    @property
    def comment(self) -> bool:
        return self.text[0] in "-/#"


# Before a placeholder: what would melt with the value or the placeholder into something else. psycopg2 writes
# 'a''b' for two adjacent texts, which is one text; SQLite reads ?1 as "the first value again".
_GLUED_BEFORE = re.compile(r"[\w.$'\"`\\?]\Z")
_GLUED_AFTER = re.compile(r"[0-9_$'\"`]|[eE][-+]?[0-9]|\.[0-9]")

# What a driver takes for a placeholder, by the one that it gets from us. A doubled sign is the sign itself.
_PLACEHOLDERS = {
    "%s": r"%%|%(?:s|\(\w+\)s|)",
    "?": r"\?\?|\?\d*|(?<![\w:\])\"'`]):[A-Za-z_]\w*",
}
_NEVER = r"(?!)"


def check_places(text: str, places: Sequence[tuple[Span, str]], placeholder: str) -> str | None:
    """Check that a driver binds each value where it stands.

    Args:
        text: The query, with markers where values go.
        places: The span of each marker and its value's name, from first to last.
        placeholder: The driver's placeholder for a positional parameter, ``%s`` or ``?``.

    Returns:
        The problem and its cure; None if every value is bound where it stands.
    """
    if not places:
        return None  # then the driver gets no parameters, and leaves the text alone
    problems: list[str] = []
    for dialect in product((False, True), repeat=2):
        stretches = _stretches(text, *dialect)
        problem = _within(stretches, places) or _foreign(text, places, stretches, placeholder)
        if problem is None:
            return _glued(text, places, stretches)
        problems.append(problem)
    return problems[0]


def _stretches(text: str, backslashes: bool, hashes: bool) -> list[_Stretch]:
    """Find the strings, quoted names and comments of a text.

    Args:
        text: The query.
        backslashes: A backslash escapes the next character of a string, as in MySQL and BigQuery.
        hashes: ``#`` and ``//`` begin a comment, as in MySQL, BigQuery and Snowflake.
    """
    escaped, other = (r"\\.|", r"\\") if backslashes else ("", "")
    kinds = [
        *(rf"{quote}(?:{escaped}{quote}{quote}|[^{quote}{other}])*(?:{quote}|\\?\Z)" for quote in "'\"`"),
        r"(?<![\w$])(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?:(?P=tag)|\Z)",
        r"--[^\n]*",
        r"/\*.*?(?:\*/|\Z)",
        *((r"\#[^\n]*", r"//[^\n]*") if hashes else ()),
    ]
    return [_Stretch(found.span(), found[0]) for found in re.finditer("|".join(kinds), text, re.DOTALL)]


def _within(stretches: Iterable[_Stretch], places: Sequence[tuple[Span, str]]) -> str | None:
    for stretch in stretches:
        for (start, end), name in places:
            if stretch.span[0] <= start and end <= stretch.span[1]:
                if stretch.comment:
                    return f"{name} stands in an SQL comment, where it is not bound; make it a Jinja comment, {{# … #}}"
                return f"{name} stands within quotes, where it is not bound; take the quotes away, it needs none"
    return None


def _glued(text: str, places: Sequence[tuple[Span, str]], stretches: Iterable[_Stretch]) -> str | None:
    # With nothing but blanks between two texts, MySQL and (over a line's end) PostgreSQL make one of them.
    texts = [stretch.span for stretch in stretches if stretch.text[0] == "'"] + [span for span, _ in places]
    starts, ends = {start for start, _ in texts}, {end for _, end in texts}
    for (start, end), name in places:
        before, after = text[:start], text[end:]
        beside_text = len(before.rstrip()) in ends or len(text) - len(after.lstrip()) in starts
        if beside_text or _GLUED_BEFORE.match(before[-1:]) or _GLUED_AFTER.match(after[:3]):
            return (
                f"{name} touches what stands beside it, and a bound value is never a part of a word, a number or a "
                f"text; put a space or a comma between them, or join them in SQL"
            )
    return None


def _foreign(
    text: str, places: Sequence[tuple[Span, str]], stretches: Iterable[_Stretch], placeholder: str
) -> str | None:
    """Find a placeholder in the query itself: it would take the value of another place."""
    markers = {start: name for (start, _), name in places}
    for found in re.finditer(_PLACEHOLDERS.get(placeholder, _NEVER), text):
        if found[0] in ("%%", "??") or any(start <= found.start() < end for (start, end), _ in stretches):
            continue
        if found[0] != "%":
            return (
                f"the query has a placeholder of its own, {found[0]!r}, which the driver would count with those of the "
                f"values; write Jinja for a value, and {placeholder[0] * 2} for the sign itself"
            )
        if (name := markers.get(found.end())) is not None:
            return f"{name} stands behind a single percent sign, with which the driver reads it as text; write %%"
    return None
