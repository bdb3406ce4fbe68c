"""The description of a results query, which DAG files hold: cheap to import."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


# Words and signs of SQL. A line that ends in ".sql" and has blanks, but none of these, is a path with a blank in it.
_QUERY = re.compile(
    r"--|/\*|[#;({'\"`=]|\b(?:select|with|from|values|table|call|exec|execute|show|explain|declare|set)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SqlResults:
    """A query on an Airflow connection that returns an experiment's results, in place of LaunchDarkly's.

    Attributes:
        conn_id: The Airflow connection; any whose hook is a ``DbApiHook`` with positional parameters.
        sql: The query, a Jinja template, or the path of a file with it as Airflow's operators take it. A path is one
            line without blanks that ends in ``.sql``; everything else is a query. The template has the task's
            context, and values that are bound as parameters: ``iteration_started_at``, ``looked_at``,
            ``exposed_after``, ``exposed_before``,
            ``treatment_ids``, ``treatments``, ``project_key``, ``environment_key``, ``experiment_key``,
            ``iteration_id``. The query returns a row for each metric and treatment;
            ``docs/how-to/results-from-sql.md`` lists the columns, and the uses of a value that cannot be bound.

    Raises:
        ValueError: A field is empty or not text, or `sql` reads like a path with a blank in it.
    """

    conn_id: str
    sql: str

    def __post_init__(self) -> None:
        for name in ("conn_id", "sql"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"results: {name} is {value!r}; write text that is not empty")
        text = self.sql.strip()
        if text.endswith(".sql") and len(text.splitlines()) == 1 and self.path is None and not _QUERY.search(text):
            raise ValueError(
                f"results: sql is {self.sql!r}, which reads like the path of a file; a path has no blanks: rename the "
                "file or its folder"
            )

    @property
    def path(self) -> str | None:
        """The path of the file that holds the query; None where `sql` is the query itself."""
        text = self.sql.strip()
        return text if text.endswith(".sql") and not any(sign.isspace() for sign in text) else None

    def to_json(self) -> dict[str, str]:
        """Return plain JSON; :meth:`from_json` reads it back."""
        return {"conn_id": self.conn_id, "sql": self.sql}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SqlResults:
        """Read a description from plain JSON.

        Raises:
            ValueError: A field is missing, unknown or not text.
        """
        names = ("conn_id", "sql")
        unknown = sorted(set(value) - set(names))
        if unknown:
            raise ValueError(f"results: no such field: {unknown[0]!r}; write {' and '.join(names)}")
        return cls(**{name: value.get(name, "") for name in names})
