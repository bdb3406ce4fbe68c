"""How long a task takes from its trigger's event to its end, on a real scheduler, triggerer and worker.

Run as a script: `python tests/benchmarks/bench_resume.py`. Beside ours stands Airflow's own deferrable sensor, whose
resumed task does nothing. A `dwell` reads the experiment again, and a look of `significance` reads results and judges.
Rounds alternate, so that a busy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from airflow_provider_launchdarkly.api.models import ExperimentPost  # noqa: E402 - the folder is known only now
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook  # noqa: E402
from airflow_provider_launchdarkly.operators._design import IterationDesign  # noqa: E402
from stack.airflow_stack import PATIENCE, AirflowStack, StackError  # noqa: E402
from stack.demo import Emulator  # noqa: E402

KINDS = ("airflow", "dwell", "significance")
KEY = "bold-checkout-button"
# A trigger that fires sooner can get its task failed.
SECONDS_UNTIL_FIRED = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator("effect", 42, Path(folder) / "emulator.log")
        environment = {
            "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT": emulator.connection,
            "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
        }
        os.environ["AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"] = emulator.connection
        try:
            with AirflowStack(Path(__file__).parent / "resume", environment) as stack:
                latencies: dict[str, list[float]] = {kind: [] for kind in KINDS}
                for _ in range(options.rounds):
                    for kind, seconds in latencies.items():
                        seconds.append(latency(stack, emulator, kind))
        finally:
            emulator.stop()
    floor = statistics.median(latencies["airflow"])
    print(f"from a trigger's event to the end of its task, median of {options.rounds}:")
    for kind, seconds in latencies.items():
        median = statistics.median(seconds)
        print(f"{kind:12}  {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})  {median / floor:.2f} x Airflow's")


def latency(stack: AirflowStack, emulator: Emulator, kind: str) -> float:
    """Let one task wait and be resumed; returns the seconds from its trigger's event to its end."""
    emulator.reset("effect")
    iteration = begin()
    until = datetime.now(UTC) + timedelta(seconds=SECONDS_UNTIL_FIRED)
    run_id = stack.trigger(kind, {"experiment": KEY, "iteration": iteration, "until": until.isoformat()})
    until_state(stack, kind, run_id, "deferred")
    # The clock stands still, and its Date header tells whole seconds.
    emulator.advance("P1DT1M")
    until_state(stack, kind, run_id, "success")
    ended = datetime.fromisoformat(stack.task(kind, run_id, "wait")["end_date"])
    return (ended - fired_at(stack, kind, run_id)).total_seconds()


def begin() -> str:
    """Create and start an experiment in LaunchDarkly; returns its iteration's id."""
    person = LaunchDarklyHook()
    design = IterationDesign(
        flag_key="checkout-button",
        hypothesis="A bold button brings more people through the checkout.",
        treatments=[
            {"variation": "Classic", "allocation_percent": 50, "baseline": True},
            {"variation": "Bold", "allocation_percent": 50},
        ],
        primary_metric="checkout-conversion",
    )
    iteration = design.resolve(person.get_flag("checkout-button"))
    post = {"key": KEY, "name": "Bold checkout button", "methodology": "bayesian", "iteration": iteration}
    created = person.create_experiment(ExperimentPost.checked(post)).iteration.id
    person.start_iteration(KEY, created, turn_flag_on=True)
    return str(created)


def until_state(stack: AirflowStack, dag_id: str, run_id: str, state: str) -> None:
    """Wait until the task has a state, and ask rarely: the API server shares the cores with what is measured."""
    deadline = time.monotonic() + PATIENCE
    while (seen := stack.task(dag_id, run_id, "wait")["state"]) != state:
        if seen == "failed" or time.monotonic() > deadline:
            raise StackError(
                f"{dag_id} is {seen} instead of {state}; its log:\n{stack.task_log(dag_id, run_id, 'wait')}"
            )
        time.sleep(1)


def fired_at(stack: AirflowStack, dag_id: str, run_id: str) -> datetime:
    """When the task's trigger fired, by the task's log."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/wait/logs/1"
    for entry in stack.call("GET", path, full_content=True)["content"]:
        if entry["event"] == "Trigger fired event":
            return datetime.fromisoformat(entry["timestamp"])
    raise StackError(f"the log of {dag_id} does not say when its trigger fired; read {stack.home / 'logs'}")


if __name__ == "__main__":
    main()
