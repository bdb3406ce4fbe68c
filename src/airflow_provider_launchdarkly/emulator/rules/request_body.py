"""Read request bodies: each field has the right type, or a 400 names it.

Unknown fields are ignored, as LaunchDarkly ignores them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_launchdarkly.emulator.errors import invalid_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class RequestBody:
    """A JSON object of a request.

    Args:
        data: The object.
        where: Its path in the request, for error messages; empty for the whole body.

    Raises:
        ApiError: 400, the data is not an object.
    """

    def __init__(self, data: Any, where: str = ""):
        if not isinstance(data, dict):
            raise invalid_request(f"{where or 'the request body'} must be a JSON object")
        self._data = data
        self._where = where

    def __contains__(self, name: str) -> bool:
        return self._data.get(name) is not None

    def has(self, name: str) -> bool:
        """Return whether the field is given, even as null, which can be the value of a variation."""
        return name in self._data

    def path(self, name: str) -> str:
        """Return the field's full path for error messages."""
        return f"{self._where}.{name}" if self._where else name

    def names(self) -> Iterable[str]:
        """Return the names of all fields."""
        return self._data.keys()

    def text(self, name: str) -> str:
        """Return a required, non-empty string."""
        value = self._required(name, str, "a string")
        if not value.strip():
            raise invalid_request(f"{self.path(name)} must not be empty")
        return value

    def required_text(self, name: str) -> str:
        """Return a required string, which may be empty."""
        return self._required(name, str, "a string")

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None if it is missing or null."""
        return self._typed(name, str, "a string", None)

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Return one of a closed set of strings."""
        value = self._typed(name, str, "a string", default)
        options = tuple(allowed)
        if value not in options:
            raise invalid_request(f"{self.path(name)} must be one of {', '.join(options)}, not {value!r}")
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return a boolean; required unless there is a default."""
        if default is None:
            return self._required(name, bool, "a boolean")
        return bool(self._typed(name, bool, "a boolean", default))

    def integer(self, name: str) -> int:
        """Return a required integer."""
        return self._required(name, int, "an integer")

    def optional_integer(self, name: str) -> int | None:
        """Return an integer, or None if it is missing or null."""
        return self._typed(name, int, "an integer", None)

    def number_text(self, name: str) -> str:
        """Return a number as text. LaunchDarkly documents a string and takes a number as well."""
        value = self._data.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return f"{value:g}" if isinstance(value, float) else str(value)
        raise invalid_request(f"{self.path(name)} must be a string that holds a number")

    def object(self, name: str) -> RequestBody:
        """Return a required object."""
        return RequestBody(self._required(name, dict, "a JSON object"), self.path(name))

    def objects(self, name: str) -> list[RequestBody]:
        """Return a required list of objects."""
        items = self._required(name, list, "a list")
        return [RequestBody(item, f"{self.path(name)}[{index}]") for index, item in enumerate(items)]

    def instructions(self) -> Iterator[tuple[str, RequestBody]]:
        """Yield the kind and body of each instruction of a semantic patch, of which there is at least one."""
        instructions = self.objects("instructions")
        if not instructions:
            raise invalid_request("instructions must not be empty")
        for instruction in instructions:
            yield instruction.text("kind"), instruction

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, empty if it is missing or null."""
        items = self._typed(name, list, "a list of strings", None) or []
        if not all(isinstance(item, str) for item in items):
            raise invalid_request(f"{self.path(name)} must be a list of strings")
        return tuple(items)

    def raw(self, name: str) -> Any:
        """Return the field's value without a check, or None."""
        return self._data.get(name)

    def _required(self, name: str, kind: type[T], description: str) -> T:
        value = self._typed(name, kind, description, None)
        if value is None:
            raise invalid_request(f"{self.path(name)} is required")
        return value

    def _typed(self, name: str, kind: type[T], description: str, default: T | None) -> T | None:
        value = self._data.get(name)
        if value is None:
            return default
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON has one kind of number; clients 17.x write 1.0 where they were given 1
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise invalid_request(f"{self.path(name)} must be {description}")
        return value
