"""Where results come from, if not from LaunchDarkly. A description only, cheap to import: DAG files hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SqlResults:
    """Where results come from, if not from LaunchDarkly: a query on an Airflow connection.

    Attributes:
        conn_id: The Airflow connection; any whose hook is a ``DbApiHook``.
        sql: The query, a Jinja template, or the path of a ``.sql`` file as Airflow's operators take it. It sees the
            task's context, and as values that are bound as parameters: ``iteration_started_at``, ``looked_at``,
            ``treatment_ids``, ``treatments``, ``project_key``, ``environment_key``, ``experiment_key``,
            ``iteration_id``. It returns a row for each metric and treatment. ``how-to/results-from-sql.md`` has the
            columns, and what of a value cannot be bound.
    """

    conn_id: str
    sql: str

    def __post_init__(self) -> None:
        for name in ("conn_id", "sql"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"results: {name} is {value!r}; it takes some text")

    def to_json(self) -> dict[str, str]:
        """As plain JSON; :meth:`from_json` reads it back."""
        return {"conn_id": self.conn_id, "sql": self.sql}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SqlResults:
        """Read it from plain JSON.

        Raises:
            ValueError: A field is missing, unknown or not text.
        """
        names = ("conn_id", "sql")
        unknown = sorted(set(value) - set(names))
        if unknown:
            raise ValueError(f"results: no such field: {unknown[0]!r}; there are {' and '.join(names)}")
        return cls(**{name: value.get(name, "") for name in names})
