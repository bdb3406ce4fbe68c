"""Every wait sees what a lone poller would have seen at its pace, and nothing of another experiment or release."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.api.errors import ServerError
from airflow_provider_launchdarkly.api.http.procedure import Response
from airflow_provider_launchdarkly.triggers._listed import Contents
from airflow_provider_launchdarkly.triggers._shared_reader import (
    FEWEST,
    HOLD,
    LEAD,
    PAGE,
    Settled,
    SharedReader,
    _Wait,
)
from airflow_provider_launchdarkly.triggers._sharing import FEWEST_RELEASES
from support.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Coroutine

LONG = 1500.0
EPOCH = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class World:
    """Experiments or releases whose states change at known times, and a list of them that lags, moves and fails.

    Attributes:
        changes: When each changes its state, rising.
        unlisted: Those that are on no page.
        lag: Seconds by which the list is behind.
        latency: Seconds that a page takes.
        faults: Numbers of the page reads that fail, and how.
        moves: Whether the order of the list changes from read to read.
        fewest: Waits below which each reads alone.
    """

    changes: dict[str, list[float]]
    unlisted: frozenset[str] = frozenset()
    lag: float = 0.0
    latency: float = 0.1
    faults: dict[int, str] = field(default_factory=dict)
    moves: bool = False
    fewest: int = FEWEST
    pages: int = 0
    repeated: int = 0
    alone: Counter[str] = field(default_factory=Counter)

    def state(self, key: str, at: float) -> int:
        return sum(change <= at for change in self.changes[key])

    async def read_page(self, limit: int, offset: int, mark: bytes | None) -> Any:
        self.pages += 1
        number = self.pages
        await asyncio.sleep(self.latency)
        if fault := self.faults.get(number):
            await fail(fault)
        keys = [key for key in self.changes if key not in self.unlisted]
        if self.moves:
            turn = number % max(len(keys), 1)
            keys = keys[turn:] + keys[:turn]
        at = asyncio.get_running_loop().time() - self.lag
        shown = {key: self.state(key, at) for key in keys[offset : offset + limit]}
        found = repr(shown).encode()
        contents = Contents(tuple(shown), len(keys))
        if found == mark:
            self.repeated += 1
        items = {key: SimpleNamespace(key=key, state=state) for key, state in shown.items()}
        page = SimpleNamespace(mark=found, contents=contents, items=items)
        return Response(page, EPOCH + timedelta(seconds=at), 200)

    def read_alone(self, key: str) -> int:
        self.alone[key] += 1
        return self.state(key, asyncio.get_running_loop().time())


FAULTS = ("refused", "no answer", "a bug", "cancelled", "an end that nothing foresees")


async def fail(fault: str) -> None:
    match fault:
        case "refused":
            raise ServerError("503")
        case "no answer":
            await asyncio.Event().wait()
        case "a bug":
            raise KeyError("a bug")
        case "cancelled":
            raise asyncio.CancelledError
        case _:
            raise BaseException("an end that nothing foresees")  # noqa: TRY002 - no error that could be caught by name


@dataclass
class Waiter:
    """One wait, as a trigger waits.

    Attributes:
        key: The experiment, or the release.
        interval: Seconds between two polls.
        begins: When it begins.
        ends: When it is cancelled.
        holds: For how long its decision to wait on holds while nothing changes; None judges each reading.
        polls: Time and state of each poll.
        wakes: How often it judged a reading.
        decisions: Each decision that may hold, and the state that it was made on.
    """

    key: str
    interval: float
    begins: float
    ends: float
    holds: float | None = None
    polls: list[tuple[float, int]] = field(default_factory=list)
    wakes: int = 0
    decisions: list[tuple[Settled, int]] = field(default_factory=list)

    async def run(self, world: World, reader: SharedReader) -> None:
        await asyncio.sleep(self.begins)
        task = asyncio.create_task(self._wait(world, reader))
        await asyncio.sleep(self.ends - self.begins)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), "the wait ended before it was cancelled"

    async def _wait(self, world: World, reader: SharedReader) -> None:
        now = asyncio.get_running_loop().time
        seen = -1
        earliest = min(10.0, self.interval)
        settled: Settled | None = None

        while True:
            reading: Any = await reader.next_reading(
                self.key, interval=self.interval, delay=self.interval, earliest=earliest, settled=settled
            )
            earliest, settled = 0.0, None
            self.wakes += 1
            if reading is not None:
                assert reading.response.value.key == self.key
            if reading is None or reading.response.value.state != seen:
                seen = world.read_alone(self.key)
            elif self.holds is not None:
                until = reading.response.server_time + timedelta(seconds=self.holds)
                settled = Settled(reading.mark, until)
                self.decisions.append((settled, seen))
            self.polls.append((now(), seen))

    def repeat(self, settled: Settled, world: World, now: float) -> None:
        """Note a poll that repeats the latest decision without a wake."""
        made, state = self.decisions[-1]
        assert made is settled
        assert EPOCH + timedelta(seconds=now - world.lag - world.latency) < settled.until
        self.polls.append((now, state))


def watch(world: World, waiters: list[Waiter], *others: Coroutine[Any, Any, None]) -> None:
    repeat = _Wait.repeat

    def noted(wait: _Wait, now: float) -> None:
        repeat(wait, now)
        (waiter,) = (waiter for waiter in waiters if waiter.decisions and waiter.decisions[-1][0] is wait.settled)
        waiter.repeat(waiter.decisions[-1][0], world, now)

    async def run() -> None:
        reader = SharedReader(world.read_page, world.fewest)
        await asyncio.gather(*(waiter.run(world, reader) for waiter in waiters), *others)

    with patch.object(_Wait, "repeat", noted):
        run_in_virtual_time(run())


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, list[Waiter]]:
    # Experiments of an environment, with a wait or two on each; or releases of a flag, few of them, which all await.
    releases = draw(st.booleans())
    number = draw(st.integers(1, 3) if releases else st.integers(1, 70))
    names = [f"{'release' if releases else 'experiment'}-{index}" for index in range(number)]
    times = st.lists(st.floats(0, LONG), max_size=3).map(sorted)
    world = World(
        changes={name: draw(times) if index < 30 else [] for index, name in enumerate(names)},
        unlisted=frozenset(draw(st.lists(st.sampled_from(names), max_size=3))),
        lag=draw(st.sampled_from([0.0, 5.0, 30.0])),
        latency=draw(st.sampled_from([0.01, 1.0])),
        faults=draw(st.dictionaries(st.integers(1, 200) | st.integers(1, 4), st.sampled_from(FAULTS), max_size=3)),
        moves=draw(st.booleans()),
        fewest=FEWEST_RELEASES if releases else FEWEST,
    )
    waiters = []
    for _ in range(draw(st.integers(1, 60))):
        begins = draw(st.floats(0, LONG / 2))
        ends = draw(st.one_of(st.just(LONG), st.floats(begins, LONG)))
        interval = draw(st.sampled_from([20.0, 60.0, 60.0, 300.0, 300.0]))
        holds = draw(st.sampled_from([None, 200.0, LONG]))
        waiters.append(Waiter(draw(st.sampled_from(names)), interval, begins, ends, holds))
    return world, waiters


@given(worlds())
@settings(deadline=None)
def test_every_wait_sees_every_state_that_a_lone_poller_would_have_seen(made: tuple[World, list[Waiter]]) -> None:
    world, waiters = made
    watch(world, waiters)
    for waiter in waiters:
        slack = HOLD + 0.001 if world.faults else world.latency + 0.001
        times = [waiter.begins, *(at for at, _ in waiter.polls)]
        gaps = [after - before for before, after in pairwise(times)]
        assert all(gap <= waiter.interval + 2 * slack for gap in gaps), "as often as alone"
        assert waiter.ends - times[-1] <= waiter.interval + 2 * slack
        bounds = [0.0, *world.changes[waiter.key], LONG]
        for state, (since, until) in enumerate(pairwise(bounds)):
            lasted = min(until, waiter.ends) - max(since, waiter.begins)
            if lasted > waiter.interval + world.lag + 3 * slack:
                assert state in {seen for _, seen in waiter.polls}, f"state {state} lasted {lasted:.0f} s"


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_ends_the_reading_of_pages_every_wait_goes_on_alone(fault: str) -> None:
    world = World(
        changes={f"experiment-{index}": [900.0] for index in range(40)}, faults=dict.fromkeys(range(999), fault)
    )
    waiters = [Waiter(key, 60.0, 0.0, 1800.0) for key in world.changes]
    watch(world, waiters)
    for waiter in waiters:
        times = [waiter.begins, *(at for at, _ in waiter.polls), waiter.ends]
        assert all(after - before <= 60.0 + HOLD + 0.001 for before, after in pairwise(times))
        assert {state for _, state in waiter.polls} == {0, 1}


@given(worlds())
@settings(deadline=None)
def test_sharing_asks_no_more_than_lone_pollers_would(made: tuple[World, list[Waiter]]) -> None:
    world, waiters = made
    watch(world, waiters)
    lone = sum((waiter.ends - waiter.begins) / waiter.interval + 1 for waiter in waiters)
    changes = sum(len(world.changes[waiter.key]) for waiter in waiters)
    list_ = len(world.changes) // PAGE + 1
    # Looking it through costs a list, and that it does not help is known after three more.
    assert world.alone.total() + world.pages <= lone + changes + len(world.faults) + 4 * list_


def test_a_thousand_waits_of_a_minute_cost_fifty_pages_a_minute() -> None:
    world = World(changes={f"experiment-{index}": [] for index in range(1000)})
    waiters = [Waiter(key, 60.0, index / 100, 1800.0) for index, key in enumerate(world.changes)]
    watch(world, waiters)
    assert world.alone.total() == 1000, "each once, when it begins"
    rounds = world.pages / (1000 / PAGE)
    assert 28 <= rounds <= 34, "30 minutes have 30 rounds and a few to begin with"


def test_a_decision_that_holds_is_not_made_again_until_something_changes() -> None:
    world = World(changes={f"experiment-{index}": [900.0] if index == 7 else [] for index in range(40)})
    waiters = [Waiter(key, 60.0, 0.0, 1800.0, holds=10 * LONG) for key in world.changes]
    watch(world, waiters)
    assert all(len(waiter.polls) >= 28 for waiter in waiters), "a poll each minute"
    assert {waiter.wakes for waiter in waiters[20:]} == {2}, "alone at first, then on a page"
    assert {waiter.wakes for waiter in waiters[:20]} == {3, 4}, "and when the page of the seventh changed"
    assert [state for _, state in waiters[7].polls][-1] == 1


def test_patient_waits_do_not_make_rounds_oftener_and_few_waits_make_none() -> None:
    many = World(changes={f"experiment-{index}": [] for index in range(200)})
    watch(many, [Waiter(key, 300.0, 0.0, 3000.0) for key in many.changes])
    assert many.pages <= 11 * 10
    few = World(changes={f"experiment-{index}": [] for index in range(200)})
    watch(few, [Waiter(f"experiment-{index}", 60.0, 0.0, 3000.0) for index in range(3)])
    assert few.pages == 0
    sparse = World(changes={f"experiment-{index}": [] for index in range(200)})
    watch(sparse, [Waiter(f"experiment-{25 * index}", 60.0, 0.0, 3000.0) for index in range(8)])
    assert sparse.pages <= 1, "one page says that there are ten, and eight single reads are fewer"
    dense = World(changes={f"experiment-{index}": [] for index in range(200)})
    watch(dense, [Waiter(f"experiment-{index}", 60.0, 0.0, 3000.0) for index in range(8)])
    assert dense.pages <= 53, "one page shows all eight, and the nine others are not read"
    assert dense.alone.total() == 8


def test_the_waits_on_the_releases_of_a_flag_cost_a_page_a_round() -> None:
    world = World(changes={"the-active-one": [], "an-ended-one": []}, fewest=FEWEST_RELEASES)
    waiters = [Waiter("the-active-one", 60.0, index / 10, 1800.0) for index in range(30)]
    watch(world, waiters)
    assert world.alone.total() == 30, "each once, when it begins"
    assert 28 <= world.pages <= 34


def test_a_wait_on_a_release_that_no_other_awaits_reads_alone() -> None:
    world = World(changes={"the-active-one": []}, fewest=FEWEST_RELEASES)
    watch(world, [Waiter("the-active-one", 60.0, 0.0, 1800.0)])
    assert world.pages == 0


def test_an_impatient_wait_costs_its_own_requests_and_none_for_the_others() -> None:
    world = World(changes={f"experiment-{index}": [] for index in range(1000)})
    waiters = [Waiter(key, 300.0, index / 10, 7200.0) for index, key in enumerate(world.changes)]
    impatient = Waiter("experiment-999", 60.0, 0.0, 7200.0)
    watch(world, [*waiters, impatient])
    patient_rounds = 7200.0 / (300.0 * (1 - LEAD)) + 1
    begins = len(waiters) + 1
    assert world.pages + world.alone.total() - begins <= patient_rounds * 1000 / PAGE + 7200.0 / 60.0 + 5
    assert len(impatient.polls) >= 7200.0 / 60.0 - 2


def test_what_is_on_no_page_is_looked_for_once_and_read_alone_then_while_the_others_share() -> None:
    awaited: dict[str, list[float]] = {f"not-started-{index}": [] for index in range(300)}
    running: dict[str, list[float]] = {f"experiment-{index}": [] for index in range(100)}
    world = World(changes={**awaited, **running}, unlisted=frozenset(awaited))
    watch(world, [Waiter(key, 60.0, index / 10, 3000.0) for index, key in enumerate(world.changes)])
    assert sum(world.alone[key] for key in running) == len(running), "each once, when it begins"
    assert 48 * 5 <= world.pages <= 56 * 5, "five pages each minute, and nothing for what is not on them"
    assert all(48 <= world.alone[key] <= 50 for key in awaited)


def test_what_has_started_is_shared_once_another_trigger_awaits_it() -> None:
    started = [f"experiment-{index}" for index in range(20)]
    world = World(changes={key: [] for key in started}, unlisted=frozenset(started))

    async def start() -> None:
        await asyncio.sleep(600.0)
        world.unlisted = frozenset()

    watch(
        world,
        [Waiter(key, 60.0, 0.0, 610.0) for key in started] + [Waiter(key, 60.0, 610.0, 1800.0) for key in started],
        start(),
    )
    assert world.pages >= 18, "a page each minute"
    assert all(world.alone[key] <= 12 for key in started)


def test_lists_that_never_show_what_is_new_are_given_up() -> None:
    world = World(changes={"the-active-one": []}, fewest=FEWEST_RELEASES)

    async def run() -> None:
        reader = SharedReader(world.read_page, world.fewest)

        async def wait() -> None:
            while True:
                if await reader.next_reading("the-active-one", interval=60.0, delay=60.0) is not None:
                    reader.was_not_enough()

        await asyncio.wait([asyncio.create_task(wait()) for _ in range(5)], timeout=3000.0)

    run_in_virtual_time(run())
    assert world.pages == 4, "three of them in vain, and the first, whose readings had not been judged yet"


@pytest.mark.parametrize("fault", FAULTS[:3])
def test_a_list_that_fails_is_tried_again_ever_later_and_used_when_it_is_back(fault: str) -> None:
    world = World(changes={f"experiment-{index}": [] for index in range(40)}, faults=dict.fromkeys(range(1, 7), fault))
    waiters = [Waiter(key, 60.0, 0.0, 4 * 3600.0) for key in world.changes]
    watch(world, waiters)
    assert world.pages >= 6 + 2 * 100, "it failed six times within an hour and a half, and was used from then on"
    assert all(world.alone[key] <= 100 for key in world.changes)
