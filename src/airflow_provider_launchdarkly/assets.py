"""Experiments as Airflow assets: one URI for each, and the events that tasks emit on it.

This module defines the form of URIs and events; operators and the trigger emit them. It sends no request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, quote, unquote

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Context

SCHEME = "launchdarkly"

EVERY_EXPERIMENT = AssetAlias(name="launchdarkly")
"""The events of all experiments: ``DAG(schedule=[EVERY_EXPERIMENT])``. The tasks that emit events have it as their
outlet, since their experiment is often known only when they run."""

EventName = Literal["start", "ship", "rollback", "inconclusive", "invalid", "stop", "error"]
_SHAPE = "launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT"


def experiment_uri(project_key: str, environment_key: str, experiment_key: str) -> str:
    """Return ``launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT``.

    Raises:
        ValueError: A key is empty or not text.
    """
    keys = (project_key, environment_key, experiment_key)
    names = ("project_key", "environment_key", "experiment_key")
    for name, key in zip(names, keys, strict=True):
        if not (key and isinstance(key, str)):
            raise ValueError(f"{name} is {key!r}: an experiment's asset needs the key as text")
    return f"{SCHEME}://" + "/".join(quote(key, safe="") for key in keys)


def experiment_asset(project_key: str, environment_key: str, experiment_key: str, **fields: Any) -> Asset:
    """Return the experiment's asset, to schedule a DAG on or to hang a watcher on.

    Args:
        project_key: Key of the project.
        environment_key: Key of the environment.
        experiment_key: Key of the experiment.
        fields: Further arguments of an Asset, such as ``watchers``. Do not give a name: Airflow treats assets of
            different names as different, and the events are emitted on this one.
    """
    return Asset(uri=experiment_uri(project_key, environment_key, experiment_key), **fields)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check and normalise an experiment's URI. Airflow calls it for every asset of our scheme.

    Raises:
        ValueError: It is not ``launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT``.
    """
    keys = [unquote(part) for part in (uri.netloc, *uri.path.lstrip("/").split("/"))]
    if len(keys) != 3 or not all(keys) or uri.query:
        raise ValueError(f"asset URI {uri.geturl()!r} is not of the form {_SHAPE}")
    project, *others = (quote(key, safe="") for key in keys)
    return uri._replace(netloc=project, path="/" + "/".join(others))


def emit_event(context: Context, outlets: Iterable[Any], event: EventName, about: Mapping[str, Any]) -> None:
    """Let the task emit an event on its experiment's asset when it succeeds.

    Args:
        context: The task's.
        outlets: The task's. Where the experiment's asset itself is among them, Airflow emits an event on it in any
            case, and that event gets the extra; otherwise the event goes through :data:`EVERY_EXPERIMENT`.
        event: What happened.
        about: What XCom gets: plain JSON with ``project_key``, ``environment_key`` and ``experiment_key``.
    """
    emitted = context.get("outlet_events")
    if emitted is None:  # a context that is not Airflow's own, as in a unit test
        return
    asset = experiment_asset(about["project_key"], about["environment_key"], about["experiment_key"])
    extra = {"event": event, **about}
    named = [outlet for outlet in outlets if isinstance(outlet, Asset) and outlet.uri == asset.uri]
    for outlet in named:
        emitted[outlet].extra = extra
    if not named:
        emitted[EVERY_EXPERIMENT].add(asset, extra=extra)


def experiment_events(triggering_asset_events: Mapping[Any, Iterable[Any]], *events: EventName) -> list[dict[str, Any]]:
    """Return the events of experiments that started this DAG run, oldest first.

    Args:
        triggering_asset_events: The context variable of this name. Airflow may start one run for several events.
        events: Only these; all, if none is named.

    Returns:
        Each event's extra: ``event``, the experiment's keys, ``iteration_id``, and what else belongs to it. Those of a
        watcher have the same shape. One event of several assets or aliases is returned once.
    """
    found = {
        (str(event.timestamp), _content(event)["event"], _content(event).get("iteration_id")): _content(event)
        for happened in triggering_asset_events.values()
        for event in happened
        if _content(event).get("event")
    }
    return [
        content
        for _, content in sorted(found.items(), key=lambda item: item[0][0])
        if not events or content["event"] in events
    ]


def _content(event: Any) -> dict[str, Any]:
    """An event's extra; Airflow wraps what a watcher fired."""
    extra = event.extra or {}
    return dict(extra["payload"] if extra.get("from_trigger") else extra)
