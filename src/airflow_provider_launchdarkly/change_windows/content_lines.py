"""Splits an iCalendar file into its content lines (RFC 5545, 3.1 and 3.2). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 10 * 2**20

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
# U+2028, U+2029, U+0085, VT and FF are text here, other than for `str.splitlines`.
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAMETER = re.compile(r';([^=;:"]+)=((?:"[^"]*"|[^";:])*)')


class CalendarError(ValueError):
    """A calendar that cannot be read. The message names the line, the value and the cure."""


class ContentLine(NamedTuple):
    """A property of a calendar, or the begin or the end of a component.

    Attributes:
        number: The line of the file on which it begins, from 1.
        name: Its name in upper case.
        parameters: Its parameters, by their names in upper case, without quotes.
        value: Its value, still escaped.
        text: The whole line, unfolded.
    """

    number: int
    name: str
    parameters: dict[str, str]
    value: str
    text: str

    def error(self, message: str) -> CalendarError:
        """Return an error that names this line."""
        return CalendarError(f"line {self.number}: {message}")


def content_lines(content: bytes) -> Iterator[ContentLine]:
    """Yield the content lines of a file, with folded ones joined.

    Raises:
        CalendarError: The file is too large, no UTF-8, or a line is not NAME:VALUE.
    """
    if len(content) > MAX_BYTES:
        raise CalendarError(f"the file has more than {MAX_BYTES // 2**20} MB; export fewer events")
    if content.startswith(_WIDE_BOMS):
        raise CalendarError("line 1: the file is UTF-16; save it as UTF-8")
    # A fold may part the bytes of one character, so lines are joined before they are decoded.
    joined: list[tuple[int, list[bytes]]] = []
    for number, raw in enumerate(_LINE_END.split(content.removeprefix(_BOM)), start=1):
        if raw[:1] in {b" ", b"\t"} and joined:
            joined[-1][1].append(raw[1:])
        elif raw.strip():
            joined.append((number, [raw]))
    for number, parts in joined:
        try:
            text = b"".join(parts).decode()
        except UnicodeDecodeError as error:
            raise CalendarError(f"line {number}: this is no UTF-8 ({error.reason}); save the file as UTF-8") from None
        yield _content_line(number, text)


def _content_line(number: int, text: str) -> ContentLine:
    name = _NAME.match(text)
    position = name.end() if name else 0
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(text, position):
        parameter = match[1].upper()
        if parameter in {"TZID", "VALUE"} and parameter in parameters:
            raise CalendarError(f"line {number}: {parameter} is given twice; keep one")
        parameters[parameter] = match[2].replace('"', "").strip()
        position = match.end()
    if not name or text[position : position + 1] != ":":
        shown = text if len(text) <= 80 else f"{text[:80]}..."
        raise CalendarError(f"line {number}: {shown!r} is not NAME:VALUE")
    return ContentLine(number, name[0].upper(), parameters, text[position + 1 :].strip(), text)
