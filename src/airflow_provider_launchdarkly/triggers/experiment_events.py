"""The trigger that watches an experiment for Airflow's event-driven scheduling.

It only reads and holds no secret. Airflow restarts a watcher's trigger that ends or fails, at once and for ever, so
this one does neither. DAG files import it, so what only a running trigger needs is imported there.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import START, STOP, VERDICT
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
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
from airflow_provider_launchdarkly.triggers._poll_interval import configured_poll_interval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, Metric
    from airflow_provider_launchdarkly.checks.experiment_events import IterationEvent, State
    from airflow_provider_launchdarkly.evidence.source import Target
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.triggers._shared_reader import Reading

KINDS = (START, STOP, VERDICT)
ERROR = "error"

# Watchers that a triggerer starts together make their first polls within these seconds.
FIRST_POLL_WITHIN = 5.0
LONGEST_PAUSE = 3600.0

# After an upgrade the DAG processor replaces an old watcher within this time, so it does not fire its error.
SECONDS_BEFORE_ERROR = 60.0

CURE = (
    "Correct the watcher in the DAG file. If it is right there, run the same version of airflow-provider-launchdarkly "
    "in the DAG processor and the triggerer"
)


class ExperimentEventTrigger(CheckedTrigger, BaseEventTrigger):
    """Fire when an iteration of the experiment is started or stopped, by anyone, or when it reaches a verdict.

    For an :class:`~airflow.sdk.AssetWatcher` on the asset of
    :func:`~airflow_provider_launchdarkly.assets.experiment_asset`. Each of the three events fires once for each
    iteration, in the order in which they happened. Events from before the first start of the watcher do not fire.

    On Airflow 3.3 and later the trigger notes what it has fired in the asset's state store: a restarted triggerer fires
    what happened meanwhile, and nothing twice. (An event may come twice only if a triggerer is killed between firing
    and noting, or hangs so long that another one takes over; its ``iteration_id`` identifies it.) Before 3.3 there is
    no such store: a restarted triggerer counts everything it finds as fired, so events during its downtime are lost.

    An error does not end the trigger: it logs the error and pauses longer from poll to poll, up to an hour. It waits
    for an experiment that does not exist yet.

    Wrong arguments are a DAG import error. If they reach the triggerer all the same, because it runs another version of
    the provider, the watcher logs the problems each hour, and fires one event after a minute: ``event`` is ``error``,
    ``iteration_id`` is None, and ``message`` names the argument, its value and the cure.

    Args:
        experiment_key: The experiment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
        on: Which of ``start``, ``stop`` and ``verdict`` fire.
        policy: The policy of the verdict: a :class:`Policy`, or the same as a mapping or as JSON text. Default: the
            default policy. The iteration runs on after its verdict.
        poll_interval: Seconds between two polls. Default: ``[launchdarkly] poll_interval``.
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
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
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
        self._definitions: dict[str, Metric] = {}

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
        """Poll for ever, and yield each event that has not been fired yet."""
        if problems := self.problems():
            message = f"{type(self).__name__} watches nothing: {'; '.join(problems)}. {CURE}"
            self.warn("%s", message)
            await asyncio.sleep(SECONDS_BEFORE_ERROR)
            yield self._error_event(message)
            while True:
                await asyncio.sleep(LONGEST_PAUSE)
                self.warn("%s", message)
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
        from airflow_provider_launchdarkly.triggers._sharing import Place, reader_of

        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        seen = SeenEvents(getattr(self, "asset_state_store", None), f"{self.experiment_key} {'+'.join(self.on)}")
        failures = 0
        reading: Reading | None = None
        await asyncio.sleep(random.uniform(0, min(self.poll_interval, FIRST_POLL_WITHIN)))  # noqa: S311
        while True:
            try:
                if reading is None or self._has_news(hook.environment(), reading.response, seen):
                    async for event in self._new_events(hook, seen):
                        yield TriggerEvent(event.content)
                        await seen.add(event.name)
                failures = 0
            except Exception as error:  # noqa: BLE001 - Airflow restarts a watcher that fails at once and for ever
                failures += 1
                self.warn("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
            if failures:
                reading = None
                await asyncio.sleep(self._pause(failures))
            else:
                reader = reader_of(self.launchdarkly_conn_id, Place(hook.environment()))
                reading = await reader.next_reading(
                    self.experiment_key, interval=self.poll_interval, delay=self.poll_interval
                )

    def _has_news(self, env: EnvironmentRef, reading: Response[Experiment], seen: SeenEvents) -> bool:
        """Return whether a shared reading shows anything that is worth a reading of its own."""
        from airflow_provider_launchdarkly.checks.experiment_events import read_verdict, state_of
        from airflow_provider_launchdarkly.evidence.source import Target
        from airflow_provider_launchdarkly.triggers._shared_reader import run_on
        from airflow_provider_launchdarkly.triggers._sharing import Place

        state = state_of(env, reading.value)
        if any(event.kind in self.on and event.name not in seen for event in state.events):
            return True
        running = state.running
        if VERDICT not in self.on or not running or f"{VERDICT}:{running}" in seen:
            return False
        if running == seen.found_running:
            return True
        poll = read_verdict(
            Target(env, self.experiment_key, running),
            read_policy(self.policy),
            previous=self._previous.get(running),
            poll_interval=timedelta(seconds=self.poll_interval),
        )
        found = run_on(poll, Place(env).single(self.experiment_key), reading)
        if found is None or found[0] is not None:
            return True
        self._previous = {running: found[1]}
        return False

    async def _new_events(self, hook: LaunchDarklyHook, seen: SeenEvents) -> AsyncIterator[IterationEvent]:
        """Poll once, and yield the events that are not noted, oldest first."""
        from airflow_provider_launchdarkly.checks.experiment_events import read_state
        from airflow_provider_launchdarkly.evidence.source import Target
        from airflow_provider_launchdarkly.triggers._sharing import circuit_of

        await seen.load()
        await hook.load_settings()
        env = hook.environment()
        circuit = circuit_of(self.launchdarkly_conn_id)
        state = await circuit.call(lambda: hook.arun(read_state(env, self.experiment_key), retry=False))
        await seen.begin(state)
        for event in state.events:
            if event.kind in self.on and event.name not in seen:
                yield event
        if VERDICT in self.on and state.running and f"{VERDICT}:{state.running}" not in seen:
            verdict = await self._verdict(hook, Target(env, self.experiment_key, state.running), seen)
            if verdict is not None:
                yield verdict

    async def _verdict(self, hook: LaunchDarklyHook, target: Target, seen: SeenEvents) -> IterationEvent | None:
        from airflow_provider_launchdarkly.checks.experiment_events import read_verdict
        from airflow_provider_launchdarkly.triggers._sharing import circuit_of

        iteration_id = target.iteration_id
        # For an iteration that is older than the watcher, every past look counts as due: a verdict that exists already
        # is noted without firing.
        is_old = seen.found_running == iteration_id

        def poll() -> Procedure[tuple[IterationEvent | None, timedelta]]:
            return read_verdict(
                target,
                read_policy(self.policy),
                previous=timedelta() if is_old else self._previous.get(iteration_id),
                poll_interval=timedelta(seconds=self.poll_interval),
                definitions=self._definitions,
            )

        circuit = circuit_of(self.launchdarkly_conn_id)
        verdict, elapsed = await circuit.call(lambda: hook.arun(poll(), retry=False))
        self._previous = {iteration_id: elapsed}
        seen.found_running = None
        if is_old and verdict is not None:
            await seen.add(verdict.name)
            return None
        return verdict

    def _error_event(self, message: str) -> TriggerEvent:
        """Return an event about wrong arguments, in the shape of all others."""
        keys = {key: getattr(self, key) for key in ("project_key", "environment_key", "experiment_key")}
        named = {key: value if isinstance(value, str) else None for key, value in keys.items()}
        content = {"event": ERROR, **named, "iteration_id": None, "message": message}
        return TriggerEvent(content)

    def _pause(self, failures: int) -> float:
        longest = max(self.poll_interval, LONGEST_PAUSE)
        pause = min(self.poll_interval * 2.0 ** min(failures, 20), longest)
        # Watchers that start together drift apart, so that they do not poll together for weeks.
        return pause * random.uniform(0.9, 1.0)  # noqa: S311


def _as_list(on: Any) -> Any:
    """Return a collection of words as a sorted list, which every Airflow version stores unchanged."""
    is_words = isinstance(on, (list, tuple, set, frozenset)) and all(isinstance(word, str) for word in on)
    return sorted(on) if is_words else on


def _as_json(policy: Any) -> Any:
    """Return a policy as JSON text, which every Airflow version stores unchanged; anything else comes back as it is."""
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
    try:  # a mapping with Python values such as timedelta
        return json.dumps(Policy.from_json(policy).to_json())
    except Exception:  # noqa: BLE001 - a constructor must not raise; `problems` reports it
        return policy


def _configured_interval() -> Any:
    try:
        return configured_poll_interval()
    except Exception as error:  # noqa: BLE001 - a constructor must not raise; `problems` shows this text
        return str(error)


class SeenEvents:
    """Note which events a watcher has fired: in memory, and on Airflow 3.3 also in its asset's state store.

    Args:
        store: Airflow's ``asset_state_store``, or None if there is none.
        key: The watcher's entry in it.

    Attributes:
        found_running: Id of the iteration that ran when the watcher began, until its verdict has been read once.
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
        """Read the notes of an earlier triggerer, once."""
        if self._names is None and self._store is not None:
            try:
                noted = await self._store.aget(self._key)
            except ValueError:  # one trigger for several assets: Airflow cannot choose between their stores
                self._store = noted = None
            self._names = set(noted) if isinstance(noted, list) else None

    async def begin(self, state: State) -> None:
        """Count the events of the first poll as fired, unless there are notes."""
        self._iterations = state.iterations
        if self._names is None:
            self._names = {event.name for event in state.events}
            self.found_running = state.running
            await self._save()

    async def add(self, name: str) -> None:
        """Note that an event has been fired."""
        assert self._names is not None, "begin() comes before add()"  # noqa: S101
        # An iteration that LaunchDarkly no longer lists has no events any more, so its notes need not be kept.
        self._names = {noted for noted in self._names if noted.partition(":")[2] in self._iterations} | {name}
        await self._save()

    async def _save(self) -> None:
        if self._store is not None:
            await self._store.aset(self._key, sorted(self._names or ()))
