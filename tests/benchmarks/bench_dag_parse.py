"""What importing costs a DAG file and a task: ours beside what a user would pick instead. `make benchmarks` runs it.

Each import is timed (CPU) in a fresh process that has loaded `airflow.sdk` already, as the DAG processor and the task
runner have. Medians of an odd number of runs; read the ratios, the machine is shared.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 7
CANDIDATES = {
    "a sensor of the standard provider": "airflow.providers.standard.sensors.date_time",
    "ours: operators, sensor and Policy": (
        "airflow_provider_launchdarkly.operators.experiments, airflow_provider_launchdarkly.sensors.significance, "
        "airflow_provider_launchdarkly.decision.policy"
    ),
    "http provider: HttpOperator and HttpSensor": (
        "airflow.providers.http.operators.http, airflow.providers.http.sensors.http"
    ),
    "LaunchDarkly's official client": "launchdarkly_api",
}
CODE = """
import sys, time
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from airflow.providers.common.compat.sdk import conf
began = time.process_time()
import {modules}
print((time.process_time() - began) * 1000, len(sys.modules))
"""


def measure(modules: str) -> float:
    """Median CPU milliseconds of an import."""
    times = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(modules=modules)], capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout.split()[0]))
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    measured = {name: measure(modules) for name, modules in CANDIDATES.items()}
    ours = measured["ours: operators, sensor and Policy"]
    print(f"import over airflow.sdk, CPU, median of {RUNS}\n")
    for name, milliseconds in measured.items():
        print(f"{name:45} {milliseconds:8.1f} ms   {milliseconds / ours:6.2f} times ours")


if __name__ == "__main__":
    main()
