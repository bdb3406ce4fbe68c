"""Whatever is away, and for how long: each wait polls when it is due, or soon after the end, for few requests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import (
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from airflow_provider_launchdarkly.api.http.procedure import Response
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.checks.result import CheckResult
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.triggers._arguments import Argument, text
from airflow_provider_launchdarkly.triggers._base import PollingTrigger
from airflow_provider_launchdarkly.triggers._listed import Contents
from airflow_provider_launchdarkly.triggers._shared_reader import HOLD, PAGE
from airflow_provider_launchdarkly.triggers._sharing import Place
from support.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.checks.result import Check

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
PLACE = Place(EnvironmentRef("demo", "production"))
LATENCY = 0.1
# The end of an outage is seen within a minute, by a call that may have begun before it and time out; then waits are let
# through within 45 seconds.
SEEN, SPREAD = 60.0, 45.0

PASSING = {
    "503": (0.0, ServerError("503")),
    "429": (0.0, RateLimitedError("429")),
    "no answer": (30.0, TransportError("no answer within 30 s")),
}
OF_THE_LIST = {**PASSING, "403": (0.0, PermissionDeniedError("403")), "400": (0.0, InvalidRequestError("400"))}


@dataclass(frozen=True)
class Outage:
    """A time in which LaunchDarkly, or only its list, is away."""

    since: float
    until: float
    kind: str
    only_lists: bool


@dataclass
class World:
    """Experiments of which nothing happens, and when they were asked for."""

    keys: list[str]
    outages: list[Outage]
    asked: list[tuple[float, bool]] = field(default_factory=list)

    async def answer(self, work: Procedure[Any]) -> Any:
        """Carry out a procedure of one call."""
        request: Any = next(work)
        is_list = request.operation == PLACE.listing(PAGE, 0).operation
        at = asyncio.get_running_loop().time()
        self.asked.append((at, is_list))
        for outage in self.outages:
            if outage.since <= at < outage.until and (is_list or not outage.only_lists):
                seconds, error = OF_THE_LIST[outage.kind]
                await asyncio.sleep(LATENCY + seconds)
                raise error
        await asyncio.sleep(LATENCY)
        try:
            work.send(Response(self._page(request) if is_list else None, EPOCH + timedelta(seconds=at), 200))
        except StopIteration as done:
            return done.value
        raise AssertionError("the procedure has one call")

    def _page(self, request: Any) -> Any:
        offset = int(dict(request.query)["offset"])
        shown = tuple(self.keys[offset : offset + PAGE])
        contents = Contents(shown, len(self.keys))
        return SimpleNamespace(mark=repr(shown).encode(), contents=contents, items=dict.fromkeys(shown))


class Waiting(PollingTrigger):
    """Waits for ever, and notes its polls."""

    accepts: ClassVar[Mapping[str, Argument]] = {**PollingTrigger.accepts, "key": Argument(text)}
    key: str

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        def check() -> Procedure[CheckResult]:
            yield PLACE.single(self.key)
            return CheckResult(False, "wait", {})

        return check

    @override
    def shares_reading_of(self, hook: LaunchDarklyHook) -> tuple[Place, str]:
        return PLACE, self.key

    @override
    async def show(self, result: CheckResult) -> None:
        self.polls.append(asyncio.get_running_loop().time())

    @override
    def say(self, text: str, *arguments: object) -> None: ...

    @property
    def polls(self) -> list[float]:
        polls: list[float] = self.__dict__.setdefault("_polls", [])
        return polls


def waiting(key: str, interval: float) -> Waiting:
    return Waiting(
        launchdarkly_conn_id="launchdarkly_default",
        project_key="demo",
        environment_key="production",
        poll_interval=interval,
        key=key,
    )


def wait_through(world: World, triggers: list[Waiting], seconds: float) -> None:
    """Run triggers for a time; fails if one of them ends."""

    async def carry_out(_: LaunchDarklyHook, work: Procedure[Any], *, retry: bool) -> Any:
        assert not retry
        return await world.answer(work)

    async def events(trigger: Waiting) -> list[Any]:
        return [event.payload async for event in trigger.run()]

    async def run() -> None:
        tasks = [asyncio.create_task(events(trigger)) for trigger in triggers]
        ended, going = await asyncio.wait(tasks, timeout=seconds)
        assert [task.result() for task in ended] == []
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    with patch.object(LaunchDarklyHook, "arun", carry_out):
        run_in_virtual_time(run())


def is_late(world: World, due: float, polled: float) -> bool:
    """Return whether a poll came later than its due time and the outages allow."""
    for outage in sorted(world.outages, key=lambda outage: outage.since):
        stalls = PASSING[outage.kind][0] if outage.kind in PASSING else 0.0
        if not outage.only_lists and outage.since - stalls <= due < outage.until + stalls + SEEN:
            due = outage.until + stalls + SEEN + SPREAD + LATENCY
    return polled > due + HOLD + 4 * LATENCY


def check_polls(world: World, triggers: list[Waiting], seconds: float) -> None:
    for trigger in triggers:
        times = [0.0, *trigger.polls, seconds]
        for before, after in pairwise(times):
            due = before + trigger.poll_interval
            assert not is_late(world, due, after), f"{before:.0f}, then {after:.0f}, each {trigger.poll_interval:.0f} s"


@st.composite
def outages(draw: st.DrawFn) -> list[Outage]:
    found, at = [], 400.0
    for _ in range(draw(st.integers(0, 3))):
        since = at + draw(st.floats(0, 1000))
        at = since + draw(st.sampled_from([5.0, 90.0, 600.0, 2500.0]))
        only_lists = draw(st.booleans())
        kind = draw(st.sampled_from(sorted(OF_THE_LIST if only_lists else PASSING)))
        found.append(Outage(since, at, kind, only_lists))
        at += 400.0  # so that each ends before the next one begins
    return found


@given(st.integers(1, 90), st.data())
@settings(deadline=None)
def test_each_wait_polls_in_time_and_all_ask_no_more_than_they_would_alone(number: int, data: st.DataObject) -> None:
    keys = [f"experiment-{index}" for index in range(number)]
    world = World(keys, data.draw(outages()))
    awaited = data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=60))
    intervals = data.draw(st.lists(st.sampled_from([60.0, 300.0, 300.0, 1800.0]), min_size=1, max_size=4))
    triggers = [waiting(key, intervals[index % len(intervals)]) for index, key in enumerate(awaited)]
    seconds = 6000.0
    wait_through(world, triggers, seconds)
    check_polls(world, triggers, seconds)
    lone = sum(seconds / trigger.poll_interval + 1 for trigger in triggers)
    lists = (len(keys) // PAGE + 1) * 4
    failures = sum(10 + (outage.until - outage.since) / 30 for outage in world.outages)
    assert len(world.asked) <= lone + lists + failures


@pytest.mark.parametrize("kind", OF_THE_LIST)
def test_where_only_the_list_is_away_single_reads_go_on_and_the_list_is_used_when_it_is_back(kind: str) -> None:
    keys = [f"experiment-{index}" for index in range(60)]
    world = World(keys, [Outage(900.0, 2700.0, kind, only_lists=True)])
    triggers = [waiting(key, 60.0) for key in keys]
    wait_through(world, triggers, 7200.0)
    check_polls(world, triggers, 7200.0)
    refused = [at for at, is_list in world.asked if is_list and 900 <= at < 2700]
    assert len(refused) <= 8
    after = [is_list for at, is_list in world.asked if at >= 5000]
    assert sum(after) >= 0.95 * len(after)
    assert len(after) <= 1.2 * 3 * 2200 / 60, "three pages each minute"


@pytest.mark.parametrize("kind", PASSING)
def test_an_outage_costs_few_requests_and_its_end_no_more_than_the_pages(kind: str) -> None:
    keys = [f"experiment-{index}" for index in range(400)]
    world = World(keys, [Outage(1200.0, 1800.0, kind, only_lists=False)])
    triggers = [waiting(key, 60.0) for key in keys]
    wait_through(world, triggers, 3000.0)
    check_polls(world, triggers, 3000.0)
    assert sum(1200 <= at < 1800 for at, _ in world.asked) <= 16
    # Twenty pages a minute, and a few single reads, where each of the 400 would have read two or three times.
    assert sum(1800 <= at < 1800 + SEEN + SPREAD for at, _ in world.asked) <= 5 * len(keys) / PAGE


def test_an_outage_puts_off_no_poll_that_is_due_after_it() -> None:
    keys = [f"experiment-{index}" for index in range(40)]
    world = World(keys, [Outage(6000.0, 9000.0, "503", only_lists=False)])
    triggers = [waiting(key, 3600.0) for key in keys]
    wait_through(world, triggers, 20000.0)
    check_polls(world, triggers, 20000.0)
