"""What people are told of who gets what, where they decide: it is read from the flag at that moment."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.emulator.state.flag_models import Rollout as Serves
from airflow_provider_launchdarkly.emulator.state.flag_models import WeightedVariation
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications import sending
from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.rollout import wave_served
from airflow_provider_launchdarkly.rollout.seen_now import seen_now
from airflow_provider_launchdarkly.rollout.served_now import Setting, served_now
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyRolloutNotifier
from airflow_provider_launchdarkly.rollout.wave_tally import Standing, TargetTasks
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.heard import HEARD, PATH
from support.task_runner import TaskRunner
from unit.rollout.test_task_group import RAMP, approve, reject, rollout, run
from unit.rollout.test_telling import Ti

pytestmark = pytest.mark.usefixtures("connection")

STAGES = [{**RAMP[0], "approval": True}, {**RAMP[2], "approval": True}]
SPEC = rollout(stages=STAGES, notify=[{"through": PATH}])
FIRST, SECOND = "r.stage_1.approve", "r.stage_2.approve"
AS_SET = "(this rollout has set Bold 10 %, Classic 90 %, in a tenth (stage 1 of 2)); read at 2026-01-07"
Act = Callable[[EmulatorServer], None]


def unchanged(_emulator: EmulatorServer) -> None:
    pass


def turned_off(_emulator: EmulatorServer) -> None:
    LaunchDarklyHook().turn_flag("checkout-button", on=False)


def serves(emulator: EmulatorServer, serving: int | Serves) -> None:
    """Let the flag's default rule serve something else, as LaunchDarkly's users can who end no experiment for it."""

    def change(running: Any) -> None:
        flags = running.world.projects["demo"].flags
        flag = flags["checkout-button"]
        config = replace(flag.configs["production"], fallthrough=serving)
        flags[flag.key] = replace(flag, configs={**flag.configs, "production": config})

    emulator.call(change)


def served_to_all(emulator: EmulatorServer) -> None:
    serves(emulator, 1)


def unreadable(emulator: EmulatorServer) -> None:
    emulator.fault("get_feature_flag", "status", status=403, times=10)


def stopped(_emulator: EmulatorServer) -> None:
    running = LaunchDarklyHook().get_experiment("button").running
    assert running is not None
    LaunchDarklyHook().stop_iteration("button", running.id, winner="Bold", reason="good enough")


def stopped_and_off(emulator: EmulatorServer) -> None:
    stopped(emulator)
    turned_off(emulator)


def replaced(_emulator: EmulatorServer) -> None:
    hook = LaunchDarklyHook()
    running = hook.get_experiment("button").running
    assert running is not None
    changes = writes.field_changes({"hypothesis": "another one"})
    hook.run(writes.save_and_start(hook.environment(), "button", running.id, changes))


ACTS: dict[str, tuple[Act, str]] = {
    "unchanged": (unchanged, "Bold 10 %, Classic 90 %, in a tenth (stage 1 of 2); read at 2026-01-07"),
    "off": (turned_off, f"flag checkout-button is off: everyone gets Classic {AS_SET}"),
    "changed": (
        served_to_all,
        f"the default rule of flag checkout-button was changed: it serves Bold to everyone whom it matches {AS_SET}",
    ),
    "unreadable": (unreadable, "not known: flag checkout-button could not be read ("),
    "replaced": (replaced, "runs in its place: Bold 10 %, Classic 90 %; read at 2026-01-07"),
}


@pytest.fixture
def rejected(emulator: EmulatorServer) -> TaskRunner:
    """A rollout whose first stage runs, and whose second one was refused."""
    HEARD.clear()
    return run(emulator, SPEC, answer=lambda task: approve() if task == FIRST else reject())


def asked(done: TaskRunner, task_id: str) -> str:
    """Ask again; return what the question says of who gets what."""
    done.again(task_id)
    return done.bodies[task_id].split("**Who gets what now**: ")[1].split("\n")[0]


@pytest.mark.parametrize(("act", "said"), ACTS.values(), ids=ACTS)
def test_a_question_and_its_reminder_say_what_the_flag_serves_by_then(
    emulator: EmulatorServer, rejected: TaskRunner, monkeypatch: pytest.MonkeyPatch, act: Act, said: str
) -> None:
    question: Any = rejected.dag.get_task(SECOND)
    question.watched = lambda _context: None  # else someone's stop closes it
    act(emulator)
    assert said in asked(rejected, SECOND)
    task: Any = copy.copy(rejected.dag.get_task(SECOND))
    context: Any = rejected._context(task)
    task.remind(context, 1, datetime(2026, 1, 10, tzinfo=UTC))
    assert said in task.served_now
    monkeypatch.setattr(LaunchDarklyHook, "run", lambda *_: pytest.fail("the task has read it"))
    LaunchDarklyRolloutNotifier(event=Event.REMINDED, rollout=SPEC, stage=0).notify(context)
    assert f"Who gets what now: {task.served_now}" in HEARD[-1]


def test_a_question_before_the_first_stage_says_what_the_flag_serves_without_the_rollout(
    emulator: EmulatorServer, rejected: TaskRunner
) -> None:
    off = "**Who gets what now**: nothing of this rollout; flag checkout-button is off: everyone gets Classic; read at"
    assert off in rejected.bodies[FIRST]
    split = "nothing of this rollout; rule fallthrough of flag checkout-button serves Classic 90 %, Bold 10 %; read at"
    assert asked(rejected, FIRST).startswith(split)
    turned_off(emulator)
    off = "nothing of this rollout; flag checkout-button is off: everyone gets Classic; read at 2026-01-07"
    assert asked(rejected, FIRST).startswith(off)
    unreadable(emulator)
    assert "nothing of this rollout; flag checkout-button could not be read (" in asked(rejected, FIRST)


def test_what_nobody_watches_says_the_weights_that_somebody_has_set(
    emulator: EmulatorServer, rejected: TaskRunner
) -> None:
    iteration = rejected.output("r.stage_1.start")["iteration_id"]

    def seen() -> str | None:
        return seen_now(
            LaunchDarklyHook, Rollout.from_json(SPEC), experiment_key="button", iteration_id=iteration
        ).served

    assert seen() == "Bold 10 %, Classic 90 %"
    serves(emulator, Serves((WeightedVariation(0, 20_000), WeightedVariation(1, 80_000))))
    assert seen() == "the default rule of flag checkout-button was changed: it serves 20 % Classic, 80 % Bold"


STARTED = {"changed": True, "experiment_key": "button"}
HARMED = {**STARTED, "verdict": "rollback", "summary": "rollback: slow"}
DRIFTED = {**STARTED, "verdict": "invalid", "reason": "iteration_stopped", "summary": "invalid: it is stopped"}
RELEASED = {**STARTED, "release_id": "1", "treatment": "Bold"}


@pytest.mark.parametrize(
    ("event", "output", "act", "said"),
    [
        (Event.STARTED, STARTED, unchanged, "Bold 10 %, Classic 90 %, in a tenth (stage 1 of 2); read at"),
        (Event.STARTED, STARTED, turned_off, f"flag checkout-button is off: everyone gets Classic {AS_SET}"),
        (Event.STAGE_ENTERED, STARTED, unreadable, "not known: flag checkout-button could not be read ("),
        (Event.HARM, HARMED, turned_off, f"flag checkout-button is off: everyone gets Classic {AS_SET}"),
        (Event.DRIFT, DRIFTED, stopped, "does not run any more: Bold 100 %; read at 2026-01-07"),
        (Event.ASKED, {**STARTED, "do": ["Stop it."]}, turned_off, "is off: everyone gets Classic"),
        (Event.RELEASE_STARTED, RELEASED, turned_off, "gets Classic (this rollout has set Bold step by"),
        (Event.RELEASE_STARTED, RELEASED, unchanged, "and the others Classic; read at"),
    ],
)  # fmt: skip
def test_a_message_says_what_the_flag_serves_when_it_is_told(
    emulator: EmulatorServer, rejected: TaskRunner, event: Event, output: dict[str, Any], act: Act, said: str
) -> None:
    released = {"endings": {"ship": {"release": {"steps": [{"percent": 20, "duration": "1d"}]}}}}
    spec = {**SPEC, **released} if event is Event.RELEASE_STARTED else SPEC
    act(emulator)
    iteration = rejected.output("r.stage_1.start")["iteration_id"]
    notifier = LaunchDarklyRolloutNotifier(event=event, rollout=spec, stage=0)
    notifier.notify(SimpleContext(ti=Ti({**output, "iteration_id": iteration})))  # type: ignore[arg-type]
    assert "Who gets what now: " in HEARD[-1]
    assert said in HEARD[-1]


class SimpleContext(dict[str, Any]):
    """The context of a callback."""

    def __init__(self, **entries: Any) -> None:
        super().__init__(entries)


def test_a_message_waits_a_bounded_time_for_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    HEARD.clear()
    ends, reads = sending.ends_within, iter((True,))
    monkeypatch.setattr(sending, "ends_within", lambda *args: not next(reads, False) and ends(*args))
    notifier = LaunchDarklyRolloutNotifier(event=Event.STARTED, rollout=SPEC, stage=0)
    notifier.notify(SimpleContext(ti=Ti({**STARTED, "iteration_id": "one"})))  # type: ignore[arg-type]
    assert (
        "Who gets what now: not known: LaunchDarkly did not answer within 20 s. This rollout has set Bold 10 %"
        in (HEARD[-1])
    )


def test_a_task_that_tells_of_no_harm_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaunchDarklyHook, "run", lambda *_: pytest.fail("nothing is told"))
    HEARD.clear()
    notifier = LaunchDarklyRolloutNotifier(event=Event.HARM, rollout=SPEC, stage=0)
    notifier.notify(SimpleContext(ti=Ti({**HARMED, "verdict": "ship"})))  # type: ignore[arg-type]
    assert HEARD == []


def test_a_connection_that_does_not_work_is_said() -> None:
    def connect() -> LaunchDarklyHook:
        raise RuntimeError("no such connection")

    found = served_now(connect, Setting(Rollout.from_json(SPEC), "button", "one", 0))
    assert found.text == (
        "not known: LaunchDarkly could not be read (RuntimeError: no such connection). "
        "This rollout has set Bold 10 %, Classic 90 %, in a tenth (stage 1 of 2)"
    )


TARGET = TargetTasks(
    "berlin", 1, "begin", "first", endings=("berlin.ship", "berlin.rollback"), starts=("r.stage_1.start",)
)


@pytest.mark.parametrize(
    ("standing", "act", "said"),
    [
        (Standing.UNDER_WAY, unchanged, "under way, Bold 10 %, Classic 90 %, in a tenth (stage 1 of 2), its"),
        (Standing.UNDER_WAY, turned_off, "under way, flag checkout-button is off: everyone gets Classic (this"),
        (Standing.UNDER_WAY, unreadable, "under way, not known: flag checkout-button could not be read ("),
        (Standing.SHIP, stopped, "ship, everyone gets Bold"),
        (Standing.SHIP, stopped_and_off, "ship, flag checkout-button is off: every"),
        (Standing.UNTOUCHED, turned_off, "untouched, what the flag serves"),
    ],
)  # fmt: skip
def test_the_question_before_a_wave_says_what_each_target_serves(
    emulator: EmulatorServer, rejected: TaskRunner, standing: Standing, act: Act, said: str
) -> None:
    act(emulator)
    started = rejected.output("r.stage_1.start")
    verdict = {"treatment": "Bold"}
    outcome = {**started, "ending": "ship", "stage": 1, "winner": verdict, "verdict": verdict}
    outputs = {"r.stage_1.start": started, "berlin.ship": outcome}
    ti = SimpleNamespace(xcom_pull=lambda *, task_ids: outputs.get(task_ids))
    context: Any = {"ti": ti}
    until = wave_served.until_when()
    found = wave_served.served_in_target(TARGET, Rollout.from_json(SPEC), standing, 0, context=context, until=until)
    assert found.startswith(said)
    if standing is Standing.UNDER_WAY:
        late = wave_served.served_in_target(
            TARGET, Rollout.from_json(SPEC), standing, 0, context=context, until=time.monotonic()
        )
        assert late.startswith("under way, not known: no flag is read any more after 300 s. This rollout has set Bold")
