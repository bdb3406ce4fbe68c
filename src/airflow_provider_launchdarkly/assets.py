"""Experiments, and flags that are released, as Airflow assets: one URI for each, and the events that tasks emit on it.

This module defines the form of URIs and events; operators and the trigger emit them. It sends no request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import SplitResult, quote, unquote

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Context

SCHEME = "launchdarkly"

EVERY_EXPERIMENT = AssetAlias(name="launchdarkly")
"""The events of all experiments: ``DAG(schedule=[EVERY_EXPERIMENT])``. The tasks that emit events have it as their
outlet, since their experiment is often known only when they run."""

EVERY_RELEASE = AssetAlias(name="launchdarkly-releases")
"""The events of all releases, in the same way."""

EventName = Literal[
    "start",
    "ship",
    "rollback",
    "inconclusive",
    "refused",
    "invalid",
    "regressed",
    "stop",
    "error",
    "release_started",
    "release_regressed",
    "release_completed",
    "release_reverted",
    "release_waiting",
    "release_stopped",
]
RELEASE_EVENTS: Final[Mapping[str, EventName]] = {
    "completed": "release_completed",
    "reverted": "release_reverted",
    "waiting": "release_waiting",
}
"""The event of each state in which a release ends or waits for somebody."""

_FLAGS = "flags"
_SHAPE = "launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT, or launchdarkly://PROJECT/ENVIRONMENT/flags/FLAG"


def experiment_uri(project_key: str, environment_key: str, experiment_key: str) -> str:
    """Return ``launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT``.

    Raises:
        ValueError: A key is empty or not text.
    """
    keys = {"project_key": project_key, "environment_key": environment_key, "experiment_key": experiment_key}
    return _uri("an experiment", keys)


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


def flag_uri(project_key: str, environment_key: str, flag_key: str) -> str:
    """Return ``launchdarkly://PROJECT/ENVIRONMENT/flags/FLAG``, on which the releases of a flag emit their events.

    Raises:
        ValueError: A key is empty or not text.
    """
    keys = {"project_key": project_key, "environment_key": environment_key, "": _FLAGS, "flag_key": flag_key}
    return _uri("a flag", keys)


def flag_asset(project_key: str, environment_key: str, flag_key: str, **fields: Any) -> Asset:
    """Return a flag's asset, to schedule a DAG on its releases.

    Args:
        project_key: Key of the project.
        environment_key: Key of the environment.
        flag_key: Key of the flag.
        fields: Further arguments of an Asset, but no name, as for :func:`experiment_asset`.
    """
    return Asset(uri=flag_uri(project_key, environment_key, flag_key), **fields)


def _uri(whose: str, keys: Mapping[str, str]) -> str:
    """Return the URI of the keys, which have to be text that is not empty."""
    for name, key in keys.items():
        if not (key and isinstance(key, str)):
            raise ValueError(f"{name} is {key!r}: {whose}'s asset needs the key as text")
    return f"{SCHEME}://" + "/".join(quote(key, safe="") for key in keys.values())


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check and normalise an experiment's URI. Airflow calls it for every asset of our scheme.

    Raises:
        ValueError: It is neither ``launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT`` nor a flag's
            ``launchdarkly://PROJECT/ENVIRONMENT/flags/FLAG``.
    """
    keys = [unquote(part) for part in (uri.netloc, *uri.path.lstrip("/").split("/"))]
    of_flag = len(keys) == 4 and keys[2] == _FLAGS
    if not (len(keys) == 3 or of_flag) or not all(keys) or uri.query:
        raise ValueError(f"asset URI {uri.geturl()!r} is not of the form {_SHAPE}")
    project, *others = (quote(key, safe="") for key in keys)
    return uri._replace(netloc=project, path="/" + "/".join(others))


def emit_event(context: Context, outlets: Iterable[Any], event: EventName, about: Mapping[str, Any]) -> None:
    """Let the task emit an event on its experiment's asset, or its flag's for a release, when it succeeds.

    Args:
        context: The task's.
        outlets: The task's. Where the experiment's asset itself is among them, Airflow emits an event on it in any
            case, and that event gets the extra; otherwise the event goes through :data:`EVERY_EXPERIMENT`, or
            :data:`EVERY_RELEASE`.
        event: What happened.
        about: What XCom gets: plain JSON with ``project_key``, ``environment_key``, and ``experiment_key`` or
            ``flag_key`` and ``release_id``.
    """
    emitted = context.get("outlet_events")
    if emitted is None:  # a context that is not Airflow's own, as in a unit test
        return
    project_key, environment_key = about["project_key"], about["environment_key"]
    if "release_id" in about:
        asset, alias = flag_asset(project_key, environment_key, about["flag_key"]), EVERY_RELEASE
    else:
        asset, alias = experiment_asset(project_key, environment_key, about["experiment_key"]), EVERY_EXPERIMENT
    extra = {"event": event, **about}
    named = [outlet for outlet in outlets if isinstance(outlet, Asset) and outlet.uri == asset.uri]
    for outlet in named:
        emitted[outlet].extra = extra
    if not named:
        emitted[alias].add(asset, extra=extra)


def experiment_events(triggering_asset_events: Mapping[Any, Iterable[Any]], *events: EventName) -> list[dict[str, Any]]:
    """Return the events of experiments and releases that started this DAG run, oldest first.

    Args:
        triggering_asset_events: The context variable of this name. Airflow may start one run for several events.
        events: Only these; all, if none is named.

    Returns:
        Each event's extra: ``event``, the experiment's keys, ``iteration_id``, and what else belongs to it. Those of a
        watcher have the same shape. One event of several assets or aliases is returned once.
    """
    found = {
        (str(event.timestamp), _content(event)["event"], _subject(_content(event))): _content(event)
        for happened in triggering_asset_events.values()
        for event in happened
        if _content(event).get("event")
    }
    return [
        content
        for _, content in sorted(found.items(), key=lambda item: item[0][0])
        if not events or content["event"] in events
    ]


def _subject(content: Mapping[str, Any]) -> Any:
    return content.get("iteration_id") or content.get("release_id")


def _content(event: Any) -> dict[str, Any]:
    """An event's extra; Airflow wraps what a watcher fired."""
    extra = event.extra or {}
    return dict(extra["payload"] if extra.get("from_trigger") else extra)
