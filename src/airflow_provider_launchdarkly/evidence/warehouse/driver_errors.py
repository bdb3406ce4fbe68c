"""The meaning of a driver's error, where a user can mend it. Pure, cheap to import."""

from __future__ import annotations

import re
from typing import NamedTuple

from airflow_provider_launchdarkly.api.errors import ConfigurationError


class WarehouseError(ConfigurationError):
    """The database has no such schema, table or column, grants no right to it, or holds values of another type in it.

    Another try may cure it: tables are missing for a moment while they are built anew.
    """

    retryable = True


class _Kind(NamedTuple):
    """A kind of error: what drivers say, what it means, and the cure."""

    said: re.Pattern[str]
    meaning: str
    cure: str


def _says(*texts: str) -> re.Pattern[str]:
    return re.compile("|".join(texts), re.IGNORECASE | re.DOTALL)


# In this order: a missing schema is also said to be a table that does not exist.
_KINDS = (
    _Kind(
        _says(r"column .{1,300} holds .{0,200}, which is no (time|number)"),
        "a value cannot be read",
        "times are text of ISO 8601 in UTC or with an offset, such as 2026-01-05 09:00:00, and values are numbers: "
        "mend the rows, or read a view that casts them",
    ),
    _Kind(
        _says(
            r"schema \S+ does not exist",
            r"schema with name \S+ does not exist",
            r"SCHEMA_NOT_FOUND",
            r"CATALOG_NOT_FOUND",
            r"not found: dataset",
            r"unknown database",
            r"(database|catalog) \S+ does not exist",
        ),
        "a schema is missing",
        "check the schema's name, and its case: a name without quotes is folded as the database does, and one within "
        "double quotes is taken as it is",
    ),
    _Kind(
        _says(
            r"no such column",
            r"column .{1,200} does not exist",
            r"referenced column .{1,200} not found",
            r"invalid identifier",
            r"unrecognized name",
            r"UNRESOLVED_COLUMN",
            r"COLUMN_NOT_FOUND",
            r"column .{1,200} cannot be resolved",
        ),
        "a column is missing",
        "name the table's own column in the settings of exposures, events or the metric; null says that it has none. "
        "For a missing id (export_key), write id: '*', which finds rows that stand twice by what else is in them",
    ),
    _Kind(
        _says(
            r"no such table",
            r"(relation|table|view|object) .{1,300} does not exist",
            r"table with name .{1,200} does not exist",
            r"not found: table",
            r"TABLE_OR_VIEW_NOT_FOUND",
            r"TABLE_NOT_FOUND",
        ),
        "a table is missing, or the connection's user may not see it",
        "check the schema's and the table's name, and grant SELECT on it",
    ),
    _Kind(
        _says(r"permission denied", r"insufficient.?privileges", r"access denied", r"INSUFFICIENT_PERMISSIONS"),
        "a right is missing",
        "grant the connection's user USAGE on the schema and SELECT on the table",
    ),
    _Kind(
        _says(
            r"operator does not exist",
            r"function .{1,300} does not exist",
            r"no function matches",
            r"no matching signature",
            r"invalid input syntax",
            r"invalid_?cast|cast_invalid_input|cannot cast|bad double value",
            r"could not convert|conversion error",
            r"(numeric|timestamp|date) value .{1,200} is not recognized",
            r"DATATYPE_MISMATCH|TYPE_MISMATCH",
            r"cannot compare values of type",
        ),
        "a column has another type",
        "the time must be a timestamp, the value a number, and keys text; read a view that casts them",
    ),
)


def warehouse_error(conn_id: str, error: Exception) -> WarehouseError | None:
    """Return the error that says what a driver's error means, and the cure.

    Args:
        conn_id: The Airflow connection.
        error: What the driver or its hook raised.

    Returns:
        The error to raise from it; None if it may mean anything, such as a lost connection.
    """
    said = " ".join(str(error).split())
    for kind in _KINDS:
        if kind.said.search(said):
            # Some drivers repeat the whole statement.
            shown = said if len(said) <= 300 else f"{said[:150]} … {said[-150:]}"
            return WarehouseError(f"connection {conn_id!r}: {kind.meaning}: {shown}. Cure: {kind.cure}")
    return None
