"""What `simulate` takes for 10,000 experiments of 28 looks, beside drawing their measurements alone.

Run as a script: `python tests/benchmarks/bench_simulate.py [EXPERIMENTS]`. CPU of this process; each ratio is of two
runs that follow each other, and the median is printed. Calibration judges by the same functions.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import schedule_looks
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate
from airflow_provider_launchdarkly.simulation.sampling import draw
from airflow_provider_launchdarkly.simulation.world import MetricTruth, World

if TYPE_CHECKING:
    from collections.abc import Callable

EXPERIMENTS, PAIRS = 10_000, 3
# A simulation draws four worlds: without effect, with it, with a harm, with a broken split.
WORLDS = 4
POLICIES: dict[str, dict[str, Any]] = {
    "balanced": {"preset": "balanced"},
    "with a guardrail": {"guardrails": [{"metric": "page-load-ms", "margin": 0.05}]},
}


def seconds(do: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    do()
    return time.process_time() - begun


def main(experiments: int) -> None:
    """Print a line for each policy."""
    for name, fields in POLICIES.items():
        policy, scenario = Policy.from_json(fields), Scenario(experiments=experiments)
        plan = schedule_looks(policy)
        world = World(MetricTruth(0.1), 2_000, guardrails=(MetricTruth(0.1),) * len(policy.guardrails))

        def draws() -> None:
            for seed in range(WORLDS):
                draw(world, plan.look_times, plan.end, experiments, np.random.default_rng(seed))  # noqa: B023

        pairs = [(seconds(lambda: simulate(policy, scenario)), seconds(draws)) for _ in range(PAIRS)]  # noqa: B023
        ratio = median(whole / drawn for whole, drawn in pairs)
        took = median(whole for whole, _ in pairs)
        print(
            f"{name:20} {experiments:,} experiments of {len(plan.look_times)} looks, {WORLDS} worlds: {took:.2f} s, "
            f"{ratio:.2f} times drawing alone"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS)
