"""The measurements of earlier looks: from the decision record, or from what Airflow 3.3 keeps for a task.

The boundaries of the information clock rest on it. It is never in a process: a retry, a clear or a restart reads the
same. With gaps the error is at most that of the clock alone, so a look that could not be kept is no reason to stop.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_launchdarkly.audit_log.store import looks_in, measured_in, read_record
from airflow_provider_launchdarkly.decision.evidence import as_earlier
from airflow_provider_launchdarkly.decision.evidence_json import earlier_from_json, earlier_to_json
from airflow_provider_launchdarkly.sensors._decision_record import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.decision.evidence import EarlierLook
    from airflow_provider_launchdarkly.evidence.source import Target

# The key of the looks in a task's state.
KEY = "launchdarkly_looks"


# Airflow would forget a value after thirty days; a plan may be longer.
KEPT_FOR = timedelta(days=366)


class TaskStateStore(Protocol):
    """The store that Airflow 3.3 keeps for a task through retries and clears (``context["task_state_store"]``)."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""
        ...

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Write the value of a key."""
        ...


class RecordedLooks:
    """The looks on a decision record, which the record's own entries are.

    Args:
        target: The iteration.
        folder: Folder of the records.
    """

    def __init__(self, target: Target, folder: str) -> None:
        self._target, self._folder = target, folder

    def __call__(self) -> tuple[EarlierLook, ...]:
        """Read them.

        Raises:
            BrokenRecordError: The record was changed by someone else.
            OSError: The record cannot be read.
        """
        return looks_in(read_record(self._target.to_json(), self._folder, open_storage))

    def keep(self, evidence: Mapping[str, Any]) -> None:
        """Do nothing: the look is on record."""


class StoredLooks:
    """The looks in a task's state.

    Args:
        target: The iteration; looks at another one are forgotten.
        store: The task's state.
        warn: Writes a warning to the task's log.
    """

    def __init__(self, target: Target, store: TaskStateStore, warn: Callable[..., object]) -> None:
        self._target, self._store, self._warn = target.to_json(), store, warn

    def __call__(self) -> tuple[EarlierLook, ...]:
        """Read them; none if the state cannot be read."""
        return tuple(self._read())

    def keep(self, evidence: Mapping[str, Any]) -> None:
        """Add a planned look. Safe to repeat: a look is kept as it was measured the first time."""
        if evidence.get("only_harm"):
            return
        look, before = as_earlier(measured_in(evidence)), self._read()
        if before and before[-1].elapsed >= look.elapsed:
            return
        looks = [earlier_to_json(known) for known in (*before, look)]
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            self._store.set(KEY, {"target": self._target, "looks": looks}, retention=KEPT_FOR)
        except AirflowRuntimeError as error:
            self._warn("This look is not kept for later ones, whose boundaries are a little higher then: %s", error)

    def _read(self) -> list[EarlierLook]:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            value = self._store.get(KEY)
        except AirflowRuntimeError as error:
            self._warn("The earlier looks cannot be read, so the boundaries follow from the plan alone: %s", error)
            return []
        if not isinstance(value, dict) or value.get("target") != self._target:
            return []
        try:
            return [earlier_from_json(look) for look in value.get("looks", ())]
        except ValueError as error:
            self._warn(
                "The task's state %s cannot be read, so the boundaries follow from the plan alone: %s", KEY, error
            )
            return []


def looks_of(
    target: Target, folder: str | None, context: Context, warn: Callable[..., object]
) -> RecordedLooks | StoredLooks | None:
    """Return where the earlier looks are; None if nothing keeps them.

    Args:
        target: The iteration.
        folder: Folder of the decision records; None if none are kept.
        context: The task's context, which has a state from Airflow 3.3 on.
        warn: Writes a warning to the task's log.
    """
    if folder is not None:
        return RecordedLooks(target, folder)
    store = context.get("task_state_store")
    return None if store is None else StoredLooks(target, store, warn)
