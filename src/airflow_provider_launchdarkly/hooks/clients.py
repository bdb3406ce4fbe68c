"""Share one HTTP client per connection and process (and event loop) among all hooks, tasks and triggers.

Building a client costs 25 ms and 0.7 MB of TLS context, and looking a connection up from a trigger costs the
triggerer's supervisor tens of milliseconds: with a thousand waiting sensors both must happen once.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from copy import copy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_launchdarkly.api.errors import ConnectionUnavailableError, LaunchDarklyError
from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient, LaunchDarklyClient

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

    from airflow_provider_launchdarkly.api.http.settings import ClientSettings
    from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings

# How long an event loop trusts what it read of a connection, so that a rotated token is picked up without a restart.
SETTINGS_LIFETIME = 300.0

LONGEST_LOOK_UP = 30.0
"""Seconds after which a look-up of a connection is given up."""

_lock = threading.Lock()
# Keyed by process as well: a forked worker must not use its parent's sockets.
_clients: dict[tuple[int, ClientSettings], LaunchDarklyClient] = {}
_loops: WeakKeyDictionary[AbstractEventLoop, dict[str, _LoopEntry]] = WeakKeyDictionary()


@dataclass(slots=True)
class _LoopEntry:
    """An event loop's client and settings for one connection id."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    settings: ConnectionSettings | None = None
    client: AsyncLaunchDarklyClient | None = None
    read_at: float = 0.0
    failure: ConnectionUnavailableError | None = None
    failed_at: float = 0.0


def shared_client(settings: ConnectionSettings) -> LaunchDarklyClient:
    """Return this process's client for these settings, building it on first use. Safe to call from any thread."""
    key = (os.getpid(), settings.client)
    with _lock:
        client = _clients.get(key)
        if client is None:
            client = _clients[key] = LaunchDarklyClient(**asdict(settings.client))
        return client


async def shared_async_client(
    conn_id: str, load: Callable[[], Awaitable[ConnectionSettings]]
) -> tuple[ConnectionSettings, AsyncLaunchDarklyClient]:
    """Return the running event loop's settings and client for a connection.

    Args:
        conn_id: The connection's id; the connection is looked up again every five minutes.
        load: Looks the connection up and reads it. Called by one caller at a time, the others wait for its result.

    Returns:
        The settings, and the client that all callers on this loop share. While the settings stay equal, so does the
        client; when they change, calls under way finish on the old one.

    Raises:
        ConnectionUnavailableError: The look-up failed. Callers that waited for it get its error.
        ConfigurationError: The connection is not usable, and was never read before.
    """
    asked = time.monotonic()
    entry = _loops.setdefault(asyncio.get_running_loop(), {}).setdefault(conn_id, _LoopEntry())
    async with entry.lock:
        now = time.monotonic()
        if entry.settings is None or entry.client is None or now - entry.read_at > SETTINGS_LIFETIME:
            if entry.failure is not None and entry.failed_at >= asked:
                raise copy(entry.failure)
            settings = await _read(conn_id, entry, load)
            if entry.client is None or settings != entry.settings:
                entry.client = AsyncLaunchDarklyClient(**asdict(settings.client))
            entry.settings, entry.read_at = settings, now
        return entry.settings, entry.client


async def _read(
    conn_id: str, entry: _LoopEntry, load: Callable[[], Awaitable[ConnectionSettings]]
) -> ConnectionSettings:
    try:
        async with asyncio.timeout(LONGEST_LOOK_UP):
            return await load()
    except Exception as error:
        found_before = entry.settings is not None
        if isinstance(error, LaunchDarklyError) and not found_before:
            raise
        entry.failed_at = time.monotonic()
        entry.failure = ConnectionUnavailableError(
            f"connection {conn_id!r} cannot be read ({_in_words(error)}): define it, or mend the secrets backend that "
            "holds it",
            found_before=found_before,
        )
        raise entry.failure from None


def _in_words(error: Exception) -> str:
    """Describe why a look-up failed. The text of an error that is unknown here might hold the connection's secret."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    name = type(error).__name__
    if isinstance(error, TimeoutError):
        return f"{name}: Airflow has not answered"
    return f"{name}: {error}" if isinstance(error, LaunchDarklyError | AirflowNotFoundException) else name


def forget_async_client(conn_id: str) -> None:
    """Look the connection up again at the next call on this loop: its token was refused, it may have been rotated."""
    entry = _loops.get(asyncio.get_running_loop(), {}).get(conn_id)
    if entry is not None:
        entry.read_at = float("-inf")
