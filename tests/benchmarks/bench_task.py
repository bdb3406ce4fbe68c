"""CPU of a rollout's task from its start to its first request, beside a task of an operator that does nothing.

Run as a script: `python tests/benchmarks/bench_task.py`. Each run is a fresh process that has loaded what Airflow's
supervisor and task runner have loaded anyway; it reads its file, which the DAG processor has read before, makes its
DAG, and asks for its experiment, or does nothing. Medians of pairs. The goal is 60 ms more, on a machine that counts to
a million in 50 ms: that is 1.2 times as long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from airflow_provider_launchdarkly.rollout.files import read_files, rollout_files
from airflow_provider_launchdarkly.rollout.known_good import KnownGood

PAIRS = 9
EXAMPLE = Path(__file__).parents[2] / "dags_examples" / "rollouts" / "checkout.yaml"
GOAL = 1.2
CODE = """
import json, os, socket, sys, time
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, get_parsing_context
from airflow.providers.common.compat.sdk import AirflowFailException, conf
import airflow.sdk.execution_time.supervisor  # a task is forked from its supervisor
import airflow.sdk.execution_time.task_runner

class Asked(BaseException):
    pass

def asked(*arguments, **options):
    raise Asked

socket.create_connection = asked
count, began = 0, time.process_time()
while count < 1_000_000:
    count += 1
loop, began, parts = time.process_time() - began, time.process_time(), {}

def part(name):
    parts[name] = time.process_time() - began

if sys.argv[1] == "empty":
    with DAG("empty") as dag:
        BaseOperator(task_id="task")
else:
    from airflow_provider_launchdarkly import load_rollouts
    part("import rollouts")
    (dag,) = load_rollouts(sys.argv[1]).values()
    part("read and make the DAG")
    task = next(task for task in dag.tasks if hasattr(task, "hook"))
    hook = task.hook
    part("import the hook")
    try:
        hook.get_experiment("key")
    except Asked:
        pass
    else:
        raise SystemExit("it did not ask")
part("whole")
print(json.dumps({"loop": loop, **parts}))
"""


def run(what: str, dag_id: str, cache: str) -> dict[str, float]:
    """Return the CPU seconds of the parts of one run. The cache is the folder of what is known of rollout files."""
    connection = {
        "conn_type": "launchdarkly",
        "host": "http://127.0.0.1:9",
        "password": "api-none",
        "extra": {"project_key": "demo", "environment_key": "production"},
    }
    environment = {
        **os.environ,
        "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT": json.dumps(connection),
        "AIRFLOW__LAUNCHDARKLY__ROLLOUT_CACHE": cache,
        "_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id,
        "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "task",
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE, what], env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the parts."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        (Path(folder) / "checkout.yaml").write_text(EXAMPLE.read_text())
        known_good = KnownGood(Path(cache))
        list(read_files(rollout_files([Path(folder)]), known_good=known_good))
        pairs = [(run(folder, "fleet-bold-button", cache), run("empty", "empty", cache)) for _ in range(PAIRS)]
    before = 0.0
    for name in [part for part in pairs[0][0] if part not in {"loop", "whole"}]:
        until = median(ours[name] for ours, _ in pairs)
        print(f"  {name:24} {1000 * (until - before):6.1f} ms")
        before = until
    more = median(ours["whole"] - empty["whole"] for ours, empty in pairs)
    ratio = median((ours["whole"] - empty["whole"]) / ours["loop"] for ours, empty in pairs)
    print(f"to the first request {1000 * more:.1f} ms more than an empty operator")
    print(f"that is {ratio:.2f} times counting to a million (goal {GOAL})")


if __name__ == "__main__":
    main()
