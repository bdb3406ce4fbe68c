"""The release that ships a winner: what runs now, who gets what, what happened, what follows, and who has to act."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_launchdarkly.pictures.terminal import experiment_text
from airflow_provider_launchdarkly.views.airflow_run import Note, Run
from airflow_provider_launchdarkly.views.model import ExperimentDetail, Happening, Progress, Share, State, to_json
from airflow_provider_launchdarkly.views.notes import stopped as stopped_note
from airflow_provider_launchdarkly.views.releases import read_release, to_do_for_release
from airflow_provider_launchdarkly.views.served_model import WHILE_ON
from airflow_provider_launchdarkly.views.situation import summary_of
from airflow_provider_launchdarkly.views.whole import detail_of
from support.shown import (
    DAY,
    HOUR,
    START,
    THROUGH,
    handed_over,
    keys,
    page,
    release_note,
    run,
    ships,
    started,
    stopped,
    task,
    watched,
)

WATCH = task("release.watch", "deferred", "LaunchDarklyReleaseSensor")
BEGINS = task("release.start", "deferred", "LaunchDarklyShipByReleaseOperator")
STAGES = [started(1), started(2, START + 3 * DAY), watched(8, stage=2), started(3, START + 8 * DAY)]
CLASSIC, BOLD = Share("Classic", 100.0, baseline=True), Share("Bold", 100.0)


def shown(*polled: dict[str, Any], happens: Run | None = None, last: Note | None = None) -> ExperimentDetail:
    """A rollout whose winner's release has begun, as its polls found it."""
    releases = [found for body in polled if (found := read_release(body)) is not None]
    return detail_of([*STAGES, ships(), *([last] if last else [])], happens or run(WATCH), releases=releases)


def after(note: Note, **changes: Any) -> Note:
    """An ending's note, two days after the release began."""
    return Note(note.task_id, -1, {**note.body, "at": (START + 11 * DAY).isoformat(), **changes})


def told(detail: ExperimentDetail) -> list[str]:
    return [entry.what for entry in detail.timeline if not entry.ahead]


def test_the_release_is_what_runs_now_and_no_stage_is() -> None:
    found = shown(release_note(0)).summary
    assert (found.state, found.stage) == (State.WAITING, None)
    assert [(stage.name, stage.progress) for stage in found.stages] == [
        ("canary", Progress.DONE),
        ("25 %", Progress.DONE),
        ("half", Progress.DONE),
        ("guarded release", Progress.NOW),
    ]
    release = found.release
    assert release is not None
    assert (release.kind, release.step, release.steps, release.percent) == ("guarded", 1, 2, 10.0)
    assert (release.started_at, release.step_since) == (START + 9 * DAY, START + 9 * DAY)
    assert release.next_at == found.next_step == START + 10 * DAY
    assert release.metrics == (("checkout-conversion", "ok"), ("page-load-ms", "no_data"))
    assert (release.winner, release.baseline) == ("Bold", "Classic")
    assert found.headline == "a guarded release takes Bold to everyone: step 1 of 2, 10 %"


@pytest.mark.parametrize(
    ("body", "shares"),
    [
        (release_note(None, "pending"), (CLASSIC,)),
        (release_note(0), (Share("Classic", 90.0, baseline=True), Share("Bold", 10.0))),
        (release_note(1), (Share("Classic", 50.0, baseline=True), Share("Bold", 50.0))),
        (release_note(0, "waiting"), (Share("Classic", 90.0, baseline=True), Share("Bold", 10.0))),
        (release_note(1, "completed"), (BOLD,)),
        (release_note(0, "reverted"), (CLASSIC,)),
        (release_note(None), ()),
    ],
)
def test_who_gets_what_follows_the_step_of_the_release(body: dict[str, Any], shares: tuple[Share, ...]) -> None:
    assert shown(body).summary.shares == shares


def test_until_its_first_poll_the_release_is_known_from_the_task_that_started_it() -> None:
    found = shown()
    assert found.summary.headline == ("the guarded release of Bold has not begun its first step: everyone gets Classic")
    assert found.summary.shares == (CLASSIC,)
    assert found.to_come[0] == "When the last step ends, everyone gets Bold, and the rollout ends."


def test_the_newest_note_alone_shows_the_release_and_no_stage_as_running() -> None:
    found = summary_of([ships()], run(WATCH), releases=[read_release(release_note(1)) or pytest.fail("no release")])
    assert (found.stage, found.stages[-1].progress) == (None, Progress.NOW)
    assert [stage.progress for stage in found.stages[:-1]] == [Progress.DONE] * 3
    assert found.headline == "a guarded release takes Bold to everyone: step 2 of 2, 50 %"


def test_it_says_what_launchdarkly_judges_and_what_follows() -> None:
    found = shown(release_note(0))
    assert found.why == (
        "A guarded release takes Bold to everyone: step 1 of 2, 10 %. LaunchDarkly judges its metrics: "
        "checkout-conversion ok, page-load-ms no data."
    )
    assert found.to_come == (
        "When step 1 ends, 50 % get Bold.",
        "When the last step ends, everyone gets Bold, and the rollout ends.",
        (
            "If checkout-conversion or page-load-ms regresses, everyone gets Classic again, and the rollout ends "
            "regressed."
        ),
    )
    assert found.timeline[-1] == Happening(START + 10 * DAY, "next step, 50 %", ahead=True)


def test_a_release_that_nothing_guards_says_so() -> None:
    found = shown(release_note(1, kind="progressive", metrics={}))
    assert found.why.endswith("step 2 of 2, 50 %. No metric guards it.")
    assert found.to_come == ("When the last step ends, everyone gets Bold, and the rollout ends.",)


def test_what_happened_has_the_start_of_the_release_and_its_regressions_and_its_end() -> None:
    assert told(shown(release_note(0)))[-1] == "ended on Classic, and a guarded release of Bold started: 10 %, 50 %"
    back = release_note(
        0,
        "reverted",
        reason="reverted_regression_detected",
        metrics={"checkout-conversion": "ok", "page-load-ms": "regressed"},
        ended_at=(START + 9 * DAY + 6 * HOUR).isoformat(),
    )
    found = shown(back, happens=run(task("regressed", "running", "LaunchDarklyEndingOperator")))
    went = "the guarded release of Bold went back, as page-load-ms regressed: everyone gets Classic"
    assert told(found)[-2:] == ["page-load-ms regressed in the release", went]
    assert (found.summary.state, found.summary.headline) == (State.WORKING, went)
    assert [entry.who for entry in found.timeline if "regressed in" in entry.what] == ["LaunchDarkly"]
    ended = shown(back, happens=run(state="success"), last=after(stopped("regressed", "Classic")))
    assert told(ended)[-2:] == [went, "the rollout ended: everyone gets Classic"]
    assert ended.summary.stages[-1].progress is Progress.DONE
    dismissed = shown(release_note(1, metrics={"page-load-ms": "regression_dismissed"}))
    assert "the regression of page-load-ms was dismissed in LaunchDarkly" in told(dismissed)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("reverted_insufficient_data", "LaunchDarkly has no data on a metric"),
        ("reverted_manual", "it was stopped in LaunchDarkly"),
        ("reverted_discarded", "the flag was turned off or archived"),
        ("reverted_by_a_new_rule", "LaunchDarkly says reverted by a new rule"),
        (None, "LaunchDarkly says no reason"),
    ],
)
def test_a_release_that_went_back_says_why(reason: str | None, why: str) -> None:
    found = shown(release_note(0, "reverted", reason=reason))
    assert told(found)[-1] == f"the guarded release of Bold went back, as {why}: everyone gets Classic"


def test_what_a_rollout_has_stopped_is_not_shown_as_waiting() -> None:
    regressed = {"metrics": {"page-load-ms": "regressed"}}
    waits = release_note(0, "waiting", reason="waiting_regression_detected", **regressed)
    over = release_note(0, "reverted", reason="reverted_manual", **regressed)
    end = after(stopped("regressed", "Classic"), shown=over)
    found = shown(waits, happens=run(state="success"), last=end)
    assert found.summary.release is None
    assert "went back, as page-load-ms regressed" in told(found)[-2]
    alone = summary_of(
        [end],
        run(state="success"),
        releases=[read_release(waits) or pytest.fail("no release")],
    )
    assert alone.release is None


def test_a_release_that_waits_is_stopped_by_the_rollout_while_its_ending_acts() -> None:
    waits = release_note(0, "waiting", reason="waiting_regression_detected", metrics={"page-load-ms": "regressed"})
    found = shown(waits, happens=run(task("regressed", "running", "LaunchDarklyEndingOperator")))
    assert found.summary.headline == "the guarded release of Bold waits: page-load-ms regressed"
    assert found.to_come == ("The rollout stops the release, so that everyone gets Classic again, and ends regressed.",)


def test_a_release_that_only_a_person_may_stop_says_who_has_to_do_what() -> None:
    waits = release_note(0, "waiting", reason="waiting_regression_detected", metrics={"page-load-ms": "regressed"})
    found = shown(waits, happens=run(task("regressed", "failed", "LaunchDarklyEndingOperator"), state="failed"))
    assert found.summary.state is State.UNWATCHED
    lost = found.summary.unwatched
    assert lost is not None
    assert lost.what == "The release of the winner waits for a person: page-load-ms regressed."
    assert lost.serves == "90 % Classic, 10 % Bold"
    assert lost.cure == (
        "stop the release of flag checkout-button in LaunchDarkly, back to Classic (reviewers: grace@example.com), and "
        "clear the task rollout.regressed"
    )
    assert found.summary.headline.startswith("The release of the winner waits for a person")


def test_a_release_that_nobody_watches_says_that_launchdarkly_goes_on_with_it() -> None:
    failed = task("release.watch", "failed", "LaunchDarklyReleaseSensor", ended_at=START + 10 * DAY)
    found = shown({**release_note(1), "trouble": "the token is refused"}, happens=run(failed, state="failed"))
    lost = found.summary.unwatched
    assert lost is not None
    assert (lost.what, lost.why) == (
        "Nobody watches the release of the winner, with which LaunchDarkly goes on.",
        "the token is refused",
    )
    assert lost.serves == "50 % Classic, 50 % Bold"
    assert lost.cure.endswith("or stop the release of flag checkout-button in LaunchDarkly, back to Classic")
    retried = task("release.watch", "up_for_retry", "LaunchDarklyReleaseSensor")
    again = shown({**release_note(1), "trouble": "the token is refused"}, happens=run(retried))
    assert again.summary.headline == "trying again after: the token is refused"
    over = shown(release_note(1, "completed"), happens=run(task("ship", "failed"), state="failed"))
    assert over.summary.unwatched is not None
    assert over.summary.unwatched.what == "Nobody ends this rollout: its winner's release is over."


def test_the_release_is_to_come_in_the_ladder_and_left_out_where_nothing_ships() -> None:
    found = summary_of([started(3, **THROUGH)], run(task("stage_3.watch", "deferred")))
    assert [stage.progress for stage in found.stages[2:]] == [Progress.NOW, Progress.NEXT]
    assert found.stages[-1].notes == "10 % for 1d, 50 % for 2d"
    detail = detail_of([started(3, **THROUGH)], run(task("stage_3.watch", "deferred")))
    assert not any("guarded release follows" in sentence for sentence in detail.to_come)
    output = {**keys(), "winning_treatment": "Classic", "treatments": []}
    for ending, progress in (("rollback", Progress.SKIPPED), ("ship", Progress.DONE)):
        body = stopped_note(output, at=START + 9 * DAY, page=page(3, **THROUGH), verdict={"verdict": ending})
        over = summary_of([started(3, **THROUGH), Note("rollout.stop", -1, body)], run(state="success"))
        assert over.stages[-1].progress is progress


def test_a_release_that_is_handed_over_says_who_has_to_start_it_and_that_everyone_gets_the_baseline() -> None:
    found = detail_of([*STAGES, handed_over(3, release=True)], run(BEGINS))
    assert (found.summary.state, found.summary.stage) == (State.NEEDS_YOU, None)
    assert [stage.progress for stage in found.summary.stages] == [Progress.DONE] * 3 + [Progress.NEXT]
    assert found.summary.shares == (CLASSIC,)
    assert found.summary.headline == "a person has to start the release of flag checkout-button in LaunchDarkly"
    assert found.why.startswith(
        "It waits for a person, who has to start the release of flag checkout-button in LaunchDarkly: "
        "LaunchDarkly demands an approval, and its API takes no request for that."
    )
    assert found.to_come == (
        (
            "A person has to start the release of flag checkout-button in LaunchDarkly: a guarded release from "
            "'Classic' to 'Bold'. Reviewers: grace@example.com, team:checkout."
        ),
        "The rollout goes on once LaunchDarkly shows the change. If it does not in time, the task fails.",
    )
    assert found.timeline[-2].what == (
        "handed over to a person: start the release of flag checkout-button in LaunchDarkly"
    )
    assert found.timeline[-1] == Happening(START + 10 * DAY, "the change is not waited for any longer", ahead=True)


def test_a_stage_that_is_handed_over_shows_the_stage_that_runs_until_then() -> None:
    starts = task("stage_3.start", "deferred", "LaunchDarklyStartNextStageOperator")
    found = summary_of([*STAGES[:3], handed_over(2)], run(starts))
    assert (found.state, found.stage) == (State.NEEDS_YOU, 2)
    assert found.shares == (Share("Classic", 75.0, baseline=True), Share("Bold", 25.0))
    first = summary_of([handed_over(None)], run(starts))
    assert (first.stage, first.shares) == (None, ())
    assert {stage.progress for stage in first.stages} == {Progress.NEXT}
    harm = detail_of([*STAGES[:3], handed_over(2, harm=True)], run(starts))
    assert "People get the harmful stage until somebody does." in harm.to_come


def test_a_change_that_nobody_made_in_time_says_what_is_left_to_do() -> None:
    failed = task("release.start", "failed", "LaunchDarklyShipByReleaseOperator")
    lost = summary_of([*STAGES, handed_over(3, release=True)], run(failed, state="failed")).unwatched
    assert lost is not None
    assert lost.what == "The winner's release has not been started."
    assert lost.serves == "everyone gets Classic while the flag is on and its rule unchanged"
    assert lost.cure == (
        "start the release of flag checkout-button in LaunchDarkly: a guarded release from 'Classic' to 'Bold'. Then "
        "clear the task rollout.release.start. Reviewers: grace@example.com, team:checkout."
    )
    stage = task("stage_3.start", "failed", "LaunchDarklyStartNextStageOperator")
    lost = summary_of([*STAGES[:3], handed_over(2)], run(stage, state="failed")).unwatched
    assert lost is not None
    assert (lost.what, lost.serves) == ("Nobody watches this experiment.", f"75 % Classic, 25 % Bold {WHILE_ON}")


def test_a_ship_that_was_withheld_while_it_was_handed_over_waits_for_nobody() -> None:
    skipped = task("release.start", "skipped", "LaunchDarklyShipByReleaseOperator")
    found = summary_of([*STAGES, handed_over(3)], run(skipped))
    assert found.state is State.WORKING


PAUSED = "LaunchDarkly names no reason, and no metric regressed. A person has to resume or stop it there."
ADVANCE = "It goes on once a person advances or stops it in LaunchDarkly."


@pytest.mark.parametrize(
    ("waits_for", "state", "headline", "follows"),
    [
        ("person", State.NEEDS_YOU, "the guarded release of Bold waits for a person in LaunchDarkly", PAUSED),
        ("advance", State.NEEDS_YOU, "the guarded release of Bold waits for a person in LaunchDarkly", ADVANCE),
        ("next_phase", State.WAITING, "the guarded release of Bold waits for its next phase", "Its next phase starts"),
        (None, State.NEEDS_YOU, "the guarded release of Bold waits for a person in LaunchDarkly", PAUSED),
    ],
)
def test_a_healthy_release_that_waits_is_not_said_to_go_back(
    waits_for: str | None, state: State, headline: str, follows: str
) -> None:
    found = shown(release_note(0, "waiting", waits_for=waits_for))
    assert (found.summary.state, found.summary.headline) == (state, headline)
    assert found.to_come[0].startswith(follows)
    assert found.to_come[-2] == "When the last step ends, everyone gets Bold, and the rollout ends."
    assert "The rollout stops" not in experiment_text(found)
    assert follows in experiment_text(found)


@pytest.mark.parametrize("name", ["shown", "percents", "winner", "what", "reviewers", "until"])
@pytest.mark.parametrize("value", [None, 7, "text", [1, None, {}], {"a": [1]}])
def test_a_strange_note_is_shown_as_far_as_it_can_be_read(name: str, value: Any) -> None:
    for note, happens in ((ships(), run(WATCH)), (handed_over(3, release=True), run(BEGINS))):
        found = detail_of([*STAGES, Note(note.task_id, -1, {**note.body, name: value})], happens)
        assert json.loads(json.dumps(to_json(found)))["summary"]["key"] == "checkout"


def test_a_release_of_another_dag_that_waits_says_who_has_to_act() -> None:
    regressed = {"reason": "waiting_regression_detected", "metrics": {"errors": "regressed"}}
    for body, what in (
        (release_note(0, "waiting", **regressed), "stops the release, or dismisses the regression of errors"),
        (release_note(0, "waiting", reason="waiting_phase_ended"), "advances or stops it"),
    ):
        release = read_release(body)
        assert release is not None
        assert what in to_do_for_release(release)
    going = read_release(release_note(0))
    assert going is not None
    assert to_do_for_release(going) == ""
