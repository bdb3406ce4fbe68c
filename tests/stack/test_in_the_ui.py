"""What a person does in Airflow's UI, on a real Airflow: clear, mark failed, pause, delete a run, trigger twice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from airflow.triggers.base import BaseTrigger

from stack.airflow_stack import PATIENCE, AirflowStack, StackError
from stack.demo import DAG_ID, Emulator
from stack.rollouts import SECONDS_TO_THINK, Rollout

ONCE = ("experiment.created", "iteration.created", "iteration.started", "iteration.stopped")


@pytest.fixture(autouse=True)
def fresh(emulator: Emulator) -> None:
    emulator.reset("effect")


def test_clearing_and_pausing_change_nothing_that_is_done(stack: AirflowStack, emulator: Emulator) -> None:
    run = Rollout(stack, emulator, DAG_ID)
    run.until(lambda states: states["wait"] == "deferred")
    time.sleep(SECONDS_TO_THINK)

    run.clear("create", "start", "wait")
    run.until(lambda states: states["wait"] == "deferred" and states["start"] == "success")
    assert counts(emulator)[:3] == [1, 1, 1]

    stack.call("PATCH", f"/dags/{DAG_ID}", {"is_paused": True})
    emulator.advance("P28D")
    time.sleep(SECONDS_TO_THINK)
    assert counts(emulator) == [1, 1, 1, 0]
    stack.call("PATCH", f"/dags/{DAG_ID}", {"is_paused": False})

    states = run.finish()
    assert (run.state(), states["stop"]) == ("success", "success")
    assert run.xcom("wait")["verdict"] == "ship"
    time.sleep(SECONDS_TO_THINK)
    run.clear("stop")
    run.finish()
    assert run.state() == "success"
    assert run.xcom("stop")["changed"] is False
    assert counts(emulator) == [1, 1, 1, 1]
    assert emulator.served() == "on, everyone gets Bold"


def test_marked_or_deleted_the_experiment_goes_on(stack: AirflowStack, emulator: Emulator) -> None:
    run = Rollout(stack, emulator, DAG_ID)
    run.until(lambda states: states["wait"] == "deferred")
    run.patch_task("wait", {"new_state": "failed"})
    assert run.finish()["stop"] == "upstream_failed"
    time.sleep(SECONDS_TO_THINK)
    assert counts(emulator) == [1, 1, 1, 0]

    # It was a mistake: cleared, the task waits on for the very same iteration.
    run.clear("wait", "stop")
    run.until(lambda states: states["wait"] == "deferred")
    run.patch_task("wait", {"new_state": "success"})
    assert run.finish()["stop"] == "failed"
    assert counts(emulator) == [1, 1, 1, 0]

    time.sleep(SECONDS_TO_THINK)
    run.clear("wait", "stop")
    run.until(lambda states: states["wait"] == "deferred")
    path = f"/dags/{DAG_ID}/dagRuns/{run.run_id}"
    with pytest.raises(StackError, match="cannot be deleted in running state"):
        stack.call("DELETE", path)
    stack.call("PATCH", path, {"state": "failed"})
    stack.call("DELETE", path)
    emulator.advance("P28D")
    time.sleep(SECONDS_TO_THINK)
    assert counts(emulator) == [1, 1, 1, 0]


def test_two_runs_at_once_adopt_one_iteration_and_stop_it_once(stack: AirflowStack, emulator: Emulator) -> None:
    first = Rollout(stack, emulator, DAG_ID)
    # Of two that are created at the same moment one is discarded, and its run fails; the crash tests do that. And of
    # two tasks that first tell of one experiment at the same moment, Airflow itself fails one.
    first.until(lambda states: states["start"] == "success", turning=False)
    runs = [first, Rollout(stack, emulator, DAG_ID)]
    for run in runs:
        run.until(lambda states: states["wait"] == "deferred", turning=False)
    time.sleep(SECONDS_TO_THINK)
    # While the DAG rests no task goes on, so both see the verdict before either stops the iteration.
    stack.call("PATCH", f"/dags/{DAG_ID}", {"is_paused": True})
    emulator.advance("P28D")
    wait_for(lambda: all(run.states()["wait"] == "scheduled" for run in runs))
    stack.call("PATCH", f"/dags/{DAG_ID}", {"is_paused": False})
    for run in runs:
        run.finish()
    assert [run.state() for run in runs] == ["success", "success"]
    assert counts(emulator) == [1, 1, 1, 1]
    assert sorted(run.xcom("stop")["changed"] for run in runs) == [False, True]


def test_a_second_run_refuses_and_marking_the_first_failed_rolls_back(stack: AirflowStack, emulator: Emulator) -> None:
    runs = [Rollout(stack, emulator, "guarded"), Rollout(stack, emulator, "guarded")]
    for run in runs:
        run.until(lambda states: states["rollout.start"] in {"success", "failed"})
    second = next(run for run in runs if run.states()["rollout.start"] == "failed")
    first = next(run for run in runs if run is not second)
    first.until(lambda states: states["rollout.watch"] == "deferred")
    second.finish()
    assert second.state() == "failed"
    path = f"/dags/guarded/dagRuns/{second.run_id}/taskInstances/rollout.start/logs/1"
    assert "AlreadyRunningError" in str(stack.call("GET", path, full_content=True))
    assert counts(emulator) == [1, 1, 1, 0]

    # The triggerer has taken the waiting over by then.
    time.sleep(SECONDS_TO_THINK)
    stack.call("PATCH", f"/dags/guarded/dagRuns/{first.run_id}", {"state": "failed"})
    first.until(lambda states: states["rollout.unwatched"] == "failed" and first.state() == "failed")
    assert first.xcom("rollout.unwatched")["event"] == "unwatched"
    if hasattr(BaseTrigger, "on_kill"):
        wait_for(lambda: counts(emulator) == [1, 1, 1, 1])
        assert emulator.served() == "on, everyone gets Classic"
    else:
        time.sleep(SECONDS_TO_THINK)
        assert counts(emulator) == [1, 1, 1, 0]


def counts(emulator: Emulator) -> list[int]:
    """How often there was each of the effects of which there may be one."""
    found = [effect["kind"] for change in emulator.changes() for effect in change["effects"]]
    return [found.count(kind) for kind in ONCE]


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"it did not happen within {seconds:.0f} s")
        time.sleep(0.3)
