"""Leave notes for the pages, from a task on a worker.

A note that cannot be written is a warning in the log: what people see decides nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.views.notes import HAND_OVER, WINDOW, key_of
from airflow_provider_launchdarkly.views.releases import release_key

# The key of the copy in a task's state, which outlives a retry and a clear (Airflow 3.3), and how long it is kept.
KEPT = "launchdarkly_note"
KEPT_FOR = timedelta(days=366)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.sdk import Context


def page_of(task: Any, context: Context) -> dict[str, Any]:
    """Return what the DAG says of an experiment: its owners, its tags, and the rollout that the task belongs to."""
    dag = context.get("dag")
    owner = str(getattr(dag, "owner", "") or "")
    return {
        "owner": sorted({name.strip() for name in owner.split(",") if name.strip()}),
        "tags": sorted(getattr(dag, "tags", None) or ()),
        "rollout": getattr(task, "shown_as", None),
    }


def at_stage(page: Mapping[str, Any], stage: int | None) -> dict[str, Any]:
    """Return what the DAG says of an experiment, at another stage than that of the task.

    Args:
        page: As :func:`page_of` returns it.
        stage: The stage's number, from 0; None for none.
    """
    if not page["rollout"]:
        return dict(page)
    return {**page, "rollout": {**page["rollout"], "stage": None if stage is None else stage + 1}}


def now() -> datetime:
    """Return the time on this machine, for notes on what no response of LaunchDarkly's dates."""
    return datetime.now(UTC)


def earlier_note(context: Context, about: Mapping[str, Any], warn: Callable[..., object]) -> dict[str, Any] | None:
    """Return the note that this task has left before, in whichever try; None if there is none.

    Airflow deletes a task's XComs before a new try. From 3.3 on it has a copy in the task's state.

    Args:
        context: The task's.
        about: Plain JSON with the keys of project, environment and experiment.
        warn: Writes a warning to the task's log.
    """
    if found := own_note(context, about):
        return found
    store = context.get("task_state_store")
    if store is None:
        return None
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        kept = store.get(KEPT)
    except AirflowRuntimeError as error:
        warn("The pages do not show the looks of earlier tries, which cannot be read: %s", error)
        return None
    copy: Any = kept.get("note") if isinstance(kept, dict) and kept.get("key") == _key(about) else None
    return copy if isinstance(copy, dict) else None


def own_note(context: Context, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the note that this task has left before, if there is one. A new try begins without one."""
    return _noted(context, _key(about))


def _noted(context: Context, key: str) -> dict[str, Any] | None:
    ti: Any = context.get("ti")
    if not hasattr(ti, "xcom_pull"):  # a context that is not Airflow's own, as in a unit test
        return None
    found = ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)
    return found if isinstance(found, dict) else None


def leave_note(
    context: Context, about: Mapping[str, Any], made: Mapping[str, Any], warn: Callable[..., object]
) -> None:
    """Write a task's note, and keep a copy for the next try once it has looks. Safe to repeat: both are replaced.

    Args:
        context: The task's.
        about: Plain JSON with the keys of project, environment and experiment.
        made: The note.
        warn: Writes a warning to the task's log.
    """
    key = _key(about)
    _write(context, key, dict(made), warn)
    store = context.get("task_state_store")
    if store is None or not made.get("looks"):
        return
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        store.set(KEPT, {"key": key, "note": dict(made)}, retention=KEPT_FOR)
    except AirflowRuntimeError as error:
        warn("After a retry the pages do not show this try's looks, which cannot be kept: %s", error)


def leave_flag_seen(
    context: Context,
    noted_by: str | None,
    about: Mapping[str, Any],
    seen: Mapping[str, Any],
    *,
    at: datetime,
    warn: Callable[..., object],
) -> None:
    """Leave the note of the task that watched before, with the flag as it is seen now. Safe to repeat.

    Args:
        context: The task's.
        noted_by: Id of the task that watched before; None if there is none, and then no note is left.
        about: Plain JSON with the keys of project, environment and experiment.
        seen: The flag, as plain JSON.
        at: The time, by LaunchDarkly's clock.
        warn: Writes a warning to the task's log.
    """
    key = _key(about)
    ti: Any = context.get("ti")
    if noted_by is None or not hasattr(ti, "xcom_push"):
        return
    before: Any = _noted(context, key) or ti.xcom_pull(task_ids=noted_by, key=key, map_indexes=ti.map_index)
    if isinstance(before, dict):
        _write(context, key, {**before, "at": at.isoformat(), "flag_seen": dict(seen)}, warn)


def leave_release(context: Context, made: Mapping[str, Any], warn: Callable[..., object]) -> None:
    """Write the note on a release, unless it has no news. Safe to repeat: it replaces what was said before.

    Args:
        context: The task's.
        made: The note.
        warn: Writes a warning to the task's log.
    """
    key = release_key(made["project"], made["environment"], made["flag"])
    before = _noted(context, key) or {}
    if {**before, "at": None} != {**made, "at": None}:
        _write(context, key, made, warn)


def trouble_release(context: Context, place: tuple[str, str, str], message: str, warn: Callable[..., object]) -> None:
    """Say in the note on a release why its wait failed. Safe to repeat.

    Args:
        context: The task's.
        place: Project, environment and flag.
        message: Why it failed.
        warn: Writes a warning to the task's log.
    """
    key = release_key(*place)
    if before := _noted(context, key):
        _write(context, key, {**before, "trouble": message}, warn)


def leave_end(task: Any, context: Context, about: Mapping[str, Any], *, stage: int | None, **told: Any) -> None:
    """Say how a rollout has ended that nobody watches any more. Safe to repeat: it replaces what was said before.

    Args:
        task: The task that ends it.
        context: The task's.
        about: Plain JSON with the keys of project, environment and experiment, and the id of the iteration.
        stage: Number of the stage that was started last, from 0.
        told: As for :func:`.ended`.
    """
    from airflow_provider_launchdarkly.views.notes import ended

    made = ended(about, at=now(), page=at_stage(page_of(task, context), stage), **told)
    leave_note(context, about, made, task.log.warning)


def leave_hand_over(
    task: Any, context: Context, about: Mapping[str, Any], *, stage: int | None, url: str, **told: Any
) -> None:
    """Say what a person has to make in LaunchDarkly. Safe to repeat; the note of the change itself replaces it.

    Args:
        task: The task that waits.
        context: The task's.
        about: Plain JSON with the keys of project, environment and experiment, and the id of the iteration.
        stage: Number of the stage that runs, or at which the experiment has ended, from 0; None for none.
        url: Address of the experiment in LaunchDarkly.
        told: As for :func:`.handed_over`.
    """
    from airflow_provider_launchdarkly.views.notes import handed_over

    made = handed_over(about, at=now(), page=at_stage(page_of(task, context), stage), url=url, **told)
    leave_note(context, about, made, task.log.warning)


def shows_hand_over_of_release(context: Context, task_id: str, about: Mapping[str, Any]) -> bool:
    """Return whether a task's note says that a person has to start the winner's release.

    Args:
        context: The context of another task.
        task_id: The task.
        about: Plain JSON with the keys of project, environment and experiment.
    """
    ti: Any = context["ti"]
    found = ti.xcom_pull(task_ids=task_id, key=_key(about), map_indexes=ti.map_index)
    return isinstance(found, dict) and found.get("kind") == HAND_OVER and bool(found.get("release"))


def leave_opening(context: Context, opens_at: datetime, warn: Callable[..., object]) -> None:
    """Say when the change window opens for which this task waits. Safe to repeat: it replaces what it said before.

    Args:
        context: The task's.
        opens_at: The opening, aware.
        warn: Writes a warning to the task's log.
    """
    _write(context, WINDOW, {"opens_at": opens_at.isoformat()}, warn)


def _write(context: Context, key: str, value: Mapping[str, Any], warn: Callable[..., object]) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError

    ti: Any = context.get("ti")
    if not hasattr(ti, "xcom_push"):
        return
    try:
        ti.xcom_push(key=key, value=value)
    except AirflowRuntimeError as error:
        warn("The pages do not show this: its note cannot be written: %s", error)


def _key(about: Mapping[str, Any]) -> str:
    return key_of(about["project_key"], about["environment_key"], about["experiment_key"])
