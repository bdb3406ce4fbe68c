"""Watches an experiment for Airflow's event-driven scheduling: fires when something happens to it, and never ends.

Reads only, holds no secret. Airflow restarts a watcher's trigger that ends, or fails, at once and for ever: so this one
does neither.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import conf
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.checks.experiment_events import START, STOP, VERDICT, read_state, read_verdict
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._arguments import (
    REQUIRED,
    Argument,
    CheckedTrigger,
    number,
    optional,
    policy_text,
    read_policy,
    some_of,
    text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_provider_launchdarkly.checks.experiment_events import IterationEvent, State

KINDS = (START, STOP, VERDICT)
ERROR = "error"

# Watchers that a triggerer starts together make their first polls within these seconds.
FIRST_POLL_WITHIN = 5.0
LONGEST_PAUSE = 3600.0

# An old watcher that the DAG processor replaces after an upgrade is gone before it fires.
SECONDS_BEFORE_ERROR = 60.0

CURE = (
    "Correct the watcher in the DAG file. If it is right there, run the same version of airflow-provider-launchdarkly "
    "in the DAG processor and the triggerer"
)


class ExperimentEventTrigger(CheckedTrigger, BaseEventTrigger):
    """Fire when an iteration of the experiment is started or stopped, by whomever, or when it reaches a verdict.

    For an :class:`~airflow.sdk.AssetWatcher` on the asset of
    :func:`~airflow_provider_launchdarkly.assets.experiment_asset`. Each of the three fires once for each iteration, in
    the order in which they happened. What has happened before the watcher is first started does not fire.

    On Airflow 3.3 and later what has fired is kept in the asset's state store: a restarted triggerer fires what
    happened meanwhile, and nothing twice. (An event may come twice only where Airflow itself is at-least-once: a
    triggerer that is killed between firing and noting, or that hangs so long that another one takes over. The event's
    ``iteration_id`` tells.) Before 3.3 there is no such store: a restarted triggerer takes what it finds for what has
    fired already, so what happened while it was down does not fire.

    Errors do not end it: it logs them and pauses longer from poll to poll, up to an hour. An experiment that does not
    exist yet is waited for.

    Wrong arguments are a DAG import error. If they reach the triggerer all the same, because it runs another version of
    the provider, the watcher logs what is wrong each hour, and fires one event after a minute: ``event`` is ``error``,
    ``iteration_id`` is None, and ``message`` names the argument, its value and the cure.

    Args:
        experiment_key: The experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        on: Which of ``start``, ``stop`` and ``verdict`` fire.
        policy: What makes a verdict: a :class:`Policy`, or the same as a
            mapping or as JSON text. Default: the default policy. The iteration goes on after its verdict; nobody stops
            it.
        poll_interval: Seconds between two reads. Default: ``[launchdarkly] poll_interval``.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        "experiment_key": Argument(text),
        "project_key": Argument(optional(text), None),
        "environment_key": Argument(optional(text), None),
        "launchdarkly_conn_id": Argument(text),
        "on": Argument(some_of(*KINDS)),
        "policy": Argument(policy_text),
        "poll_interval": Argument(number(0, above=True)),
    }
    experiment_key: str
    project_key: str | None
    environment_key: str | None
    launchdarkly_conn_id: str
    on: list[str]
    policy: str
    poll_interval: float

    def __init__(
        self,
        /,
        *,
        experiment_key: str = REQUIRED,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = LaunchDarklyHook.default_conn_name,
        on: Sequence[str] = KINDS,
        policy: Policy | Mapping[str, Any] | str | None = None,
        poll_interval: float | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            **({} if experiment_key is REQUIRED else {"experiment_key": experiment_key}),
            project_key=project_key,
            environment_key=environment_key,
            launchdarkly_conn_id=launchdarkly_conn_id,
            on=_as_list(on),
            policy=_as_json(policy),
            poll_interval=_configured_interval() if poll_interval is None else poll_interval,
            **unknown,
        )
        self._previous: dict[str, timedelta] = {}

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class and its arguments.

        Raises:
            ConfigurationError: An argument is wrong, and this is a DAG file: Airflow shows it as its import error.
        """
        if self.trigger_id is None:  # the triggerer gives each trigger its id
            self.check()
        return super().serialize()

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for ever, and yield what has not been told yet."""
        if problems := self.problems():
            message = f"{type(self).__name__} watches nothing: {'; '.join(problems)}. {CURE}"
            self.log.error("%s", message)
            await asyncio.sleep(SECONDS_BEFORE_ERROR)
            yield self._error_event(message)
            while True:
                await asyncio.sleep(LONGEST_PAUSE)
                self.log.error("%s", message)
        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        notes = SeenEvents(getattr(self, "asset_state_store", None), f"{self.experiment_key} {'+'.join(self.on)}")
        failures = 0
        await asyncio.sleep(random.uniform(0, min(self.poll_interval, FIRST_POLL_WITHIN)))  # noqa: S311
        while True:
            try:
                async for happening in self._news(hook, notes):
                    yield TriggerEvent(happening.content)  # type: ignore[no-untyped-call]
                    await notes.add(happening.name)
                failures = 0
            except Exception as error:  # noqa: BLE001 - Airflow restarts a watcher that fails at once and for ever
                failures += 1
                self.log.warning("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
            await asyncio.sleep(self._pause(failures))

    async def _news(self, hook: LaunchDarklyHook, notes: SeenEvents) -> AsyncIterator[IterationEvent]:
        """One poll: what has happened and is not noted, oldest first."""
        await notes.load()
        await hook.load_settings()
        env = hook.environment()
        state = await hook.arun(read_state(env, self.experiment_key))
        await notes.begin(state)
        for happening in state.iteration_events:
            if happening.kind in self.on and happening.name not in notes:
                yield happening
        if VERDICT in self.on and state.running and f"{VERDICT}:{state.running}" not in notes:
            verdict = await self._look(hook, Target(env, self.experiment_key, state.running), notes)
            if verdict is not None:
                yield verdict

    async def _look(self, hook: LaunchDarklyHook, target: Target, notes: SeenEvents) -> IterationEvent | None:
        iteration_id = target.iteration_id
        # Of an iteration that was there before the watcher, ask whether there is a verdict already, however long ago
        # its look was due: that one is not news.
        old = notes.found_running == iteration_id
        verdict, elapsed = await hook.arun(
            read_verdict(
                target,
                read_policy(self.policy),
                previous=timedelta() if old else self._previous.get(iteration_id),
                poll_interval=timedelta(seconds=self.poll_interval),
            )
        )
        self._previous = {iteration_id: elapsed}
        notes.found_running = None
        if old and verdict is not None:
            await notes.add(verdict.name)
            return None
        return verdict

    def _error_event(self, message: str) -> TriggerEvent:
        """An event about wrong arguments, in the shape of all others."""
        keys = {key: getattr(self, key) for key in ("project_key", "environment_key", "experiment_key")}
        named = {key: value if isinstance(value, str) else None for key, value in keys.items()}
        content = {"event": ERROR, **named, "iteration_id": None, "message": message}
        return TriggerEvent(content)  # type: ignore[no-untyped-call]

    def _pause(self, failures: int) -> float:
        longest = max(self.poll_interval, LONGEST_PAUSE)
        pause = min(self.poll_interval * 2.0 ** min(failures, 20), longest)
        # Watchers that start together drift apart, so that they do not poll together for weeks.
        return pause * random.uniform(0.9, 1.0)  # noqa: S311


def _as_list(on: Any) -> Any:
    """Any collection of words as a sorted list, which every Airflow stores as it is."""
    is_words = isinstance(on, (list, tuple, set, frozenset)) and all(isinstance(word, str) for word in on)
    return sorted(on) if is_words else on


def _as_json(policy: Any) -> Any:
    """A policy as JSON text, which every Airflow stores as it is; what is no policy stays what it is."""
    if policy is None:
        return "{}"
    if isinstance(policy, Policy):
        return json.dumps(policy.to_json())
    if not isinstance(policy, Mapping):
        return policy
    try:
        return json.dumps(dict(policy))
    except (TypeError, ValueError):
        pass
    try:  # a mapping of Python's own values, such as timedelta
        return json.dumps(Policy.from_json(policy).to_json())
    except Exception:  # noqa: BLE001 - a constructor raises nothing: `problems` says what is wrong
        return policy


def _configured_interval() -> Any:
    try:
        return conf.getfloat("launchdarkly", "poll_interval", fallback=300.0)
    except Exception as error:  # noqa: BLE001 - a constructor raises nothing: `problems` shows this text
        return str(error)


class SeenEvents:
    """What a watcher has told already: in memory, and on Airflow 3.3 also in its asset's state store.

    Args:
        store: Airflow's ``asset_state_store``, or None where there is none.
        key: The watcher's entry in it.

    Attributes:
        found_running: The iteration that was running when the watcher began, until it has been looked at.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key
        self._names: set[str] | None = None
        self._iterations: frozenset[str] = frozenset()
        self.found_running: str | None = None

    def __contains__(self, name: str) -> bool:
        return self._names is not None and name in self._names

    async def load(self) -> None:
        """Read what an earlier triggerer noted, once."""
        if self._names is None and self._store is not None:
            try:
                noted = await self._store.aget(self._key)
            except ValueError:  # one trigger for several assets: Airflow cannot tell whose store is meant
                self._store = noted = None
            self._names = set(noted) if isinstance(noted, list) else None

    async def begin(self, state: State) -> None:
        """Take what is there when the watcher is first started for told."""
        self._iterations = state.iterations
        if self._names is None:
            self._names = {happening.name for happening in state.iteration_events}
            self.found_running = state.running
            await self._save()

    async def add(self, name: str) -> None:
        """Note that something has been told."""
        assert self._names is not None, "a poll begins before it tells"  # noqa: S101
        # What LaunchDarkly does not list any more will not be told again, and need not be kept.
        self._names = {known for known in self._names if known.partition(":")[2] in self._iterations} | {name}
        await self._save()

    async def _save(self) -> None:
        if self._store is not None:
            await self._store.aset(self._key, sorted(self._names or ()))
