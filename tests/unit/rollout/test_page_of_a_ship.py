"""What the page shows of a rollout that ships: its tasks are run against the emulator, and leave the notes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from typing_extensions import override

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.pictures.terminal import experiment_text
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.airflow_run import Note, Run, Task
from airflow_provider_launchdarkly.views.model import ExperimentDetail, Progress, Share, State
from airflow_provider_launchdarkly.views.notes import experiment_of
from airflow_provider_launchdarkly.views.releases import read_release, release_place
from airflow_provider_launchdarkly.views.whole import detail_of
from support.reviewers import requests_in
from support.task_runner import TaskRunner
from unit.rollout.test_ship_by_release import SLOWER, WAITS, make_true, rollout
from unit.rollout.test_task_group import approve
from unit.rollout.test_task_group import rollout as at_once
from unit.rollout.test_task_group import run as run_at_once
from unit.rollout.test_withheld import BY_RELEASE, GOOD, a_run
from unit.rollout.test_withheld import make_true as make_good

pytestmark = pytest.mark.usefixtures("connection")

CLASSIC = (Share("Classic", 100.0, baseline=True),)
APPROVAL: dict[str, Any] = {
    "launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "1d"},
    "turn_flag_on": False,
}


class SeenEnoughError(Exception):
    """Ends a run while a task waits."""


def page_of(done: TaskRunner, state: str = "success") -> ExperimentDetail:
    """Return a run as the page shows it."""
    found = [(task, key, body) for (task, key), body in done.xcoms.items()]
    notes = [Note(task, -1, body) for task, key, body in found if experiment_of(key)]
    releases = [read for _, key, body in found if release_place(key) and (read := read_release(body))]
    tasks = tuple(Task(task, state, done.dag.get_task(task).task_type) for task, state in done.states.items())
    return detail_of(notes, Run("rollout", "run", state, tasks), releases=releases)


def until(
    emulator: EmulatorServer,
    task_id: str,
    times: int = 1,
    act: Callable[[], object] = lambda: None,
    spec: dict[str, Any] | None = None,
    **changes: Any,
) -> TaskRunner:
    """Run a rollout that ships by a release until a task has waited so often; `act` happens as it first does."""
    make_true(emulator)
    waited = 0

    def wait(found: str) -> None:
        nonlocal waited
        if found == task_id:
            waited += 1
            if waited == 1:
                act()
            if waited == times:
                done.states[task_id] = "deferred"
                raise SeenEnoughError
        emulator.clock.advance(timedelta(days=1))

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(spec, **changes), group_id="r")
    done = TaskRunner(dag, wait=wait)
    with pytest.raises(SeenEnoughError):
        done.run()
    return done


@pytest.mark.parametrize(("times", "percent"), [(1, 10.0), (2, 50.0)])
def test_while_the_release_is_watched_it_is_what_runs_now(emulator: EmulatorServer, times: int, percent: float) -> None:
    page = page_of(until(emulator, "r.release.watch", times), "running")
    found = page.summary
    assert (found.state, found.stage) == (State.WAITING, None)
    assert [stage.progress for stage in found.stages] == [Progress.DONE, Progress.NOW]
    assert found.shares == (Share("Classic", 100 - percent, baseline=True), Share("Bold", percent))
    release = found.release
    assert release is not None
    assert (release.kind, release.step, release.winner) == ("guarded", times, "Bold")
    assert release.step_since == emulator.clock.now()
    assert found.next_step == release.next_at == emulator.clock.now() + timedelta(days=times)
    assert "ended on Classic, and a guarded release of Bold started: 10 %, 50 %" in {
        entry.what for entry in page.timeline
    }
    text = experiment_text(page)
    assert f"✓ 50 % → ▶ guarded release\n\nA guarded release takes Bold to everyone: step {times} of 2" in text
    assert f"Step {times} of 2 of the guarded release, since" in text


@pytest.mark.parametrize("release", [None, WAITS], ids=["reverts", "waits"])
def test_a_release_that_regressed_is_over_once_the_rollout_is(
    emulator: EmulatorServer, release: dict[str, Any] | None
) -> None:
    make_true(emulator)

    def wait(task_id: str) -> None:
        if task_id.endswith("release.watch"):
            make_true(emulator, load=0.3)
        emulator.clock.advance(timedelta(days=1))

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(release), group_id="r")
    page = page_of(TaskRunner(dag, wait=wait).run())
    assert page.summary.state is State.REGRESSED
    assert page.summary.shares == CLASSIC
    assert page.summary.release is None
    happened = {entry.what for entry in page.timeline}
    assert f"{SLOWER} regressed in the release" in happened
    assert f"the guarded release of Bold went back, as {SLOWER} regressed: everyone gets Classic" in happened


def demand(emulator: EmulatorServer) -> None:
    LaunchDarklyHook().turn_flag("checkout-button", on=True)
    emulator.switch(flag_approvals="everywhere")


def test_a_request_for_an_approval_says_who_has_to_review_it_and_where(emulator: EmulatorServer) -> None:
    emulator.switch(flag_approvals="everywhere")
    page = page_of(until(emulator, "r.start", **{**APPROVAL, "turn_flag_on": True}), "running")
    found = page.summary
    (request,) = requests_in(emulator)
    assert found.state is State.NEEDS_YOU
    assert found.headline == (
        f"a person has to review approval request {request.id} on flag checkout-button in LaunchDarkly"
    )
    text = experiment_text(page)
    assert "Reviewers: grace@example.com." in text
    assert "LaunchDarkly demands an approval." in text
    assert "takes no request" not in text
    assert "Once it is approved, the task applies it." in text
    assert any(entry.what.startswith("asked for an approval: review approval request") for entry in page.timeline)
    done = until(emulator, "r.start", **{**APPROVAL, "turn_flag_on": True})
    done.states["r.start"] = "failed"
    lost = page_of(done, "failed").summary.unwatched
    assert lost is not None
    assert lost.cure.startswith("clear the task r.start, which asks anew, and have the request approved.")


def test_so_does_the_request_for_what_a_release_that_went_back_has_left(emulator: EmulatorServer) -> None:
    make_true(emulator)
    LaunchDarklyHook().turn_flag("checkout-button", on=True)

    def wait(task_id: str) -> None:
        if task_id == "r.release.watch":
            make_true(emulator, load=0.3)
            emulator.switch(flag_approvals="everywhere")
        if task_id == "r.regressed":
            done.states[task_id] = "deferred"
            raise SeenEnoughError
        emulator.clock.advance(timedelta(days=1))

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(**APPROVAL), group_id="r")
    done = TaskRunner(dag, wait=wait)
    with pytest.raises(SeenEnoughError):
        done.run()
    found = page_of(done, "running").summary
    assert (found.state, found.stage, found.shares) == (State.NEEDS_YOU, None, CLASSIC)
    assert [stage.progress for stage in found.stages] == [Progress.DONE, Progress.DONE]
    assert found.headline.startswith("a person has to review approval request ")
    done.states["r.regressed"] = "failed"
    lost = page_of(done, "failed").summary.unwatched
    assert lost is not None
    assert "has not been started" not in lost.what


def test_a_release_that_is_handed_over_says_who_has_to_start_it(emulator: EmulatorServer) -> None:
    demand(emulator)
    page = page_of(until(emulator, "r.release.start", **APPROVAL), "running")
    found = page.summary
    assert (found.state, found.stage, found.shares) == (State.NEEDS_YOU, None, CLASSIC)
    assert [stage.progress for stage in found.stages] == [Progress.DONE, Progress.NEXT]
    change = found.handed_over
    assert change is not None
    assert (change.people, change.release) == (("grace@example.com",), True)
    assert change.until == emulator.clock.now() + timedelta(days=1)
    assert change.details.startswith("a guarded release from 'Classic' to 'Bold', on a new rule")
    assert "To do in LaunchDarkly: start the release of flag checkout-button: a guarded release" in experiment_text(
        page
    )


def test_the_stop_before_a_release_that_is_handed_over_shows_the_stage_that_runs(emulator: EmulatorServer) -> None:
    def gate() -> None:
        emulator.switch(experiment_approvals="everywhere", experiment_approvals_of="starts_and_stops")

    class Gated(TaskRunner):
        @override
        def _run_one(self, task: Any) -> str:
            if task.task_id == "r.verdict":
                gate()
            return super()._run_one(task)

    make_true(emulator)
    LaunchDarklyHook().turn_flag("checkout-button", on=True)

    def wait(task_id: str) -> None:
        if task_id == "r.release.start":
            done.states[task_id] = "deferred"
            raise SeenEnoughError
        emulator.clock.advance(timedelta(days=1))

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(**APPROVAL), group_id="r")
    done = Gated(dag, wait=wait)
    with pytest.raises(SeenEnoughError):
        done.run()
    found = page_of(done, "running").summary
    assert (found.state, found.stage) == (State.NEEDS_YOU, 1)
    assert found.shares == (Share("Classic", 50.0, baseline=True), Share("Bold", 50.0))
    assert found.handed_over is not None
    assert found.handed_over.what.startswith("stop iteration ")
    assert not found.handed_over.release


@pytest.mark.parametrize("changes", [{}, BY_RELEASE], ids=["at once", "by release"])
def test_a_ship_that_was_withheld_and_ended_invalid_is_invalid_and_says_what_to_do(
    emulator: EmulatorServer, changes: dict[str, Any]
) -> None:
    invalid = page_of(a_run(emulator, lambda: make_good(emulator, GOOD, broken=True), **changes).run()).summary
    assert_invalid(invalid)


def test_a_verdict_whose_last_check_ended_invalid_is_shown_the_same(emulator: EmulatorServer) -> None:
    def think(_task: str) -> dict[str, Any]:
        make_good(emulator, GOOD, broken=True)
        return approve()

    make_good(emulator, GOOD)
    spec = at_once(approval={"before_ship": True}, watch_while_waiting=False)
    assert_invalid(page_of(run_at_once(emulator, spec, answer=think)).summary)


def assert_invalid(found: Any) -> None:
    """Expect an experiment that runs on, whose data cannot be trusted, with what to do."""
    assert found.state is State.INVALID
    assert "units are split" in found.headline
    assert [share.percent for share in found.shares] == [50.0, 50.0]
    assert found.unwatched is not None
    assert "clear the task r.verdict" in found.unwatched.cure
    assert "stop the experiment in LaunchDarkly" in found.unwatched.cure


@pytest.mark.parametrize("begun", [True, False])
def test_a_start_of_the_release_that_failed_after_its_stop_does_not_show_the_stage_as_served(
    emulator: EmulatorServer, begun: bool
) -> None:
    make_true(emulator)
    if not begun:
        emulator.fault("start_environment_release", "status", status=400, times=10)

    class Dies(TaskRunner):
        """Fails the task that starts the release once it has done all that it does."""

        @override
        def _run_one(self, task: Any) -> str:
            state = super()._run_one(task)
            if task.task_id != "r.release.start":
                return state
            self.xcoms = {key: value for key, value in self.xcoms.items() if key[0] != task.task_id}
            return "failed"

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    page = page_of(Dies(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1))).run(), "failed")
    found = page.summary
    assert (found.state, found.stage, found.shares) == (State.UNWATCHED, None, ())
    assert [stage.progress for stage in found.stages] == [Progress.DONE, Progress.NEXT]
    lost = found.unwatched
    assert lost is not None
    assert (lost.what, lost.why) == (
        "Nobody watches the release of the winner.",
        "the task r.release.start failed; its log says why.",
    )
    assert lost.serves.startswith("The experiment has ended on Classic for a release of Bold.")
    assert ("LaunchDarkly shows it as in_progress." in lost.serves) is begun
    assert lost.cure.startswith("To watch it again, clear r.release.start with all that follows")
    assert ("Or stop the release of flag checkout-button in LaunchDarkly." in lost.cure) is begun
