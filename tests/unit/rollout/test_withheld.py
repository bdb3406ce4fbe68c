"""A ship that is withheld by the last check before it: the ending that follows by itself, and clears and kills then."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import DAG
from typing_extensions import override

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.notifications.events import Event
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyRolloutNotifier
from airflow_provider_launchdarkly.rollout.withheld import ENDINGS as FOLLOWING
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.airflow_run import Note, Run, Task
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.notes import PREFIX
from airflow_provider_launchdarkly.views.whole import detail_of
from support.heard import HEARD, PATH
from support.promotions import PromotionRunner, three_environments
from support.surroundings import CONNECTION
from support.task_runner import TaskRunner
from unit.rollout.test_task_group import approve, ended, rollout, run, served, step_of

pytestmark = pytest.mark.usefixtures("connection")

APPROVAL = {"launchdarkly_approval": {"reviewers": ["grace@example.com"], "timeout": "8h"}}
BY_RELEASE = {"endings": {"ship": {"release": {"kind": "progressive", "steps": [{"percent": 50, "duration": "1d"}]}}}}
GOOD, NONE, HARM = 0.3, 0.0, -0.3


class Follower(BaseOperator):
    """What users let follow on an ending."""

    @override
    def execute(self, context: Any) -> None:
        """Succeed."""


def make_true(emulator: EmulatorServer, effect: float, *, broken: bool = False) -> None:
    """Let Bold change the conversion by such a share, all the time; or break the split."""
    conversion = {"baseline_rate": 0.10, "effects": {"Bold": {"relative": effect}}}
    split = {"split": {"Classic": 0.4, "Bold": 0.6}} if broken else {}
    truth = GroundTruth.from_dict({"people_per_day": 4_000, "metrics": {"checkout-conversion": conversion}, **split})
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))


def a_run(
    emulator: EmulatorServer, turn: Callable[[], None], /, *, at: str = "r.verdict", **changes: Any
) -> TaskRunner:
    """Return a run of a rollout in whose world Bold is good until a task has run, before it begins."""
    make_true(emulator, GOOD)

    def crash(task_id: str) -> bool:
        if task_id == "r.verdict" and not turned:
            turned.append(task_id)
            turn()
        return False

    turned: list[str] = []
    with DAG("rollout", schedule=None) as dag:
        group = experiment_rollout(rollout(**{**APPROVAL, **changes}), group_id="r")
        group.ship >> Follower(task_id="after_ship")
        group.rollback >> Follower(task_id="after_rollback")
    return TaskRunner(
        dag,
        wait=lambda task_id: emulator.clock.advance(step_of(task_id)),
        crash=crash,
        answer=lambda _task: approve(),
    )


def stops(emulator: EmulatorServer) -> int:
    return len(emulator.effects("iteration.stopped"))


@pytest.mark.parametrize(("changes", "ships"), [({}, "r.ship"), (BY_RELEASE, "r.release.start")], ids=["", "release"])
@pytest.mark.parametrize(
    ("effect", "broken", "ending", "serves", "why"),
    [
        (HARM, False, "rollback", "Classic", "roll back"),
        (GOOD, True, "invalid", "split", "split"),
        (NONE, False, "inconclusive", "split", "the data have changed"),
    ],
)
def test_what_the_last_check_finds_is_how_the_rollout_ends_and_nobody_clears_anything(
    emulator: EmulatorServer,
    effect: float,
    broken: bool,
    ending: str,
    serves: str,
    why: str,
    changes: dict[str, Any],
    ships: str,
) -> None:
    done = a_run(emulator, lambda: make_true(emulator, effect, broken=broken), **changes).run()
    assert ended(done) == ending
    assert served() == serves
    assert stops(emulator) == (ending == "rollback")
    assert {done.states[task] for task in (ships, "r.ship", "after_ship", "r.unwatched")} == {"skipped"}
    assert done.states["after_rollback"] == ("success" if ending == "rollback" else "skipped")
    withheld = done.xcoms[ships, "withheld"]
    assert done.output(ships) is done.output("r.ship") is None
    assert emulator.effects("release.started") == []
    assert done.output("r.verdict")["ending"] == "ship"
    assert (withheld["ending"], withheld["policy"]) == (ending, done.output("r.verdict")["policy"])
    assert withheld["confirmation"]["verdict"] == withheld["verdict"]
    assert why in done.output(f"r.{ending}")["why"] == withheld["why"]
    # What runs on is told by the ending, with the task that judges it again.
    left = done.output(f"r.{ending}")["unwatched"]
    assert (left is None) == (ending == "rollback")
    assert left is None or "clear the task r.verdict" in str(left["do"])


def test_a_winner_that_stays_one_ships_and_nothing_follows_it(emulator: EmulatorServer) -> None:
    done = a_run(emulator, lambda: None).run()
    assert ended(done) == "ship"
    assert (served(), stops(emulator)) == ("Bold", 1)
    assert done.states["after_ship"] == "success"
    assert [done.states[f"r.{ending}"] for ending in FOLLOWING] == ["skipped"] * 3


def test_a_verdict_that_does_not_ship_needs_no_check_of_the_ship(emulator: EmulatorServer) -> None:
    done = a_run(emulator, lambda: None)
    make_true(emulator, HARM)
    assert ended(done.run()) == "rollback"
    assert done.reasons["r.ship"].startswith("the rollout ended rollback")
    assert ("r.ship", "withheld") not in done.xcoms


def test_harm_withholds_a_ship_outside_its_change_window_too(emulator: EmulatorServer) -> None:
    def shut() -> None:
        emulator.clock.advance(timedelta(hours=6))
        make_true(emulator, HARM)

    now = emulator.clock.now()
    window = {"timezone": "UTC", "hours": f"{now:%H:%M}-{now + timedelta(hours=3):%H:%M}"}
    assert ended(a_run(emulator, shut, change_window=window).run()) == "rollback"
    assert (served(), stops(emulator)) == ("Classic", 1)


def test_a_window_that_is_shut_fails_a_ship_of_a_winner_and_nothing_else_follows(emulator: EmulatorServer) -> None:
    now = emulator.clock.now()
    window = {"timezone": "UTC", "hours": f"{now:%H:%M}-{now + timedelta(hours=3):%H:%M}"}
    turn = lambda: emulator.clock.advance(timedelta(hours=6))  # noqa: E731 - the clock alone
    done = a_run(emulator, turn, change_window=window).run()
    assert done.states["r.ship"] == done.states["r.unwatched"] == "failed"
    assert [done.states[f"r.{ending}"] for ending in FOLLOWING] == ["upstream_failed"] * 3
    assert stops(emulator) == 0


@pytest.mark.parametrize("cleared", ["r.verdict", "r.ship", "r.rollback"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_clear_after_a_rollback_finds_it_done_and_stops_nothing_again(
    emulator: EmulatorServer, cleared: str, times: int
) -> None:
    done = a_run(emulator, lambda: make_true(emulator, HARM)).run()
    before = len(emulator.journal())
    for _ in range(times):
        done.again_from(cleared)
        assert ended(done) == "rollback"
        assert done.output("r.rollback")["why"].endswith("roll back")
    assert len(emulator.journal()) == before


def test_a_clear_after_a_rollback_by_the_last_check_of_the_verdict_finds_it_done_too(emulator: EmulatorServer) -> None:
    def think(_task: str) -> dict[str, Any]:
        make_true(emulator, HARM)
        return approve()

    make_true(emulator, GOOD)
    done = run(emulator, rollout(approval={"before_ship": True}, watch_while_waiting=False), answer=think)
    assert ended(done) == "rollback"
    before = len(emulator.journal())
    assert ended(done.again_from("r.verdict")) == "rollback"
    assert len(emulator.journal()) == before


@pytest.mark.parametrize(("effect", "state"), [(HARM, State.ROLLED_BACK), (NONE, State.UNWATCHED)])
def test_the_page_shows_how_it_ended_and_not_that_it_was_to_ship(
    emulator: EmulatorServer, effect: float, state: State
) -> None:
    done = a_run(emulator, lambda: make_true(emulator, effect)).run()
    notes = [Note(task, -1, body) for (task, key), body in done.xcoms.items() if key.startswith(PREFIX)]
    tasks = tuple(Task(task, found) for task, found in done.states.items())
    page = detail_of(notes, Run("rollout", "run", "success", tasks))
    assert page.summary.state is state
    assert page.summary.shares[0].percent == (100 if state is State.ROLLED_BACK else 50)


@pytest.mark.parametrize("cleared", ["r.verdict", "r.ship"])
@pytest.mark.parametrize(("effect", "ending", "serves"), [(GOOD, "ship", "Bold"), (HARM, "rollback", "Classic")])
def test_a_clear_after_an_end_that_changed_nothing_judges_again(
    emulator: EmulatorServer, cleared: str, effect: float, ending: str, serves: str
) -> None:
    done = a_run(emulator, lambda: make_true(emulator, NONE)).run()
    assert ended(done) == "inconclusive"
    make_true(emulator, effect)
    done.again_from(cleared)
    assert ended(done) == ending
    assert (served(), stops(emulator)) == (serves, 1)


@pytest.mark.parametrize("cleared", ["r.verdict", "r.ship"])
def test_a_clear_before_the_rollback_has_stopped_it_judges_the_data_and_not_the_memory(
    emulator: EmulatorServer, cleared: str
) -> None:
    done = a_run(emulator, lambda: make_true(emulator, HARM))
    for task in done.dag.topological_sort():
        done.states[task.task_id] = "failed" if task.task_id == "r.rollback" else done._run_one(task)
    assert done.xcoms["r.ship", "withheld"]["ending"] == "rollback"
    make_true(emulator, GOOD)
    done.again_from(cleared)
    assert ended(done) == "ship"
    assert (served(), stops(emulator)) == ("Bold", 1)


def test_a_person_who_ships_between_the_check_and_the_rollback_is_not_overruled(emulator: EmulatorServer) -> None:
    def ships() -> None:
        experiment = LaunchDarklyHook().get_experiment("button", expand=("treatments",))
        assert experiment.running is not None
        LaunchDarklyHook().stop_iteration("button", experiment.running.id, winner="Bold", reason="approved")

    done = a_run(emulator, lambda: make_true(emulator, HARM))
    for task in done.dag.topological_sort():
        if task.task_id == "r.rollback":
            ships()
        done.states[task.task_id] = done._run_one(task)
    assert done.states["r.rollback"] == done.states["r.unwatched"] == "failed"
    assert (served(), stops(emulator)) == ("Bold", 1)
    # As the rollback's error says, somebody looks; a clear of the ship takes the person's for its own.
    done.again_from("r.ship")
    assert ended(done) == "ship"
    assert (served(), stops(emulator)) == ("Bold", 1)


def test_no_ending_waits_for_a_ship_that_cannot_be_withheld() -> None:
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    assert not any("r.ship" in dag.get_task(f"r.{ending}").upstream_task_ids for ending in FOLLOWING)


def many(emulator: EmulatorServer, turned_at: str, **spec: Any) -> PromotionRunner:
    """Run a rollout in several environments; Bold is good until a task has run, and harmful then."""
    make_true(emulator, GOOD)

    def crash(task_id: str) -> bool:
        if task_id == turned_at:
            make_true(emulator, HARM)
        return False

    def wait(_task: str) -> None:
        emulator.clock.advance(timedelta(days=1))

    done = PromotionRunner(rollout_dag({**rollout(**APPROVAL), **spec}), wait=wait, crash=crash)
    done.run()
    return done


@pytest.mark.parametrize("changes", [{}, BY_RELEASE], ids=["", "release"])
def test_the_next_environment_does_not_begin_and_says_why(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    with EmulatorServer(world=three_environments()) as emulator:
        monkeypatch.setenv(CONNECTION, json.dumps(emulator.connection()))
        done = many(emulator, "test.verdict", environments=["test", "production"], **changes)
    gate = done.output("promote_to_production")
    assert (gate["ending"], gate["shipped"]) == ("rollback", False)
    assert gate["why"] == done.output("test.rollback")["why"]
    assert done.states["production.start"] == "skipped"


def test_a_target_whose_ship_is_withheld_counts_by_what_it_ended_by(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [{"key": key, "environment": key} for key in ("test", "production")]
    with EmulatorServer(world=three_environments()) as emulator:
        monkeypatch.setenv(CONNECTION, json.dumps(emulator.connection()))
        done = many(emulator, "wave_1.test.verdict", targets=targets, waves={"order": [1, "rest"], "max_failed": 0})
    summary = done.output("summary")
    assert summary["targets"] == {"test": "rollback", "production": "untouched"}
    assert summary["served"]["test"] == "rollback, everyone gets Classic, the baseline"


@pytest.mark.parametrize(
    ("task", "output", "last", "told"),
    [
        ("ship", {}, {"verdict": "rollback", "summary": "roll back: worse", "stage": 1, "withheld": True}, True),
        ("verdict", {"ending": "rollback", "verdict": {}}, {"verdict": "rollback", "summary": "worse"}, True),
        ("start", {"confirmation": {"confirmed": False}}, {"verdict": "rollback", "summary": "worse"}, True),
        ("ship", {}, {"verdict": "ship", "summary": "better"}, False),
        ("ship", {}, None, False),
        ("start", {"confirmation": {"confirmed": False, "verdict": {"verdict": "rollback"}}}, None, False),
    ],
)
def test_harm_in_a_last_check_is_told_by_the_task_that_found_it(
    task: str, output: dict[str, Any], last: dict[str, Any] | None, told: bool
) -> None:
    HEARD.clear()
    notifier = LaunchDarklyRolloutNotifier(
        event=Event.HARM, rollout=rollout(notify=[{"through": PATH, "events": ["harm"]}]), stage=0
    )
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id=task,
        map_index=-1,
        task=SimpleNamespace(last_check=last),
        xcom_pull=lambda **_: output,
        log_url=None,
    )
    notifier.notify({"ti": ti})  # type: ignore[typeddict-item]
    assert len(HEARD) == told
    assert not told or "everyone gets Classic" in HEARD[0]
    assert any("must not be shipped any more" in text for text in HEARD) == bool(told and (last or {}).get("withheld"))
