"""What no rollout ever does, whatever its schedule, its evidence, its people, its crashes and its repeats."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from airflow.sdk import DAG
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.endings import ENDINGS
from support.task_runner import TaskRunner

EXPERIMENT = {
    "key": "button",
    "flag": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
    "primary_metric": "checkout-conversion",
}
PERSON = {"id": "1", "name": "grace"}
CHOICES = ["Approve", "Reject", "Stop on the baseline", "Extend", "Leave it running"]

STAGES = st.builds(
    lambda share, days, gate, approval: {
        "allocation": share,
        "dwell": f"{days}d",
        "gate": gate,
        "approval": approval,
    },
    st.sampled_from([1, 5, 10, 25, 50]),
    st.integers(1, 4),
    st.sampled_from(["guardrails", "none", "decision"]),
    st.booleans(),
)
WINDOWS = st.none() | st.builds(
    lambda zone, hours, days: {"timezone": zone, "hours": hours, "weekdays": days},
    st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
    st.sampled_from(["09:00-17:00", "22:00-03:00"]),
    st.sampled_from([["mon", "tue", "wed", "thu", "fri"], ["tue", "sat"]]),
)
ROLLOUTS = st.builds(
    lambda stages, share, asked, window, inconclusive, otherwise, autonomy: {
        "experiment": EXPERIMENT,
        "stages": [*stages, {"allocation": share, "dwell": "8d", "gate": "decision"}],
        "policy": {"min_duration": "3d", "max_duration": "8d"},
        "approval": {"before_ship": asked, "otherwise": otherwise},
        "endings": {"inconclusive": inconclusive, "extension": "4d"},
        "change_window": window,
        "autonomy": autonomy,
        "turn_flag_on": True,
    },
    st.lists(STAGES, max_size=3),
    st.sampled_from([20, 50]),
    st.booleans(),
    WINDOWS,
    st.sampled_from(["baseline", "extend", "ask"]),
    st.sampled_from(["hold", "baseline"]),
    st.sampled_from(["act", "act", "recommend", "observe"]),
)


def truth(effect: float, broken: bool) -> GroundTruth:
    conversion: dict[str, Any] = {"baseline_rate": 0.10}
    if effect:
        conversion["effects"] = {"Bold": {"relative": effect}}
    split = {"split": {"Classic": 0.4, "Bold": 0.6}} if broken else {}
    return GroundTruth.from_dict({"people_per_day": 5_000, "metrics": {"checkout-conversion": conversion}, **split})


@pytest.mark.usefixtures("connection")
@settings(suppress_health_check=list(HealthCheck))
@given(
    plan=ROLLOUTS,
    effect=st.sampled_from([-0.3, -0.1, 0.0, 0.0, 0.1, 0.3, 0.3]),
    broken=st.booleans() | st.just(False),
    late=st.lists(st.integers(1, 30), max_size=4),
    turns=st.lists(st.sampled_from([-0.3, 0.0, 0.3]), max_size=2),
    answers=st.lists(st.sampled_from([*CHOICES, None]), max_size=6),
    crashes=st.lists(st.booleans(), max_size=30),
)
def test_a_rollout_keeps_its_promises(
    emulator: EmulatorServer,
    plan: dict[str, Any],
    effect: float,
    broken: bool,
    late: list[int],
    turns: list[float],
    answers: list[str | None],
    crashes: list[bool],
) -> None:
    emulator.reset()

    def make_true(of: float) -> None:
        emulator.call(
            lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth(of, broken)})
        )

    make_true(effect)
    rollout = Rollout.from_json(plan)
    days, turning, said, again = iter(late), iter(turns), iter(answers), iter(crashes)

    def wait(task_id: str) -> None:
        # Sometimes nobody looks for days: the triggerer was down, or the DAG was paused.
        hours = 1 if task_id.endswith("window") else 24 * next(days, 1)
        emulator.clock.advance(timedelta(hours=hours))

    def answer(_task: str) -> dict[str, Any]:
        emulator.clock.advance(timedelta(hours=7))
        if (of := next(turning, None)) is not None:
            make_true(of)
        chosen = next(said, "Approve")
        return {"chosen_options": [chosen or "Reject"], "responded_by_user": PERSON if chosen else None}

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(rollout, group_id="r")
    before = len(emulator.journal())
    done = TaskRunner(dag, wait=wait, answer=answer, crash=lambda _: next(again, False)).run()
    entries = emulator.journal()[before:]
    effects = [(entry, effect) for entry in entries for effect in entry.effects]

    if plan["autonomy"] == "observe":
        assert entries == []
        return
    assert "failed" not in done.states.values(), done.reasons
    points = done.succeeded(*(f"r.{ending}" for ending in ENDINGS))
    event(points[0])
    assert len(points) == 1
    check_ships_only_by_verdict(done, effects)
    check_asks_before_shipping(rollout, done)
    check_stops_once(effects)
    check_inside_window(rollout, effects, done)
    check_shares(rollout, entries)


def check_ships_only_by_verdict(done: TaskRunner, effects: list[Any]) -> None:
    bold = {
        t["treatment_id"]
        for key, out in done.xcoms.items()
        if key[0].endswith("start") and key[1] == "treatments"
        for t in out
        if not t["baseline"]
    }
    shipped = [e for _, e in effects if e["kind"] == "iteration.stopped" and e.get("winner") in bold]
    verdicts = [
        verdict
        for (task, key), out in done.xcoms.items()
        if key == "return_value" and task.endswith(("watch", "r.verdict"))
        if (verdict := out["verdict"] if task == "r.verdict" else out)
    ]
    for stop in shipped:
        said = [v for v in verdicts if v["iteration_id"] == stop["iteration"] and v["treatment_id"] == stop["winner"]]
        assert said
        assert all(v["verdict"] == "ship" for v in verdicts[-1:] if v["iteration_id"] == stop["iteration"])
        assert done.states["r.ship"] == "success"
    assert bool(shipped) == (done.states["r.ship"] == "success")


def check_asks_before_shipping(rollout: Rollout, done: TaskRunner) -> None:
    if done.states["r.ship"] == "success" and (rollout.approval.before_ship or rollout.autonomy == "recommend"):
        said = done.output("r.before_ship.approve")
        assert said["chosen_options"] == ["Approve"]
        assert said["responded_by_user"] == PERSON


def check_stops_once(effects: list[Any]) -> None:
    stopped = [effect["iteration"] for _, effect in effects if effect["kind"] == "iteration.stopped"]
    assert len(stopped) == len(set(stopped))


def check_inside_window(rollout: Rollout, effects: list[Any], done: TaskRunner) -> None:
    window = rollout.change_window or ChangeWindow.from_json(
        {"hours": "00:00-24:00", "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    )
    for entry, effect in effects:
        ships = effect["kind"] == "iteration.stopped" and effect.get("winner") and done.states["r.ship"] == "success"
        if effect["kind"] == "iteration.started" or ships:
            assert window.is_open(datetime.fromisoformat(entry.server_time))


def check_shares(rollout: Rollout, entries: list[Any]) -> None:
    asked = [body.get("iteration") or body for entry in entries if (body := entry.body) and "treatments" in str(body)]
    shares = [Decimal(next(t["allocationPercent"] for t in body["treatments"] if not t["baseline"])) for body in asked]
    planned = iter([rollout.share_of_new(stage) for stage in rollout.stages])
    # Each iteration has the share of a stage, and the stages come in their order.
    assert all(any(share == stage for stage in planned) for share in shares)
