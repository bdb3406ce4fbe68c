"""A running emulator, and a caller that speaks to it as a person with `curl` would: plain HTTP, not our client."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEMANTIC = {"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"}


class Caller:
    """Plain HTTP to one emulator, and the few bodies that most tests need."""

    def __init__(self, server: EmulatorServer):
        self.server = server
        self.http = httpx.Client(
            base_url=server.url, headers={"Authorization": server.token, "LD-API-Version": "beta"}, timeout=10
        )
        self.experiments = "/api/v2/projects/demo/environments/production/experiments"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.http.post(path, json=body, **options)

    def flag(self, key: str = "checkout-button") -> dict[str, Any]:
        return self.get(f"/api/v2/flags/demo/{key}").json()

    def production(self, key: str = "checkout-button") -> dict[str, Any]:
        return self.flag(key)["environments"]["production"]

    def patch_flag(self, *instructions: dict[str, Any], key: str = "checkout-button", **body: Any) -> httpx.Response:
        body = {"environmentKey": "production", "instructions": list(instructions)} | body
        return self.http.patch(f"/api/v2/flags/demo/{key}", json=body, headers=SEMANTIC)

    def turn_on(self, key: str = "checkout-button") -> None:
        assert self.patch_flag({"kind": "turnFlagOn"}, key=key).status_code == 200

    def iteration(self, flag_key: str = "checkout-button", rule: str = "fallthrough", **changes: Any) -> dict[str, Any]:
        """The body of an iteration: the flag's first variation is the baseline, the second gets the other half."""
        flag = self.flag(flag_key)
        arms = [
            {
                "name": f"Arm {index}",
                "baseline": index == 0,
                "allocationPercent": "50",
                "parameters": [{"flagKey": flag_key, "variationId": flag["variations"][index]["_id"]}],
            }
            for index in range(2)
        ]
        return {
            "hypothesis": "Bold sells more",
            "metrics": [{"key": "checkout-conversion"}, {"key": "page-load-ms"}],
            "primarySingleMetricKey": "checkout-conversion",
            "treatments": arms,
            "flags": {flag_key: {"ruleId": rule, "flagConfigVersion": flag["environments"]["production"]["version"]}},
        } | changes

    def experiment(self, key: str = "bold", iteration: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        return {"name": "Bold button", "key": key, "iteration": iteration or self.iteration()} | changes

    def create(self, key: str = "bold", **changes: Any) -> dict[str, Any]:
        answer = self.post(self.experiments, self.experiment(key, **changes))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def patch(self, *instructions: dict[str, Any], key: str = "bold", **options: Any) -> httpx.Response:
        body = {"instructions": list(instructions)}
        return self.http.patch(f"{self.experiments}/{key}", json=body, **options)

    def start(self, key: str = "bold", **fields: Any) -> httpx.Response:
        return self.patch({"kind": "startIteration", **fields}, key=key)

    def stop(self, winner: str | None, key: str = "bold", **fields: Any) -> httpx.Response:
        fields |= {"winningTreatmentId": winner} if winner else {}
        return self.patch({"kind": "stopIteration", **fields}, key=key)

    def running(self, key: str = "bold", **changes: Any) -> dict[str, Any]:
        """Create and start an experiment on a flag that is on."""
        self.turn_on()
        self.create(key, **changes)
        answer = self.start(key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read(self, key: str = "bold", expand: str = "treatments,draftIteration,previousIterations") -> dict[str, Any]:
        return self.get(f"{self.experiments}/{key}", params={"expand": expand}).json()

    def treatments(self, key: str = "bold") -> list[dict[str, Any]]:
        return self.read(key)["currentIteration"]["treatments"]


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


@pytest.fixture
def api(server: EmulatorServer) -> Iterator[Caller]:
    caller = Caller(server)
    with caller.http:
        yield caller


@pytest.fixture
def emulator_with() -> Iterator[Callable[..., Caller]]:
    """Run another emulator with settings of its own."""
    with ExitStack() as stack:

        def start(**options: Any) -> Caller:
            caller = Caller(stack.enter_context(EmulatorServer(**options)))
            stack.enter_context(caller.http)
            return caller

        yield start


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error, whose body must have LaunchDarkly's form."""
    body = answer.json()
    assert body.keys() == {"code", "message", "id"}
    assert body["id"]
    return answer.status_code, body["code"], body["message"]


@pytest.fixture
def refused():
    return refusal
