"""A rollout whose starts and stops LaunchDarkly refuses without an approval, through `dag.test()`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.emulator.rules import lifecycle
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout import approved_writes, steps
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.watched_question import WatchedQuestionOperator
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.test_approval_example import CROSSING, HARM, NONE, make_true, rollout_dag, served
from dags.test_experiment_rollout import xcom
from dags.test_rollout_examples import ended, states
from support.heard import HEARD, PATH
from support.lone_polls import poll_alone
from support.reviewers import requests_in, review_pending

pytestmark = pytest.mark.usefixtures("connection", "airflow_database")

__all__ = ["rollout_dag"]  # a fixture

APPROVAL = {
    "launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "1d"},
    "notify": [{"through": PATH, "events": ["asked", "unwatched"]}],
}
REPLACED = {
    **APPROVAL,
    "launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "1d", "replaces_airflow": True},
    "approval": {"before_ship": True},
    "turn_flag_on": False,
    "stages": [
        {"allocation": 10, "dwell": "1d", "approval": True},
        {"allocation": 50, "gate": "decision", "approval": True},
    ],
}
TO_START = re.compile(r"an approval to start .*, iteration (\S+) of button")
TO_STOP = re.compile(r"an approval to stop iteration (\S+) of button on (\w+)")


class Person:
    """Does in LaunchDarkly what a message says, six hours after it, with an approval there."""

    def __init__(self, emulator: EmulatorServer) -> None:
        self.emulator = emulator
        self.does: Callable[[str], None] = self.obey
        self._read = 0

    def read(self) -> None:
        new, self._read = HEARD[self._read :], len(HEARD)
        for text in new:
            if "demands an approval" in text:
                self.does(text)

    def obey(self, text: str) -> None:
        hook = LaunchDarklyHook()
        self.emulator.switch(experiment_approvals="never")
        if start := TO_START.search(text):
            hook.start_iteration("button", start[1], justification="approved")
        if stop := TO_STOP.search(text):
            hook.stop_iteration("button", stop[1], winner=stop[2], reason="approved")
        self.emulator.switch(experiment_approvals="everywhere")


@pytest.fixture
def person(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Each start and stop needs an approval, Bold wins, and six hours pass between two polls."""
    make_true(emulator, CROSSING)
    HEARD.clear()
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL", str(6 * 60 * 60))
    somebody = Person(emulator)

    async def sleep(seconds: float) -> None:
        emulator.clock.advance(timedelta(seconds=seconds))
        somebody.read()

    poll_alone(monkeypatch, sleep)
    # LaunchDarkly starts nothing on a flag that is off.
    LaunchDarklyHook().turn_flag("checkout-button", on=True)
    emulator.switch(experiment_approvals="everywhere", experiment_approvals_of="starts_and_stops")
    return somebody


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a deferral hands to its own task: Airflow's scheduler does, and `dag.test()` drops it for the event."""
    handed: dict[str, Any] = {}
    wait, go_on = approved_writes._wait_for_a_look, approved_writes.WaitsForApproval.execute_complete

    def remember(rollout: Any, waits: Any, now: Any) -> Any:
        handed["waits"] = dict(waits)
        return wait(rollout, waits, now)

    def complete(task: Any, context: Any, event: Any = None, waits: Any = None) -> Any:
        return go_on(task, context, event, handed.pop("waits", waits))

    monkeypatch.setattr(approved_writes, "_wait_for_a_look", remember)
    monkeypatch.setattr(approved_writes.WaitsForApproval, "execute_complete", complete)


def counts(emulator: EmulatorServer) -> dict[str, int]:
    kinds = ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped")
    return {kind: len(emulator.effects(kind)) for kind in kinds}


def told() -> list[str]:
    return [text.split(" and takes no request")[0] for text in HEARD if "demands an approval" in text]


def test_people_start_and_ship_in_launchdarkly_and_nothing_is_written_twice(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any]
) -> None:
    stages = [{"allocation": 10, "dwell": "1d"}, {"allocation": 50, "gate": "decision"}]
    run = rollout_dag({**APPROVAL, "stages": stages}).test()
    assert ended(run) == [Ending.SHIP]
    assert served() == "Bold"
    # Two drafts, of which the second comes after the experiment's own, and one stop with a winner.
    assert counts(emulator)["experiment.created"] == 1
    assert counts(emulator)["iteration.started"] == 2
    assert len(told()) == 3
    assert all("grace@example.com" in text for text in HEARD)


def test_a_flag_is_turned_on_by_an_approval_request(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any], monkeypatch: Any
) -> None:
    LaunchDarklyHook().turn_flag("checkout-button", on=False)
    emulator.switch(experiment_approvals="never", flag_approvals="everywhere")
    monkeypatch.setattr(person, "read", lambda: review_pending(emulator))
    run = rollout_dag(APPROVAL).test()
    assert ended(run) == [Ending.SHIP]
    (request,) = requests_in(emulator)
    assert (request.status, request.review_status) == ("completed", "approved")
    assert counts(emulator)["iteration.started"] == counts(emulator)["iteration.stopped"] == 1
    (asked,) = HEARD
    assert asked.startswith(f"LaunchDarkly demands an approval: a person has to review approval request {request.id}")
    assert "Who gets what now: nothing of this rollout; flag checkout-button is off: everyone gets Classic" in asked


def test_nobody_who_starts_it_in_time_fails_and_leaves_nothing_half_done(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any]
) -> None:
    person.does = lambda _text: None
    dag = rollout_dag(APPROVAL)
    assert dag.test().state == "failed"
    assert counts(emulator)["iteration.started"] == 0
    assert served() == "Classic"
    # Another run asks anew, for the same draft.
    person.does = person.obey
    assert ended(dag.test()) == [Ending.SHIP]
    assert counts(emulator)["experiment.created"] == counts(emulator)["iteration.started"] == 1


def test_an_approval_after_the_window_has_shut_starts_nothing(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any], monkeypatch: Any
) -> None:
    LaunchDarklyHook().turn_flag("checkout-button", on=False)
    emulator.switch(experiment_approvals="never", flag_approvals="everywhere")
    monkeypatch.setattr(person, "read", lambda: review_pending(emulator))
    # The emulator's first day is 2026-01-05, a Monday, from midnight.
    now = emulator.clock.now()
    window = {"timezone": "UTC", "hours": f"{now:%H:%M}-{now + timedelta(hours=3):%H:%M}"}
    run = rollout_dag({**APPROVAL, "change_window": window}).test()
    assert run.state == "failed"
    assert states(run)["rollout.start"] == ["failed"]
    assert not LaunchDarklyHook().get_flag("checkout-button").environments["production"].on
    assert requests_in(emulator) == []
    assert counts(emulator)["iteration.started"] == 0


@pytest.mark.usefixtures("kept")
def test_harm_that_shows_while_a_start_waits_rolls_back_and_the_stage_never_starts(
    emulator: EmulatorServer,
    person: Person,
    rollout_dag: Callable[[dict[str, Any]], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot_withdraw(*_: Any) -> None:
        raise StateError("LaunchDarkly lists no requests now")

    # What is not needed any more is deleted if that works; the rollback does not wait for it.
    monkeypatch.setattr(steps, "withdraw_requests", cannot_withdraw)

    def leave_the_next_stage(text: str) -> None:
        if "start stage 2 of 2" not in text:
            person.obey(text)
            return
        asked.append(emulator.clock.now())
        make_true(emulator, HARM)

    asked: list[datetime] = []
    make_true(emulator, 0.0)
    person.does = leave_the_next_stage
    stages = [{"allocation": 50, "dwell": "1d"}, {"allocation": 40, "gate": "decision"}]
    approval = {"launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "14d"}}
    run = rollout_dag({**APPROVAL, **approval, "stages": stages}).test()
    assert ended(run) == [Ending.ROLLBACK]
    assert states(run)["rollout.stage_2.start"] == ["skipped"]
    assert served() == "Classic"
    assert (counts(emulator)["iteration.started"], counts(emulator)["iteration.stopped"]) == (1, 1)
    assert len(told()) == 3
    # Long before the time of the approval is over.
    assert emulator.clock.now() - asked[0] < timedelta(days=2)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("trouble", [True, False], ids=["a look that fails", "a start right before a look"])
def test_a_look_while_a_start_waits_ends_nothing_but_harm_does(
    emulator: EmulatorServer,
    person: Person,
    rollout_dag: Callable[[dict[str, Any]], Any],
    monkeypatch: pytest.MonkeyPatch,
    trouble: bool,
) -> None:
    later: list[str] = []
    looks: list[int] = []
    look = steps.LaunchDarklyStartNextStageOperator.ends_waiting

    def take_a_look(task: Any, rollout: Any, context: Any) -> bool:
        looks.append(len(later))
        if trouble and len(looks) == 1:
            raise RuntimeError("the warehouse is away")
        if later:
            person.obey(later.pop())
        return look(task, rollout, context)

    person.does = lambda text: later.append(text) if "start stage 2 of 2" in text else person.obey(text)
    monkeypatch.setattr(steps.LaunchDarklyStartNextStageOperator, "ends_waiting", take_a_look)
    stages = [{"allocation": 10, "dwell": "1d"}, {"allocation": 50, "gate": "decision"}]
    approval = {"launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "7d"}}
    run = rollout_dag({**APPROVAL, **approval, "stages": stages}).test()
    assert ended(run) == [Ending.SHIP]
    assert looks == ([1, 1] if trouble else [1])
    assert counts(emulator)["iteration.started"] == 2
    assert len(told()) == 3


@pytest.mark.parametrize("somebody_acts", [True, False])
def test_a_rollback_tells_at_once_that_the_harm_is_served_until_somebody_acts(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any], somebody_acts: bool
) -> None:
    make_true(emulator, HARM)
    obey = person.does
    person.does = lambda text: obey(text) if somebody_acts or TO_START.search(text) else None
    run = rollout_dag(APPROVAL).test()
    start, stop, *rest = [text for text in HEARD if "demands an approval" in text]
    assert TO_START.search(start)
    found = TO_STOP.search(stop)
    assert found is not None
    assert found[2] == "Classic"
    assert stop.startswith("Unwatched: LaunchDarkly demands an approval to stop")
    assert "People get the harmful stage until somebody does" in stop
    assert rest == []
    if somebody_acts:
        assert ended(run) == [Ending.ROLLBACK]
        assert (served(), counts(emulator)["iteration.stopped"]) == ("Classic", 1)
        return
    assert run.state == "failed"
    assert states(run)["rollout.rollback"] == ["failed"]
    assert (served(), counts(emulator)["iteration.stopped"]) == ("split", 0)
    assert any(text.startswith("Unwatched: the task rollout.rollback failed") for text in HEARD)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("replaces", [False, True], ids=["the task stops", "only a person stops"])
def test_harm_that_shows_while_a_ship_waits_rolls_back_by_itself(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any], replaces: bool
) -> None:
    asked: list[datetime] = []

    def leave_the_ship(text: str) -> None:
        if "on Bold" not in text:
            person.obey(text)
            return
        asked.append(emulator.clock.now())
        make_true(emulator, HARM)

    person.does = leave_the_ship
    approval = {"reviewers": ["grace@example.com"], "timeout": "14d", "replaces_airflow": replaces}
    notify = [{"through": PATH, "events": ["asked", "unwatched", "harm", "ended"]}]
    more = {"approval": {"before_ship": True}, "turn_flag_on": False} if replaces else {}
    run = rollout_dag({**more, "launchdarkly_approval": approval, "notify": notify}).test()
    assert ended(run) == [Ending.ROLLBACK]
    assert states(run)["rollout.ship"] == ["skipped"]
    assert (served(), counts(emulator)["iteration.stopped"]) == ("Classic", 1)
    withheld, ending = xcom(run, "rollout.ship", "withheld"), xcom(run, "rollout.rollback")
    assert withheld["ending"] == ending["ending"] == "rollback"
    assert withheld["verdict"]["verdict"] == "rollback"
    # Long before the time of the approval is over.
    assert emulator.clock.now() - asked[0] < timedelta(days=2)
    harm, hand_over, end = HEARD[-3:]
    assert harm.startswith("rollback: ")
    assert "The winner must not be shipped any more, also not in LaunchDarkly." in harm
    assert "demands an approval to stop" in hand_over
    assert end.startswith("rollback: ")


@pytest.mark.parametrize(
    ("effect", "ends", "served_then"), [(HARM, Ending.ROLLBACK, "Classic"), (NONE, Ending.INCONCLUSIVE, "split")]
)
def test_a_ship_that_waited_is_withheld_if_the_data_have_changed(
    emulator: EmulatorServer,
    person: Person,
    rollout_dag: Callable[[dict[str, Any]], Any],
    effect: float,
    ends: Ending,
    served_then: str,
) -> None:
    def turn(text: str) -> None:
        if TO_START.search(text):
            person.obey(text)
            return
        make_true(emulator, effect)
        emulator.clock.advance(timedelta(days=2))
        emulator.switch(experiment_approvals="never")

    person.does = turn
    run = rollout_dag(APPROVAL).test()
    assert ended(run) == [ends]
    assert states(run)["rollout.ship"] == ["skipped"]
    assert (served(), counts(emulator)["iteration.stopped"]) == (served_then, int(ends is Ending.ROLLBACK))


def test_a_person_who_stops_it_on_the_baseline_while_a_ship_waits_ends_it_invalid(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any]
) -> None:
    person.does = lambda text: person.obey(text.replace("on Bold", "on Classic"))
    notify = [{"through": PATH, "events": ["asked", "drift"]}]
    run = rollout_dag({**APPROVAL, "notify": notify}).test()
    assert ended(run) == [Ending.INVALID]
    assert states(run)["rollout.ship"] == ["skipped"]
    assert (served(), counts(emulator)["iteration.stopped"]) == ("Classic", 1)
    assert "not by this task" in HEARD[-1]
    assert re.search(r"iteration \w+ does not run any more: Classic 100 %", HEARD[-1])


def test_without_the_setting_a_refused_start_fails_as_before(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any]
) -> None:
    run = rollout_dag({"notify": APPROVAL["notify"]}).test()
    assert states(run)["rollout.start"] == ["failed"]
    assert counts(emulator)["iteration.started"] == 0
    assert [text for text in HEARD if "demands an approval" in text] == []


def test_an_approval_in_launchdarkly_replaces_the_question_in_airflow_and_a_person_makes_the_change(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any]
) -> None:
    run = rollout_dag(REPLACED).test()
    assert ended(run) == [Ending.SHIP]
    assert served() == "Bold"
    assert counts(emulator)["iteration.started"] == 2
    assert [bool(TO_START.search(text)) for text in told()] == [True, True, False]
    # Nobody is asked, and the task itself tries none of the changes: the person's are all that there are.
    assert [text for text in HEARD if text.startswith("Asked:") and "demands an approval" not in text] == []
    assert [request for request in emulator.requests() if request.status == 403] == []


def test_a_token_that_may_bypass_approvals_still_makes_no_change_that_nobody_approved(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any], monkeypatch: Any
) -> None:
    # The settings demand approvals, and LaunchDarkly lets this token through.
    monkeypatch.setattr(lifecycle, "check_approval", lambda *_: None)
    person.does = lambda _text: None
    run = rollout_dag(REPLACED).test()
    assert states(run)["rollout.stage_1.start"] == ["failed"]
    assert counts(emulator)["iteration.started"] == 0


def test_where_the_environment_demands_no_approval_people_are_asked_in_airflow(
    emulator: EmulatorServer, person: Person, rollout_dag: Callable[[dict[str, Any]], Any], monkeypatch: Any
) -> None:
    emulator.switch(experiment_approvals="never")
    asked: list[str] = []

    def ask(task: Any, context: Any) -> Any:
        asked.append(task.task_id)
        return {"chosen_options": ["Approve"], "responded_by_user": {"id": "1", "name": "grace"}}

    monkeypatch.setattr(WatchedQuestionOperator, "execute", ask)
    assert ended(rollout_dag(REPLACED).test()) == [Ending.SHIP]
    assert asked == [f"rollout.{group}.approve" for group in ("stage_1", "stage_2", "before_ship")]
    assert told() == []
