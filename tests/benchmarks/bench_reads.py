"""What one read costs: the client beside bare httpx and json, and the page of results beside the slimmest model.

Run as a script: `python tests/benchmarks/bench_reads.py`. CPU of this process; the emulator runs in another. Each ratio
is of two short runs that follow each other, so that a busy machine slows both; the median of many is printed.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING

import httpx
from bench_emulator import PATHS, Reader, emulator, prepare
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import MeasuredResults, MetricResults

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS, CALLS = 61, 20
GOALS = {"one read": 1.15, "a page of results": 1.5}
EXPAND = ("treatments", "draftIteration", "previousIterations")


class Slim(BaseModel):
    """The least that reads LaunchDarkly's spelling."""

    model_config = ConfigDict(alias_generator=to_camel)


class SlimDistribution(Slim):
    kind: str = ""
    parameters: dict[str, float] = {}


class SlimNormal(Slim):
    data_weight: float | None = None
    prior_mean: float | None = None


class SlimTreatment(Slim):
    treatment_id: str = ""
    treatment_name: str = ""
    data_mean: float | None = None
    data_std_dev: float | None = None
    p_best: float | None = None
    units: int | None = None
    traffic: int | None = None
    distribution: SlimDistribution | None = None
    variance_reduction: float | None = None
    bayesian_normal: SlimNormal | None = None


class SlimSlice(Slim):
    attribute: str | None = None
    treatment_results: tuple[SlimTreatment, ...] = ()


class SlimSeen(Slim):
    timestamp: int | None = None


class SlimResults(Slim):
    treatment_results: tuple[SlimTreatment, ...] = ()
    metric_seen: SlimSeen | None = None
    probability_of_mismatch: float | None = None
    results: tuple[SlimSlice, ...] = ()


def page() -> bytes:
    """A page of results of three treatments, over everyone and in four slices."""

    def treatment(number: int) -> dict[str, object]:
        others = [{"fromTreatmentId": f"t{other}", "lower": -0.01, "upper": 0.02} for other in range(3)]
        return {
            "treatmentId": f"t{number}",
            "treatmentName": f"Treatment {number}",
            "mean": 0.1012,
            "dataMean": 0.1011,
            "dataStdDev": 0.3016,
            "credibleInterval": {"lower": 0.09, "upper": 0.11},
            "pBest": 0.51,
            "relativeDifferences": [other for other in others if other["fromTreatmentId"] != f"t{number}"],
            "units": 12345,
            "traffic": 12350,
            "eventValuesSum": 1234.0,
            "distribution": {"kind": "normal", "parameters": {"mu": 0.1, "sigma": 0.003}},
            "model": "bayesian",
            "bayesianNormal": {"dataWeight": 0.9, "priorMean": 0.1},
        }

    arms = [treatment(number) for number in range(3)]
    slices = [{"attribute": "country", "attributeValue": country, "treatmentResults": arms} for country in "abcd"]
    return json.dumps(
        {
            "metricSeen": {"ever": True, "timestamp": 1_700_000_000_000},
            "probabilityOfMismatch": 0.01,
            "results": [{"treatmentResults": arms}, *slices],
        }
    ).encode()


def cpu(do: Callable[[], object]) -> float:
    """Return the CPU microseconds of one call."""
    began = time.process_time()
    for _ in range(CALLS):
        do()
    return (time.process_time() - began) / CALLS * 1e6


def compare(name: str, ours: Callable[[], object], other: Callable[[], object], beside: str) -> None:
    """Print the median of the ratios, and the shortest times of both."""
    ours(), other()
    pairs = [(cpu(ours), cpu(other)) for _ in range(PAIRS)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    times = f"{min(mine for mine, _ in pairs):.0f} µs beside {min(theirs for _, theirs in pairs):.0f} µs"
    goal = f" (goal {GOALS[name]})" if name in GOALS else ""
    print(f"{name:32} {ratio:5.2f} times {beside}{goal}; at best {times}")


def main() -> None:
    """Print the ratios."""
    with emulator() as (port, _):
        with Reader(port) as reader:
            prepare(reader)
        bare = httpx.Client(headers={"Authorization": "api-emulator", "LD-API-Version": "beta"}, trust_env=False)
        with LaunchDarklyClient(f"http://127.0.0.1:{port}", "api-emulator") as client:
            environment = EnvironmentRef("demo", "production")
            compare(
                "one read",
                lambda: client.send(endpoints.get_experiment(environment, "bold", expand=EXPAND)),
                lambda: json.loads(bare.get(f"http://127.0.0.1:{port}{PATHS['one experiment']}").content),
                "httpx and json",
            )
    content = page()
    slim = lambda: SlimResults.model_validate_json(content)  # noqa: E731
    compare(
        "a page of results",
        lambda: MeasuredResults.model_validate_json(content),
        slim,
        "the slimmest model",
    )
    compare("the same with all it has", lambda: MetricResults.model_validate_json(content), slim, "the slimmest model")
    compare("json.loads of the page", lambda: json.loads(content), slim, "the slimmest model")


if __name__ == "__main__":
    main()
