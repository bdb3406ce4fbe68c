"""LaunchDarkly's approval in a rollout: how it is read, what is told, and a try that is killed while it waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_launchdarkly.api.errors import PermissionDeniedError
from airflow_provider_launchdarkly.api.models import Environment
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications.events import Event, Severity
from airflow_provider_launchdarkly.rollout.approval import LaunchDarklyApproval
from airflow_provider_launchdarkly.rollout.approved_writes import HandOver
from airflow_provider_launchdarkly.rollout.confirmation import LEFT_TO_LAUNCHDARKLY
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_text
from airflow_provider_launchdarkly.rollout.news import Happening, message_of
from airflow_provider_launchdarkly.rollout.promotion import Promotion
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.state_machine import confirm_stage
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.sensors._approval import still_waits, trigger_for_a_part
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.reviewers import requests_in, review_pending
from support.task_runner import TaskRunner
from unit.rollout.test_task_group import approve, rollout, step_of

RELEASE = {"kind": "progressive", "steps": [{"percent": 50, "duration": "1d"}]}
APPROVAL = {"reviewers": ["grace@example.com", "team:checkout"], "timeout": "8h"}


def test_it_is_read_from_python_and_from_yaml_and_none_is_the_default() -> None:
    assert Rollout.from_json(rollout()).launchdarkly_approval is None
    read = Rollout.from_json(rollout(launchdarkly_approval=APPROVAL)).launchdarkly_approval
    assert read == LaunchDarklyApproval(reviewers=("grace@example.com", "team:checkout"), timeout=timedelta(hours=8))
    text = """
rollouts:
  button:
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      treatments: [{variation: Classic, baseline: true}, {variation: Bold}]
      primary_metric: checkout-conversion
    stages: [{allocation: 50, gate: decision}]
    launchdarkly_approval: {reviewers: [grace@example.com, "team:checkout"], timeout: 8h}
"""
    (found,) = read_text(text, Path("rollouts.yaml"))
    assert isinstance(found, NamedRollout)
    assert found.rollout.launchdarkly_approval == read
    without_timeout = Rollout.from_json(rollout(launchdarkly_approval={"reviewers": ["grace@example.com"]}))
    assert without_timeout.launchdarkly_approval is not None
    assert without_timeout.launchdarkly_approval.timeout == timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"launchdarkly_approval\.reviewers: is required"),
        ({"reviewers": []}, r"launchdarkly_approval\.reviewers"),
        ({"reviewers": "grace@example.com"}, r"launchdarkly_approval\.reviewers.*grace@example.com"),
        ({"reviewers": ["grace@example.com", "team:"]}, r"reviewers\[1\].*team:KEY"),
        ({"reviewers": [" "]}, r"reviewers\[0\]"),
        ({**APPROVAL, "timeout": "0m"}, r"launchdarkly_approval\.timeout.*give people 1m or more"),
        ({**APPROVAL, "timeout": "soon"}, r"launchdarkly_approval\.timeout.*soon"),
        ({**APPROVAL, "reviewer": "x"}, r"launchdarkly_approval\.reviewer\b"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_field(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSettingError, match=said):
        Rollout.from_json(rollout(launchdarkly_approval=given))


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({}, [True, True, True]),
        ({"turn_flag_on": True}, [False, True, True]),
        ({"endings": {"ship": {"release": RELEASE}}}, [True, True, False]),
        ({"approval": {}}, [True, True, False]),
        ({"stages": [{"allocation": 10, "dwell": "1d"}, {"allocation": 50, "gate": "decision"}]}, [False, False, True]),
    ],
)
def test_it_may_replace_the_questions_before_which_the_task_writes_nothing_itself(
    more: dict[str, Any], left: list[bool]
) -> None:
    asking = [
        {"allocation": 10, "dwell": "1d", "approval": True},
        {"allocation": 50, "gate": "decision", "approval": True},
    ]
    given = {"turn_flag_on": False, "stages": asking, "approval": {"before_ship": True}, **more}
    read = Rollout.from_json(rollout(**given, launchdarkly_approval={**APPROVAL, "replaces_airflow": True}))
    assert [read.may_leave_question(number) for number in (0, 1, None)] == left
    not_said = Rollout.from_json(rollout(**given, launchdarkly_approval=APPROVAL))
    assert not any(not_said.may_leave_question(number) for number in (0, 1, None))


def test_what_replaces_no_question_is_a_concern() -> None:
    concern = "launchdarkly_approval.replaces_airflow replaces no question of this rollout"
    replaces = {**APPROVAL, "replaces_airflow": True}
    assert concern in Rollout.from_json(rollout(launchdarkly_approval=replaces)).concerns()
    asks = rollout(launchdarkly_approval=replaces, approval={"before_ship": True})
    assert concern not in Rollout.from_json(asks).concerns()


def test_each_environment_may_have_its_own() -> None:
    environments = ["test", {"key": "production", "launchdarkly_approval": APPROVAL}]
    test, production = Promotion.from_json(rollout(environments=environments)).rollouts
    assert test.launchdarkly_approval is None
    assert production.launchdarkly_approval is not None


@pytest.mark.parametrize(
    ("given", "waited"), [({}, False), ({"launchdarkly_approval": APPROVAL}, True)], ids=["without", "with"]
)
def test_only_with_it_the_results_are_judged_again_before_each_write(given: dict[str, Any], waited: bool) -> None:
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(**given), group_id="r")
    tasks: dict[str, Any] = dict(dag.task_dict)
    assert [tasks[f"r.{task}"].waited for task in ("start", "verdict")] == [waited, waited]


@pytest.mark.usefixtures("connection")
def test_a_try_that_is_killed_while_it_waits_asks_once_and_starts_once(emulator: EmulatorServer) -> None:
    emulator.switch(flag_approvals="everywhere")
    killed: list[str] = []

    def wait(task_id: str) -> None:
        emulator.clock.advance(step_of(task_id) / 24)
        if task_id == "r.start":
            # The next try begins anew, as the one that waited is gone; the third one finds the approval.
            killed.append(task_id)
            if len(killed) == 3:
                review_pending(emulator)

    crashed: list[str] = []

    def crash(task_id: str) -> bool:
        crashed.append(task_id)
        return crashed.count(task_id) == 1 and task_id == "r.start"

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(launchdarkly_approval=APPROVAL | {"reviewers": ["grace@example.com"]}), group_id="r")
    done = TaskRunner(dag, wait=wait, crash=crash)
    assert done.again("r.start") == "success", done.reasons
    assert len(killed) == 3
    (request,) = requests_in(emulator)
    assert (request.status, request.review_status) == ("completed", "approved")
    assert len(emulator.effects("experiment.created")) == len(emulator.effects("iteration.started")) == 1


@pytest.mark.usefixtures("connection")
def test_a_try_that_is_killed_while_a_person_is_to_start_adopts_the_persons_start(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: dict[str, Any] = {}
    context = TaskRunner._context
    kept = SimpleNamespace(get=store.get, set=store.__setitem__, delete=store.pop)
    monkeypatch.setattr(TaskRunner, "_context", lambda run, task: {**context(run, task), "task_state_store": kept})
    emulator.switch(experiment_approvals="everywhere", experiment_approvals_of="starts_and_stops")
    LaunchDarklyHook().turn_flag("checkout-button", on=True)
    waited: list[str] = []

    def wait(task_id: str) -> None:
        emulator.clock.advance(step_of(task_id) / 24)
        waited.append(task_id)
        if waited.count("r.start") == 2:
            emulator.switch(experiment_approvals="never")
            (draft,) = LaunchDarklyHook().get_experiment("button", expand=ITERATIONS).drafts
            LaunchDarklyHook().start_iteration("button", draft.id, justification="approved")
            emulator.switch(experiment_approvals="everywhere")

    crashed: list[str] = []

    def crash(task_id: str) -> bool:
        crashed.append(task_id)
        return crashed.count(task_id) == 1 and task_id == "r.start"

    replaces = {"reviewers": ["grace@example.com"], "replaces_airflow": True}
    stages = [{"allocation": 50, "gate": "decision", "approval": True}]
    given = rollout(launchdarkly_approval=replaces, stages=stages, turn_flag_on=False, if_running="refuse")
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(given, group_id="r")
    done = TaskRunner(dag, wait=wait, crash=crash)
    assert done.again("r.approve") == "success", done.reasons
    assert done.output("r.approve")["left_to"] == "LaunchDarkly"
    assert done.again("r.start") == "success", done.reasons
    assert waited == ["r.start", "r.start"]
    assert len(emulator.effects("experiment.created")) == len(emulator.effects("iteration.started")) == 1
    assert [request for request in emulator.requests() if request.status == 403] == []


@pytest.mark.usefixtures("connection")
def test_a_question_that_was_left_starts_nothing_once_the_setting_is_gone(emulator: EmulatorServer) -> None:
    stages = [{"allocation": 50, "gate": "decision", "approval": True}]
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(stages=stages), group_id="r")
    done = TaskRunner(dag, wait=lambda _task: None)
    done.states["r.approve"] = "success"
    done.xcoms["r.approve", "return_value"] = dict(LEFT_TO_LAUNCHDARKLY)
    assert done.again("r.start") == "failed"
    assert "Clear the task `approve`" in done.reasons["r.start"]
    assert emulator.effects("iteration.started") == []


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("said", ["nothing", "forbidden"])
def test_people_are_asked_in_airflow_where_the_settings_say_nothing(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def read(_hook: Any) -> Environment:
        if said == "forbidden":
            raise PermissionDeniedError("no access")
        return Environment(key="production")

    monkeypatch.setattr(LaunchDarklyHook, "get_environment", read)
    replaces = {"reviewers": ["grace@example.com"], "replaces_airflow": True}
    stages = [{"allocation": 50, "gate": "decision", "approval": True}]
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(launchdarkly_approval=replaces, stages=stages, turn_flag_on=False), group_id="r")
    done = TaskRunner(dag, wait=lambda _task: None, answer=lambda _task: approve())
    assert done.again("r.approve") == "success", done.reasons
    assert done.output("r.approve") == approve()


@pytest.mark.usefixtures("connection")
def test_a_start_that_is_cleared_alone_outside_the_window_applies_no_approval(emulator: EmulatorServer) -> None:
    emulator.switch(flag_approvals="everywhere")

    def wait(_task_id: str) -> None:
        emulator.clock.advance(timedelta(hours=6))
        review_pending(emulator)

    now = emulator.clock.now()
    window = {"hours": f"{now:%H:%M}-{now + timedelta(hours=3):%H:%M}"}
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(launchdarkly_approval={"reviewers": ["grace@example.com"]}, change_window=window))
    done = TaskRunner(dag, wait=wait)
    assert done.again("rollout.window") == "success"
    # After the waiting, another try begins anew.
    assert done.again("rollout.start") == "failed"
    assert done.reasons["rollout.start"].startswith("WindowShutError: the change window is shut at")
    assert "Clear the task `window`" in done.reasons["rollout.start"]
    assert requests_in(emulator) == []
    assert emulator.effects("iteration.started") == []


@pytest.mark.parametrize(
    ("harm", "event", "severity"), [(False, Event.ASKED, Severity.INFO), (True, Event.UNWATCHED, Severity.CRITICAL)]
)
def test_a_hand_over_is_told_with_what_to_do_and_what_is_served(harm: bool, event: Event, severity: Severity) -> None:
    change = HandOver("stop iteration 1 of button on Classic", "button", "1", 0, harm=harm)
    assert change.event is event
    output = change.told(["grace@example.com"], "2026-01-06T08:00:00+00:00")
    message = message_of(event, Rollout.from_json(rollout()), Happening(stage=0, output=output))
    assert message is not None
    assert message.severity is severity
    assert "LaunchDarkly demands an approval to stop iteration 1 of button on Classic" in message.headline
    assert message.now == "Bold 50 %, Classic 50 %, in stage 1 of 1"
    assert ("People get the harmful stage until somebody does." in message.follows) == harm
    assert message.actions == (
        "Request and apply it in LaunchDarkly by 2026-01-06 08:00 UTC. Reviewers: grace@example.com."
    )


def test_a_request_is_told_with_who_reviews_it_and_where() -> None:
    where = "https://app.example.com/demo/flags/checkout-button"
    change = HandOver("review approval request r-1 on flag checkout-button", "button", "1", None, reviewed_at=where)
    output = change.told(["grace@example.com"], "2026-01-06T08:00:00+00:00")
    message = message_of(Event.ASKED, Rollout.from_json(rollout()), Happening(output=output))
    assert message is not None
    assert message.headline == (
        "LaunchDarkly demands an approval: a person has to review approval request r-1 on flag checkout-button · button"
    )
    assert message.actions == (
        f"Review it in LaunchDarkly by 2026-01-06 08:00 UTC: {where} Reviewers: grace@example.com."
    )
    assert message.follows == (
        "The task applies the request once it is approved. If nobody approves it by 2026-01-06 08:00 UTC, the task "
        "deletes it and fails."
    )


def test_a_hand_over_that_is_asked_anew_is_told_anew() -> None:
    change = HandOver("start stage 2 of 2", "button", "1", 0)
    times = ("2026-01-06T08:00:00+00:00", "2026-01-06T08:00:00+00:00", "2026-01-07T08:00:00+00:00")
    outputs = [change.told(["grace@example.com"], until) for until in times]
    found = [message_of(Event.ASKED, Rollout.from_json(rollout()), Happening(output=output)) for output in outputs]
    first, repeated, anew = [message.key for message in found if message]
    assert first == repeated != anew


@pytest.mark.parametrize(("verdict", "starts"), [("invalid", True), ("wait", True), ("rollback", False)])
def test_a_stage_that_nothing_judges_is_followed_by_the_next_unless_it_does_harm(verdict: str, starts: bool) -> None:
    stages = [{"allocation": 100, "dwell": "1d", "gate": "none"}, {"allocation": 50, "gate": "decision"}]
    fresh = {"verdict": verdict, "reason": "no_data", "summary": "no data for Classic", "harmed": []}
    found = confirm_stage(Rollout.from_json(rollout(stages=stages)), 0, asked=False, answer=None, fresh=fresh)
    assert found.confirmed is starts


UNTIL = datetime(2026, 1, 7, tzinfo=UTC)
DUE = datetime(2026, 1, 6, 6, tzinfo=UTC)
PLACE = {
    "launchdarkly_conn_id": "launchdarkly_default",
    "project_key": "demo",
    "environment_key": "production",
    "poll_interval": 60.0,
}


def test_a_wait_for_a_request_is_interrupted_at_the_look_that_is_due() -> None:
    whole = {**PLACE, "flag_key": "checkout-button", "request_id": "1", "timeout_seconds": 2 * 86_400.0}
    # It was made two days before its end.
    trigger = trigger_for_a_part(whole, UNTIL, DUE)
    assert trigger.serialize()[1] == {**whole, "timeout_seconds": 30 * 3_600.0}


def test_a_wait_for_a_person_is_interrupted_at_the_look_that_is_due() -> None:
    whole = {**PLACE, "experiment_key": "button", "iteration_id": "1", "status": "running", "until": UNTIL.isoformat()}
    trigger = trigger_for_a_part(whole, UNTIL, DUE)
    assert trigger.serialize()[1] == {**whole, "until": DUE.isoformat()}


@pytest.mark.parametrize(
    ("found", "waits"),
    [
        ({"review": "overdue"}, True),
        ({"review": "approved"}, False),
        ({"review": "declined"}, False),
        ({"review": "gone"}, False),
        ({"reached": False}, True),
        ({"reached": True}, False),
    ],
)
def test_only_a_wait_without_a_decision_goes_on(found: dict[str, Any], waits: bool) -> None:
    assert still_waits({"status": "finding", "finding": found}) is waits
