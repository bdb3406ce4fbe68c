"""The description of a results query, which DAG files hold: cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SqlResults:
    """A query on an Airflow connection that returns an experiment's results, in place of LaunchDarkly's.

    Attributes:
        conn_id: The Airflow connection; any whose hook is a ``DbApiHook``.
        sql: The query, a Jinja template, or the path of a ``.sql`` file as Airflow's operators take it. The template
            has the task's context, and values that are bound as parameters: ``iteration_started_at``, ``looked_at``,
            ``treatment_ids``, ``treatments``, ``project_key``, ``environment_key``, ``experiment_key``,
            ``iteration_id``. The query returns a row for each metric and treatment;
            ``docs/how-to/results-from-sql.md`` lists the columns, and the uses of a value that cannot be bound.

    Raises:
        ValueError: A field is empty or not text.
    """

    conn_id: str
    sql: str

    def __post_init__(self) -> None:
        for name in ("conn_id", "sql"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"results: {name} is {value!r}; write text that is not empty")

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
