"""The tasks of waves, run in order against an emulator with an environment for each target."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseSensorOperator
from airflow.sdk import DAG, task_group
from typing_extensions import override

from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.wave_group import experiment_waves
from airflow_provider_launchdarkly.rollout.wave_tally import Standing, Tally, TargetTasks, stopped_news
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.airflow_run import Note, Run, Task
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.whole import detail_of
from support.endings import ENDINGS
from support.heard import HEARD, PATH
from support.promotions import PromotionRunner, changed_in, make_true
from support.waves import ROLLOUT, TARGETS, an_environment_for_each_target

pytestmark = pytest.mark.usefixtures("connection")

WAVE_OF = {key: number for number, keys in enumerate([TARGETS[:1], TARGETS[1:3], TARGETS[3:]], 1) for key in keys}
APPROVED = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "1", "name": "grace"}}
REJECTED = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": {"id": "1", "name": "grace"}}


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    """An emulator in which Bold does much good."""
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        make_true(server, 0.3)
        yield server


def waves(**changes: Any) -> dict[str, Any]:
    return {**ROLLOUT, "waves": {**ROLLOUT["waves"], **changes}}


def run(
    emulator: EmulatorServer,
    spec: dict[str, Any] = ROLLOUT,
    answer: Any = APPROVED,
    held: tuple[str, ...] = (),
    **effects: float,
) -> PromotionRunner:
    """Run waves; while it waits in a target, Bold has that target's effect. Held tasks wait on."""

    def wait(task_id: str) -> None:
        target = task_id.split(".")[1] if "." in task_id else ""
        make_true(emulator, effects.get(target, 0.3))
        emulator.clock.advance(timedelta(days=1))

    done = PromotionRunner(rollout_dag(spec), wait=wait, answer=lambda _task: answer)
    return done.go_on(*held)


def endings(done: PromotionRunner) -> dict[str, list[str]]:
    return {
        key: [str(each) for each in ENDINGS if done.states[f"wave_{WAVE_OF[key]}.{key}.{each}"] == "success"]
        for key in TARGETS
    }


def begun(done: PromotionRunner) -> list[str]:
    return [key for key in TARGETS if done.output(f"wave_{WAVE_OF[key]}.begin_{key}")["begun"]]


def test_all_targets_ship_in_the_order_of_the_waves(emulator: EmulatorServer) -> None:
    done = run(emulator)
    assert endings(done) == {key: ["ship"] for key in TARGETS}
    started = changed_in(emulator, "iteration.started")
    assert [WAVE_OF[key] for key in started] == [1, 2, 2, 3, 3, 3]
    assert done.states["stopped"] == "skipped"
    summary = done.output("summary")
    assert summary["targets"] == dict.fromkeys(TARGETS, "ship")
    assert summary["served"] == dict.fromkeys(TARGETS, "ship, everyone gets Bold")


def test_as_many_failures_as_tolerated_stop_nothing(emulator: EmulatorServer) -> None:
    done = run(emulator, berlin=-0.5)
    assert endings(done) == {**{key: ["ship"] for key in TARGETS}, "berlin": ["rollback"]}
    assert done.states["stopped"] == "skipped"


def test_one_more_failure_stops_all_that_has_not_begun(emulator: EmulatorServer) -> None:
    done = run(emulator, berlin=-0.5, rome=-0.5)
    assert endings(done) == {
        **{key: [] for key in TARGETS},
        "berlin": ["rollback"],
        "paris": ["ship"],
        "rome": ["rollback"],
    }
    assert begun(done) == ["berlin", "paris", "rome"]
    untouched = ("oslo", "lima", "cairo")
    assert {
        state for task, state in done.states.items() if task.startswith(tuple(f"wave_3.{key}." for key in untouched))
    } == {"skipped"}
    assert not any(key in request.path for request in emulator.requests() for key in untouched)
    assert not set(done.states.values()) & {"failed", "upstream_failed"}


LANES = waves(order=["rest"], max_under_way=2, max_failed=0)
BOTH = ("wave_1.berlin.watch", "wave_1.paris.watch")


def test_a_target_under_way_goes_on_after_a_clear_though_more_failed_than_tolerated_by_then(
    emulator: EmulatorServer,
) -> None:
    done = run(emulator, LANES, held=BOTH, berlin=-0.5).go_on("wave_1.paris.watch")
    assert "wave_1.paris.watch" not in done.states
    assert "wave_1.paris.unwatched" in done.clear("wave_1.begin_paris")
    done.go_on()
    assert done.output("wave_1.begin_paris")["begun"]
    assert done.states["wave_1.paris.watch"] == "success"
    assert "came to its ending" in done.reasons["wave_1.paris.unwatched"]
    assert not done.output("wave_1.begin_oslo")["begun"]
    assert sorted(changed_in(emulator, "iteration.started")) == ["berlin", "paris"]


def test_a_target_under_way_goes_on_though_its_wave_is_refused_after_a_clear(emulator: EmulatorServer) -> None:
    answers = iter([APPROVED, REJECTED])
    done = PromotionRunner(
        rollout_dag(waves(order=[1, {"size": 1, "approval": True}, "rest"])),
        wait=lambda _task: emulator.clock.advance(timedelta(days=1)),
        answer=lambda _task: next(answers),
    )
    done.go_on("wave_2.paris.watch")
    done.clear("open_wave_2")
    done.go_on()
    assert done.output("wave_2.begin_paris")["begun"]
    assert done.states["wave_2.paris.ship"] == "success"
    assert done.output("open_wave_3")["why"] == "wave 2 was refused: rejected by grace"
    assert done.output("stopped")["why"] == "a wave was refused"
    assert changed_in(emulator, "iteration.started") == ["berlin", "paris"]


def test_the_clear_that_is_told_after_a_failure_leaves_the_next_target_alone(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_context: Any) -> None:
        raise AirflowFailException("the token is refused")

    dag = rollout_dag(waves(order=["rest"], max_under_way=1, max_failed=1))
    done = PromotionRunner(dag, wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    with monkeypatch.context() as broken:
        broken.setitem(vars(dag.task_dict["wave_1.berlin.watch"]), "execute", fail)
        done.go_on("wave_1.paris.watch")
    assert "clear wave_1.berlin.watch with what follows and failed" in done.reasons["wave_1.berlin.unwatched"]
    cleared = done.clear("wave_1.berlin.watch", only_failed=True)
    assert {"wave_1.berlin.watch", "wave_1.berlin.verdict", "wave_1.berlin.ship", "wave_1.berlin.unwatched"} <= cleared
    assert all(task.startswith("wave_1.berlin.") for task in cleared)
    done.go_on("wave_1.paris.watch")
    assert done.states["wave_1.berlin.ship"] == "success"
    assert changed_in(emulator, "iteration.started") == ["berlin", "paris"]
    done.go_on()
    assert done.output("summary")["targets"] == dict.fromkeys(TARGETS, "ship")


def test_a_target_that_a_person_ended_is_cleared_by_its_own_tasks(emulator: EmulatorServer) -> None:
    done = run(emulator, waves(order=["rest"], max_under_way=1), held=("wave_1.berlin.watch",))
    after = {task.task_id for task in done.dag.tasks if task.task_id not in done.states}
    done.states |= {**dict.fromkeys(after, "skipped"), "wave_1.berlin.watch": "failed"}
    done.at_once("wave_1.berlin.unwatched")
    assert (
        "clear the tasks of wave_1.berlin that did not succeed, and no others"
        in (done.reasons["wave_1.berlin.unwatched"])
    )


def test_all_that_stops_names_what_runs_while_its_tasks_are_cleared(emulator: EmulatorServer) -> None:
    done = run(emulator, LANES, held=BOTH, berlin=-0.5).go_on("wave_1.paris.watch")
    done.clear("wave_1.begin_paris")
    told = done.at_once("stopped")
    assert told["targets"]["paris"] == "under way"
    assert "paris: under way, watched" in told["follows"]


def test_what_is_told_has_the_numbers_and_who_gets_what(emulator: EmulatorServer) -> None:
    done = run(emulator, berlin=-0.5, rome=-0.5)
    told = done.output("stopped")
    assert told["headline"] == "2 of 6 failed (1 tolerated): 1 ship, 2 rollback, 3 untouched"
    assert told["now"] == (
        "rollback, everyone gets Classic, the baseline: berlin, rome; ship, everyone gets Bold: paris; "
        "untouched, what the flag serves: oslo, lima, cairo"
    )
    assert "raise `waves.max_failed`" in told["actions"]
    assert done.output("summary")["exceeded"]


def test_a_failure_within_a_wave_stops_the_targets_that_wait_in_its_lanes(emulator: EmulatorServer) -> None:
    done = run(emulator, waves(order=["rest"], max_under_way=1, max_failed=0), berlin=-0.5)
    assert [key for key in TARGETS if done.output(f"wave_1.begin_{key}")["begun"]] == ["berlin"]
    assert done.states["wave_1.count_berlin"] == "success"
    assert {done.states[f"wave_1.count_{key}"] for key in TARGETS[1:]} == {"skipped"}


@pytest.mark.parametrize(("fails", "begin"), [(False, list(TARGETS)), (True, ["berlin", "paris"])])
def test_an_inconclusive_target_counts_if_the_rollout_says_so(
    emulator: EmulatorServer, fails: bool, begin: list[str]
) -> None:
    spec = waves(inconclusive_fails=fails, max_failed="20%")
    assert begun(run(emulator, spec, berlin=0.0, paris=0.0)) == begin


def test_a_target_whose_task_fails_counts_and_only_it_is_told_of(emulator: EmulatorServer) -> None:
    targets = [*ROLLOUT["targets"]]
    targets[0] = {**targets[0], "experiment": {"flag": "not-there"}}
    done = run(emulator, {**waves(max_failed=0), "targets": targets})
    assert done.states["wave_1.berlin.unwatched"] == "failed"
    assert begun(done) == ["berlin"]
    assert done.output("stopped")["targets"] == {"berlin": "failed", **dict.fromkeys(TARGETS[1:], "untouched")}
    assert "failed, nothing has started: berlin" in done.output("stopped")["now"]
    assert [task for task, state in done.states.items() if state == "failed"] == [
        "wave_1.berlin.start",
        "wave_1.berlin.unwatched",
    ]


ASKED = [1, {"size": 2, "pause": "3d", "approval": True, "notes": "Look at the support queue."}, "rest"]


def test_a_wave_waits_for_its_pause_and_for_a_person(emulator: EmulatorServer) -> None:
    done = run(emulator, waves(order=ASKED))
    assert endings(done) == {key: ["ship"] for key in TARGETS}
    assert done.output("pause_wave_2")["now"] >= done.output("open_wave_2")["until"]
    asked = done.bodies["approve_wave_2"]
    assert "**So far**: 0 of 6 failed (1 tolerated): 1 ship, 5 untouched." in asked
    assert "**Who gets what now**: ship, everyone gets Bold: berlin; untouched, what the flag serves: paris" in asked
    assert "**This wave**: paris, rome." in asked
    assert "- **Approve**: the wave starts." in asked
    assert "Look at the support queue." in asked


RELEASE = {"ship": {"release": {"steps": [{"percent": 50, "duration": "8d"}]}}}


def test_no_sensor_of_a_rollout_ends_at_the_seven_days_of_airflow(emulator: EmulatorServer) -> None:
    long = [1, {"size": "rest", "pause": "8d", "approval": True}]
    stages = [{"allocation": 10, "dwell": "8d"}, {"allocation": 50, "gate": "decision"}]
    window = {"change_window": {"timezone": "UTC", "hours": "09:00-17:00"}}
    endings = {**RELEASE, "inconclusive": "ask", "extension": "8d"}
    dag = rollout_dag({**waves(order=long), **window, "endings": endings, "stages": stages})
    watching = rollout_dag({**ROLLOUT, "autonomy": "observe"})
    sensors = [task for each in (dag, watching) for task in each.tasks if isinstance(task, BaseSensorOperator)]
    for name in ("release.watch", "extension.watch", "before_ship.window", "pause_wave_2"):
        assert any(task.task_id.endswith(name) for task in sensors), name
    assert {task.timeout for task in sensors} == {timedelta(days=366).total_seconds()}


def test_a_pause_of_eight_days_and_a_release_of_eight_days_wait_to_their_end(emulator: EmulatorServer) -> None:
    waited: dict[str, int] = {}

    def wait(task_id: str) -> None:
        waited[task_id] = waited.get(task_id, 0) + 1
        emulator.clock.advance(timedelta(days=1))

    spec = {**waves(order=[1, {"size": "rest", "pause": "8d"}]), "targets": ROLLOUT["targets"][:2]}
    dag = rollout_dag({**spec, "endings": RELEASE})
    done = PromotionRunner(dag, wait=wait).go_on()
    assert done.output("summary")["targets"] == {"berlin": "ship", "paris": "ship"}
    assert waited["pause_wave_2"] >= 8
    assert waited["wave_1.berlin.release.watch"] >= 8


def test_who_gets_what_of_a_target_whose_release_runs_and_then_goes_back(emulator: EmulatorServer) -> None:
    def wait(task_id: str) -> None:
        make_true(emulator, -0.5 if task_id == "wave_1.berlin.release.watch" else 0.3)
        emulator.clock.advance(timedelta(days=1))

    spec = {**waves(order=["rest"], max_failed=0), "targets": ROLLOUT["targets"][:2], "endings": RELEASE}
    done = PromotionRunner(rollout_dag(spec), wait=wait).go_on("wave_1.berlin.release.watch", "wave_1.paris.watch")
    assert done.at_once("summary")["served"] == {
        "berlin": "under way, Bold step by step (50 % for 8d), and the others Classic, its release stays watched",
        "paris": "under way, Bold 50 %, Classic 50 %, in stage 1 of 1, its guardrails stay watched",
    }
    told = done.go_on().output("stopped")
    assert told["targets"]["berlin"] == "regressed"
    assert told["now"].startswith("regressed, everyone gets Classic, the baseline: berlin")


def test_a_target_whose_start_was_refused_has_started_nothing(emulator: EmulatorServer) -> None:
    done = run(emulator, LANES, held=("wave_1.berlin.watch",))
    done.xcoms["wave_1.berlin.start", "return_value"] = {"confirmation": {"confirmed": False}}
    assert done.at_once("summary")["served"]["berlin"] == "under way, nothing has started"


@pytest.mark.parametrize("answer", [REJECTED, {"chosen_options": ["Reject"], "params_input": {}}])
def test_a_wave_that_is_refused_does_not_start(emulator: EmulatorServer, answer: Any) -> None:
    done = run(emulator, waves(order=ASKED), answer=answer)
    assert begun(done) == ["berlin"]
    assert done.output("open_wave_3")["why"].startswith("wave 2 was refused: ")
    assert done.states["refused_wave_2"] == "success"
    assert done.output("stopped")["why"] == "a wave was refused"
    assert done.output("summary")["targets"]["oslo"] == "untouched"


def test_nobody_is_asked_and_nothing_is_awaited_once_all_stop(emulator: EmulatorServer) -> None:
    done = run(emulator, waves(order=ASKED, max_failed=0), berlin=-0.5)
    assert done.states["pause_wave_2"] == done.states["approve_wave_2"] == done.states["refused_wave_2"] == "skipped"
    assert done.output("stopped")["why"] == "more targets failed than tolerated"


class OpenFails(PromotionRunner):
    @override
    def _execute(self, original: Any) -> str:
        return "failed" if original.task_id == "open_wave_2" else super()._execute(original)


def test_a_task_of_the_waves_that_failed_begins_nothing_and_fails_the_run(emulator: EmulatorServer) -> None:
    done = OpenFails(rollout_dag(ROLLOUT), wait=lambda _task: emulator.clock.advance(timedelta(days=1)))
    done.run()
    assert begun(done) == ["berlin"]
    assert done.states["summary"] == "failed"
    assert "the task open_wave_2 failed" in done.reasons["summary"]


def test_all_targets_may_only_observe(emulator: EmulatorServer) -> None:
    done = run(emulator, {**ROLLOUT, "autonomy": "observe"})
    assert emulator.effects() == []
    assert done.output("summary")["targets"] == dict.fromkeys(TARGETS, "observed")


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_no_more_targets_than_the_limit_can_be_under_way(limit: int) -> None:
    dag = rollout_dag(waves(order=[2, "rest"], max_under_way=limit))
    for wave, keys in ((1, TARGETS[:2]), (2, TARGETS[2:])):
        for place, key in enumerate(keys):
            above = dag.get_task(f"wave_{wave}.begin_{key}").upstream_task_ids
            before = f"wave_{wave}.count_{keys[place - limit]}" if place >= limit else f"open_wave_{wave}"
            assert above == {before}
            ends = {f"wave_{wave}.{key}.{ending}" for ending in ENDINGS}
            assert ends <= dag.get_task(f"wave_{wave}.count_{key}").upstream_task_ids
    counts = {f"wave_1.count_{key}" for key in TARGETS[:2]}
    assert {
        task for task in dag.get_task("open_wave_2").get_flat_relative_ids(upstream=True) if task in counts
    } == counts


def test_a_target_that_was_skipped_stays_skipped_when_only_it_is_cleared(emulator: EmulatorServer) -> None:
    done = run(emulator, waves(max_failed=0), berlin=-0.5)
    begin = done.dag.get_task("wave_2.begin_paris")
    assert begin.inherits_from_skipmixin
    skipped = done.xcoms["wave_2.begin_paris", "skipmixin_key"]["skipped"]
    own = [task for task in done.dag.tasks if task.task_id.startswith("wave_2.paris.")]
    assert set(skipped) == {task.task_id for task in own}
    assert {task.task_id for task in own if task.trigger_rule == "none_failed"} <= begin.downstream_task_ids


def test_waves_within_a_group_and_beside_other_tasks() -> None:
    with DAG("d", schedule=None, default_args={"retries": 2}) as dag:

        @task_group
        def outer() -> None:
            found = experiment_waves(ROLLOUT)
            assert list(found.targets) == list(TARGETS)
            assert found.targets["paris"].ship.task_id == "outer.wave_2.paris.ship"
            assert found.start.task_id == "outer.open_wave_1"
            assert found.summary.task_id == "outer.summary"

        outer()
    assert dag.get_task("outer.wave_1.begin_berlin").retries == 2
    assert dag.get_task("outer.wave_1.berlin.start").retries == 2


@pytest.mark.parametrize("name", ["environment_key", "project_key", "experiment_key"])
def test_what_each_target_sets_is_no_override(name: str) -> None:
    overrides: dict[str, Any] = {name: "x"}
    with DAG("d", schedule=None), pytest.raises(TypeError, match=f"takes no '{name}'"):
        experiment_waves(ROLLOUT, **overrides)


def test_a_mapped_group_is_refused() -> None:
    with DAG("d", schedule=None):

        @task_group
        def each(timezone: str) -> None:
            experiment_waves(ROLLOUT, timezone=timezone)

        with pytest.raises(ValueError, match="waves cannot be in a mapped task group"):
            each.expand(timezone=["UTC", "Europe/Berlin"])


def test_the_documentation_of_the_dag_names_each_wave() -> None:
    told = rollout_dag(waves(order=ASKED)).doc_md or ""
    assert "6 targets in 3 waves, at most 2 under way." in told
    assert "| 2 | paris, rome | 3d | yes | Look at the support queue. |" in told
    assert "### button-berlin in berlin\n" in told


def test_people_are_told_once_through_the_channels_of_all_targets(emulator: EmulatorServer) -> None:
    channels = [{"through": PATH}, {"through": PATH, "arguments": {"seconds": 0.0}}]
    targets = [{**each, "notify": [channels[number % 2]]} for number, each in enumerate(ROLLOUT["targets"])]
    done = run(emulator, {**waves(max_failed=0), "targets": targets}, berlin=-0.5)
    (notifier,) = cast("Any", done.dag.get_task("stopped").on_success_callback)
    HEARD.clear()
    ti = SimpleNamespace(
        dag_id="waves",
        run_id="run",
        task_id="stopped",
        map_index=-1,
        log_url="http://airflow/dags/waves/runs/run/tasks/stopped",
        xcom_pull=lambda **_: done.output("stopped"),
    )
    notifier.notify({"ti": ti})
    assert len(HEARD) == len(channels)
    (text,) = set(HEARD)
    HEARD.clear()
    assert text.startswith("Stopped: more targets failed than tolerated: 1 of 6 failed (0 tolerated)")
    assert "rollback, everyone gets Classic, the baseline: berlin" in text
    assert "6 targets in 3 waves" in text
    assert "button-berlin" not in text


def test_the_pages_show_each_target_as_an_experiment_of_its_own(emulator: EmulatorServer) -> None:
    done = run(emulator, rome=-0.5)
    tasks = tuple(Task(task_id, state) for task_id, state in done.states.items())
    shown = {}
    for target in ("paris", "rome"):
        key = f"launchdarkly_note/demo/{target}/button-{target}"
        notes = [Note(task_id, -1, body) for (task_id, name), body in done.xcoms.items() if name == key]
        detail = detail_of(notes, Run("button", "run", "success", tasks))
        shown[detail.summary.environment] = (detail.summary.key, detail.summary.state)
    assert shown == {"paris": ("button-paris", State.SHIPPED), "rome": ("button-rome", State.ROLLED_BACK)}


def each_ending(state: str) -> dict[str, str]:
    return {ending.value: state for ending in Ending}


@pytest.mark.parametrize(
    ("states", "standing"),
    [
        ({}, "untouched"),
        ({"begin": "running"}, "untouched"),
        ({"begin": "failed"}, "failed"),
        ({"begin": "upstream_failed"}, "failed"),
        ({"begin": "success"}, "under way"),
        ({"begin": "success", "first": "deferred"}, "under way"),
        ({"begin": "success", "first": "failed"}, "under way"),
        ({"begin": "success", "first": "failed", **each_ending("upstream_failed")}, "failed"),
        ({"begin": "success", "first": "success", **each_ending("skipped"), "ship": "failed"}, "failed"),
        ({"begin": "success", "first": "success", **each_ending("skipped"), "ship": "success"}, "ship"),
        ({"begin": "success", "first": "success", "rollback": "success"}, "rollback"),
        ({"begin": "success", "first": "success", **each_ending("skipped"), "ship": "running"}, "under way"),
        ({"begin": "success", "first": "skipped", **each_ending("skipped")}, "untouched"),
        ({"begin": "success", "first": "success", **each_ending("skipped")}, "observed"),
    ],
)
def test_the_states_of_its_tasks_say_how_a_target_stands(states: dict[str, str], standing: str) -> None:
    tasks = TargetTasks("a", 1, "begin", "first", tuple(Ending), ())
    assert tasks.standing(states) == standing


def test_what_is_under_way_is_named_when_all_stop() -> None:
    tally = Tally({"a": Standing.ROLLBACK, "b": Standing.UNDER_WAY, "c": Standing.UNTOUCHED})
    news = stopped_news(tally, [("a", "rollback"), ("b", "under way"), ("c", "untouched")], 2)
    assert news["follows"] == "Nothing further starts. b: under way, watched, and ended by their own rules."
    assert news["headline"] == "1 of 3 failed (0 tolerated): 1 rollback, 1 under way, 1 untouched"


def test_the_message_about_a_question_is_about_all_targets(emulator: EmulatorServer) -> None:
    HEARD.clear()
    told: list[Any] = []
    spec = {**waves(order=ASKED), "notify": [{"through": PATH}]}

    def answer(task_id: str) -> Any:
        question: Any = done.dag.get_task(task_id)
        ti = SimpleNamespace(
            dag_id="waves",
            run_id="run",
            task_id=task_id,
            map_index=-1,
            task=question,
            log_url="http://airflow/dags/waves/runs/run/tasks/approve_wave_2",
            xcom_pull=lambda **_: done.output(task_id),
        )
        for notifier in question.notifiers:
            notifier.notify({"ti": ti})
        told.extend(HEARD)
        return APPROVED

    done = PromotionRunner(
        rollout_dag(spec), wait=lambda _task: emulator.clock.advance(timedelta(days=1)), answer=answer
    )
    done.run()
    HEARD.clear()
    (text,) = told
    assert text.startswith("Start wave 2 of 3, with 2 targets?")
    assert "ship, everyone gets Bold: berlin" in text
    assert "Reject: nothing further starts." in text
    assert "6 targets in 3 waves" in text
    assert "button-berlin" not in text
