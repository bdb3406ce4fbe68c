"""Holds the decision engine to its promise: measures every row of the calibration, and exits with 1 beyond a bar.

Each row is a world of known truth, judged by the vectorised judge through the boundaries that `decide` uses, with
10,000 experiments from fixed seeds: the same command gives the same figures. Run by ``make calibrate``;
``make calibrate FULL=1`` measures 100,000 experiments and more rows, ``make calibrate WRITE=1`` also writes the figures
to docs/concepts/promise.json and to the tables of docs/concepts/how-we-decide.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from typing import Any

from calibration.cells import SEED
from calibration.parts import every_group
from calibration.results import preset_table, summary, tables, write
from calibration.run import Timed, run

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate

EXPERIMENTS, FULL_EXPERIMENTS = 10_000, 100_000


def presets(experiments: int) -> list[dict[str, Any]]:
    """What each preset costs; nothing is held to a bar here."""
    scenario = Scenario(experiments=experiments, seed=SEED)
    return [{"preset": name, **_rounded(asdict(simulate(Policy.preset(name), scenario).report))} for name in PRESETS]


def _rounded(report: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in report.items()}


def main() -> int:
    """Measure, print, and say what is beyond its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="more rows, and 100,000 experiments for each")
    parser.add_argument("--experiments", type=int, help="experiments for each row")
    parser.add_argument("--processes", type=int, help="how many at once [as many as processors]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only groups whose name has this text")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the figures into docs/; --only keeps the others",
    )
    parser.add_argument("--times", action="store_true", help="print what took longest")
    arguments = parser.parse_args()
    if arguments.write and (arguments.full or arguments.experiments):
        parser.error("--write writes the short calibration: leave out --full and --experiments")
    experiments = arguments.experiments or (FULL_EXPERIMENTS if arguments.full else EXPERIMENTS)
    groups = [
        group for group in every_group() if arguments.only in group.name and (arguments.full or not group.only_full)
    ]
    begun = time.perf_counter()
    results, times = run(groups, experiments, arguments.processes)
    costs = [] if arguments.only else presets(experiments)
    print(f"{experiments} experiments for each of {len(results)} rows, seed {SEED}; false ship / false rollback\n")
    print("\n\n".join([*tables(results), summary(results), *([preset_table(costs)] if costs else [])]))
    print(f"\nmeasured in {time.perf_counter() - begun:.0f} s")
    if arguments.times:
        _print_times(times)
    if arguments.write:
        order = [(group.part, row.key) for group in every_group() if not group.only_full for row in group.rows]
        write(order, results, costs)
    failures = [line for result in results for line in result.failures()]
    for line in failures:
        print(f"BEYOND ITS BAR: {line}", file=sys.stderr)
    print(f"{len(failures)} figures are beyond their bars" if failures else "every bar is held")
    return 1 if failures else 0


def _print_times(times: list[Timed]) -> None:
    print(f"{sum(timed.seconds for timed in times):.0f} s of processors' time; longest:")
    for timed in sorted(times, key=lambda timed: -timed.seconds)[:15]:
        print(f"  {timed.seconds:6.1f} s  {timed.name}")


if __name__ == "__main__":
    sys.exit(main())
