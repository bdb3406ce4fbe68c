"""Bring the task's note up to date, from the triggerer: two calls to Airflow for each news, none for other polls.

The note is the task's, which a worker has left before it deferred; see ``views/notes.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_provider_launchdarkly.hooks.unbroken import unbroken
from airflow_provider_launchdarkly.views.notes import key_of, watched
from airflow_provider_launchdarkly.views.releases import release_key, release_note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


async def add_look(ti: Any, found: Mapping[str, Any], warn: Callable[..., object]) -> None:
    """Add a look. Safe to repeat: a look that is there already stays as it is.

    Args:
        ti: The task instance, as Airflow gives it to its trigger.
        found: The verdict as plain JSON, with ``evidence`` and ``looked_at``.
        warn: Writes a warning to the log.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        await unbroken(sync_to_async(_add_look)(ti, found))
    except AirflowRuntimeError as error:
        warn("The pages do not show this look: the note cannot be written: %s", error)


async def change_release(ti: Any, found: Mapping[str, Any], warn: Callable[..., object]) -> None:
    """Show a release as a poll found it. Safe to repeat: it replaces what the note said before.

    Args:
        ti: The task instance, as Airflow gives it to its trigger.
        found: The release as plain JSON.
        warn: Writes a warning to the log.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        await unbroken(sync_to_async(_change_release)(ti, found))
    except AirflowRuntimeError as error:
        warn("The pages do not show this step: the note cannot be written: %s", error)


def _change_release(ti: Any, found: Mapping[str, Any]) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    key = release_key(found["project_key"], found["environment_key"], found["flag_key"])
    place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    before = XCom.get_one(key=key, **place)
    if isinstance(before, dict):
        XCom.set(key=key, value=release_note(found, at=datetime.now(UTC), url=before.get("url")), **place)


def _add_look(ti: Any, found: Mapping[str, Any]) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    key = key_of(found["project_key"], found["environment_key"], found["experiment_key"])
    place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    before = XCom.get_one(key=key, **place)
    if not isinstance(before, dict):
        return
    page = {name: before.get(name) for name in ("owner", "tags", "rollout")}
    made = watched(
        found,
        at=datetime.fromisoformat(found["looked_at"]),
        page=page,
        policy=before.get("policy"),
        before=before,
        url=before.get("url"),
    )
    XCom.set(key=key, value=made, **place)
