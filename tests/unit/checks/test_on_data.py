"""Looks that wait for their data: each at most once, not before its data, and at the latest at its deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.api.errors import DataNotArrivedError
from airflow_provider_launchdarkly.checks.on_data import DataLooks, cautions_of
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.evidence.source import LookContext
from support.look_contexts import look_context

HOUR = timedelta(hours=1)
ASK_EVERY = timedelta(minutes=30)


def policy_of(otherwise: str = "take", deadline: str = "12h", every: str = "1d", days: int = 7) -> Policy:
    looks = {"every": every, "on_data": {"deadline": deadline, "otherwise": otherwise}}
    return Policy.from_json({"looks": looks, "min_duration": "1d", "max_duration": f"{days}d"})


@dataclass
class World:
    """An iteration whose data arrive in batches, and the tasks that wait for them.

    Attributes:
        policy: Plans the looks.
        batches: Hours at which a batch arrives, each with the hour up to which its data are complete then.
        record: The looks that were taken: planned, taken, whether data had arrived.
        questions: Hours at which data arrival was asked, since the latest start of a process.
    """

    policy: Policy
    batches: Sequence[tuple[float, float]]
    record: list[LookContext] = field(default_factory=list)
    questions: list[timedelta] = field(default_factory=list)
    failed: list[timedelta] = field(default_factory=list)

    def arrived(self, now: timedelta) -> timedelta | None:
        """Up to when data are complete: that of the newest claim among the batches that are there."""
        return max((until * HOUR for at, until in self.batches if at * HOUR <= now), default=None)

    def start(self) -> DataLooks:
        """A fresh process, after a restart, a retry or a clear: it knows what is on record."""
        self.questions.clear()
        taken = max((look.elapsed for look in self.record), default=timedelta())
        return DataLooks(taken, self.ask, ASK_EVERY)

    def ask(self, context: LookContext, planned: Sequence[timedelta]) -> timedelta | None:
        assert list(planned) == sorted(planned)
        assert all(time <= context.elapsed for time in planned)
        self.questions.append(context.elapsed)
        return self.arrived(context.elapsed)

    def poll(self, process: DataLooks, hours: float, *, crashes: bool = False) -> None:
        on_data = self.policy.looks.on_data
        assert on_data is not None
        now = look_context(days=hours / 24)
        try:
            due = process.due(now, schedule_looks(self.policy), on_data)
        except DataNotArrivedError:
            self.failed.append(now.elapsed)
            return
        if due is not None and not crashes:
            self.record.append(due)
            process.taken = due.elapsed


def numbers(world: World) -> list[int]:
    return [schedule_looks(world.policy).look_at(look.elapsed) for look in world.record]


batches = st.lists(
    st.tuples(st.floats(0, 240), st.floats(-30, 60)).map(lambda drawn: (drawn[0], drawn[0] - drawn[1])), max_size=25
)


@given(
    batches=batches,
    gaps=st.lists(st.sampled_from([0.1, 0.5, 1, 2, 5, 11, 30, 70]), min_size=10, max_size=120),
    restarts=st.sets(st.integers(0, 120)),
    crashes=st.sets(st.integers(0, 120)),
    otherwise=st.sampled_from(["take", "skip", "fail"]),
    deadline=st.sampled_from(["2h", "12h", "30h"]),
)
def test_any_arrival_of_data_takes_each_look_once_in_time_and_with_its_own_boundary(
    batches: list[tuple[float, float]],
    gaps: list[float],
    restarts: set[int],
    crashes: set[int],
    otherwise: str,
    deadline: str,
) -> None:
    policy = policy_of(otherwise, deadline)
    world = World(policy, batches)
    schedule, on_data = schedule_looks(policy), policy.looks.on_data
    assert on_data is not None
    process, hours, asked = world.start(), 0.0, list[timedelta]()
    polls: list[timedelta] = []
    for number, gap in enumerate(gaps):
        hours += gap
        polls.append(hours * HOUR)
        if number in restarts:
            process = world.start()
        world.poll(process, hours, crashes=number in crashes)
        # Within one process the warehouse is not asked more often than the setting.
        asked = world.questions
        assert all(later - before >= ASK_EVERY for before, later in pairwise(asked))
        if number in crashes:
            process = world.start()
    # In the plan's order, so none twice; and an older look is never taken after a newer one.
    assert numbers(world) == sorted(set(numbers(world)))
    for look in world.record:
        taken = look.taken
        assert taken is not None
        assert look.elapsed in schedule.look_times
        # Never before its time, and never before its data, unless its deadline has passed.
        assert taken.at >= look.elapsed
        known = world.arrived(taken.at)
        is_last = look.elapsed == schedule.end
        if taken.arrived is not None:
            assert known is not None
            assert known >= look.elapsed
        else:
            assert taken.at >= look.elapsed + on_data.deadline
            assert otherwise == "take" or (otherwise == "skip" and is_last)
        if otherwise == "skip" and not is_last:
            assert taken.at < look.elapsed + on_data.deadline
    # At the latest at the deadline: the first poll after it, that did not crash, leaves no older look waiting.
    quiet = [poll for number, poll in enumerate(polls) if number not in crashes]
    for number, time in enumerate(schedule.look_times, start=1):
        first = next((poll for poll in quiet if poll >= time + on_data.deadline), None)
        if first is not None and otherwise == "take":
            assert any(look >= number for look in numbers(world))
            settled = next(look for look in world.record if schedule.look_at(look.elapsed) >= number)
            assert settled.taken is not None
            assert settled.taken.at <= first


@given(batches=batches, hours=st.lists(st.floats(0, 240), max_size=40))
def test_a_run_for_each_event_takes_the_newest_look_whose_data_have_arrived(
    batches: list[tuple[float, float]], hours: list[float]
) -> None:
    world = World(policy_of(deadline="1000h"), batches)
    schedule = schedule_looks(world.policy)
    for hour in sorted(hours):
        before = len(world.record)
        newest = max(numbers(world), default=0)
        world.poll(world.start(), hour)
        arrived = world.arrived(hour * HOUR)
        covered = 0 if arrived is None else schedule.look_at(min(arrived, hour * HOUR))
        expected = [covered] if covered > newest else []
        assert numbers(world)[before:] == expected


def polled(world: World, *hours: float) -> World:
    process = world.start()
    for hour in hours:
        world.poll(process, hour)
    return world


def test_a_look_is_taken_as_soon_as_its_data_are_there() -> None:
    world = polled(World(policy_of(), [(25.0, 23.0), (29.5, 24.0)]), 23, 24, 25, 29, 30, 31)
    (look,) = world.record
    assert look.taken is not None
    assert (look.elapsed, look.taken.at, look.taken.arrived) == (24 * HOUR, 30 * HOUR, 24 * HOUR)
    assert cautions_of(look.taken) == ()


def test_the_look_is_of_its_planned_time_however_late_it_is() -> None:
    (look,) = polled(World(policy_of(), [(30.0, 29.0)]), 30).record
    assert look.elapsed == 24 * HOUR
    assert look.exposed_before - look.started_at == 24 * HOUR
    assert look.now - look.started_at == 30 * HOUR


def test_one_batch_for_several_looks_is_one_look() -> None:
    world = polled(World(policy_of(deadline="72h"), [(80.0, 75.0)]), 30, 50, 80, 81)
    assert numbers(world) == [3]
    taken = world.record[0].taken
    assert taken is not None
    assert taken.left_out == (1, 2)
    assert "looks 1 to 2 before it left out" in cautions_of(taken)[0]


def test_data_of_the_future_take_no_look_before_its_time() -> None:
    assert numbers(polled(World(policy_of(), [(1.0, 500.0)]), 2, 23.9, 24, 24.6, 48)) == [1, 2]


def test_at_the_deadline_it_looks_at_what_is_there_without_asking_again() -> None:
    world = World(policy_of(deadline="2h"), [])
    polled(world, 24, 24.2, 25.9, 26.0)
    assert numbers(world) == [1]
    taken = world.record[0].taken
    assert taken is not None
    assert taken.arrived is None
    assert "not known to have arrived" in cautions_of(taken)[0]
    assert world.questions == [24 * HOUR, 25.9 * HOUR]


def test_or_it_leaves_the_look_out_but_never_the_plans_end() -> None:
    world = polled(World(policy_of("skip", "2h", days=2), [(27.0, 24.0)]), 25, 27, 47, 49, 50)
    assert numbers(world) == [2]


def test_or_it_fails_and_looks_once_the_data_are_there() -> None:
    world = polled(World(policy_of("fail", "2h"), [(30.0, 24.0)]), 25, 27)
    assert world.failed == [27 * HOUR]
    assert numbers(polled(world, 31)) == [1]


def test_the_failure_names_the_look_its_time_and_the_cure() -> None:
    policy = policy_of("fail", "2h")
    assert policy.looks.on_data is not None
    process = DataLooks(ask=lambda *_: 20 * HOUR)
    with pytest.raises(DataNotArrivedError) as failure:
        process.due(look_context(days=27 / 24), schedule_looks(policy), policy.looks.on_data)
    assert str(failure.value) == (
        "look 1 of 7, planned at 2026-01-06 09:00 UTC, has no data 60 min after its deadline (data: up to 2026-01-06 "
        "05:00 UTC): load them and clear the task, or write looks.on_data.otherwise: take or skip"
    )


def test_the_triggerer_asks_nothing_and_says_when_it_is_time() -> None:
    policy = policy_of(deadline="6h")
    assert policy.looks.on_data is not None
    process, schedule = DataLooks(ask_from=25 * HOUR), schedule_looks(policy)
    times = (23, 24, 24.9, 25, 29, 30)
    due = [process.due(look_context(days=hour / 24), schedule, policy.looks.on_data) is not None for hour in times]
    assert due == [False, False, False, True, True, True]
    # At the deadline it is time, also if a question would come too early.
    late = replace(process, ask_from=40 * HOUR)
    assert late.due(look_context(days=30 / 24), schedule, policy.looks.on_data) is not None
    assert late.due(look_context(days=29 / 24), schedule, policy.looks.on_data) is None
