"""What Airflow keeps of a DAG run: XComs, the tasks' state (Airflow 3.3), deferrals. One file that outlives processes.

Each write is a point at which the process can be killed, before and after.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Point = Callable[[str], None]
EMPTY: dict[str, Any] = {"xcoms": {}, "state": {}, "waiting": {}}


class Kept:
    """The run's file.

    Args:
        folder: Where it is; decision records lie beside it.
        point: Called with the name of each point.
    """

    def __init__(self, folder: Path, point: Point = lambda _name: None) -> None:
        self._file = folder / "kept.json"
        self._point = point

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found

    def write(self, content: dict[str, Any]) -> None:
        aside = self._file.with_suffix(".new")
        # As in Airflow's database, what is stored is plain JSON.
        aside.write_text(json.dumps(content, allow_nan=False))
        aside.replace(self._file)

    def push(self, task_id: str, key: str, value: Any) -> None:
        """Store an XCom."""
        self._store("xcoms", task_id, key, value)

    def xcoms_of(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.read()["xcoms"].get(task_id, {})
        return found

    def forget(self, task_id: str) -> None:
        """Drop a task's XComs and its deferral, as Airflow does when a new try begins."""
        content = self.read()
        content["xcoms"].pop(task_id, None)
        content["waiting"].pop(task_id, None)
        self.write(content)

    def wait(self, task_id: str, key: str, value: Any) -> None:
        """Store a deferral's trigger, or the trigger's event."""
        self._store("waiting", task_id, key, value)

    def waiting(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.read()["waiting"].get(task_id, {})
        return found

    def state_of(self, task_id: str) -> TaskState:
        """Return what Airflow 3.3 hands a task as `task_state_store`."""
        return TaskState(self, task_id)

    def _store(self, table: str, task_id: str, key: str, value: Any) -> None:
        content = self.read()
        content[table].setdefault(task_id, {})[key] = value
        self._point(f"before {table} {key}")
        self.write(content)
        self._point(f"after {table} {key}")


class TaskState:
    """The state of one task instance, which outlives its tries."""

    def __init__(self, kept: Kept, task_id: str) -> None:
        self._kept, self._task_id = kept, task_id

    def get(self, key: str, default: Any = None) -> Any:
        return self._kept.read()["state"].get(self._task_id, {}).get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._kept._store("state", self._task_id, key, value)
