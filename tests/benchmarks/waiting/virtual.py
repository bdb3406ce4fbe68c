"""Waiting triggers in virtual time: the provider's code down to its HTTP client, and no socket below it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx

from airflow_provider_launchdarkly.api.http.client import AsyncLaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.hooks import clients
from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings, read_settings
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers.significance import SignificanceTrigger
from waiting.world import ENVIRONMENT, PROJECT, iteration_of, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]

CONNECTION = "launchdarkly_default"


@contextmanager
def answered_by(handler: Handler) -> Iterator[None]:
    """Let the shared client of the running loop be answered by a function, and measure pauses by the loop's clock."""
    made = partial(
        AsyncLaunchDarklyClient,
        transport=httpx.MockTransport(handler),
        monotonic=asyncio.get_running_loop().time,
        gate=RateGate(),
    )
    fields = {"host": "https://launchdarkly.test", "password": "api-mock", "extra": "", "login": "", "schema": ""}
    settings = read_settings(SimpleNamespace(conn_id=CONNECTION, port=None, **fields))

    async def look_up(_: LaunchDarklyHook) -> ConnectionSettings:
        return settings

    with ExitStack() as patches:
        patches.enter_context(patch.object(clients, "AsyncLaunchDarklyClient", made))
        patches.enter_context(patch.object(LaunchDarklyHook, "_look_up", look_up))
        yield


def trigger(number: int, interval: float) -> SignificanceTrigger:
    """The trigger that waits for a verdict on one of the world's experiments."""
    return SignificanceTrigger(
        launchdarkly_conn_id=CONNECTION,
        project_key=PROJECT,
        environment_key=ENVIRONMENT,
        poll_interval=interval,
        experiment_key=key_of(number),
        iteration_id=iteration_of(number),
        policy="{}",
    )


async def run(waiting: SignificanceTrigger, events: list[Any]) -> None:
    """Run a trigger to its end."""
    events.extend([event.payload async for event in waiting.run()])
