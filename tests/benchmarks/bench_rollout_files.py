"""What 200 rollout files cost the DAG processor, beyond what Airflow's own DAGs cost.

Run as a script: `python tests/benchmarks/bench_rollout_files.py`. Exits with 1 when reading takes 2 seconds or more.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_files, rollout_files
from airflow_provider_launchdarkly.rollout.loading import load_rollouts

FILES = 200
REPEATS = 3
LIMIT = 2.0
EXAMPLE = Path(__file__).parents[2] / "dags_examples" / "rollouts" / "checkout.yaml"


def seconds(do: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        do()
        times.append(time.perf_counter() - begun)
    return median(times)


def main() -> int:
    text = EXAMPLE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            (Path(folder) / f"{number:03}.yaml").write_text(text.replace("fleet-", f"fleet-{number}-"))
        read = [found for found in read_files(rollout_files([Path(folder)])) if isinstance(found, NamedRollout)]
        whole = seconds(lambda: load_rollouts(folder))
        airflow = seconds(lambda: [rollout_dag(found.rollout, dag_id=found.name) for found in read])
        reading = seconds(lambda: list(read_files(rollout_files([Path(folder)]))))
        one = seconds(lambda: list(read_files(rollout_files([Path(folder)]), only="fleet-7-bold-button")))
    print(f"{FILES} files, {len(read)} rollouts")
    print(f"  load_rollouts          {whole:6.2f} s")
    print(f"  the same DAGs without  {airflow:6.2f} s")
    print(f"  reading alone          {reading:6.2f} s")
    print(f"  for one task's process {one:6.3f} s")
    return int(reading >= LIMIT or whole - airflow >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
