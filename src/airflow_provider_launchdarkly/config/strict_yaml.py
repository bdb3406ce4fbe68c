"""A strict YAML reader: plain values, each with its line number.

The dialect is a part of YAML 1.2's core schema: no tags, no anchors, no merge keys, no repeated keys. `yes`, `on` and
`12:30` are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

Path = tuple[str | int, ...]
"""The path of a value: ``("rollouts", "button", "stages", 0, "dwell")``."""

_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_DEEPEST = 30
_MOST_DIGITS = 300
# Some thousand rollouts; a second's reading.
_MOST_VALUES = 100_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class DocumentError(ValueError):
    """A text that is no YAML, or that uses more than plain YAML.

    Attributes:
        line: Line number, from 1; None where it is not known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a YAML text.

    Attributes:
        value: Dicts, lists and plain values.
        lines: Line number of each value, from 1, by path.
    """

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """Return the line of a value; for an absent one that of the innermost value around it."""
        return next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), None)


# The C parser is ten times faster, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(text: str) -> Document:
    """Read one YAML document.

    Args:
        text: The file's content.

    Raises:
        DocumentError: The text is no YAML, or uses a construct outside the dialect.
    """
    reader = _Reader(text)
    try:
        value = reader.document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DocumentError(f"this is no YAML: {problem}", mark.line + 1 if mark else None) from None
    return Document(value, reader.lines)


class _Reader:
    """Builds values from the parser's events.

    PyYAML's own builder in C ends the whole process when brackets are nested some ten thousand deep.
    """

    def __init__(self, text: str) -> None:
        # The parser's own method: `yaml.parse` asks it twice for each event.
        self._next: Callable[[], Any] = _LOADER(text).get_event
        self._values = 0
        self.lines: dict[Path, int] = {}

    def document(self) -> Any:
        self._next()  # the stream's start
        begun = self._next()
        if isinstance(begun, yaml.StreamEndEvent):
            return None
        value = self._value(self._next(), ())
        self._next()  # the document's end
        if not isinstance(following := self._next(), yaml.StreamEndEvent):
            raise DocumentError("a second document begins; a file holds one", _line(following))
        return value

    def _value(self, event: Any, path: Path) -> Any:
        line = _line(event)
        self._values += 1
        if self._values > _MOST_VALUES:
            raise DocumentError(f"the file has more than {_MOST_VALUES:,} values; divide it into several", line)
        self.lines.setdefault(path, line)
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise DocumentError("anchors and aliases (& and *) are not allowed; write the value out", line)
        if event.tag:
            raise DocumentError(f"tags such as {event.tag!r} are not allowed; write the plain value", line)
        if len(path) > _DEEPEST:
            raise DocumentError(f"nested more than {_DEEPEST} levels deep; write it flatter", line)
        if isinstance(event, yaml.ScalarEvent):
            _check_characters(event.value, line)
            # libyaml gives no style for plain text, and "" when it is asked in Python.
            return _plain(event.value, line) if event.implicit[0] and not event.style else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._mapping(path)

    def _list(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent) or event.tag or event.anchor:
                raise DocumentError("a key is plain text, without anchor or tag", line)
            key = str(event.value)
            _check_characters(key, line)
            if key in values:
                raise DocumentError(f"{key} is there twice; keep one", line)
            # A value's line is that of its key, where people search for it.
            self.lines[*path, key] = line
            values[key] = self._value(self._next(), (*path, key))
        return values


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _check_characters(text: str, line: int) -> None:
    """Reject the characters that databases and JSON cannot store; only escapes can write them."""
    if found := _UNSTORABLE.search(text):
        raise DocumentError(f"character U+{ord(found[0]):04X} cannot be stored; remove it", line)


def _plain(text: str, line: int) -> Any:
    """Return the value of a scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            raise DocumentError(f"a number has {len(text)} digits; at most {_MOST_DIGITS}, or put it in quotes", line)
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
