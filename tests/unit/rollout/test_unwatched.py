"""A rollout that stops without an ending: it ends red, and tells what runs, who gets what, and what to click."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.endpoints import experiments
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.writes import stop
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.model import State
from support.endings import ENDINGS
from support.heard import HEARD, PATH
from support.task_runner import TaskRunner
from unit.rollout.test_page_of_a_ship import page_of
from unit.rollout.test_task_group import RAMP, reject, rollout, step_of
from unit.rollout.test_telling import Ti

pytestmark = pytest.mark.usefixtures("connection")


def nothing(_experiment: str) -> None:
    pass


def fails_at(
    emulator: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
    task_id: str,
    *,
    gone: bool = False,
    act: Callable[[str], None] = nothing,
) -> Any:
    """Run a ramp in which a task fails, with LaunchDarkly gone or changed from then on if asked; return the run."""
    with DAG("ramp", schedule=None) as dag:
        experiment_rollout(rollout(stages=RAMP), group_id="r")

    def fail(_context: Any) -> None:
        act("button")
        if gone:
            emulator.fault("*", "status", status=401, times=1000)
        raise AirflowFailException("the token is refused")

    monkeypatch.setattr(dag.task_dict[task_id], "execute", fail)
    return TaskRunner(dag, wait=lambda task: emulator.clock.advance(step_of(task))).run()


def test_what_fails_while_it_watches_is_told(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    done = fails_at(emulator, monkeypatch, "r.stage_2.watch")
    assert done.states["r.unwatched"] == "failed"
    assert {done.states[f"r.{ending}"] for ending in ENDINGS} == {"upstream_failed"}
    found = done.output("r.unwatched")
    assert (found["event"], found["stage"], found["serves"]) == ("unwatched", 2, {"Classic": 75.0, "Bold": 25.0})
    assert found["iteration_id"] == done.output("r.stage_2.start")["iteration_id"]
    text = done.reasons["r.unwatched"]
    assert "button runs on, and nobody watches it: the task r.stage_2.watch failed" in text
    assert "Bold 25 %, Classic 75 %, in a quarter (stage 2 of 3). No guardrail is watched." in text
    assert "LaunchDarkly shows it as running." in text
    assert "clear r.stage_2.watch with all that follows" in text
    assert "/dags/ramp/runs/run/tasks/r.stage_2.watch" in text
    assert "Or stop the experiment in LaunchDarkly: http" in text


def test_it_is_told_while_launchdarkly_cannot_be_read(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = fails_at(emulator, monkeypatch, "r.stage_1.watch", gone=True)
    text = done.reasons["r.unwatched"]
    assert "Bold 10 %, Classic 90 %" in text
    assert "That is what was known last: LaunchDarkly cannot be read now" in text


def turned_off(_experiment: str) -> None:
    LaunchDarklyHook().turn_flag("checkout-button", on=False)


def stopped(experiment: str) -> None:
    running = LaunchDarklyHook().get_experiment(experiment).running
    assert running is not None
    LaunchDarklyHook().stop_iteration(experiment, running.id, winner="Bold", reason="good enough")


def replaced(experiment: str) -> None:
    hook = LaunchDarklyHook()
    running = hook.get_experiment(experiment).running
    assert running is not None
    changes = writes.field_changes({"hypothesis": "another one"})
    hook.run(writes.save_and_start(hook.environment(), experiment, running.id, changes))


def both(experiment: str) -> None:
    replaced(experiment)
    turned_off(experiment)


BY_OTHERS = pytest.mark.parametrize(
    ("act", "runs", "now"),
    [
        (turned_off, True, "everyone gets 'Classic', since flag checkout-button is off"),
        (
            stopped,
            False,
            "has ended with winner 'Bold'. People get now: rule 'fallthrough' of flag 'checkout-button' in",
        ),
        (replaced, False, "in its place. People get now: Bold 25 %, Classic 75 %."),
        (both, False, "in its place. People get now: everyone gets 'Classic', since flag checkout-button is off."),
    ],
    ids=["flag off", "stopped", "replaced", "replaced and off"],
)


@BY_OTHERS
def test_what_a_failed_rollout_says_of_people_is_what_launchdarkly_shows(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, act: Callable[[str], None], runs: bool, now: str
) -> None:
    done = fails_at(emulator, monkeypatch, "r.stage_2.watch", act=act)
    found = done.output("r.unwatched")
    assert now in found["now"]
    assert (found["serves"] is not None, "button runs on" in found["text"]) == (runs, runs)
    assert ("the same iteration goes on" in found["text"]) is runs
    assert "clear r.stage_2.watch with all that follows" in found["text"]


@BY_OTHERS
def test_what_an_ending_that_stops_nothing_says_of_people_is_what_launchdarkly_shows(
    emulator: EmulatorServer, act: Callable[[str], None], runs: bool, now: str
) -> None:
    HEARD.clear()
    spec = rollout(stages=RAMP, approval={"before_ship": runs}, notify=[{"through": PATH, "events": ["ended"]}])
    with DAG("ramp", schedule=None) as dag:
        experiment_rollout(spec, group_id="r")
    done = TaskRunner(dag, wait=lambda task: emulator.clock.advance(step_of(task)), answer=lambda _task: reject())
    for task in dag.topological_sort():
        if task.task_id == ("r.verdict" if runs else "r.stage_2.watch"):
            act("button")
        done.states[task.task_id] = done._run_one(task)
    ending = "refused" if runs else "invalid"
    assert done.states[f"r.{ending}"] == "success"
    left = done.output(f"r.{ending}")["unwatched"]
    assert now in left["now"]
    callbacks: Any = dag.task_dict[f"r.{ending}"].on_success_callback
    callbacks[0]({"ti": Ti(done.output(f"r.{ending}"))})
    assert now.rpartition("People get now: ")[2].rstrip(".") in HEARD[-1]
    assert ("To go on, clear" in " ".join(left["do"])) is runs


def test_a_stop_that_shipped_another_iteration_is_told_by_what_everyone_gets(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    HEARD.clear()
    late = experiments.patch_experiment

    def patch(env: EnvironmentRef, key: str, *given: Any, **named: Any) -> Any:
        monkeypatch.setattr(stop, "patch_experiment", late)
        replaced(key)  # while the stop is on its way
        return late(env, key, *given, **named)

    monkeypatch.setattr(stop, "patch_experiment", patch)
    with DAG("ramp", schedule=None) as dag:
        experiment_rollout(rollout(stages=RAMP, notify=[{"through": PATH, "events": ["unwatched"]}]), group_id="r")
    emulator.switch(treatment_ids="variation")
    done = TaskRunner(dag, wait=lambda task: emulator.clock.advance(step_of(task))).run()
    assert done.states["r.ship"] == "failed"
    assert "took effect on iteration" in done.reasons["r.ship"]
    everyone = "serves variation 'Bold' to everyone it matches"
    text = done.reasons["r.unwatched"]
    assert text.startswith("The rollout of button has stopped: the task r.ship failed")
    assert "has ended without a winner. People get now: rule 'fallthrough' of flag 'checkout-button' in " in text
    assert everyone in text
    assert "Another try of r.ship changes nothing. To measure again, run the rollout anew." in text
    assert "Decide in LaunchDarkly what everyone is to be served: http" in text
    assert "50 %" not in text
    callbacks: Any = dag.task_dict["r.unwatched"].on_failure_callback
    callbacks[0]({"ti": Ti(done.output("r.unwatched"))})
    assert everyone in HEARD[0]
    assert "50 %" not in HEARD[0]
    page = page_of(done).summary
    assert (page.state, page.stage, page.shares) == (State.UNWATCHED, None, ())
    assert page.unwatched is not None
    assert everyone in page.unwatched.serves
    assert page.unwatched.what == (
        "Nobody ends this rollout. Nothing by itself: the experiment has ended, and the rollout has not come to its "
        "ending."
    )


def test_a_rollout_that_started_nothing_says_so(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    done = fails_at(emulator, monkeypatch, "r.stage_1.start")
    text = done.reasons["r.unwatched"]
    assert "The rollout of button has stopped: the task r.stage_1.start failed" in text
    assert "This rollout has started no iteration" in text
    assert "LaunchDarkly shows no such experiment." in text
    assert done.output("r.unwatched")["serves"] is None


def states_of(states: dict[str, str], map_index: int = -1, started: Any = None) -> Any:
    ti = SimpleNamespace(
        dag_id="d",
        run_id="run",
        map_index=map_index,
        get_task_states=lambda **_: {"run": states},
        xcom_pull=lambda task_ids, map_indexes: started,
        xcom_push=lambda key, value: None,
    )
    return {"ti": ti}


@pytest.mark.parametrize(
    ("states", "map_index", "started", "state"),
    [
        ({"r.ship_1": "success", "r.verdict_1": "success"}, 1, {"iteration_id": "i"}, "skipped"),
        ({"r.ship_0": "success", "r.verdict_1": "upstream_failed"}, 1, {"iteration_id": "i"}, "failed"),
        ({"r.start": "skipped", "r.ship": "skipped"}, -1, None, "skipped"),
        ({"r.start": "success", "r.watch": "skipped", "r.ship": "skipped"}, -1, {"iteration_id": "i"}, "failed"),
    ],
    ids=["its own ending", "that of another mapped group", "never begun", "ended between two tasks"],
)
def test_what_happened_is_read_from_the_tasks_states(
    emulator: EmulatorServer, states: dict[str, str], map_index: int, started: Any, state: str
) -> None:
    from airflow.providers.common.compat.sdk import AirflowSkipException

    with DAG("d", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    expected = AirflowSkipException if state == "skipped" else AirflowFailException
    with pytest.raises(expected):
        cast("Any", dag.task_dict["r.unwatched"]).execute(states_of(states, map_index, started))


class LastTask:
    """What Airflow gives the callback of a DAG: some task of the run, here of another rollout's mapped task group."""

    dag_id, run_id, task_id, map_index = "timed", "run-1", "other.watch", 3
    log_url = "http://airflow/dags/timed/runs/run-1/tasks/other.watch"

    def __init__(self, outputs: dict[str, Any], states: dict[str, str]) -> None:
        self.outputs, self.states = outputs, states

    def xcom_pull(self, *, task_ids: str, map_indexes: int) -> Any:
        assert map_indexes == -1
        return self.outputs.get(task_ids)

    def get_task_states(self, *, task_ids: list[str], run_ids: list[str], map_index: int, **_: Any) -> Any:
        assert map_index == -1
        return {run: {task: self.states[task] for task in task_ids if task in self.states} for run in run_ids}


@pytest.mark.parametrize(
    ("reason", "outputs", "states", "told"),
    [
        ("timed_out", {"rollout.start": {"iteration_id": "i-1"}}, {}, True),
        ("timed_out", {"rollout.start": {"iteration_id": "i-1"}}, {"rollout.ship": "success"}, False),
        ("timed_out", {}, {}, False),
        ("task_failure", {"rollout.start": {"iteration_id": "i-1"}}, {}, False),
    ],
    ids=["it waits", "it has ended", "it was not begun", "the task `unwatched` has told it"],
)
def test_a_run_that_timed_out_is_told_by_the_callback_of_its_dag(
    emulator: EmulatorServer, reason: str, outputs: dict[str, Any], states: dict[str, str], told: bool
) -> None:
    HEARD.clear()
    called: list[Any] = []
    spec = rollout(notify=[{"through": PATH, "events": ["unwatched"]}])
    dag = rollout_dag(spec, dag_id="timed", dagrun_timeout=timedelta(days=1), on_failure_callback=called.append)
    first, own = cast("list[Any]", dag.on_failure_callback)
    ti = LastTask(outputs, states)
    context: Any = {"dag": dag, "run_id": "run-1", "reason": reason, "ti": ti}
    first(context)
    own(context)
    assert called == [context]
    assert len(HEARD) == told
    if told:
        assert HEARD[0].startswith("Unwatched: the run took longer than its dagrun_timeout. · button")
        assert "Bold 50 %, Classic 50 %" in HEARD[0]
        assert "clear the tasks that did not succeed with all that follows" in HEARD[0]


def test_the_callback_tells_of_a_release(emulator: EmulatorServer) -> None:
    HEARD.clear()
    release = {"steps": [{"percent": 10, "duration": "1d"}], "metrics": ["checkout-conversion"]}
    spec = rollout(notify=[{"through": PATH, "events": ["unwatched"]}], endings={"ship": {"release": release}})
    dag = rollout_dag(spec, dag_id="timed", dagrun_timeout=timedelta(days=1))
    (own,) = cast("list[Any]", dag.on_failure_callback)
    started = {"flag_key": "checkout-button", "release_id": "r-1", "treatment": "Bold"}
    emulator.fault("get_environment_release", "status", status=401, times=10)
    ti = LastTask({"rollout.start": {"iteration_id": "i-1"}, "rollout.release.start": started}, {})
    own({"dag": dag, "run_id": "run-1", "reason": "timed_out", "ti": ti})
    (text,) = HEARD
    assert "Release r-1: Bold step by step" in text
    assert "Or stop the release of flag checkout-button in LaunchDarkly." in text
    assert "experiment runs on" not in text


def test_what_cannot_be_told_of_a_run_that_timed_out_raises_nothing(emulator: EmulatorServer) -> None:
    dag = rollout_dag(rollout(), dag_id="timed")
    (own,) = cast("list[Any]", dag.on_failure_callback)
    own({"dag": dag, "run_id": "run-1", "reason": "timed_out"})


def test_airflow_runs_it_whatever_happens_and_the_run_ends_as_it_does() -> None:
    with DAG("d", schedule=None) as dag:
        group = experiment_rollout(rollout(), group_id="r")
    told = dag.task_dict["r.unwatched"]
    assert (told.is_teardown, told.on_failure_fail_dagrun) == (True, True)
    assert told.upstream_task_ids == {f"r.{ending}" for ending in ENDINGS}
    assert {task.task_id for task in group.get_leaves()} == told.upstream_task_ids  # no task of the user's follows it


def test_a_verdict_that_is_cleared_after_shipping_stands(emulator: EmulatorServer) -> None:
    with DAG("d", schedule=None) as dag:
        experiment_rollout(rollout(change_window={"hours": "00:00-24:00"}), group_id="r")
    done = TaskRunner(dag, wait=lambda task: emulator.clock.advance(step_of(task))).run()
    assert done.states["r.ship"] == "success"
    before = len(emulator.journal())
    for task in ("r.verdict", "r.ship"):
        assert done._run_one(dag.task_dict[task]) == "success"
    assert done.output("r.verdict")["confirmation"]["why"] == "it is shipped already"
    assert len(emulator.journal()) == before


def test_a_ramp_is_few_tasks_in_a_line_with_the_names_that_its_author_gave() -> None:
    from airflow_provider_launchdarkly import rollout_dag

    window = {"timezone": "Europe/Berlin", "hours": "09:00-16:00"}
    dag = rollout_dag(rollout(stages=RAMP, approval={"before_ship": True}, change_window=window), dag_id="ramp")
    assert len(dag.tasks) == 18
    assert dag.task_dict["rollout.stage_2.start"].task_display_name == "start a quarter: 25 %"
    assert dag.task_dict["rollout.stage_3.start"].upstream_task_ids == {"rollout.stage_3.window"}
    assert dag.task_dict["rollout.stage_3.window"].upstream_task_ids == {"rollout.stage_2.watch"}
    group = dag.task_group.children["rollout"].children["rollout.stage_1"]  # type: ignore[attr-defined]
    if hasattr(group, "group_display_name"):
        assert group.group_display_name == "a tenth"
