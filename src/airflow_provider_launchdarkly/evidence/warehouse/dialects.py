"""The SQL dialects of the warehouses, as far as the statement of a look differs between them. Pure, cheap to import.

The statement calculates with times as whole microseconds since 1970, so a dialect only says how its timestamps become
that. Everything else in it means the same in all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

# One part of a dotted name: quoted, where two quotes stand for one, or bare.
_PART = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|([^."`]+)')
_REGULAR = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect of SQL.

    Attributes:
        name: Its name, as settings write it.
        placeholder: The driver's placeholder, ``%s`` or ``?``.
        quote: The character around identifiers.
        fold: What an identifier without quotes becomes: the database's own rule.
        double: The type of double precision.
        text: The type of text of any length.
        microseconds: An expression for the microseconds since 1970 of a time ``{0}``, whatever the type of its column;
            ``{1}`` is the column's name as a text.
        moment: An expression for a timestamp from text ``{0}``, which the columns compare with; None if times have no
            type of their own.
        fence: What keeps a subquery from being merged with the query around it; empty where nothing does.
        number: An expression for a value ``{0}`` as double precision ``{2}``; ``{1}`` is the column's name as a text.
        join: What keeps all units and matches their events by an equality. It may return events of no unit, too.
    """

    name: str
    placeholder: str
    quote: str
    fold: Callable[[str], str]
    double: str
    text: str
    microseconds: str
    moment: str | None = "CAST({0} AS TIMESTAMP)"
    fence: str = ""
    number: str = "CAST({0} AS {2})"
    join: str = "LEFT JOIN"

    def identifier(self, name: str) -> str:
        """Quote a name of one or more parts.

        Args:
            name: Parts between dots. A part within double quotes or backticks is taken as it is; one without them is
                folded as the database folds it, if it is made of letters, digits and underscores.

        Raises:
            ConfigurationError: It is no such name.
        """
        return ".".join(self._quoted(part) for part in self.parts(name))

    def parts(self, name: str) -> list[str]:
        """Return the parts of a dotted name, each as the database knows it; raises as :meth:`identifier` does."""
        parts, at = [], 0
        while (found := _PART.match(name, at)) is not None:
            double, back, bare = found.groups()
            if bare is None:
                parts.append(double.replace('""', '"') if back is None else back.replace("``", "`"))
            else:
                parts.append(self.fold(bare) if _REGULAR.fullmatch(bare) else bare)
            at = found.end()
            if at == len(name):
                return parts
            if name[at] != ".":
                break
            at += 1
        raise ConfigurationError(
            f"{name!r} is no name of a schema, table or column: write its parts between dots, and a part with dots or "
            'quotes of its own within double quotes, such as "my.schema".events'
        )

    def _quoted(self, part: str) -> str:
        return f"{self.quote}{part.replace(self.quote, self.quote * 2)}{self.quote}"


def _as_is(name: str) -> str:
    return name


def _unreadable(kind: str) -> str:
    """An expression that ends the statement with an error, as a cast does in other databases: SQLite casts anything.

    No function of SQLite raises an error with a text of ours, but a path in JSON that is none is shown in its error.
    """
    return f"JSON_EXTRACT('0', 'column ' || {{1}} || ' holds ' || SUBSTR({{0}}, 1, 100) || ', which is no {kind}')"


# A time in SQLite is text of ISO 8601, with or without fractions and an offset; its functions round fractions to
# milliseconds, so these are read apart. They also take days, times of day and `now`, which are no moments of rows.
_SQLITE_SECONDS = "STRFTIME('%s', SUBSTR({0}, 1, 19) || LTRIM(SUBSTR({0}, 20), '.0123456789'))"
_SQLITE_MICROSECONDS = (
    f"(CASE WHEN {{0}} IS NULL THEN NULL WHEN {{0}} NOT GLOB '[0-9][0-9][0-9][0-9]-*' OR {_SQLITE_SECONDS} IS NULL "
    f"THEN {_unreadable('time')} ELSE CAST({_SQLITE_SECONDS} AS INTEGER) END * 1000000 + "
    "CASE WHEN SUBSTR({0}, 20, 1) = '.' THEN CAST(ROUND(CAST(SUBSTR({0}, 20) AS REAL) * 1000000) AS INTEGER) ELSE 0 "
    "END)"
)
# In a comparison with a number, SQLite takes only a text for a number which is one as a whole.
_SQLITE_NUMBER = (
    "CASE WHEN {0} IS NULL OR {0} = CAST({0} AS NUMERIC) THEN CAST({0} AS {2}) "
    f"ELSE {_unreadable('number')} END"
)

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "postgresql",
            placeholder="%s",
            quote='"',
            fold=str.lower,
            double="DOUBLE PRECISION",
            text="TEXT",
            microseconds="CAST(ROUND(DATE_PART('epoch', {0}) * 1000000) AS BIGINT)",
            fence=" OFFSET 0",
            # It takes the iteration's conditions for independent, expects one unit, and would read all events for each:
            # the other kinds of join it can run unit by unit, a full join it can but hash or merge.
            join="FULL JOIN",
        ),
        Dialect(
            "redshift",
            placeholder="%s",
            quote='"',
            fold=str.lower,
            double="DOUBLE PRECISION",
            text="VARCHAR(512)",  # without a length it is cut at 256 characters
            microseconds="DATEDIFF(microsecond, CAST('1970-01-01 00:00:00' AS TIMESTAMP), {0})",
        ),
        Dialect(
            "snowflake",
            placeholder="%s",
            quote='"',
            fold=str.upper,
            double="DOUBLE",
            text="VARCHAR",
            microseconds="DATE_PART(epoch_microsecond, {0})",
            moment="CAST({0} AS TIMESTAMP_NTZ)",
        ),
        Dialect(
            "bigquery",
            placeholder="%s",
            quote="`",
            fold=_as_is,
            double="FLOAT64",
            text="STRING",
            microseconds="UNIX_MICROS(TIMESTAMP({0}))",
        ),
        Dialect(
            "databricks",
            placeholder="?",
            quote="`",
            fold=_as_is,
            double="DOUBLE",
            text="STRING",
            microseconds="UNIX_MICROS(CAST({0} AS TIMESTAMP))",
        ),
        Dialect(
            "trino",
            placeholder="?",
            quote='"',
            fold=str.lower,
            double="DOUBLE",
            text="VARCHAR",
            # Without a zone, the session's would be taken, which is that of the client's machine.
            microseconds=(
                "CAST(ROUND(TO_UNIXTIME(WITH_TIMEZONE(CAST({0} AS TIMESTAMP(6)), 'UTC')) * 1000000) AS BIGINT)"
            ),
        ),
        Dialect(
            "duckdb",
            placeholder="?",
            quote='"',
            fold=_as_is,
            double="DOUBLE",
            text="VARCHAR",
            microseconds="EPOCH_US({0})",
        ),
        Dialect(
            "sqlite",
            placeholder="?",
            quote="`",  # SQLite takes a name within double quotes that no column has for a text
            fold=_as_is,
            double="REAL",
            text="TEXT",
            microseconds=_SQLITE_MICROSECONDS,
            moment=None,
            number=_SQLITE_NUMBER,
            fence=" LIMIT -1 OFFSET 0",  # it indexes a subquery for the join, and a table that it writes in not always
        ),
    )
}
"""The dialects, by name."""


def dialect_of(name: str) -> Dialect:
    """Return the dialect with this name.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in DIALECTS:
        raise ConfigurationError(f"dialect {name!r} is not known; there are {', '.join(sorted(DIALECTS))}")
    return DIALECTS[name]
