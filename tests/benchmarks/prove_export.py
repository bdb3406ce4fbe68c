"""Does `DataExportResults` find what the rows say? 1,000 simulated experiments beside a computation in numpy.

Rows, definitions and arithmetic are the test's own (`tests/support/raw_rows.py`, `raw_answers.py`): random exposures
and events, with all that goes wrong in real tables. Units must be the same, means and deviations equal to 1e-9, and
verdicts the same. All experiments run on SQLite, and a share of them on PostgreSQL and DuckDB, where there is one.
Exits with 1 at a difference.

Usage: python tests/benchmarks/prove_export.py [--experiments 1000] [--share 0.25] [--processes 2]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-launchdarkly-proof-"))
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
sys.path.insert(0, str(Path(__file__).parents[1]))

from support.raw_proof import TOGETHER, Tally, compare
from support.raw_source import find
from support.raw_tables import engines


def prove(kind: str, numbers: range) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        return compare(kind, numbers, Path(folder), find)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.25, help="of the experiments, on DuckDB and PostgreSQL")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    failed = False
    print(f"{'database':10} {'experiments':>11} {'numbers':>8} {'worst':>9} {'differences':>12} {'seconds':>8}")
    with ProcessPoolExecutor(options.processes) as pool:
        for kind in engines():
            begun = time.monotonic()
            count = options.experiments if kind == "sqlite" else round(options.experiments * options.share)
            parts = [range(start, min(start + TOGETHER, count)) for start in range(0, count, TOGETHER)]
            tallies = list(pool.map(prove, [kind] * len(parts), parts))
            differences = [each for tally in tallies for each in tally.differences]
            experiments = sum(tally.experiments for tally in tallies)
            numbers = sum(tally.measurements for tally in tallies)
            worst = max((tally.worst for tally in tallies), default=0.0)
            seconds = time.monotonic() - begun
            print(f"{kind:10} {experiments:11} {numbers:8} {worst:9.1e} {len(differences):12} {seconds:8.0f}")
            verdicts = sum((tally.verdicts for tally in tallies), Counter[tuple[str, str]]())
            print("   " + ", ".join(f"{kind} ({reason}) {n}" for (kind, reason), n in verdicts.most_common()))
            print("\n".join(differences[:20]), end="\n" if differences else "")
            failed = failed or bool(differences)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
