"""A wait that has stopped is a state of its own, with what is overdue, by how long, what keeps it, and the cure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.pictures.terminal import experiment_text
from airflow_provider_launchdarkly.views import notes
from airflow_provider_launchdarkly.views.airflow_run import Asked, Note, Run, Task
from airflow_provider_launchdarkly.views.model import Question, State
from airflow_provider_launchdarkly.views.situation import summary_of
from airflow_provider_launchdarkly.views.whole import detail_of
from support.shown import DAY, HOUR, START, arms, found, page, policy, run, started, task, watched

WAIT = "stage_2.wait"
DUE = START + 9 * DAY
LATER = START + 20 * DAY
WINDOW = Task("rollout.before_ship.window", "scheduled", "LaunchDarklyChangeWindowSensor", opens_at=DUE)


def left(note: Note, at: datetime = START + 8 * DAY) -> Note:
    return replace(note, left_at=at.isoformat())


def polls(seconds: float, state: str = "deferred") -> tuple[Note, Run]:
    note = watched()
    return left(replace(note, body={**note.body, "poll_seconds": seconds})), run(task(WAIT, state))


def on_data(otherwise: str = "take") -> Note:
    looks = {"every": "1d", "on_data": {"deadline": "12h", "otherwise": otherwise}}
    note = watched()
    return left(replace(note, body={**note.body, "policy": policy(looks=looks, max_duration="28d")}))


@pytest.mark.parametrize(
    ("state", "run_changes", "why", "cure"),
    [
        ("scheduled", {"paused": True}, "DAG checkout is paused, so Airflow starts none of its tasks", "unpause DAG"),
        ("deferred", {"paused": True, "unhealthy": ("triggerer",)}, "DAG checkout is paused", "unpause DAG checkout"),
        (
            "deferred",
            {"unhealthy": ("triggerer",)},
            "no triggerer is running, and task rollout.stage_2.wait",
            "start a",
        ),
        ("queued", {"unhealthy": ("scheduler", "triggerer")}, "no scheduler is running", "start the scheduler"),
        ("scheduled", {}, "task rollout.stage_2.wait is scheduled, and no worker has taken it", "start workers"),
        ("queued", {"unhealthy": ("triggerer",)}, "is queued, and no worker has taken it", "start workers"),
        (
            "deferred",
            {"paused": None},
            "is deferred; whether DAG checkout is paused could not be read just now",
            "unpause DAG checkout if it is paused; else see the log of task rollout.stage_2.wait",
        ),
        ("deferred", {"paused": None, "unhealthy": ("triggerer",)}, "no triggerer is running", "start a triggerer"),
        ("deferred", {}, "is deferred, and its trigger has not ended the waiting", "the triggerer's"),
        ("up_for_retry", {}, "task rollout.stage_2.wait is up for retry", "see the log of task rollout.stage_2.wait"),
        ("running", {}, "task rollout.stage_2.wait is running", "see the log of task rollout.stage_2.wait"),
    ],
)
def test_an_overdue_look_says_what_keeps_it_and_the_cure(
    state: str, run_changes: dict[str, Any], why: str, cure: str
) -> None:
    happens = replace(run(task(WAIT, state)), **run_changes)
    seen = summary_of([left(watched())], happens, now=LATER)
    assert (seen.state, seen.state.needs_people, seen.next_look, seen.since) == (State.OVERDUE, True, None, DUE)
    assert seen.unwatched is not None
    assert seen.unwatched.what == "Look 9 of 28 is overdue by 11 days."
    assert seen.unwatched.serves == "75 % Classic, 25 % Bold"
    assert why in seen.unwatched.why
    assert cure in seen.unwatched.cure
    assert seen.headline.startswith("Look 9 of 28 is overdue by 11 days. ")


def test_it_comes_first_in_a_terminal_and_promises_no_look() -> None:
    detail = detail_of([started(1), left(watched())], run(task(WAIT, "queued")), now=LATER)
    shown = experiment_text(detail, now=LATER)
    assert "overdue\n" in shown
    assert "Look 9 of 28 is overdue by 11 days. task rollout.stage_2.wait is queued" in shown
    assert "What to do: start workers" in shown
    assert "Next look" not in shown
    assert "No harm found" not in shown
    assert any(entry.what == "Look 9 of 28 is overdue by 11 days" for entry in detail.timeline)


@pytest.mark.parametrize(
    ("situation", "tolerance"),
    [
        (polls(60), HOUR),
        (polls(300), HOUR),
        (polls(7200), 6 * HOUR),
        (polls(300, "running"), 6 * HOUR),
        ((on_data("take"), run(task(WAIT, "deferred"))), 13 * HOUR),
        ((on_data("fail"), run(task(WAIT, "deferred"))), 13 * HOUR),
        ((on_data("skip"), run(task(WAIT, "deferred"))), 19 * DAY + 13 * HOUR),
        ((left(watched()), run(WINDOW)), HOUR),
    ],
)
def test_nothing_is_late_within_some_polls_or_before_its_deadline(
    situation: tuple[Note, Run], tolerance: timedelta
) -> None:
    note, happens = situation
    assert summary_of([note], happens, now=DUE + tolerance).state in {State.WAITING, State.AWAITING_WINDOW}
    assert summary_of([note], happens, now=DUE + tolerance + timedelta(minutes=1)).state is State.OVERDUE


def test_a_look_that_waits_for_its_data_is_not_late() -> None:
    waiting = left(watched(reason="awaiting_data", next_look_days=None))
    assert summary_of([waiting], run(task(WAIT, "deferred")), now=LATER).state is State.WAITING


def test_the_end_of_a_stage_and_the_opening_of_a_window_can_be_overdue() -> None:
    body = notes.watched(
        {**found(0), "next_look_days": 9.0, "elapsed_days": 1.0, "evidence": None, "metrics": []},
        at=START + DAY, page=page(), policy=None, poll_seconds=300,
    )  # fmt: skip
    dwell = Note("rollout.stage_2.wait", -1, {**body, "treatments": arms()}, (START + DAY).isoformat())
    held = run(Task("rollout.stage_2.wait", "scheduled", "LaunchDarklyDwellSensor"))
    for note, happens, what in (
        (dwell, held, "The end of the stage is overdue by 11 days."),
        (left(watched()), run(WINDOW), "The change window's opening is overdue by 11 days."),
    ):
        seen = summary_of([note], happens, now=LATER)
        assert seen.unwatched is not None
        assert seen.unwatched.what == what


@pytest.mark.parametrize("tasks", [(), (task("stage_3.start", "scheduled", "LaunchDarklyStartNextStageOperator"),)])
def test_a_task_that_nobody_starts_for_hours_is_overdue_and_one_under_way_is_not(tasks: tuple[Task, ...]) -> None:
    ended = left(watched(verdict="ship", reason="better"))
    happens = replace(run(*tasks), paused=True)
    assert summary_of([ended], happens, now=START + 8 * DAY + 5 * HOUR).state is State.WORKING
    seen = summary_of([ended], happens, now=START + 10 * DAY)
    assert seen.state is State.OVERDUE
    assert seen.unwatched is not None
    assert seen.unwatched.what == "The next task is overdue by 2 days."
    assert seen.unwatched.why.startswith("DAG checkout is paused")
    started_late = run(task("stage_3.start", "running", "LaunchDarklyStartNextStageOperator"))
    assert summary_of([ended], started_late, now=LATER).state is State.WORKING


def test_the_clock_of_an_emulator_makes_nothing_overdue() -> None:
    """Its time is another one, so what counts is how long ago the note was written."""
    years_later = START + 900 * DAY
    note = left(watched(), years_later)
    assert summary_of([note], run(task(WAIT, "deferred")), now=years_later + DAY).state is State.WAITING
    assert summary_of([note], run(task(WAIT, "deferred")), now=years_later + 2 * DAY).state is State.OVERDUE


APPROVE = "before_ship.approve"
UNTIL = START + 12 * DAY


def asking(state: str = "deferred", until: datetime | None = UNTIL, **changes: Any) -> Run:
    question = Question("Ship Bold?", START + 9 * DAY, until, ("ann",), ("Approve", "Reject"), "Reject")
    asked = Asked(f"rollout.{APPROVE}", question)
    return replace(run(task(APPROVE, state, "LaunchDarklyApproveShipOperator"), asked=(asked,)), **changes)


@pytest.mark.parametrize(
    ("happens", "why", "cure"),
    [
        (asking(unhealthy=("triggerer",)), "no triggerer is running, and task", "start a triggerer"),
        (asking(paused=True), "DAG checkout is paused, so Airflow starts none of its tasks", "unpause DAG checkout"),
        (asking("awaiting_input"), "awaits an answer, and the scheduler has not ended", "see the scheduler's log"),
    ],
)  # fmt: skip
def test_a_question_whose_time_is_over_says_so_and_what_happens(happens: Run, why: str, cure: str) -> None:
    seen = summary_of([left(watched())], happens, now=UNTIL + HOUR)
    assert (seen.state, seen.since, seen.question) == (State.OVERDUE, UNTIL, None)
    assert seen.unwatched is not None
    assert seen.unwatched.what == (
        "The time to answer “Ship Bold?” is over since 2026-03-14 09:00 UTC: an answer does not count any more, and "
        "Reject counts as soon as the task goes on."
    )
    assert why in seen.unwatched.why
    assert cure in seen.unwatched.cure
    assert seen.headline.startswith(seen.unwatched.what)


@pytest.mark.parametrize("happens", [asking(until=None), asking(until=UNTIL + HOUR)], ids=["no end", "not over"])
def test_a_question_that_still_takes_an_answer_needs_a_person(happens: Run) -> None:
    assert summary_of([left(watched())], happens, now=UNTIL + HOUR).state is State.NEEDS_YOU


def test_a_question_is_given_minutes_to_close_by_itself() -> None:
    assert summary_of([left(watched())], asking(), now=UNTIL + timedelta(minutes=5)).state is State.NEEDS_YOU


def test_whoever_reads_without_a_clock_judges_nothing() -> None:
    assert summary_of([left(watched())], run(task(WAIT, "queued"))).state is State.WAITING
