"""Example 2 on a real Airflow: stages, windows and guardrails; a person approves through the REST API."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from airflow_stack import AirflowStack, StackError
from demo import Emulator

DAG_ID = "staged_ramp"
MINUTES = 8
WAITING = {"deferred", "up_for_reschedule"}
ASKING = {"awaiting_input", "deferred"}


def instances(stack: AirflowStack, run_id: str) -> dict[str, str | None]:
    found = stack.call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
    return {instance["task_id"]: instance["state"] for instance in found}


def answer(stack: AirflowStack, run_id: str, task_id: str, chosen: str) -> dict[str, Any]:
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
    detail: dict[str, Any] = stack.call("GET", path)
    stack.call("PATCH", path, {"chosen_options": [chosen], "params_input": {}})
    return detail


def roll_out(stack: AirflowStack, emulator: Emulator, run_id: str) -> list[dict[str, Any]]:
    """Turn the clock while sensors wait, approve what is asked; returns what people were shown."""
    shown: list[dict[str, Any]] = []
    deadline = time.monotonic() + MINUTES * 60
    while stack.run_state(DAG_ID, run_id) not in {"success", "failed"}:
        stack.check_alive()
        assert time.monotonic() < deadline, instances(stack, run_id)
        for task_id, state in instances(stack, run_id).items():
            if task_id.endswith("approve") and state in ASKING and not shown:
                with contextlib.suppress(StackError):  # the question may not be written down yet
                    shown.append(answer(stack, run_id, task_id, "Approve"))
            elif task_id.endswith("window") and state in WAITING:
                emulator.advance("PT4H")
            elif task_id.endswith("wait") and state in WAITING:
                turn_days(emulator)
        time.sleep(0.2)
    return shown


def turn_days(emulator: Emulator) -> None:
    """Turn a day whenever the sensor has polled twice, so it has seen the day that ends, until it polls no more."""
    emulator.new_reads()
    seen, patience = 0, time.monotonic() + 2.5
    while time.monotonic() < patience:
        seen += emulator.new_reads().count("get_experiment")
        if seen >= 2:
            emulator.advance("P1D")
            seen, patience = 0, time.monotonic() + 2.5
        time.sleep(0.05)


def ended(stack: AirflowStack, run_id: str) -> list[str]:
    states = instances(stack, run_id)
    points = ("ship", "rollback", "inconclusive", "invalid")
    return [point for point in points if states[f"rollout.{point}"] == "success"]


@pytest.mark.parametrize(
    ("scenario", "ending", "serves"),
    [("effect", "ship", "Bold"), ("harm", "rollback", "Classic")],
)
def test_four_weeks_of_stages_end_as_the_data_say(
    stack: AirflowStack, emulator: Emulator, scenario: str, ending: str, serves: str
) -> None:
    emulator.reset(scenario)
    stack.wait_for_dag(DAG_ID)
    begun = time.monotonic()
    run_id = stack.trigger(DAG_ID)
    shown = roll_out(stack, emulator, run_id)
    took = time.monotonic() - begun
    print(f"{scenario}: {took:.0f} s")
    assert ended(stack, run_id) == [ending]
    assert emulator.served() == f"on, everyone gets {serves}"
    assert len(shown) == (1 if ending == "ship" else 0)
    assert all("checkout-conversion" in detail["body"] for detail in shown)
