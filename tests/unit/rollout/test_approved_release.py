"""A winner's release that LaunchDarkly refuses without an approval: a person starts it, and the rollout goes on."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from typing_extensions import override

from airflow_provider_launchdarkly.api.models import Resolution
from airflow_provider_launchdarkly.api.writes.stop_for_release import SHIPS_BY_RELEASE
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.drift import compare
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.heard import HEARD, PATH
from support.lone_polls import poll_alone
from support.reviewers import finish, requests_in, review_pending, start_handed_over
from support.task_runner import TaskRunner
from unit.rollout.test_page_of_a_ship import page_of
from unit.rollout.test_ship_by_release import GUARDED, SLOWER, WAITS, ended, make_true, rollout, rules
from unit.rollout.test_task_group import served

FLAG, START = "checkout-button", "r.release.start"
BACK: Resolution = "roll_back_all_phases_and_remove_pending_phases"
APPROVAL: dict[str, Any] = {
    "launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "1d"},
    "notify": [{"through": PATH, "events": ["asked"]}],
    "turn_flag_on": False,
}


class Resuming(TaskRunner):
    """Resumes the release's start after its trigger's event, as Airflow does, in place of beginning it anew."""

    @override
    def _result(self, task: Any, context: Any) -> Any:
        if task.task_id != START:
            return super()._result(task, context)

        def make() -> Any:
            context["ti"].task = copy.copy(task)
            return context["ti"].task

        return finish(make, context, lambda: self._wait(START), self.waiting)


@pytest.fixture(autouse=True)
def demanding(emulator: EmulatorServer, connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold wins, each change of a flag needs an approval, and six hours pass between two polls of an approval."""
    make_true(emulator)
    HEARD.clear()
    LaunchDarklyHook().turn_flag(FLAG, on=True)
    emulator.switch(flag_approvals="everywhere")

    async def sleep(_: float) -> None:
        emulator.clock.advance("PT6H")

    poll_alone(monkeypatch, sleep)


def run(
    emulator: EmulatorServer,
    person: Callable[[TaskRunner], object],
    kind: type[TaskRunner] = TaskRunner,
    crash: Callable[[str], bool] = lambda _task: False,
    **changes: Any,
) -> TaskRunner:
    """Run a rollout; `person` acts each time that the release's start waits."""
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(**{**APPROVAL, **changes}), group_id="r")

    def wait(task_id: str) -> None:
        if task_id == START:
            person(done)
        elif task_id == "r.regressed":
            review_pending(emulator)
        emulator.clock.advance(timedelta(days=1) if task_id.endswith("watch") else timedelta(minutes=1))

    done = kind(dag, wait=wait, crash=crash)
    return done.run()


def starts(emulator: EmulatorServer, **changes: Any) -> Callable[[TaskRunner], object]:
    """Return a person who starts what the task waits for; `changes` are filled in otherwise."""
    return lambda done: start_handed_over(emulator, done.waiting[START], **changes)


def test_a_person_starts_the_release_and_the_winner_ships(emulator: EmulatorServer) -> None:
    done = run(emulator, starts(emulator))

    assert ended(done) == "ship"
    (release,) = LaunchDarklyHook().list_releases(FLAG)
    output = done.output(START)
    assert (output["release_id"], output["changed"], release.completed) == (release.id, False, True)
    assert (served(), rules()) == ("Bold", 0)
    assert (len(emulator.effects("iteration.stopped")), emulator.effects("release.started")) == (1, [])


@pytest.mark.parametrize("guarded", [True, False])
def test_a_person_may_start_it_without_metrics_where_the_file_allows_that(
    emulator: EmulatorServer, guarded: bool
) -> None:
    kind: dict[str, Any] = {"endings": {"ship": {"release": {**GUARDED, "kind": "guarded_or_progressive"}}}}
    done = run(emulator, starts(emulator, **({} if guarded else {"metrics": []})), **kind)
    assert ended(done) == "ship"
    assert done.output("r.ship")["release"]["kind"] == ("guarded" if guarded else "progressive")
    assert len(LaunchDarklyHook().list_releases(FLAG)) == 1
    (told,) = {text for text in HEARD if "start the release of flag" in text}
    assert "or the same without metrics, if LaunchDarkly does not guard it" in told


def test_people_are_told_once_what_to_start_and_who_gets_what_until_then(emulator: EmulatorServer) -> None:
    done = run(emulator, starts(emulator))

    (asked,) = HEARD
    assert (
        "LaunchDarkly demands an approval to start the release of flag checkout-button, and takes no request" in asked
    )
    assert re.search(r"Request and apply it in LaunchDarkly by [-0-9: ]+ UTC: a guarded release from 'Classic'", asked)
    assert (
        "from 'Classic' to 'Bold', on a new rule where user.kind in user, in steps of 10 % for 1d, 50 % for 2d" in asked
    )
    assert "at its end: remove_rules_and_update_default_rule" in asked
    assert "Who gets what now: everyone gets Classic, the baseline" in asked
    assert "Reviewers: grace@example.com." in asked
    assert done.states["r.ship"] == "success"


def test_nobody_in_time_fails_by_name_and_starts_nothing(emulator: EmulatorServer) -> None:
    done = run(emulator, lambda _done: None, Resuming)

    assert done.states[START] == "failed"
    assert done.reasons[START].startswith("ApprovalTimedOutError: the release of flag 'checkout-button'")
    assert LaunchDarklyHook().list_releases(FLAG) == ()
    assert served() == "Classic"
    lost = page_of(done, "failed").summary.unwatched
    assert lost is not None
    assert lost.what == "The winner's release has not been started."
    assert lost.serves == "everyone gets Classic while the flag is on and its rule unchanged"
    assert lost.cure.startswith("start the release of flag checkout-button in LaunchDarkly: a guarded release from")
    assert lost.cure.endswith("Then clear the task r.release.start. Reviewers: grace@example.com.")


def test_a_release_that_has_ended_meanwhile_is_the_iterations(emulator: EmulatorServer) -> None:
    def start_and_end(done: TaskRunner) -> None:
        starts(emulator)(done)
        emulator.clock.advance("P4D")

    done = run(emulator, start_and_end, crash=once(START))

    assert ended(done) == "ship"
    assert len(LaunchDarklyHook().list_releases(FLAG)) == 1


def once(task_id: str) -> Callable[[str], bool]:
    """Return what kills a task once, after all that it did."""
    ran: list[str] = []

    def crash(found: str) -> bool:
        ran.append(found)
        return found == task_id and ran.count(found) == 1

    return crash


def test_another_release_fails_the_task_and_is_named(emulator: EmulatorServer) -> None:
    done = run(emulator, starts(emulator, metrics=[]))

    assert done.states[START] == "failed"
    assert done.reasons[START].startswith("ReleaseActiveError")
    assert "metrics: asked" in done.reasons[START]


def test_once_no_approval_is_demanded_the_task_starts_it(emulator: EmulatorServer) -> None:
    done = run(emulator, lambda _done: emulator.switch(flag_approvals="by_environment"))
    assert ended(done) == "ship"
    assert len(emulator.effects("release.started")) == 1


def test_what_the_release_has_left_is_removed_with_an_approval(emulator: EmulatorServer) -> None:
    def start_what_regresses(done: TaskRunner) -> None:
        starts(emulator)(done)
        make_true(emulator, load=0.3)

    done = run(emulator, start_what_regresses)

    assert ended(done) == "regressed"
    assert done.output("r.regressed")["release"]["regressed"] == [SLOWER]
    assert (served(), rules()) == ("Classic", 0)
    (request,) = requests_in(emulator)
    assert (request.status, [part["kind"] for part in request.instructions]) == ("completed", ["removeRule"])


def test_a_release_that_waits_is_a_persons_to_stop(emulator: EmulatorServer) -> None:
    def start_what_regresses(done: TaskRunner) -> None:
        starts(emulator)(done)
        make_true(emulator, load=0.3)

    done = run(emulator, start_what_regresses, endings={"ship": {"release": WAITS}})
    assert done.states["r.regressed"] == "failed"
    assert "approval is required" in done.reasons["r.regressed"]
    lost = page_of(done, "failed").summary.unwatched
    assert lost is not None
    assert (lost.what, lost.serves) == (
        f"The release of the winner waits for a person: {SLOWER} regressed.",
        "90 % Classic, 10 % Bold",
    )
    assert "back to Classic (reviewers: grace@example.com), and clear the task r.regressed" in lost.cure

    emulator.switch(flag_approvals="by_environment")
    LaunchDarklyHook().stop_release(FLAG, done.output(START)["release_id"], BACK)
    emulator.switch(flag_approvals="everywhere")
    assert done.again("r.regressed") == "success", done.reasons
    assert (served(), rules()) == ("Classic", 0)


def stops(emulator: EmulatorServer, reason: str) -> Callable[[TaskRunner], object]:
    """Return a person who stops the iteration on its baseline with a reason, and then starts the release."""

    def act(done: TaskRunner) -> None:
        waits_for = done.waiting[START]
        if "design" in waits_for:
            starts(emulator)(done)
            return
        emulator.switch(experiment_approvals="never")
        key, iteration_id = waits_for["experiment_key"], waits_for["iteration_id"]
        LaunchDarklyHook().stop_iteration(key, iteration_id, winner="baseline", reason=reason)
        emulator.switch(experiment_approvals="everywhere")

    return act


@pytest.mark.parametrize("kind", [TaskRunner, Resuming])
def test_the_stop_before_the_release_is_a_persons_too(emulator: EmulatorServer, kind: type[TaskRunner]) -> None:
    done = run_with_gated_stop(emulator, stops(emulator, SHIPS_BY_RELEASE), kind)

    assert ended(done) == "ship"
    stop, start = HEARD
    assert f"an approval to stop iteration {done.output(START)['iteration_id']} of" in stop
    assert f"UTC: on 'Classic', with the reason '{SHIPS_BY_RELEASE}'" in stop
    assert "Bold 50 %, Classic 50 %" in stop
    assert "an approval to start the release of flag checkout-button" in start
    assert len(LaunchDarklyHook().list_releases(FLAG)) == 1


def test_a_stop_for_another_reason_is_a_decision_and_starts_nothing(emulator: EmulatorServer) -> None:
    done = run_with_gated_stop(emulator, stops(emulator, "enough"), TaskRunner)

    assert ended(done) == "invalid"
    assert done.states[START] == "skipped"
    assert "is stopped with winner 'Classic', not by this task" in done.output("r.invalid")["why"]
    assert LaunchDarklyHook().list_releases(FLAG) == ()


def test_harm_while_the_stop_waits_goes_back_and_starts_nothing(emulator: EmulatorServer) -> None:
    def harm(_: TaskRunner) -> None:
        make_true(emulator, conversion=-0.3)
        emulator.switch(experiment_approvals="by_environment")  # nobody has to make the rollback

    done = run_with_gated_stop(emulator, harm, TaskRunner)

    assert (ended(done), done.states[START]) == ("rollback", "skipped")
    assert LaunchDarklyHook().list_releases(FLAG) == ()


def run_with_gated_stop(
    emulator: EmulatorServer, person: Callable[[TaskRunner], object], kind: type[TaskRunner]
) -> TaskRunner:
    """Run a rollout whose iteration starts freely, and stops only with an approval."""

    class Gated(kind):  # type: ignore[misc,valid-type]
        def _run_one(self, task: Any) -> str:
            if task.task_id == "r.verdict":
                emulator.switch(experiment_approvals="everywhere", experiment_approvals_of="starts_and_stops")
            return str(super()._run_one(task))

    return run(emulator, person, Gated)


def test_the_plan_says_that_a_person_has_to_start_it() -> None:
    spec = Rollout.from_json(rollout(**APPROVAL))
    assert not any("launchdarkly_approval" in concern for concern in spec.concerns())
    hook = LaunchDarklyHook()
    (warning,) = hook.run(compare(spec, hook.environment())).warnings
    assert "a person has to start it in LaunchDarkly" in warning
