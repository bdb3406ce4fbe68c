"""When harm is looked at between planned looks: every metric in its turn, and never two in one poll."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.checks.harm_looks import due_for_harm, metrics_that_roll_back
from airflow_provider_launchdarkly.decision.policy import Policy

MINUTE = timedelta(minutes=1)
KEYS = tuple(f"metric-{number}" for number in range(6))


def turns(keys: tuple[str, ...], interval: int, poll: int, minutes: int, *, memory: bool, one_by_one: bool = True):  # type: ignore[no-untyped-def]
    """The metrics that are looked at, with the minute of each poll."""
    previous = None
    for minute in range(poll, minutes + 1, poll):
        elapsed = minute * MINUTE
        found = due_for_harm(
            keys, interval * MINUTE, elapsed, previous=previous, poll_interval=poll * MINUTE, one_by_one=one_by_one
        )
        previous = elapsed if memory else None
        yield minute, found


@given(st.integers(1, 6), st.integers(5, 60), st.sampled_from((1, 5, 7)), st.booleans())
def test_each_metric_has_its_turn_in_every_interval_or_as_often_as_the_polls_allow(
    count: int, interval: int, poll: int, memory: bool
) -> None:
    keys = KEYS[:count]
    at: dict[str, list[int]] = {key: [0] for key in keys}
    for minute, found in turns(keys, interval, poll, 24 * 60, memory=memory):
        assert found is None or len(found) == 1
        for key in found or ():
            at[key].append(minute)
    longest = max(interval, count * poll) + 2 * poll
    for minutes in at.values():
        gaps = [later - earlier for earlier, later in zip(minutes, [*minutes[1:], 24 * 60], strict=True)]
        assert max(gaps[1:]) <= longest
        # The first turn comes after the slots of the metrics before.
        assert gaps[0] <= 2 * longest


def test_with_memory_a_metric_is_read_once_in_its_interval() -> None:
    found = [keys for _, keys in turns(KEYS[:1], 15, 5, 60, memory=True) if keys]
    assert len(found) == 4


def test_a_query_reads_every_metric_at_once() -> None:
    found = [(minute, keys) for minute, keys in turns(KEYS, 30, 5, 90, memory=True, one_by_one=False) if keys]
    assert found == [(30, KEYS), (60, KEYS), (90, KEYS)]


@pytest.mark.parametrize(("since", "due"), [(0, True), (7, True), (8, False), (14, False)])
def test_a_fresh_process_looks_if_the_slot_began_a_short_while_ago(since: int, due: bool) -> None:
    elapsed = timedelta(hours=5) + since * MINUTE
    found = due_for_harm(KEYS[:1], 15 * MINUTE, elapsed, previous=None, poll_interval=5 * MINUTE, one_by_one=True)
    assert bool(found) is due


def test_signals_and_a_primary_metric_judged_by_probability_have_no_turn() -> None:
    fields = {"guardrails": [{"metric": "g"}], "signals": [{"metric": "s"}]}
    assert metrics_that_roll_back(Policy.from_json(fields), "p") == ("p", "g")
    assert metrics_that_roll_back(Policy.from_json({**fields, "preset": "launchdarkly"}), "p") == ("g",)


def test_releases_alone_have_a_turn_in_every_interval() -> None:
    found = [minute for minute, keys in turns((), 30, 5, 90, memory=True) if keys is not None]
    assert found == [30, 60, 90]
