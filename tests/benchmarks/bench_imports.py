"""What the public names cost a DAG file, over `import airflow.sdk`, as a share of that. `make benchmarks` runs it.

Each run is a pair: a fresh process times (CPU) `import airflow.sdk`, and then the import of our names. Medians of an
odd number of runs. Read the shares; on the reference machine `airflow.sdk` takes 1.3 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 9
MAIN_PATH = (
    "LaunchDarklyCreateExperimentOperator, LaunchDarklyStartIterationOperator, LaunchDarklyStopIterationOperator, "
    "LaunchDarklyWaitForSignificanceSensor, Policy"
)
# What is imported, and the goal: milliseconds on the reference machine.
CANDIDATES = {
    "main path": (MAIN_PATH, 10),
    "main path and rollouts": (f"{MAIN_PATH}, Rollout, experiment_rollout, rollout_dag", 25),
    "everything": ("*", 60),
}
REFERENCE = 1300.0
CODE = """
import time
began = time.process_time()
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from airflow.providers.common.compat.sdk import conf
between = time.process_time()
from airflow_provider_launchdarkly import {names}
print((between - began) * 1000, (time.process_time() - between) * 1000)
"""


def measure(names: str) -> tuple[float, float]:
    """Return the median CPU milliseconds of airflow.sdk and of our names."""
    pairs = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(names=names)], capture_output=True, text=True, check=True
        )
        pairs.append(tuple(map(float, done.stdout.split())))
    return statistics.median(sdk for sdk, _ in pairs), statistics.median(ours for _, ours in pairs)


def main() -> None:
    """Print the table."""
    print(f"import over airflow.sdk, CPU, median of {RUNS} pairs\n")
    for name, (names, goal) in CANDIDATES.items():
        sdk, ours = measure(names)
        print(
            f"{name:25} {ours:7.1f} ms   {100 * ours / sdk:5.2f} % of airflow.sdk's {sdk:.0f} ms   "
            f"(goal {100 * goal / REFERENCE:.2f} %)"
        )


if __name__ == "__main__":
    main()
