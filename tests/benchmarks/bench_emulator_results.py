"""What an emulated experiment's results cost, and that a million people a day cost what a thousand do.

Run as a script: `python tests/benchmarks/bench_emulator_results.py`. Prints medians; carry the ratios, not the times.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.population.metric_results import serialize_metric_results
from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.population.types import SimulatedArm, SimulatedIteration, SimulatedMetric

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 5, 10, 37, tzinfo=UTC)
DAY_28 = START + timedelta(days=28)
METRICS = (
    SimulatedMetric("signup", is_numeric=False, higher_is_better=True),
    SimulatedMetric("latency", is_numeric=True, higher_is_better=False),
)
SIZES = (1_000, 1_000_000)
REPEATS = 60


def truth(people_per_day: int) -> GroundTruth:
    return GroundTruth.from_dict(
        {
            "people_per_day": people_per_day,
            "weekdays": {"saturday": 0.6, "sunday": 0.5},
            "metrics": {
                "signup": {"baseline_rate": 0.1, "effects": {"new": {"relative": 0.02}}},
                "latency": {"baseline_mean": 300, "standard_deviation": 80, "effects": {"new": {"relative": -0.01}}},
            },
        }
    )


def iteration(number: int, arms: int) -> SimulatedIteration:
    names = ("control", "new", "bold")[:arms]
    facts = (SimulatedArm(f"treatment-{name}", name, name, 1 / arms) for name in names)
    return SimulatedIteration("checkout", number, START, None, tuple(facts))


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def measure(people_per_day: int, arms: int, metric: SimulatedMetric) -> dict[str, float]:
    world = truth(people_per_day)

    def both(facts: SimulatedIteration, at: datetime) -> object:
        return serialize_metric_results(metric_statistics(world, 42, facts, metric, at), facts, metric)

    first, next_day, answer, again = [], [], [], []
    for number in range(1, REPEATS + 1):
        facts = iteration(number, arms)
        later = DAY_28 + timedelta(days=1)
        first.append(milliseconds(partial(metric_statistics, world, 42, facts, metric, DAY_28)))
        next_day.append(milliseconds(partial(metric_statistics, world, 42, facts, metric, later)))
        statistics = metric_statistics(world, 42, facts, metric, later)
        answer.append(milliseconds(partial(serialize_metric_results, statistics, facts, metric)))
        again.append(milliseconds(partial(both, facts, later)))
    return {
        "first look, day 28": median(first),
        "one day later": median(next_day),
        "results, first time": median(answer),
        "look and results again": median(again),
    }


def main() -> None:
    for metric in METRICS:
        for arms in (2, 3):
            small, large = (measure(size, arms, metric) for size in SIZES)
            print(f"\n{metric.key}, {arms} treatments (ms)      {SIZES[0]:>9,}/day {SIZES[1]:>9,}/day   ratio")
            for name, value in small.items():
                print(f"  {name:<32} {value:>13.3f} {large[name]:>13.3f} {large[name] / value:>7.2f}")


if __name__ == "__main__":
    main()
