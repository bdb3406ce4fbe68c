"""Read plain JSON or YAML data strictly, one mapping at a time: an unknown field is an error.

Every error is a ValueError that names the field by its path, the value and the cure.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any


class Fields:
    """The fields of one mapping, read by name; ``finish`` rejects the fields that were not read.

    Args:
        data: The mapping.
        path: Its place in the whole data, for error messages.

    Raises:
        ValueError: The data is not a mapping.
    """

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, Mapping):
            raise ValueError(f"{path}: {data!r} is not a mapping of names to values; write it as {{name: value, …}}")  # noqa: TRY004 - one kind of error for bad data
        self.path = path
        self._left: dict[Any, Any] = dict(data)
        self._known: list[str] = []

    def __contains__(self, name: str) -> bool:
        """Return whether the field is given and not null."""
        self._known.append(name)
        return self._left.get(name) is not None

    def take(self, name: str) -> Any:
        """Return the field's raw value and count it as read; None if it is missing."""
        self._known.append(name)
        return self._left.pop(name, None)

    def child(self, name: str) -> Fields:
        """Return the fields of the mapping under ``name``, an empty one if it is missing."""
        value = self.take(name)
        return Fields({} if value is None else value, f"{self.path}.{name}")

    def entries(self) -> list[tuple[str, Any]]:
        """Return every unread field as (name, value). Names that YAML parsed as true or 1 become text again."""
        entries = [(key if isinstance(key, str) else json.dumps(key), value) for key, value in self._left.items()]
        self._left.clear()
        return entries

    def text(self, name: str) -> str | None:
        """Return a text that is not empty, or None if the field is missing."""
        value = self.take(name)
        if value is None or (isinstance(value, str) and value):
            return value
        raise ValueError(f"{self.path}.{name}: {value!r} is not a text; write a name in quotes")

    def number(
        self,
        name: str,
        default: float | None = None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        above: bool = False,
    ) -> float:
        """Return a finite number in ``low..high`` (not ``low`` itself if ``above``); required if it has no default."""
        value = self.take(name)
        if value is None:
            if default is None:
                raise ValueError(f"{self.path}.{name}: missing; give {_range_in_words(low, high, above=above)}")
            return default
        return number(value, f"{self.path}.{name}", low=low, high=high, above=above)

    def finish(self) -> None:
        """Reject the fields that were not read.

        Raises:
            ValueError: A field is unknown; the message names its path and the nearest known name.
        """
        for name in self._left:
            if name in self._known and self._left[name] is None:
                continue
            near = difflib.get_close_matches(str(name), self._known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(dict.fromkeys(self._known))}"
            raise ValueError(f"{self.path}.{name}: unknown field; {hint}")


def number(value: object, path: str, *, low: float = -math.inf, high: float = math.inf, above: bool = False) -> float:
    """Return ``value`` as a finite number.

    Args:
        value: The value to check.
        path: The field's name for the error message.
        low: The lowest value allowed.
        high: The highest value allowed.
        above: Whether ``low`` itself is excluded.

    Raises:
        ValueError: The value is not a number of that range.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not low <= value <= high
        or (above and value == low)
    ):
        raise ValueError(f"{path}: {value!r} is not {_range_in_words(low, high, above=above)}")
    return float(value)


def _range_in_words(low: float, high: float, *, above: bool) -> str:
    if math.isinf(low) and math.isinf(high):
        return "a number"
    if math.isinf(high):
        return f"a number {'above' if above else 'of at least'} {low:g}"
    return f"a number {'above' if above else 'from'} {low:g} {'and up to' if above else 'to'} {high:g}"
