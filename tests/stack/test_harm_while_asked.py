"""Harm while a person is asked, on a real scheduler, triggerer and API server: it closes the question."""

from __future__ import annotations

import time

from stack.airflow_stack import AirflowStack
from stack.demo import Emulator
from stack.rollouts import SECONDS_TO_THINK, Rollout, make_true

TASK = "approve"
ROLLOUT_TASK = "rollout.stage_2.approve"
DETAILS = "hitlDetails"


def asked(run: Rollout, task: str = TASK) -> str:
    """Wait until the question is open, and Airflow has taken note of it; return the path of its answer."""
    run.until(lambda states: states.get(task) == "deferred", turning=False)
    time.sleep(SECONDS_TO_THINK)
    return f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task}/-1/{DETAILS}"


def test_harm_closes_the_question_of_a_rollout_and_a_clear_changes_nothing(
    stack: AirflowStack, emulator: Emulator
) -> None:
    # So few that the harm cannot be seen yet when the stage is over, after an hour: else nobody would be asked.
    make_true(emulator, effect=-0.6, people_per_day=480)
    run = Rollout(stack, emulator, "asked_rollout")
    run.answered[ROLLOUT_TASK] = {}  # nobody answers
    run.until(lambda states: states.get("rollout.stage_1.watch") == "deferred")
    emulator.advance("PT2H")
    path = asked(run, ROLLOUT_TASK)
    assert "Guardrails are watched while this is open" in stack.call("GET", path)["body"]
    emulator.advance("P3D")
    run.finish()
    assert run.state() == "success", run.states()
    states = run.states()
    assert (states["rollout.rollback"], states["rollout.stage_2.start"]) == ("success", "skipped")
    answer = run.xcom(ROLLOUT_TASK)
    assert (answer["chosen_options"], answer["ended_by"]["verdict"]) == ([], "rollback")
    ended = run.xcom("rollout.rollback")
    assert ended["why"] == answer["ended_by"]["summary"]
    assert emulator.served() == "on, everyone gets Classic"
    changes = len(emulator.changes())
    run.clear("rollout.verdict", "rollout.rollback")
    run.until(lambda states: states["rollout.verdict"] != "success")
    run.finish()
    assert run.states()["rollout.rollback"] == "success"
    assert run.xcom("rollout.rollback")["why"] == ended["why"]
    assert len(emulator.changes()) == changes


def test_harm_closes_the_question_and_a_late_answer_does_nothing(stack: AirflowStack, emulator: Emulator) -> None:
    make_true(emulator, effect=-0.6, people_per_day=20_000)
    run = Rollout(stack, emulator, "asked")
    run.answered[TASK] = {}  # nobody answers
    path = asked(run)
    assert "Guardrails are watched while this is open" in stack.call("GET", path)["body"]
    for _ in range(12):
        emulator.advance("PT1H")
        time.sleep(1)
    run.finish()
    assert run.state() == "success", run.states()
    answer = run.xcom(TASK)
    assert (answer["chosen_options"], answer["ended_by"]["verdict"]) == ([], "rollback")
    assert emulator.served() == "on, everyone gets Classic"
    changes = len(emulator.changes())
    late = stack.call("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})
    assert late["chosen_options"] == ["Approve"]
    time.sleep(6)
    assert run.states()[TASK] == "success"
    assert run.xcom(TASK) == answer
    assert run.state() == "success"
    assert len(emulator.changes()) == changes


def test_an_answer_that_comes_after_a_look_on_a_worker_counts(stack: AirflowStack, emulator: Emulator) -> None:
    make_true(emulator, effect=0.0)
    run = Rollout(stack, emulator, "asked")
    run.answered[TASK] = {}
    path = asked(run)
    emulator.advance("P1DT1M")  # a planned look, which a worker takes
    log = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{TASK}/logs/1"
    run.until(lambda states: "look 1 of 28" in str(stack.call("GET", log)) and states[TASK] == "deferred")
    time.sleep(SECONDS_TO_THINK)
    stack.call("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})
    run.finish()
    answer = run.xcom(TASK)
    assert answer["chosen_options"] == ["Approve"]
    assert "ended_by" not in answer
    assert emulator.served() == "on, everyone gets Classic"
