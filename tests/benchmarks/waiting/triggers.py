"""Triggers of the benchmark: one that waits with a client of its own, and one that measures the loop's lag."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.connection import get_async_connection
from airflow.triggers.base import BaseTrigger
from typing_extensions import override

from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient
from airflow_provider_launchdarkly.hooks.connection import read_settings
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_launchdarkly.checks.result import Check

PAUSE = 0.1
"""Seconds between two measurements of the lag."""
_WRITE_EVERY = 50


class LoneTrigger(SignificanceTrigger):
    """The trigger as it would be without any sharing: it looks its connection up, has a client, and polls alone."""

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        client: AsyncLaunchDarklyClient | None = None

        async def own_client() -> AsyncLaunchDarklyClient:
            nonlocal client
            if client is None:
                settings = read_settings(await get_async_connection(self.launchdarkly_conn_id))
                client = AsyncLaunchDarklyClient(**asdict(settings.client))
            return client

        hook.aget_conn = own_client  # type: ignore[method-assign]
        return super().make_check(hook)

    @override
    def shares_reading_of(self, hook: LaunchDarklyHook) -> None:
        """Nothing."""


class LagTrigger(BaseTrigger):
    """Measure how much later than asked for the event loop wakes a sleeper, ten times a second.

    Each line of the file is a list of `[time, lag, work]`: seconds since the epoch; seconds of lag; and the part of the
    lag for which the loop's own thread was at work, the rest being what other processes took of the machine.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.path = path

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"path": self.path}

    @override
    async def run(self) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        found: list[tuple[float, float, float]] = []
        while True:
            due, used = loop.time() + PAUSE, time.thread_time()
            await asyncio.sleep(PAUSE)
            lag = loop.time() - due
            found.append((time.time(), lag, min(lag, time.thread_time() - used)))
            if len(found) == _WRITE_EVERY:
                with Path(self.path).open("a") as file:  # noqa: ASYNC230 - into the page cache
                    file.write(json.dumps(found) + "\n")
                found.clear()
        yield
