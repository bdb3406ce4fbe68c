"""Watchers' triggers in tests: run for a number of polls without waiting, with Airflow's memory of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from airflow_provider_launchdarkly.triggers import _watcher
from support.lone_polls import poll_alone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from airflow_provider_launchdarkly.triggers._watcher import WatcherTrigger


class Store:
    """The asset state store of Airflow 3.3, which outlives a triggerer."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)


def names(fired: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in fired]


def run_polls(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Return what lets a trigger run for a number of polls, without waiting, and returns what it fired.

    Before its next polls the trigger waits, and `between` is called with the number of waits since the first poll.
    """

    def run(trigger: WatcherTrigger, count: int = 2, between: Any = None) -> list[dict[str, Any]]:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) > 1 and between is not None:
                await asyncio.get_running_loop().run_in_executor(None, between, len(slept) - 1)
            if len(slept) > count:
                raise asyncio.CancelledError

        fired: list[dict[str, Any]] = []

        async def collect() -> None:
            async with aclosing(cast("AsyncGenerator[Any]", trigger.run())) as happened:
                async for event in happened:
                    fired.append(event.payload)  # noqa: PERF401 - what was fired before the end is wanted

        monkeypatch.setattr(_watcher, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
        poll_alone(monkeypatch, sleep)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(collect())
        vars(trigger)["slept"] = slept
        return fired

    return run
