"""Does the promise hold end to end? Experiments in which nothing changes, through the sensor's look and the emulator.

`make calibrate` measures the decision alone, on ten thousand experiments. Here are two hundred, but each is created and
started over HTTP, looked at daily by the procedure that sensor and trigger run, on results that the emulator draws
person by person, and stopped on its baseline. Exits with 1 when a rate is beyond what chance explains (99.9 %).

Usage: python tests/benchmarks/calibrate_end_to_end.py [--experiments 200] [--seed 42] [--processes 2]
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.checks.significance import check_significance
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Guardrail
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.evidence.source import Target
from airflow_provider_launchdarkly.testing import EmulatorServer

ENV = EnvironmentRef("demo", "production")
FLAG = "checkout-button"
GUARDRAIL = "page-load-ms"
POLICY = Policy(guardrails=(Guardrail(metric=GUARDRAIL),))
CONFIDENCE = 0.999

# What the policy promises of an experiment in which nothing changes.
PROMISES = {
    Kind.SHIP: ("false ship", POLICY.alpha),
    Kind.ROLLBACK: ("false rollback", POLICY.alpha_harm),
    Kind.INVALID: ("mismatch false alarm", POLICY.mismatch.alpha),
}


def post(emulator: EmulatorServer, key: str) -> ExperimentPost:
    """An experiment on the checkout button, half and half."""
    flag = emulator.call(lambda running: running.world.projects["demo"].flags[FLAG])
    treatments = [
        {
            "name": name,
            "baseline": number == 0,
            "allocationPercent": "50",
            "parameters": [{"flagKey": FLAG, "variationId": flag.variations[number].id}],
        }
        for number, name in enumerate(("Classic", "Bold"))
    ]
    iteration = {
        "hypothesis": "Nothing changes.",
        "metrics": [{"key": "checkout-conversion"}, {"key": GUARDRAIL}],
        "primarySingleMetricKey": "checkout-conversion",
        "treatments": treatments,
        "flags": {FLAG: {"ruleId": "fallthrough"}},
    }
    return ExperimentPost.checked({"key": key, "name": key, "methodology": "bayesian", "iteration": iteration})


def run_one(emulator: EmulatorServer, client: LaunchDarklyClient, key: str) -> Kind:
    """Create, start, look daily until it ends, and stop on the baseline."""
    created = client.run(writes.create_experiment(ENV, post(emulator, key)))
    iteration_id = created.iteration.id
    client.run(writes.start_iteration(ENV, key, iteration_id, turn_flag_on=True))
    target, previous = Target(ENV, key, iteration_id), timedelta()
    while True:
        emulator.clock.advance("P1D")
        look = client.run(check_significance(target, POLICY, previous=previous, poll_interval=timedelta(days=1)))
        if look.ends:
            break
        previous = look.verdict.elapsed
    client.run(
        writes.stop_iteration(
            ENV, key, iteration_id, winner="baseline", reason=look.verdict.summary, announce=lambda _: None
        )
    )
    return look.verdict.kind


def run_many(seed: int, count: int) -> Counter[Kind]:
    """Run experiments one after another in an emulator of their own."""
    with EmulatorServer(scenario="no-effect", seed=seed) as emulator:
        client = LaunchDarklyClient(emulator.url, emulator.token)
        endings = Counter(run_one(emulator, client, f"aa-{number}") for number in range(count))
        client.close()
    return endings


def highest(count: int, rate: float) -> int:
    """The largest number of experiments that chance explains, if each has this rate: a binomial quantile."""
    total = 0.0
    for number in range(count + 1):
        total += math.comb(count, number) * rate**number * (1.0 - rate) ** (count - number)
        if total >= CONFIDENCE:
            return number
    return count


def main() -> int:
    """Run, print, and compare with the promises."""
    parser = argparse.ArgumentParser(description="A/A calibration through sensor code and emulator.")
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    begun = time.perf_counter()
    shares = [len(range(first, arguments.experiments, arguments.processes)) for first in range(arguments.processes)]
    with ProcessPoolExecutor(arguments.processes) as pool:
        seeds = range(arguments.seed, arguments.seed + arguments.processes)
        endings = sum(pool.map(run_many, seeds, shares), Counter[Kind]())
    seconds = time.perf_counter() - begun
    print(f"{arguments.experiments} experiments without an effect, daily looks to day 28, in {seconds:.0f} s")
    kept = True
    for kind, (name, promised) in PROMISES.items():
        found, most = endings[kind], highest(arguments.experiments, promised)
        kept = kept and found <= most
        rate, bound = found / arguments.experiments, most / arguments.experiments
        print(f"  {name:<22}{rate:7.1%}   promised {promised:.0%}, at most {bound:.1%} by chance")
    print(f"  {'inconclusive':<22}{endings[Kind.INCONCLUSIVE] / arguments.experiments:7.1%}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
