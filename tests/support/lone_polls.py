"""Lets triggers poll one by one, with the test's own sleep in place of theirs and the shared reader's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.triggers import _base
from airflow_provider_launchdarkly.triggers._shared_reader import SharedReader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest


def poll_alone(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Make each wait for a poll one sleep, the first one as long as the interval; the trigger reads alone then."""

    async def next_reading(reader: Any, experiment_key: str, *, interval: float, delay: float, **_: Any) -> None:
        await sleep(delay)

    monkeypatch.setattr(SharedReader, "next_reading", next_reading)
    monkeypatch.setattr(_base, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(_base, "random", SimpleNamespace(uniform=max))
