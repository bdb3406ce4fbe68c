"""Calls an emulator over plain HTTP, as a person with `curl` would: without our client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from airflow_provider_launchdarkly.testing import EmulatorServer

    StartEmulator: TypeAlias = Callable[..., "Caller"]

SEMANTIC = {"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"}


class Caller:
    """Plain HTTP to one emulator, and the few bodies that most tests need.

    Attributes:
        server: the emulator.
        http: an HTTP client with the administrator's token.
        experiments: the path of the experiments in the environment `production`.
    """

    def __init__(self, server: EmulatorServer) -> None:
        self.server = server
        # Without TLS, whose context costs 25 ms: more than the rest of most tests.
        headers = {"Authorization": server.token, "LD-API-Version": "beta"}
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=10, verify=False)
        self.experiments = "/api/v2/projects/demo/environments/production/experiments"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.http.post(path, json=body, **options)

    def flag(self, key: str = "checkout-button") -> dict[str, Any]:
        shown: dict[str, Any] = self.get(f"/api/v2/flags/demo/{key}").json()
        return shown

    def production(self, key: str = "checkout-button") -> dict[str, Any]:
        config: dict[str, Any] = self.flag(key)["environments"]["production"]
        return config

    def patch_flag(self, *instructions: dict[str, Any], key: str = "checkout-button", **body: Any) -> httpx.Response:
        body = {"environmentKey": "production", "instructions": list(instructions)} | body
        return self.http.patch(f"/api/v2/flags/demo/{key}", json=body, headers=SEMANTIC)

    def turn_on(self, key: str = "checkout-button") -> None:
        assert self.patch_flag({"kind": "turnFlagOn"}, key=key).status_code == 200

    def iteration(self, flag_key: str = "checkout-button", rule: str = "fallthrough", **changes: Any) -> dict[str, Any]:
        """Return the body of an iteration: two arms of 50 %, the flag's first variation being the baseline."""
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
        response = self.post(self.experiments, self.experiment(key, **changes))
        assert response.status_code == 201, response.text
        experiment: dict[str, Any] = response.json()
        return experiment

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
        response = self.start(key)
        assert response.status_code == 200, response.text
        experiment: dict[str, Any] = response.json()
        return experiment

    def read(self, key: str = "bold", expand: str = "treatments,draftIteration,previousIterations") -> dict[str, Any]:
        shown: dict[str, Any] = self.get(f"{self.experiments}/{key}", params={"expand": expand}).json()
        return shown

    def treatments(self, key: str = "bold") -> list[dict[str, Any]]:
        treatments: list[dict[str, Any]] = self.read(key)["currentIteration"]["treatments"]
        return treatments


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    """Return status, code and message of an error, whose body must have LaunchDarkly's form."""
    body = response.json()
    assert body.keys() == {"code", "message", "id"}
    assert body["id"]
    return response.status_code, body["code"], body["message"]
