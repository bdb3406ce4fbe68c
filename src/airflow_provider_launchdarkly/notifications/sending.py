"""Sends a message through channels. An error or a slow service is told in the log, and stops nothing.

A message is sent once through each channel where that can be known: Airflow 3.3 keeps the keys of what was sent in the
task's state, through retries and clears. Elsewhere a repeat is sent again with the same key, by which PagerDuty keeps
one incident and mail programs one thread.
"""

from __future__ import annotations

import contextvars
import hashlib
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_launchdarkly.notifications.channels import Channel
    from airflow_provider_launchdarkly.notifications.events import Message


class Log(Protocol):
    """The part of a task's log that is used."""

    def info(self, text: Any, /, *arguments: Any) -> Any:
        """Write a line."""

    def warning(self, text: Any, /, *arguments: Any) -> Any:
        """Write a warning."""


LONGEST_SEND: Final = 20.0
"""Seconds that a task waits for one channel. The send goes on while the task's process lives."""

# The key of what was told in a task's state, and the most entries there.
_TOLD: Final = "launchdarkly_told"
_MOST_TOLD: Final = 200
# Airflow would forget a value after thirty days; a rollout may be longer.
_KEPT_FOR: Final = timedelta(days=366)


def send_to_all(
    message: Message,
    channels: Sequence[Channel],
    context: Mapping[str, Any],
    log: Log,
    *,
    longest: float = LONGEST_SEND,
) -> None:
    """Send a message through each channel that takes its event and has not been told.

    Never raises for a channel. Safe to repeat as this module says.

    Args:
        message: The message.
        channels: The channels.
        context: The context of Airflow's task or callback.
        log: The task's log.
        longest: Seconds to wait for one channel.
    """
    wanted = [channel for channel in channels if channel.takes(message.event, message.ending)]
    if not wanted:
        return
    told = _Told(context.get("task_state_store"), log)
    for channel in wanted:
        name = f"{message.event} through {channel.through}"
        key = _key(message, channel)
        if key in told:
            log.info("Told before: %s. Nothing is sent again.", name)
            continue
        error = send_now(message, channel, context, longest)
        if error is None:
            log.info("Told: %s.", name)
            told.add(key)
        else:
            log.warning("Not told: %s: %s. The rollout goes on.", name, error)


def send_now(
    message: Message, channel: Channel, context: Mapping[str, Any], longest: float = LONGEST_SEND
) -> str | None:
    """Send a message through a channel.

    Args:
        message: The message.
        channel: The channel.
        context: The context of Airflow's task or callback; empty outside of Airflow.
        longest: Seconds to wait.

    Returns:
        Why that failed; None if it did not.
    """
    errors: list[str] = []

    def send() -> None:
        try:
            channel.notifier(message).notify(context)  # type: ignore[arg-type]  # the context is Airflow's
        except Exception as error:  # noqa: BLE001 - whatever a notifier raises, the rollout goes on
            errors.append(f"{type(error).__name__}: {error}")

    if not ends_within(longest, send):
        return f"no answer within {longest:g} s"
    return errors[0] if errors else None


def ends_within(seconds: float, work: Callable[[], None]) -> bool:
    """Do a piece of work that never raises; return whether it ended in time. What is late goes on, and counts nowhere.

    Args:
        seconds: The longest time to wait for it.
        work: The work.
    """
    # A thread can be left behind; a call in a socket cannot be ended. Airflow's log needs the task's variables.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _key(message: Message, channel: Channel) -> str:
    """Return the key of a message on one channel, short and without the channel's arguments."""
    own = repr((channel.through, channel.connection, sorted(channel.arguments.items(), key=str)))
    return f"{message.key}-{hashlib.sha256(own.encode()).hexdigest()[:12]}"


class _Told:
    """The keys of what was sent, in the task's state. Without a state, nothing is known.

    Args:
        store: ``context["task_state_store"]``; None before Airflow 3.3.
        log: The task's log.
    """

    def __init__(self, store: Any, log: Log) -> None:
        self._store, self._log = store, log
        self._keys: list[str] = []
        if store is not None:
            try:
                self._keys = list(store.get(_TOLD) or ())
            except Exception as error:  # noqa: BLE001 - a message twice is better than none
                self._log.warning("What was told before cannot be read: %s", error)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        """Note that a message was sent."""
        self._keys = [*self._keys, key][-_MOST_TOLD:]
        if self._store is not None:
            try:
                self._store.set(_TOLD, self._keys, retention=_KEPT_FOR)
            except Exception as error:  # noqa: BLE001 - the message is sent; it may be sent once more
                self._log.warning("It cannot be noted that people were told; a repeat tells them again: %s", error)
