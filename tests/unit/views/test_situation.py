"""Where an experiment stands, for each state of a run that Airflow can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_launchdarkly.views.airflow_run import Asked, Note, Run
from airflow_provider_launchdarkly.views.model import Progress, Question, Share, State, to_json
from airflow_provider_launchdarkly.views.notes import released
from airflow_provider_launchdarkly.views.served_model import KnownBy, Served
from airflow_provider_launchdarkly.views.situation import summary_of
from support.shown import (
    DAY,
    HOUR,
    START,
    WAITS,
    handed_over,
    keys,
    left_running,
    page,
    run,
    seen,
    ships,
    started,
    stopped,
    task,
    watched,
)

WINDOW = task("before_ship.window", "deferred", "LaunchDarklyChangeWindowSensor")
FAILED = task("stage_2.wait", "failed", ended_at=START + 8 * DAY + HOUR)


def asked(*chosen: str, who: str | None = None) -> Asked:
    question = Question("Ship Bold?", START, START + 3 * DAY, ("ann",), ("Approve", "Reject"), "Reject")
    return Asked("rollout.before_ship.approve", question, chosen=chosen, who=who)


CLOSED = replace(asked(), closed_at=START + 9 * DAY)  # by harm

SITUATIONS: list[tuple[State, Note, Run]] = [
    (State.WAITING, watched(), run(WAITS)),
    (State.WAITING, watched(), run(task("stage_2.wait", "up_for_retry"))),
    (State.WORKING, started(), run(task("stage_1.wait", "queued", "LaunchDarklyStopIterationOperator"))),
    (State.WORKING, watched(), run()),
    (State.NEEDS_YOU, watched(), run(task("before_ship.approve", "deferred", "HITLOperator"), asked=(asked(),))),
    (State.WORKING, watched(), run(task("verdict", "queued", "LaunchDarklyVerdictOperator"), asked=(CLOSED,))),
    (State.UNWATCHED, watched(), run(state="success", asked=(CLOSED,))),
    (State.AWAITING_WINDOW, watched(), run(WINDOW, asked=(asked("Approve", who="ann"),))),
    (State.AWAITING_WINDOW, watched(), run(task("window", "deferred", "LaunchDarklyRolloutWindowSensor"))),
    (State.WAITING, watched(), run(task("extension.watch", "deferred", "LaunchDarklyWatchExtensionSensor"))),
    (State.UNWATCHED, watched(), run(FAILED, state="failed")),
    (State.UNWATCHED, watched(), run(state="success")),
    (State.REFUSED, watched(), run(state="success", asked=(asked("Reject", who="ann"),))),
    (State.REFUSED, watched(), run(state="success", asked=(asked("Reject"),))),
    (State.INVALID, watched(verdict="invalid"), run(state="success")),
    (State.INVALID, left_running(), run(state="success")),
    (State.REFUSED, left_running("refused"), run(state="success")),
    (State.UNWATCHED, left_running("inconclusive"), run(state="success")),
    (State.UNWATCHED, left_running("inconclusive"), run()),
    (State.WAITING, left_running("inconclusive"), run(WAITS)),
    (State.WAITING, ships(), run(task("release.watch", "deferred", "LaunchDarklyReleaseSensor"))),
    (State.WORKING, ships(), run(task("ship", "running", "LaunchDarklyEndingOperator"))),
    (State.UNWATCHED, ships(), run(state="failed")),
    (State.NEEDS_YOU, handed_over(), run(task("stage_3.start", "deferred", "LaunchDarklyStartNextStageOperator"))),
    (State.WORKING, handed_over(), run(task("rollback", "running", "LaunchDarklyEndingOperator"))),
    (State.SHIPPED, stopped(), run(state="success")),
    (State.ROLLED_BACK, stopped("rollback", "Classic"), run(state="success")),
    (State.REGRESSED, stopped("regressed", "Classic"), run(state="success")),
    (State.INCONCLUSIVE, stopped("inconclusive", "Classic"), run(state="failed")),
]


@pytest.mark.parametrize(("state", "note", "happens"), SITUATIONS)
def test_state(state: State, note: Note, happens: Run) -> None:
    found = summary_of([note], happens)
    assert found.state is state
    assert found.headline
    assert (found.project, found.environment) == ("demo", "production")


def test_waiting_names_the_next_look_and_who_gets_what() -> None:
    found = summary_of([started(1), started(2, START + 3 * DAY), watched()], run(WAITS))
    assert found.headline == "waiting for look 9 of 28"
    assert found.next_look == START + 9 * DAY
    assert found.shares == (Share("Classic", 75.0, baseline=True), Share("Bold", 25.0))
    assert [(stage.number, stage.name, stage.progress) for stage in found.stages] == [
        (1, "canary", Progress.DONE),
        (2, "25 %", Progress.NOW),
        (3, "half", Progress.NEXT),
    ]
    assert (found.owner, found.tags, found.flag) == (("growth",), ("web",), "checkout-button")
    assert found.look is not None
    assert found.look.primary is not None
    assert (found.look.primary.comparisons[0].z, found.look.primary.comparisons[0].boundary) == (2.59, 3.16)
    assert found.harm is not None
    assert "page-load-ms" in found.harm.metrics


def test_a_release_says_in_which_steps_it_goes_to_everyone_and_no_share_of_the_stage() -> None:
    output = {**keys(), "treatment": "Bold", "baseline": "Classic", "phases": [{"percents": [10.0, 50.0]}]}
    note = Note("rollout.release.start", -1, released(output, at=START + 9 * DAY, page=page(None)))
    watch = task("release.watch", "deferred", "LaunchDarklyReleaseSensor")
    found = summary_of([started(2), watched(), note], run(watch))
    assert found.state is State.WAITING
    assert found.headline == "Bold goes to everyone in steps: 10 %, 50 %; the others get Classic"
    assert found.shares == ()


def test_the_newest_note_alone_is_enough() -> None:
    found = summary_of([watched()], run(WAITS))
    assert (found.stage, found.next_look, len(found.stages)) == (2, START + 9 * DAY, 3)


def test_a_question_says_who_may_answer_until_when_and_what_silence_means() -> None:
    found = summary_of([watched()], run(asked=(asked(),)))
    assert found.question is not None
    assert (found.question.people, found.question.otherwise) == (("ann",), "Reject")
    assert found.headline == "Ship Bold?"


def test_unwatched_says_why_what_is_served_and_what_to_do() -> None:
    note = watched()
    trouble = {"at": (START + 8 * DAY + HOUR).isoformat(), "message": "the token is refused"}
    found = summary_of([Note(note.task_id, -1, {**note.body, "trouble": trouble})], run(FAILED, state="failed"))
    assert found.unwatched is not None
    assert found.unwatched.why == "the token is refused"
    assert found.unwatched.serves == "75 % Classic, 25 % Bold"
    assert "clear the task" in found.unwatched.cure
    assert found.unwatched.task_id == "rollout.stage_2.wait"
    assert found.unwatched.since == START + 8 * DAY + HOUR


@pytest.mark.parametrize(
    ("reached", "progress"),
    [(3, ["done", "done", "done"]), (1, ["done", "skipped", "skipped"]), (None, [])],
    ids=["the last stage", "the first", "of an older version"],
)
def test_the_note_of_a_stop_alone_shows_the_stages_as_they_ended(reached: int | None, progress: list[str]) -> None:
    note = stopped()
    rollout = {**note.body["rollout"], **({} if reached is None else {"reached": reached})}
    found = summary_of([replace(note, body={**note.body, "rollout": rollout})], run(state="success"))
    assert [stage.progress.value for stage in found.stages] == progress
    assert found.stage is None


def test_after_the_stop_everyone_gets_the_winner() -> None:
    found = summary_of([stopped()], run(state="success"))
    assert found.shares == (Share("Bold", 100.0),)
    assert found.headline == "everyone gets Bold"
    harmed = summary_of([stopped("rollback", "Classic", harmed=["page-load-ms: Bold"])], run(state="success"))
    assert harmed.headline == "Bold harmed page-load-ms: everyone is back on Classic"


def test_tasks_of_another_rollout_or_index_in_the_run_do_not_count() -> None:
    other = [
        replace(FAILED, task_id="other.stage_1.wait"),
        replace(FAILED, map_index=3),
        replace(WAITS, task_id="rollouts.stage_1.wait"),
    ]
    assert summary_of([watched()], run(*other, state="success")).unwatched is not None
    assert summary_of([watched()], run(*other, WAITS)).state is State.WAITING


def test_an_answer_counts_until_the_time_that_the_rollout_gives() -> None:
    note = watched()
    rollout = {**note.body["rollout"], "days_to_answer": 2.0}
    question = replace(asked().question, until=None)
    open_question = replace(asked(), question=question)
    found = summary_of([Note(note.task_id, -1, {**note.body, "rollout": rollout})], run(asked=(open_question,)))
    assert found.question is not None
    assert found.question.until == START + 2 * DAY


def test_a_closed_window_says_when_it_opens_and_a_stage_when_it_ends() -> None:
    found = summary_of([watched()], run(replace(WINDOW, opens_at=START + 12 * DAY)))
    assert (found.state, found.next_step) == (State.AWAITING_WINDOW, START + 12 * DAY)
    assert summary_of([watched()], run(WAITS)).next_step == START + 28 * DAY


def test_what_launchdarkly_serves_is_compared_with_the_stage() -> None:
    assert summary_of([watched()], run(WAITS)).drift == ()
    note = watched()
    other = [{"name": "Classic", "percent": 60.0}, {"name": "Bold", "percent": 40.0}]
    found = summary_of([Note(note.task_id, -1, {**note.body, "treatments": other})], run(WAITS))
    assert found.drift == (
        "The iteration's allocation is 60 % Classic, 40 % Bold; the stage says 75 % Classic, 25 % Bold.",
    )
    assert summary_of([Note(note.task_id, -1, {**note.body, "treatments": [other[0]]})], run(WAITS)).drift == ()


def test_who_gets_what_is_what_the_newest_look_read_in_the_flag() -> None:
    everyone = [{"name": "Classic", "percent": 100.0, "baseline": True}]
    off = "flag checkout-button is off: everyone gets Classic"
    note = watched(flag=seen(START + 8 * DAY, off, everyone))
    found = summary_of([started(1), note], run(WAITS))
    assert found.shares == (Share("Classic", 100.0, baseline=True),)
    assert found.served == Served(KnownBy.FLAG, START + 8 * DAY)
    assert found.drift == ("Flag checkout-button is off: everyone gets Classic.",)
    later = watched(9, stage=3, flag=None, evidence=None, metrics=[], **keys(iteration="i3"))
    assert summary_of([note, later], run(WAITS)).drift == (), "another iteration's"


def test_without_a_look_at_the_flag_the_allocation_is_what_people_get_while_it_is_on() -> None:
    found = summary_of([started(2)], run(task("stage_2.wait", "failed"), state="failed"))
    assert found.served == Served(KnownBy.ALLOCATION, START)
    assert found.unwatched is not None
    assert found.unwatched.serves == "75 % Classic, 25 % Bold while the flag is on and its rule unchanged"
    after = summary_of([watched(), stopped()], run(state="success"))
    assert after.served is not None
    assert after.served.by is KnownBy.CHANGE


@pytest.mark.parametrize("reason", ["iteration_replaced", "iteration_stopped"])
def test_an_iteration_that_someone_else_ended_is_drift(reason: str) -> None:
    note = watched(verdict="invalid", reason=reason, summary="iteration i2 is stopped, not by this task")
    found = summary_of([note], run(state="success"))
    assert found.state is State.INVALID
    assert found.drift == ("Iteration i2 is stopped, not by this task.",)


@pytest.mark.parametrize(
    ("ending", "state", "headline"),
    [
        ("invalid", State.INVALID, "units are split 40 to 60, planned 50 to 50"),
        ("refused", State.REFUSED, "not approved: the experiment runs on as it is, and nobody watches it"),
        (
            "inconclusive",
            State.UNWATCHED,
            "nobody watches it, and no guardrail: units are split 40 to 60, planned 50 to 50",
        ),
    ],
)
def test_an_ending_that_leaves_the_experiment_running_says_why_what_is_served_and_what_to_do(
    ending: str, state: State, headline: str
) -> None:
    """Whichever task found it: the wait, the last check of ``verdict``, or that of the ship, which it withheld."""
    found = summary_of([watched(8, stage=3, verdict="ship"), left_running(ending)], run(state="success"))
    assert (found.state, found.headline) == (state, headline)
    assert found.unwatched is not None
    assert found.unwatched.why == "units are split 40 to 60, planned 50 to 50"
    assert found.unwatched.serves == "75 % Classic, 25 % Bold"
    assert found.unwatched.cure == ("To go on, clear the task rollout.verdict. Or stop the experiment in LaunchDarkly.")
    assert (found.stage, found.stages[-1].progress) == (3, Progress.NOW)
    alone = summary_of([left_running(ending)], run(state="success"))
    assert alone.shares == (Share("Classic", 50.0, baseline=True), Share("Bold", 50.0)), "those of the stage"


@pytest.mark.parametrize("reason", ["iteration_replaced", "iteration_stopped"])
def test_an_ending_because_someone_else_ended_the_iteration_does_not_say_that_the_stage_is_served(reason: str) -> None:
    found = summary_of([watched(), left_running(reason=reason)], run(state="success"))
    assert found.shares == ()
    assert found.drift == ("Units are split 40 to 60, planned 50 to 50.",)
    assert found.unwatched is not None
    assert found.unwatched.serves == "people get what the experiment's flag serves"


@pytest.mark.parametrize("name", ["rollout", "latest", "looks", "policy", "treatments", "started_at", "owner", "tags"])
@pytest.mark.parametrize("value", [None, 7, "text", [1, None, {}], {"a": [1]}, float("nan")])
def test_a_strange_note_is_shown_as_far_as_it_can_be_read(name: str, value: Any) -> None:
    note = watched()
    found = summary_of([Note(note.task_id, -1, {**note.body, name: value})], run(WAITS))
    assert found.key == "checkout"
    assert to_json(found)["state"] == "waiting"


def test_without_a_note_there_is_nothing_to_show() -> None:
    with pytest.raises(ValueError, match="without a note"):
        summary_of([], run())
