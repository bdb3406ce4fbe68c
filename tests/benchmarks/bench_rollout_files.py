"""What a fleet of rollout files costs: to read, to read again, to validate, for one task; and to make DAGs of.

Run as a script: `python tests/benchmarks/bench_rollout_files.py [FILES]`, 5,000 by default, with two rollouts each. CPU
of this process, medians. Beside the readings stands what PyYAML alone takes for the same files; beside the DAGs what
Airflow takes for as many operators that do nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import yaml
from airflow.sdk import DAG, BaseOperator

from airflow_provider_launchdarkly.cli.main import main as command
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_files, rollout_files
from airflow_provider_launchdarkly.rollout.known_good import VARIABLE, KnownGood

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 5_000
DAGS = 40
EXAMPLE = Path(__file__).parents[2] / "dags_examples" / "rollouts" / "checkout.yaml"


def seconds(do: Callable[[], object], repeats: int = 1) -> float:
    """Return the median CPU seconds of a call."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        do()
        times.append(time.process_time() - begun)
    return median(times)


def validate(folder: Path) -> None:
    """Run the command."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert command(["validate", str(folder)]) == 0


def empty_dag(tasks: int, number: int) -> DAG:
    """Make a DAG of operators that do nothing."""
    with DAG(f"empty-{number}") as dag:
        for task in range(tasks):
            BaseOperator(task_id=f"task-{task}")
    return dag


def main(count: int) -> None:
    """Print the table."""
    text = EXAMPLE.read_text()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place, "rollouts"), Path(place, "cache")
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:05}.yaml").write_text(text.replace("fleet-", f"fleet-{number}-"))
        time.sleep(2.1)  # a file that changed just before it was read is read again by tasks
        os.environ[VARIABLE] = str(cache)
        one = "fleet-7-bold-button"

        def read(only: str | None = None) -> list[object]:
            return list(read_files(rollout_files([folder]), only=only, known_good=KnownGood(cache)))

        floor = seconds(lambda: [yaml.load(file.read_text(), loader) for file in rollout_files([folder])])
        scanned = seconds(lambda: read(one), 3)
        rows = {"reading": seconds(read), "reading again": seconds(read, 3)}
        rows |= {"one task's process, by a scan": scanned, "one task's process": seconds(lambda: read(one), 3)}
        rows |= {"validate, the concerns anew": seconds(lambda: validate(folder))}
        rows |= {"validate again": seconds(lambda: validate(folder), 3)}
        found = [entry for entry in read() if isinstance(entry, NamedRollout)][:DAGS]
        parsed = [entry.rollout for entry in found]
    print(f"{count:,} files, {2 * count:,} rollouts: CPU beside PyYAML alone, which takes {floor:.2f} s")
    for name, took in rows.items():
        print(f"  {name:30} {took:7.3f} s {took / floor:6.3f} times")
    dags = [rollout_dag(rollout, dag_id=f"{number}") for number, rollout in enumerate(parsed)]
    tasks = sum(len(dag.tasks) for dag in dags)
    pairs = []
    for _ in range(5):
        ours = seconds(lambda: [rollout_dag(rollout, dag_id=f"{number}") for number, rollout in enumerate(parsed)])
        pairs.append((ours, seconds(lambda: [empty_dag(len(dag.tasks), number) for number, dag in enumerate(dags)])))
    ratio = median(ours / empty for ours, empty in pairs)
    each = 1000 * median(ours for ours, _ in pairs) / tasks
    print(f"  DAGs: {each:.2f} ms a task, {ratio:.2f} times as long as operators that do nothing")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FILES)
