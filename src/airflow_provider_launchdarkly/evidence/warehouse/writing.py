"""Writes SQL text with values bound: each value becomes the driver's placeholder where it stands. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.evidence.sql_statement import Statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.evidence.warehouse.dialects import Dialect

# No setting can hold the character, so no text is taken for a marker.
_MARKER = re.compile("\0(\\d+)\0")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Writer:
    """Collects values while the text is written, and puts the placeholders in when it is complete."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._values: list[Any] = []

    def bind(self, value: Any) -> str:
        """Return a marker for a value."""
        self._values.append(value)
        return f"\0{len(self._values) - 1}\0"

    def text(self, value: str) -> str:
        """Return a bound text of a known type, for places that give it none."""
        return f"CAST({self.bind(value)} AS {self.dialect.text})"

    def double(self, value: float) -> str:
        """Return a bound number of double precision."""
        return f"CAST({self.bind(value)} AS {self.dialect.double})"

    def instant(self, moment: datetime) -> str:
        """Return a bound moment as microseconds since 1970."""
        return self.bind((moment - _EPOCH) // timedelta(microseconds=1))

    def name(self, name: str) -> str:
        """Return a quoted identifier."""
        return self.dialect.identifier(name)

    def microseconds(self, column: str) -> str:
        """Return the microseconds since 1970 of a column of times."""
        return self.dialect.microseconds.format(self.name(column), self.bind(column))

    def table(self, schema: str, table: str) -> str:
        """Return a table's name, in the schema unless it names one itself."""
        own = self.dialect.identifier(table)
        alone = self.dialect.parts(table)
        return own if len(alone) > 1 or not schema else f"{self.dialect.identifier(schema)}.{own}"

    def statement(self, text: str) -> Statement:
        """Return the statement with the driver's placeholders."""
        if self.dialect.placeholder.startswith("%"):
            text = text.replace("%", "%%")
        values: list[Any] = []

        def placeholder(found: re.Match[str]) -> str:
            values.append(self._values[int(found[1])])
            return self.dialect.placeholder

        return Statement(_MARKER.sub(placeholder, text), tuple(values))


def select(columns: Iterable[str], source: str, *, where: Iterable[str] = (), after: str = "") -> str:
    """Return a SELECT with one column and one condition a line."""
    text = "SELECT " + ",\n       ".join(columns) + f"\nFROM {source}"
    conditions = list(where)
    if conditions:
        text += "\nWHERE " + "\n  AND ".join(conditions)
    return text + after
