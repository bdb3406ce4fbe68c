"""The tasks of a rollout, run in order against the emulator: every ending, and what is never done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.endings import ENDINGS
from support.task_runner import TaskRunner

pytestmark = pytest.mark.usefixtures("connection")

EXPERIMENT = {
    "key": "button",
    "name": "Button",
    "flag": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
    "primary_metric": "checkout-conversion",
}
RAMP = [
    {"name": "a tenth", "allocation": 10, "dwell": "2d", "gate": "guardrails"},
    {"name": "a quarter", "allocation": 25, "dwell": "2d", "gate": "none"},
    {"name": "a half", "allocation": 50, "gate": "decision"},
]
HALF = [{"allocation": 50, "gate": "decision"}]
SHORT = {"min_duration": "7d", "max_duration": "14d"}
LONG = {"min_duration": "7d", "max_duration": "56d"}
TO_THE_END = {**SHORT, "futility": "off"}


def rollout(**changes: Any) -> dict[str, Any]:
    return {"experiment": EXPERIMENT, "stages": HALF, "policy": SHORT, "turn_flag_on": True} | changes


def approve(who: str = "grace") -> dict[str, Any]:
    return {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": who, "name": who}}


def reject() -> dict[str, Any]:
    return {**approve(), "chosen_options": ["Reject"]}


NOBODY: dict[str, Any] = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": None}


def run(
    emulator: EmulatorServer, spec: dict[str, Any], *, overrides: dict[str, Any] | None = None, **how: Any
) -> TaskRunner:
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(spec, group_id="r", **(overrides or {}))
    wait = how.pop("wait", None) or (lambda task_id: emulator.clock.advance(step_of(task_id)))
    return TaskRunner(dag, wait=wait, **how).run()


def step_of(task_id: str) -> timedelta:
    return timedelta(hours=1) if task_id.endswith("window") else timedelta(days=1)


def ended(done: TaskRunner) -> str:
    points = done.succeeded(*(f"r.{ending}" for ending in ENDINGS))
    assert len(points) == 1, (done.states, done.reasons)
    return points[0].removeprefix("r.")


def served(flag_key: str = "checkout-button") -> str:
    flag = LaunchDarklyHook().get_flag(flag_key)
    rule = flag.environments["production"].fallthrough
    assert rule is not None
    found = flag.variation_at(rule.variation)
    return found.name if found else "split"


def shares_of_bold(emulator: EmulatorServer) -> list[str]:
    posted = [entry.body for entry in emulator.journal() if entry.body and "treatments" in str(entry.body)]
    return [
        next(t["allocationPercent"] for t in (body.get("iteration") or body)["treatments"] if t["name"] == "Bold")
        for body in posted
    ]


def test_a_winner_is_shipped_and_the_flag_is_checked(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout())
    assert ended(done) == "ship"
    assert served() == "Bold"
    assert done.states["r.unwatched"] == "skipped"


def test_each_stage_is_an_iteration_of_its_own_that_ends_without_a_winner(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(stages=RAMP))
    assert ended(done) == "ship"
    assert shares_of_bold(emulator) == ["10", "25", "50"]
    winners = [effect["winner"] for effect in emulator.effects("iteration.stopped")]
    assert winners[:2] == [None, None]
    assert winners[2] is not None
    assert served() == "Bold"


def test_each_stage_and_the_stop_leave_a_note_with_the_ladder(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(stages=RAMP))
    left = {task: body for (task, key), body in done.xcoms.items() if key == "launchdarkly_note/demo/production/button"}
    stages = {task: body["rollout"]["stage"] for task, body in left.items()}
    assert sorted({stage for stage in stages.values() if stage}) == [1, 2, 3]
    (stop,) = (body for body in left.values() if body["kind"] == "stop")
    assert (stop["ending"], stop["winner"]) == ("ship", "Bold")
    assert (stop["rollout"]["stage"], stop["rollout"]["reached"]) == (None, 3)
    ladder = [(stage["name"], stage["shares"][1]["percent"]) for stage in stop["rollout"]["stages"]]
    assert ladder == [("a tenth", 10.0), ("a quarter", 25.0), ("a half", 50.0)]


def test_people_keep_their_treatment_while_the_share_grows(emulator: EmulatorServer) -> None:
    run(emulator, rollout(stages=RAMP))
    sent = [entry.body for entry in emulator.journal() if entry.body and "canReshuffleTraffic" in str(entry.body)]
    assert [(body.get("iteration") or body)["canReshuffleTraffic"] for body in sent] == [False, False, False]


def test_without_a_winner_everyone_returns_to_the_baseline(quiet: EmulatorServer) -> None:
    done = run(quiet, rollout())
    assert ended(done) == "inconclusive"
    assert done.output("r.verdict")["verdict"]["reason"] == "futile"
    assert served() == "Classic"


def test_and_at_the_plans_end_where_futility_is_off(quiet: EmulatorServer) -> None:
    done = run(quiet, rollout(policy=TO_THE_END))
    assert ended(done) == "inconclusive"
    assert done.output("r.verdict")["verdict"]["reason"] == "plan_ended"
    assert served() == "Classic"


@pytest.fixture
def quiet(emulator: EmulatorServer) -> EmulatorServer:
    """An emulator in which Bold changes nothing."""
    emulator.reset("no-effect")
    return emulator


@pytest.fixture
def broken(emulator: EmulatorServer) -> EmulatorServer:
    """An emulator that deals people out otherwise than asked."""
    emulator.reset("broken-split")
    return emulator


@pytest.fixture
def harmful(emulator: EmulatorServer) -> EmulatorServer:
    """An emulator in which Bold costs a fifth of the conversions."""
    from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth

    truth = GroundTruth.from_dict(
        {
            "people_per_day": 4_000,
            "metrics": {
                "checkout-conversion": {"baseline_rate": 0.10, "effects": {"Bold": {"relative": -0.20}}},
                "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
            },
        }
    )
    emulator.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))
    return emulator


def test_harm_ends_on_the_baseline_at_any_hour_and_without_asking(harmful: EmulatorServer) -> None:
    # Shut for ever after the start: a rollback does not look at it.
    window = {"weekdays": ["mon"], "hours": "08:00-10:00"}
    asked: list[str] = []
    done = run(
        harmful,
        rollout(change_window=window, approval={"before_ship": True}),
        answer=asked.append,
    )
    assert ended(done) == "rollback"
    assert served() == "Classic"
    assert asked == []


def test_a_broken_split_holds_and_nothing_is_stopped(broken: EmulatorServer) -> None:
    done = run(broken, rollout())
    assert ended(done) == "invalid"
    assert served() == "split"
    assert broken.effects("iteration.stopped") == []


def test_an_inconclusive_end_is_extended_once(quiet: EmulatorServer) -> None:
    done = run(quiet, rollout(endings={"inconclusive": "extend", "extension": "7d"}, policy=TO_THE_END))
    assert ended(done) == "inconclusive"
    assert done.output("r.verdict")["extended"] is True
    assert done.output("r.extension.watch")["elapsed_days"] == pytest.approx(21, abs=1)
    assert served() == "Classic"


@pytest.mark.parametrize(
    ("chosen", "extended", "serves"),
    [("Stop on the baseline", False, "Classic"), ("Extend", True, "Classic"), ("Leave it running", False, "split")],
)
def test_a_person_may_choose_what_follows_an_inconclusive_end(
    quiet: EmulatorServer, chosen: str, extended: bool, serves: str
) -> None:
    answer = {**approve(), "chosen_options": [chosen]}
    done = run(quiet, rollout(endings={"inconclusive": "ask", "extension": "7d"}), answer=lambda _: answer)
    assert ended(done) == "inconclusive"
    assert done.output("r.verdict")["extended"] is extended
    assert served() == serves


def test_the_winner_is_shipped_after_approval(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(approval={"before_ship": True}), answer=lambda _: approve())
    assert ended(done) == "ship"
    card = done.bodies["r.before_ship.approve"]
    assert "checkout-conversion" in card
    assert "●" in card.split("```")[1]


@pytest.mark.parametrize(
    ("answer", "why"), [(reject(), "rejected by grace"), (NOBODY, "nobody answered"), (None, "nobody")]
)
def test_what_is_not_approved_goes_on_as_it_is(
    emulator: EmulatorServer, answer: dict[str, Any] | None, why: str
) -> None:
    done = run(emulator, rollout(approval={"before_ship": True}), answer=lambda _: answer)
    assert ended(done) == "refused"
    found = done.output("r.refused")
    assert why in found["why"]
    assert found["refused_by"] == ("grace" if "grace" in why else None)
    assert served() == "split"
    assert found["unwatched"]["serves"] == {"Classic": 50.0, "Bold": 50.0}
    assert "No guardrail is watched" in found["unwatched"]["text"]
    assert "clear the task r.before_ship.approve" in found["unwatched"]["text"]


@pytest.mark.parametrize(
    ("answer", "settings", "serves"),
    [
        (NOBODY, {"approval": {"before_ship": True, "otherwise": "baseline"}}, "Classic"),
        (reject(), {"approval": {"before_ship": True, "otherwise": "baseline"}}, "Classic"),
        (reject(), {"approval": {"before_ship": True}, "endings": {"refused": "baseline"}}, "Classic"),
        (NOBODY, {"approval": {"before_ship": True}, "endings": {"refused": "baseline"}}, "split"),
    ],
)
def test_what_is_not_approved_may_return_to_the_baseline(
    emulator: EmulatorServer, answer: dict[str, Any], settings: dict[str, Any], serves: str
) -> None:
    done = run(emulator, rollout(**settings), answer=lambda _: answer)
    assert ended(done) == "refused"
    assert served() == serves
    assert (done.output("r.refused")["unwatched"] is None) == (serves == "Classic")


def test_a_verdict_that_changed_while_people_thought_is_not_shipped(emulator: EmulatorServer) -> None:
    def breaks(_task: str) -> dict[str, Any]:
        hook = LaunchDarklyHook()
        running = hook.get_experiment("button", expand=("treatments",)).running
        assert running is not None
        baseline = running.baseline
        assert baseline is not None
        hook.stop_iteration("button", running.id, winner=baseline.id, reason="by hand")
        return approve()

    done = run(emulator, rollout(approval={"before_ship": True}), answer=breaks)
    assert ended(done) == "invalid"
    assert served() == "Classic"


def test_a_rejected_first_stage_creates_nothing(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(stages=[{**HALF[0], "approval": True}]), answer=lambda _: reject())
    assert ended(done) == "refused"
    assert done.output("r.refused")["unwatched"] is None
    assert emulator.effects("experiment.created") == []


def test_a_rejected_stage_leaves_the_one_before_it_running(emulator: EmulatorServer) -> None:
    stages = [RAMP[0], {**RAMP[2], "approval": True}]
    done = run(emulator, rollout(stages=stages), answer=lambda _: reject())
    assert ended(done) == "refused"
    assert done.output("r.refused")["unwatched"]["stage_name"] == "a tenth (stage 1 of 2)"
    assert shares_of_bold(emulator) == ["10"]
    assert emulator.effects("iteration.stopped") == []


def test_starting_and_shipping_wait_for_the_window(emulator: EmulatorServer) -> None:
    emulator.clock.set(datetime(2026, 1, 9, 18, tzinfo=UTC))  # a Friday evening
    window = {"timezone": "Europe/Berlin", "hours": "09:00-17:00", "blackout": ["2026-01-12"]}
    done = run(emulator, rollout(change_window=window))
    assert ended(done) == "ship"
    started = emulator.effects("iteration.started")
    assert len(started) == 1
    writes = [datetime.fromisoformat(entry.server_time) for entry in emulator.journal()]
    assert writes[0] >= datetime(2026, 1, 13, 8, tzinfo=UTC)
    assert 8 <= writes[-1].hour < 16
    assert writes[-1].weekday() < 5


def test_overdue_stages_are_folded_but_not_past_a_gate(emulator: EmulatorServer) -> None:
    stages = [
        {"allocation": 5, "dwell": "1d", "gate": "none"},
        {"allocation": 10, "dwell": "1d", "gate": "none"},
        {"allocation": 25, "dwell": "1d", "gate": "guardrails"},
        {"allocation": 50, "gate": "decision"},
    ]

    def wait(task_id: str) -> None:
        emulator.clock.advance("P10D" if task_id == "r.stage_1.watch" else "P1D")

    done = run(emulator, rollout(stages=stages), wait=wait)
    assert ended(done) == "ship"
    assert shares_of_bold(emulator) == ["5", "25", "50"]


def test_recommend_asks_before_each_start_and_before_shipping(emulator: EmulatorServer) -> None:
    asked: list[str] = []

    def answer(task_id: str) -> dict[str, Any]:
        asked.append(task_id)
        return approve()

    done = run(emulator, rollout(stages=[RAMP[0], RAMP[2]], policy=LONG, autonomy="recommend"), answer=answer)
    assert ended(done) == "ship"
    assert asked == ["r.stage_1.approve", "r.stage_2.approve", "r.before_ship.approve"]


def test_observe_prints_each_request_and_sends_none(emulator: EmulatorServer) -> None:
    done = run(emulator, rollout(stages=RAMP, autonomy="observe"))
    assert done.states["r.dry_run"] == "success"
    shown = [(entry["method"], entry["path"].split("/")[-1]) for entry in done.output("r.dry_run")["requests"]]
    assert shown == [
        ("POST", "experiments"),
        ("PATCH", "checkout-button"),
        ("PATCH", "button"),
        ("POST", "iterations"),
        ("PATCH", "button"),
        ("POST", "iterations"),
        ("PATCH", "button"),
    ]
    assert {done.states[f"r.{ending}"] for ending in ENDINGS} == {"skipped"}
    assert emulator.journal() == []


def test_observe_judges_what_runs_and_shows_how_it_would_end(emulator: EmulatorServer) -> None:
    with DAG("by_hand", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    started = TaskRunner(dag, wait=SeenEnoughError.waiting)
    with pytest.raises(SeenEnoughError):
        started.run()
    before = len(emulator.journal())
    done = run(emulator, rollout(autonomy="observe"))
    assert done.output("r.verdict")["ending"] == "ship"
    request = done.output("r.would_end")["requests"][0]
    assert request["body"]["instructions"][0]["kind"] == "stopIteration"
    assert len(emulator.journal()) == before
    assert {done.states[f"r.{ending}"] for ending in ENDINGS} == {"skipped"}


class SeenEnoughError(Exception):
    """The test has seen enough."""

    @classmethod
    def waiting(cls, task_id: str) -> None:
        raise cls(task_id)


def test_keys_may_be_known_only_when_a_task_runs(emulator: EmulatorServer) -> None:
    keys = {"experiment_key": "{{ run_id }}-button", "experiment_name": "From a run"}
    done = run(emulator, rollout(policy=LONG), overrides=keys)
    assert ended(done) == "ship"
    assert done.output("r.start")["experiment_key"] == "run-button"


def test_a_stage_with_the_share_of_the_one_before_goes_on_with_its_iteration(emulator: EmulatorServer) -> None:
    stages = [{"allocation": 50, "dwell": "2d"}, {"allocation": 50, "gate": "decision"}]
    done = run(emulator, rollout(stages=stages))
    assert ended(done) == "ship"
    assert len(emulator.effects("iteration.started")) == 1


def test_every_task_may_be_repeated_after_its_write(emulator: EmulatorServer) -> None:
    seen: set[str] = set()

    def crash(task_id: str) -> bool:
        first = task_id not in seen
        seen.add(task_id)
        return first

    done = run(emulator, rollout(stages=RAMP), crash=crash)
    assert ended(done) == "ship"
    assert len(emulator.effects("iteration.started")) == 3
    assert len(emulator.effects("experiment.created")) == 1


def test_a_second_run_after_the_end_starts_nothing_and_stops_nothing(emulator: EmulatorServer) -> None:
    assert ended(run(emulator, rollout(stages=RAMP))) == "ship"
    before = len(emulator.journal())
    again = run(emulator, rollout(stages=RAMP))
    assert again.states["r.stage_1.start"] == "failed"
    assert "IterationStoppedError" in again.reasons["r.stage_1.start"]
    assert len(emulator.journal()) == before


def test_a_second_run_may_refuse_what_the_first_one_started(emulator: EmulatorServer) -> None:
    with DAG("first", schedule=None) as dag:
        experiment_rollout(rollout(), group_id="r")
    with pytest.raises(SeenEnoughError):
        TaskRunner(dag, wait=SeenEnoughError.waiting).run()
    before = len(emulator.journal())
    again = run(emulator, rollout(if_running="refuse"))
    assert "another run has it" in again.reasons["r.start"]
    assert {again.states[f"r.{ending}"] for ending in ENDINGS} == {"upstream_failed"}
    assert len(emulator.journal()) == before
    assert ended(run(emulator, rollout(if_running="adopt"))) == "ship"


def test_the_check_after_shipping_fails_if_somebody_changed_the_flag(emulator: EmulatorServer) -> None:
    def interfere(task_id: str) -> bool:
        if task_id == "r.verdict":
            from airflow_provider_launchdarkly.api.models import TurnFlagOff

            LaunchDarklyHook().patch_flag("checkout-button", [TurnFlagOff()])
        return False

    done = run(emulator, rollout(), crash=interfere)
    assert done.states["r.ship"] == "failed"
    assert "is off" in done.reasons["r.ship"]
    assert done.states["r.unwatched"] == "failed"
    assert "everyone gets 'Classic', since flag checkout-button is off" in done.reasons["r.unwatched"]


def test_no_stage_follows_an_iteration_that_somebody_stopped_meanwhile(emulator: EmulatorServer) -> None:
    def interfere(task_id: str) -> bool:
        if task_id == "r.stage_1.watch":
            hook = LaunchDarklyHook()
            running = hook.get_experiment("button", expand=("treatments",)).running
            assert running is not None
            hook.stop_iteration("button", running.id, winner="baseline", reason="by hand")
        return False

    done = run(emulator, rollout(stages=RAMP), crash=interfere)
    assert "is not running any more" in done.reasons["r.stage_2.start"]
    assert "has ended with winner 'Classic'" in done.reasons["r.unwatched"]
    assert len(emulator.effects("iteration.created")) == 1
    assert served() == "Classic"


@pytest.mark.parametrize("left_out", ["stage_1.watch", "stage_2.approve", "stage_2.start", "stage_2.watch"])
def test_a_task_that_was_only_marked_as_done_leads_to_no_ship(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    """Somebody marks a task as done that has not run: it says nothing, and nothing is created or shipped after it."""
    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout(stages=[RAMP[0], {**RAMP[2], "approval": True}]), group_id="r")
    monkeypatch.setattr(dag.task_dict[f"r.{left_out}"], "execute", lambda context: None)
    done = TaskRunner(dag, wait=lambda task: emulator.clock.advance(step_of(task)), answer=lambda _: approve()).run()
    assert done.states["r.ship"] != "success"
    assert shares_of_bold(emulator) == (["10", "50"] if left_out == "stage_2.watch" else ["10"])
    assert (done.states["r.unwatched"], done.states["r.refused"]) in {
        ("failed", "upstream_failed"),
        ("skipped", "success"),
    }


def test_an_override_that_is_none_is_refused() -> None:
    with DAG("d", schedule=None), pytest.raises(TypeError, match="takes no 'alocation'"):
        experiment_rollout(rollout(), alocation=5)


@pytest.mark.parametrize(
    ("defaults", "given", "seconds"),
    [({}, None, 300.0), ({"poke_interval": 7.0}, None, 7.0), ({"poke_interval": 7.0}, 9.0, 9.0)],
    ids=["configured", "of the DAG", "of the rollout"],
)
def test_sensors_poll_at_the_nearest_interval(defaults: dict[str, Any], given: float | None, seconds: float) -> None:
    with DAG("any", default_args=defaults) as dag:
        experiment_rollout(rollout(), poll_interval=given)
    assert {task.poke_interval for task in dag.tasks if hasattr(task, "poke_interval")} == {seconds}
