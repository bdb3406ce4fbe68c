"""A run that ends by `dagrun_timeout`, on a real scheduler and DAG processor: it is told that nobody watches."""

from __future__ import annotations

import time

from stack.airflow_stack import PATIENCE, AirflowStack
from stack.demo import Emulator
from stack.rollouts import Rollout, make_true


def test_a_run_that_timed_out_tells_what_runs_on(stack: AirflowStack, emulator: Emulator) -> None:
    make_true(emulator, effect=0.0)
    run = Rollout(stack, emulator, "timed_out")
    deadline = time.monotonic() + PATIENCE
    while run.state() not in {"success", "failed"}:  # the clock stands still, so the rollout waits
        assert time.monotonic() < deadline
        time.sleep(1)
    assert run.state() == "failed"
    # Airflow skips what has not begun; before 3.2 it leaves that without a state.
    assert run.states()["rollout.unwatched"] in {"skipped", None}
    kept = stack.home / "timed_out.txt"
    while not kept.exists() or "---" not in kept.read_text():
        assert time.monotonic() < deadline, "nothing was told"
        time.sleep(1)
    (told,) = kept.read_text().split("\n---\n")[:-1]
    assert told.startswith("rollout.unwatched unwatched: timed-out-button runs on, and nobody watches it: the run took")
    assert "Bold 50 %, Classic 50 %" in told
    assert "LaunchDarkly shows it as running." in told
