"""Problems in the files that users write: each with its file, its line and its field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path as FilePath

    from pydantic import ValidationError

    from airflow_provider_launchdarkly.config.strict_yaml import Path


LONGEST_SHOWN = 80
LONGEST_MESSAGE = 240
MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a file.

    Attributes:
        file: The file, or the name of a text.
        line: Line number, from 1; None where it is not known.
        field: The field, such as ``stages[0].dwell``; empty for the file as a whole.
        message: What is wrong, and what to write.
    """

    file: FilePath | str
    line: int | None
    field: str
    message: str

    @override
    def __str__(self) -> str:
        file = str(self.file).encode(errors="replace").decode()  # a file's name need not be UTF-8
        place = f"{file}:{self.line}" if self.line else file
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class FieldError(ValueError):
    """A value that does not fit another field, found when the whole model is checked.

    Args:
        path: Path of the field within the model, such as ``("stages", 0, "allocation")``.
        message: What is wrong, and what to write.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{field_name(path)}: {message}")
        self.path = path
        self.message = message


class Flaw(NamedTuple):
    """An error that a model found in one value.

    Attributes:
        path: Path of the value.
        message: What is wrong, and what to write.
        kind: pydantic's name for the kind of error.
        value: The value.
    """

    path: Path
    message: str
    kind: str
    value: Any


class InvalidSettingError(ValueError):
    """A policy, a rollout, a change window or another setting is not valid: each field is named with its value.

    Attributes:
        flaws: Each error, with the path of its value.
    """

    def __init__(self, message: str = "", *, flaws: tuple[Flaw, ...] = ()) -> None:
        super().__init__(message)
        self.flaws = flaws

    @classmethod
    def of(cls, name: str, error: ValidationError) -> InvalidSettingError:
        """Return the error in one line.

        Args:
            name: The model, such as ``Policy``.
            error: What pydantic raised.
        """
        return cls.of_flaws(name, find_flaws(error))

    @classmethod
    def of_flaws(cls, name: str, found: Iterable[Flaw]) -> InvalidSettingError:
        """Return the error in one line.

        Args:
            name: The model, such as ``Policy``.
            found: Each error.
        """
        flaws = tuple(found)
        told = [f"{field_name(flaw.path)}: {flaw.message}" if flaw.path else flaw.message for flaw in flaws]
        more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        return cls(f"{name} is not valid: {'; '.join(told[:MOST_TOLD])}{more}", flaws=flaws)


def shown(value: Any) -> str:
    """Return a value as Python writes it, cut if it is long."""
    return _cut(repr(value), LONGEST_SHOWN)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def field_name(path: Path) -> str:
    """Write a path as people do: ``stages[0].dwell``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def flatten_errors(error: ValidationError | InvalidSettingError, prefix: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path and the message of each error, those of a model within a model included.

    Args:
        error: What pydantic raised, or what one of our models made of it.
        prefix: Path of the validated value.
    """
    for flaw in find_flaws(error, prefix):
        yield flaw.path, flaw.message


def find_flaws(error: ValidationError | InvalidSettingError, prefix: Path = ()) -> Iterator[Flaw]:
    """Yield each error, those of a model within a model included.

    Args:
        error: What pydantic raised, or what one of our models made of it.
        prefix: Path of the validated value.
    """
    from pydantic import ValidationError

    if isinstance(error, InvalidSettingError):
        yield from (flaw._replace(path=(*prefix, *flaw.path)) for flaw in error.flaws)
        return
    errors = error.errors(include_url=False)
    for found in errors:
        if found["type"] == "too_short" and any(
            each["loc"][:-1][: len(found["loc"])] == found["loc"] for each in errors
        ):
            continue  # pydantic does not count items that are wrong, each of which is named by itself
        path: Path = (*prefix, *found["loc"])
        inner = found.get("ctx", {}).get("error")
        if isinstance(inner, ValidationError) or (isinstance(inner, InvalidSettingError) and inner.flaws):
            yield from find_flaws(inner, path)
        elif isinstance(inner, FieldError):
            yield Flaw((*path, *inner.path), inner.message, found["type"], found["input"])
        else:
            yield Flaw(path, _message(found), found["type"], found["input"])


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "is required"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not known"
    message = _cut(_plain(str(error["msg"])), LONGEST_MESSAGE)
    given = error["input"]
    # A whole mapping would bury the message, which names the value where it matters.
    return message if isinstance(given, dict | list | tuple) else f"{message} (given {shown(given)})"


# pydantic's words, and those of this package.
_WORDS = (
    (r"^(?:Value|Assertion) error, ", ""),
    (r"^Input should be a valid number", "write a number"),
    (r"^Input should be a valid integer", "write a whole number"),
    (r"^Input should be a valid boolean", "write True or False"),
    (r"^Input should be a valid string", "write text"),
    (r"^Input should be a valid (?:tuple|list)", "write a list"),
    (r"^Input should be a valid dictionary(?: or (?:instance|object).*)?", "write a mapping"),
    (r"^Input should be a valid (\w+)", r"write a \1"),
    (r"^Input should be a finite number", "write a finite number"),
    (r"^Input should be (greater|less) than", r"write a number \1 than"),
    (r"^Input should be ", "write "),
    (r"^Instance is frozen$", "cannot be changed; make another"),
    (r"^String should have at least 1 character$", "write text that is not empty"),
    (r"^(?:Tuple|List) should have at least (\d+) items?.*", r"write at least \1"),
    (r"^(\w+) should (?:have|match) ", r"write a \1 with "),
)


def _plain(message: str) -> str:
    """Return a message of pydantic's as a request: what to write."""
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    return message
