"""Problems in the files that users write: each with its file, its line and its field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

    from pydantic import ValidationError

    from airflow_provider_launchdarkly.config.strict_yaml import Path


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


def field_name(path: Path) -> str:
    """Write a path as people do: ``stages[0].dwell``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def flatten_errors(error: ValidationError, prefix: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path and the message of each error, those of a model within a model included.

    Args:
        error: What pydantic raised.
        prefix: Path of the validated value.
    """
    from pydantic import ValidationError

    for found in error.errors(include_url=False):
        path: Path = (*prefix, *found["loc"])
        inner = found.get("ctx", {}).get("error")
        if isinstance(inner, ValidationError):
            yield from flatten_errors(inner, path)
        elif isinstance(inner, FieldError):
            yield (*path, *inner.path), inner.message
        else:
            yield path, _message(found)


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "is required"
    if error["type"] == "extra_forbidden":
        return "is not known"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error["input"]
    # A whole mapping would bury the message, which names the value where it matters.
    return message if isinstance(given, dict | list | tuple) else f"{message} (given {given!r})"
