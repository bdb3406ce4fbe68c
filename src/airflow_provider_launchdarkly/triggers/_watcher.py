"""The base of the triggers that watch for Airflow's event-driven scheduling, and the loop that each of them runs.

They only read and hold no secret. Airflow restarts a watcher's trigger that ends or fails, at once and for ever, so
these do neither. DAG files import them, so what only a running trigger needs is imported there.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from typing_extensions import override

from airflow_provider_launchdarkly.triggers._arguments import Argument, CheckedTrigger, optional, seconds, text
from airflow_provider_launchdarkly.triggers._poll_interval import configured_poll_interval
from airflow_provider_launchdarkly.triggers._seen_events import SeenEvents

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure, Response
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.triggers._shared_reader import Reading
    from airflow_provider_launchdarkly.triggers._sharing import Place

R = TypeVar("R")

ERROR = "error"

# Watchers that a triggerer starts together spread their first polls over their interval, and over this at most: what
# happens before it does not fire where nothing remembers what a watcher has seen.
FIRST_POLL_WITHIN = 300.0
LONGEST_PAUSE = 3600.0

# After an upgrade the DAG processor replaces an old watcher within this time, so it does not fire its error.
SECONDS_BEFORE_ERROR = 60.0

CURE = (
    "Correct the watcher in the DAG file. If it is right there, run the same version of airflow-provider-launchdarkly "
    "in the DAG processor and the triggerer"
)


class WatcherTrigger(CheckedTrigger, BaseEventTrigger):
    """Poll for ever, and fire each event once.

    Attributes:
        subject: The argument that names what is watched, and the field of its events that names what it happened to.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        "project_key": Argument(optional(text), None),
        "environment_key": Argument(optional(text), None),
        "launchdarkly_conn_id": Argument(text),
        "poll_interval": Argument(seconds(above=True)),
    }
    subject: ClassVar[tuple[str, str]]
    project_key: str | None
    environment_key: str | None
    launchdarkly_conn_id: str
    poll_interval: float
    on: list[str]

    @abstractmethod
    def watches(self, hook: LaunchDarklyHook) -> Sequence[Watch]:
        """Return the watches, each of which polls by itself."""

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
        from airflow_provider_launchdarkly.triggers._base import WAITING

        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        with WAITING:
            await asyncio.sleep(random.uniform(0, min(self.poll_interval, FIRST_POLL_WITHIN)))  # noqa: S311
            async with aclosing(_merged([self._events_of(watch) for watch in self.watches(hook)])) as events:
                async for event in events:
                    yield event

    async def _events_of(self, watch: Watch) -> AsyncGenerator[TriggerEvent]:
        from airflow_provider_launchdarkly.telemetry import count

        failures = 0
        reading: Reading | None = None
        while True:
            try:
                if reading is None or watch.has_news(reading.response):
                    reading = None
                    async for happening in watch.new_events():
                        yield TriggerEvent(happening.content)
                        await watch.seen.add(*happening.names)
                failures = 0
                count("polls")
                reading = await watch.next_reading(reading)
            except Exception as error:  # noqa: BLE001 - Airflow restarts a watcher that fails at once and for ever
                failures += 1
                reading = None
                self.warn("Poll failed (%s in a row): %s: %s", failures, type(error).__name__, error)
                await asyncio.sleep(self._pause(failures))

    def _error_event(self, message: str) -> TriggerEvent:
        """Return an event about wrong arguments, in the shape of all others."""
        watched, happened_to = self.subject
        keys = {key: getattr(self, key) for key in ("project_key", "environment_key", watched)}
        named = {key: value if isinstance(value, str) else None for key, value in keys.items()}
        return TriggerEvent({"event": ERROR, **named, happened_to: None, "message": message})

    def _pause(self, failures: int) -> float:
        longest = max(self.poll_interval, LONGEST_PAUSE)
        pause = min(self.poll_interval * 2.0 ** min(failures, 20), longest)
        # Watchers that start together drift apart, so that they do not poll together for weeks.
        return pause * random.uniform(0.9, 1.0)  # noqa: S311


class Happening(NamedTuple):
    """An event to fire.

    Attributes:
        content: Payload of the trigger's event: plain JSON.
        names: The names by which it is noted once it has been fired.
    """

    content: dict[str, Any]
    names: tuple[str, ...]


class Watch(ABC):
    """One thing that a watcher polls.

    Args:
        trigger: The watcher.
        hook: Its hook.

    Attributes:
        seen: What has been fired.
        settles: Whether a shared reading without news has none as long as it stays the same.
    """

    settles: ClassVar[bool] = False

    def __init__(self, trigger: WatcherTrigger, hook: LaunchDarklyHook) -> None:
        self.trigger = trigger
        self.hook = hook
        self.seen = SeenEvents(getattr(trigger, "asset_state_store", None))
        self._told_missing = False

    @abstractmethod
    def place(self) -> tuple[Place, str]:
        """Return the list of LaunchDarkly's that shows it, and the key in it."""

    @abstractmethod
    def has_news(self, reading: Response[Any]) -> bool:
        """Return whether a shared reading shows anything that is worth a reading of its own."""

    @abstractmethod
    def new_events(self) -> AsyncIterator[Happening]:
        """Poll once, and yield the events that are not noted, oldest first."""

    async def next_reading(self, last: Reading | None) -> Reading | None:
        """Wait for the next poll.

        Args:
            last: The shared reading that had no news; None if the last poll was a reading of its own.

        Returns:
            A shared reading; None if it is to read alone.
        """
        from airflow_provider_launchdarkly.checks.result import WHILE_NOTHING_CHANGES
        from airflow_provider_launchdarkly.triggers._shared_reader import Settled
        from airflow_provider_launchdarkly.triggers._sharing import reader_of

        place, key = self.place()
        settled = None
        if last is not None and self.settles:
            settled = Settled(last.mark, last.response.server_time + WHILE_NOTHING_CHANGES)
        interval = self.trigger.poll_interval
        reader = reader_of(self.trigger.launchdarkly_conn_id, place)
        return await reader.next_reading(key, interval=interval, delay=interval, settled=settled)

    async def poll(self, procedure: Callable[[], Procedure[R]]) -> R:
        """Run a procedure, and wait for the end of an outage.

        Raises:
            LaunchDarklyError: A failure that cannot pass, or that has lasted for longer than the tolerance.
        """
        from airflow_provider_launchdarkly.triggers._sharing import circuit_of

        circuit = circuit_of(self.trigger.launchdarkly_conn_id)
        return await circuit.call(lambda: self.hook.arun(procedure(), retry=False))

    def tell_missing(self, what: str) -> None:
        """Say once that what is watched does not exist yet."""
        if not self._told_missing:
            self._told_missing = True
            env = self.hook.environment()
            where = f"project {env.project_key!r} and environment {env.environment_key!r}"
            self.trigger.say("LaunchDarkly has no %s in %s yet. The watcher waits for it; check the keys", what, where)


async def _merged(streams: Iterable[AsyncGenerator[R]]) -> AsyncGenerator[R]:
    """Yield what several endless streams yield. None of them goes on before its last event has been taken."""
    waiting = {asyncio.ensure_future(anext(stream)): stream for stream in streams}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
                stream = waiting.pop(task)
                waiting[asyncio.ensure_future(anext(stream))] = stream
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for stream in waiting.values():
            await stream.aclose()


def as_list(words: Any) -> Any:
    """Return a collection of words as a sorted list, which every Airflow version stores unchanged."""
    is_words = isinstance(words, (list, tuple, set, frozenset)) and all(isinstance(word, str) for word in words)
    return sorted(words) if is_words else words


def given_interval(poll_interval: float | None) -> Any:
    """Return the seconds between two polls: the given ones, or the configured ones."""
    if poll_interval is not None:
        return poll_interval
    try:
        return configured_poll_interval()
    except Exception as error:  # noqa: BLE001 - a constructor must not raise; `problems` shows this text
        return str(error)
