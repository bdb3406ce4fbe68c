"""LaunchDarkly's answers about any number of running experiments, each like one that the emulator runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.testing import EmulatorServer

PROJECT, ENVIRONMENT = "demo", "production"
EXPERIMENTS = f"/api/v2/projects/{PROJECT}/environments/{ENVIRONMENT}/experiments"
FLAG, METRIC = "checkout-button", "checkout-conversion"
# It is replaced in every text of the answer that holds it.
TEMPLATE = "the-only-experiment"


def key_of(number: int) -> str:
    return f"experiment-{number:05}"


def iteration_of(number: int) -> str:
    return f"{number:024x}"


@dataclass(frozen=True)
class World:
    """So many experiments that have run for an hour.

    Attributes:
        count: How many.
        single: JSON of one, as a single read shows it, and as a list shows it.
        iteration: Id of its iteration.
    """

    count: int
    single: str
    listed: str
    iteration: str

    @classmethod
    def of(cls, count: int) -> World:
        """Let the emulator run one experiment, and take its answers."""
        start = datetime.now(UTC) - timedelta(hours=1)
        with (
            EmulatorServer(start=start) as emulator,
            httpx.Client(base_url=emulator.url, headers=_HEADERS, trust_env=False) as client,
        ):
            path = f"/api/v2/flags/{PROJECT}/{FLAG}"
            on = {"environmentKey": ENVIRONMENT, "instructions": [{"kind": "turnFlagOn"}]}
            flag = client.patch(path, json=on, headers=_PATCH).raise_for_status().json()
            client.post(EXPERIMENTS, json=_experiment(flag)).raise_for_status()
            begin = {"instructions": [{"kind": "startIteration"}]}
            client.patch(f"{EXPERIMENTS}/{TEMPLATE}", json=begin, headers=_PATCH).raise_for_status()
            expand = {"expand": ",".join(ITERATIONS)}
            single = client.get(f"{EXPERIMENTS}/{TEMPLATE}", params=expand).raise_for_status()
            page = client.get(EXPERIMENTS, params=expand).raise_for_status()
        (item,) = page.json()["items"]
        return cls(count, single.text, json.dumps(item), single.json()["currentIteration"]["_id"])

    def answer(self, target: str) -> tuple[int, bytes]:
        """Return status and body of the answer to a read."""
        parts = urlsplit(target)
        if parts.path == EXPERIMENTS:
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            first = int(query.get("offset", 0))
            numbers = range(first, min(first + int(query.get("limit", 20)), self.count))
            items = ",".join(self._told(self.listed, number) for number in numbers)
            return 200, f'{{"items":[{items}],"total_count":{self.count},"_links":{{}}}}'.encode()
        key = parts.path.removeprefix(f"{EXPERIMENTS}/experiment-")
        if key.isdecimal() and int(key) < self.count:
            return 200, self._told(self.single, int(key)).encode()
        return 404, b'{"code":"not_found","message":"Not found"}'

    def _told(self, text: str, number: int) -> str:
        return text.replace(TEMPLATE, key_of(number)).replace(self.iteration, iteration_of(number))


_HEADERS = {"Authorization": "api-emulator", "LD-API-Version": "beta"}
_PATCH = {"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"}


def _experiment(flag: dict[str, Any]) -> dict[str, Any]:
    treatments = [
        {
            "name": variation["name"],
            "baseline": number == 0,
            "allocationPercent": "50",
            "parameters": [{"flagKey": FLAG, "variationId": variation["_id"]}],
        }
        for number, variation in enumerate(flag["variations"])
    ]
    iteration = {
        "hypothesis": "Bold is better.",
        "metrics": [{"key": METRIC}],
        "primarySingleMetricKey": METRIC,
        "treatments": treatments,
        "flags": {FLAG: {"ruleId": "fallthrough", "flagConfigVersion": 2}},
    }
    return {"key": TEMPLATE, "name": TEMPLATE, "methodology": "bayesian", "iteration": iteration}
