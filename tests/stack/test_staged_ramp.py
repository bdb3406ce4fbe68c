"""The staged ramp on a real scheduler and triggerer, answered by a person through Airflow's REST API."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from stack.airflow_stack import AirflowStack
from stack.demo import Emulator
from stack.rollouts import Rollout, make_true

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_ramp_ships_after_its_stages_an_approval_and_the_window(stack: AirflowStack, emulator: Emulator) -> None:
    make_true(emulator, effect=0.075)
    run = Rollout(stack, emulator, "staged_ramp")
    states = run.finish()
    assert run.state() == "success", states
    assert states["rollout.ship"] == "success"
    assert run.xcom("rollout.verdict")["ending"] == "ship"
    (asked,) = run.answered.values()
    assert asked["subject"] == "Ship the winner of checkout-ramp to everyone?"
    assert "checkout-conversion" in asked["body"]
    assert emulator.served() == "on, everyone gets Bold"
    assert winners(emulator) == [None, None, run.xcom("rollout.verdict")["verdict"]["treatment_id"]]
    assert all(inside_the_window(change) for change in emulator.changes() if "iteration.started" in kinds(change))
    assert inside_the_window(emulator.changes()[-1])


def test_harm_in_the_first_stage_returns_everyone_to_the_baseline(stack: AirflowStack, emulator: Emulator) -> None:
    make_true(emulator, effect=-0.6, people_per_day=20_000)
    run = Rollout(stack, emulator, "staged_ramp")
    states = run.finish()
    assert run.state() == "success", states
    assert states["rollout.rollback"] == "success"
    assert run.answered == {}
    assert emulator.served() == "on, everyone gets Classic"
    assert len(winners(emulator)) == 1


def winners(emulator: Emulator) -> list[str | None]:
    """The winner of each iteration that was stopped, in order."""
    return [
        effect["winner"]
        for change in emulator.changes()
        for effect in change["effects"]
        if effect["kind"] == "iteration.stopped"
    ]


def kinds(change: dict[str, object]) -> list[str]:
    effects = change["effects"]
    assert isinstance(effects, list)
    return [effect["kind"] for effect in effects]


def inside_the_window(change: dict[str, str]) -> bool:
    at = datetime.fromisoformat(change["server_time"]).astimezone(BERLIN)
    return at.weekday() < 4 and 9 <= at.hour < 16
