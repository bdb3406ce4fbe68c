"""What Airflow keeps of a DAG run: XComs, the tasks' state (Airflow 3.3), deferrals. It outlives a task's processes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

Store = Callable[[str, str, str, Any], None]
EMPTY = json.dumps({"state": {}, "waiting": {}, "xcoms": {}})


class Kept:
    """What is kept of a run; a task's process has a copy of its own.

    Args:
        text: What is kept so far.
        store: Called with table, task, key and value before these are kept: a task tells them to the process that keeps
            them, as it does in Airflow, and may die there.
    """

    def __init__(self, text: str = EMPTY, store: Store = lambda *_entry: None) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self._before = store
        self.load(text)

    def load(self, text: str) -> None:
        self.tables = json.loads(text)

    def save(self) -> str:
        return json.dumps(self.tables, sort_keys=True)

    def store(self, table: str, task_id: str, key: str, value: Any) -> None:
        # As in Airflow's database, what is stored is plain JSON.
        plain = json.loads(json.dumps(value, allow_nan=False))
        self._before(table, task_id, key, plain)
        self.tables[table].setdefault(task_id, {})[key] = plain

    def read(self, table: str, task_id: str) -> dict[str, Any]:
        """Return what a table has of a task; whoever changes that changes nothing here."""
        return copy.deepcopy(self.tables[table].get(task_id, {}))

    def push(self, task_id: str, key: str, value: Any) -> None:
        """Store an XCom."""
        self.store("xcoms", task_id, key, value)

    def xcoms_of(self, task_id: str) -> dict[str, Any]:
        return self.read("xcoms", task_id)

    def forget(self, task_id: str) -> None:
        """Drop a task's XComs and its deferral, as Airflow does when a new try begins."""
        self.tables["xcoms"].pop(task_id, None)
        self.tables["waiting"].pop(task_id, None)

    def wait(self, task_id: str, key: str, value: Any) -> None:
        """Store a deferral's trigger, or the trigger's event."""
        self.store("waiting", task_id, key, value)

    def waiting(self, task_id: str) -> dict[str, Any]:
        return self.read("waiting", task_id)

    def state_of(self, task_id: str) -> TaskState:
        """Return what Airflow 3.3 hands a task as `task_state_store`."""
        return TaskState(self, task_id)


class TaskState:
    """The state of one task instance, which outlives its tries."""

    def __init__(self, kept: Kept, task_id: str) -> None:
        self._kept, self._task_id = kept, task_id

    def get(self, key: str, default: Any = None) -> Any:
        return self._kept.read("state", self._task_id).get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._kept.store("state", self._task_id, key, value)
