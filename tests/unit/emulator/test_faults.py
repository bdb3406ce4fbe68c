"""Faults: the calls to which they apply, and writes that are performed either completely or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast, get_args

import httpx
import pytest

from airflow_provider_launchdarkly.emulator.transport.engine import Emulator, HttpRequest, HttpResponse
from airflow_provider_launchdarkly.emulator.transport.faults import (
    FAULTS,
    LIMITS,
    Fault,
    FaultKind,
    Faults,
    RateLimitFamily,
    rate_limit_headers,
)
from airflow_provider_launchdarkly.emulator.transport.operations import OPERATIONS as OPERATION_TABLE
from airflow_provider_launchdarkly.testing import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.emulator_caller import Caller, StartEmulator

OPERATION_NAMES = frozenset({"get_experiment", "create_experiment"})


NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def active_faults(*rules: Fault, seed: int = 1) -> Faults:
    faults = Faults(seed)
    for one in rules:
        faults.add(one, NOW)
    return faults


def rule(**fields: Any) -> Fault:
    return Fault.from_json({"operation": "*", "fault": "status", **fields}, OPERATION_NAMES)


def triggers(faults: Faults, calls: int, operation: str = "get_experiment", method: str = "GET") -> list[bool]:
    return [faults.trigger(operation, method, "/", NOW) is not None for _ in range(calls)]


def test_a_fault_applies_to_one_call_by_default() -> None:
    faults = active_faults(rule())
    assert triggers(faults, 3) == [True, False, False]
    assert faults.active() == []


def test_a_fault_can_apply_to_several_calls() -> None:
    faults = active_faults(rule(times=2))
    assert triggers(faults, 3) == [True, True, False]


def test_a_fault_can_apply_to_the_nth_call_only() -> None:
    faults = active_faults(rule(nth=3))
    assert triggers(faults, 4) == [False, False, True, False]


def test_the_seed_determines_which_calls_fail_by_probability() -> None:
    def draw(seed: int) -> list[bool]:
        return triggers(active_faults(rule(probability=0.3), seed=seed), 200)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert 30 < sum(draw(1)) < 90


def test_a_fault_applies_to_its_operation_only() -> None:
    faults = active_faults(rule(operation="create_experiment"))
    assert triggers(faults, 1) == [False]
    assert triggers(faults, 1, "create_experiment", "POST") == [True]


def test_read_and_write_stand_for_groups_of_operations() -> None:
    faults = active_faults(rule(operation="write"))
    assert triggers(faults, 1) == [False]
    assert triggers(faults, 1, "create_experiment", "POST") == [True]
    faults.add(rule(operation="read"), NOW)
    assert triggers(faults, 1, "create_experiment", "POST") == [False]
    assert triggers(faults, 1) == [True]


def test_the_first_of_two_faults_is_triggered_first() -> None:
    faults = active_faults(rule(status=500), rule(status=503))
    triggered = [faults.trigger("get_experiment", "GET", "/", NOW) for _ in range(2)]
    assert [one.fault.status for one in triggered if one is not None] == [500, 503]


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "nothing"},
        {"fault": "explode"},
        {"fault": None},
        {"nth": 0},
        {"times": True},
        {"times": "2"},
        {"nth": 1, "times": 1},
        {"probability": 1.5},
        {"probability": "often"},
        {"status": 200},
        {"status": "500"},
        {"headers": ["Retry-After"]},
        {"stauts": 500},
    ],
)
def test_an_invalid_fault_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        rule(**fields)


def response_under(fault: Fault) -> HttpResponse:
    """Return the emulator's response to a request for the API root under a fault."""
    emulator = Emulator(start=NOW, rate=0)
    emulator.faults.add(fault, NOW)
    [root] = [operation for operation in OPERATION_TABLE if operation.name == "get_root"]
    headers = [(b"authorization", b"api-emulator")]
    return emulator.handle(root, HttpRequest("GET", "/api/v2", {}, "", headers, b""))


def test_every_kind_of_fault_is_described_and_handled() -> None:
    assert set(FAULTS) == set(get_args(FaultKind))
    statuses = {kind: response_under(Fault("*", kind)).status for kind in FAULTS}
    assert statuses == {
        "status": 500,
        "status_after": 500,
        "close_before": None,
        "close_after": None,
        "truncated": 200,
        "slow": 200,
        "stale": 200,
        "hidden": 200,  # the API root is not created by a request
    }


def test_a_kind_of_fault_that_is_not_implemented_raises_an_error() -> None:
    kind = cast("FaultKind", "reordered")
    with pytest.raises(AssertionError, match="reordered"):
        response_under(Fault("*", kind))


def test_every_family_of_rate_limits_is_described_and_has_headers() -> None:
    assert set(LIMITS) == set(get_args(RateLimitFamily))
    assert all(rate_limit_headers(family, NOW, remaining=0, wait=1.0) for family in LIMITS)


WRITES: dict[str, Callable[[Caller], httpx.Response]] = {
    "create_experiment": lambda api: api.post(api.experiments, api.experiment()),
    "create_iteration": lambda api: api.post(f"{api.experiments}/bold/iterations", api.iteration()),
    "patch_experiment": lambda api: api.start(),
    "patch_feature_flag": lambda api: api.patch_flag({"kind": "updateOffVariation", **_bold(api)}),
    "post_feature_flag": lambda api: api.post("/api/v2/flags/demo", {"key": "new", "name": "New"}),
    "post_metric": lambda api: api.post("/api/v2/metrics/demo", {"key": "new", "kind": "custom", "eventKey": "e"}),
    "create_layer": lambda api: api.post(
        "/api/v2/projects/demo/layers", {"key": "new", "name": "New", "description": ""}
    ),
    "put_experimentation_settings": lambda api: api.http.put(
        "/api/v2/projects/demo/experimentation-settings",
        json={"randomizationUnits": [{"randomizationUnit": "user", "default": True}]},
    ),
}


def _bold(api: Caller) -> dict[str, str]:
    return {"variationId": api.flag()["variations"][1]["_id"]}


@pytest.fixture
def prepared(api: Caller, request: pytest.FixtureRequest) -> Caller:
    api.turn_on()
    if request.node.callspec.params["operation"] != "create_experiment":
        api.create()
    return api


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(("fault", "done"), [("status", 0), ("status_after", 1)])
def test_a_500_may_come_before_or_after_the_operation(prepared: Caller, operation: str, fault: str, done: int) -> None:
    before = len(prepared.server.journal())
    prepared.server.fault(operation, fault, status=500)
    response = WRITES[operation](prepared)
    assert response.status_code == 500
    assert response.json()["code"] == "internal_server_error"
    assert len(prepared.server.journal()) - before == done


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(("fault", "done"), [("close_before", 0), ("close_after", 1)])
def test_a_connection_may_close_before_or_after_the_operation(
    prepared: Caller, operation: str, fault: str, done: int
) -> None:
    before = len(prepared.server.journal())
    prepared.server.fault(operation, fault)
    with pytest.raises(httpx.RemoteProtocolError):
        WRITES[operation](prepared)
    assert len(prepared.server.journal()) - before == done
    assert prepared.server.requests()[-1].status is None
    assert prepared.get("/api/v2").status_code == 200


def test_closing_one_connection_leaves_the_others_open(api: Caller) -> None:
    with httpx.Client(base_url=api.server.url, headers={"Authorization": api.server.token}) as other:
        assert other.get("/api/v2").status_code == 200
        api.server.fault("get_projects", "close_before")
        with pytest.raises(httpx.RemoteProtocolError):
            api.get("/api/v2/projects")
        assert other.get("/api/v2").status_code == 200


def test_a_429_carries_the_headers_it_is_given(api: Caller) -> None:
    headers = {"Retry-After": "3", "X-Ratelimit-Route-Remaining": "0", "X-Ratelimit-Reset": "1767603605000"}
    api.server.fault("get_projects", "status", status=429, headers=headers)
    response = api.get("/api/v2/projects")
    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert {name: response.headers[name] for name in headers} == headers
    assert response.headers["Date"] == "Mon, 05 Jan 2026 09:00:00 GMT"


def test_a_rejected_request_changes_nothing_under_a_fault_after_it(api: Caller) -> None:
    api.server.fault("create_experiment", "status_after", status=502)
    assert api.post(api.experiments, {}).status_code == 502
    assert api.server.journal() == []


def test_faults_are_set_listed_and_cleared_over_http(server: EmulatorServer) -> None:
    url = f"{server.url}/__emulator__/faults"
    rule = {"operation": "get_root", "fault": "status", "status": 503, "times": 2, "headers": {"Retry-After": "1"}}
    listed = httpx.post(url, json=rule).json()["faults"]
    assert (listed[0]["operation"], listed[0]["status"], listed[0]["times"]) == ("get_root", 503, 2)
    assert listed[0]["headers"] == {"retry-after": "1"}
    assert httpx.delete(url).json()["faults"] == []
    headers = {"Authorization": server.token}
    assert httpx.get(f"{server.url}/api/v2", headers=headers).status_code == 200
    assert "no such operation" in httpx.post(url, json=rule | {"operation": "x"}).json()["message"]


def test_a_test_can_remove_its_faults(api: Caller) -> None:
    api.server.fault("*", "status", times=100)
    api.server.clear_faults()
    assert api.get("/api/v2").status_code == 200


@pytest.mark.parametrize(
    ("limit", "wait", "headers"),
    [
        ("retry-after", 3, {"retry-after": "3"}),
        ("retry-after-date", 3, {"retry-after": "Mon, 05 Jan 2026 09:00:03 GMT"}),
        ("global", 3, {"x-ratelimit-global-remaining": "0", "x-ratelimit-reset": "1767603603000"}),
        ("route", -2, {"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": "1767603598000"}),
        ("token", 1.5, {"x-ratelimit-auth-token-remaining": "0", "x-ratelimit-auth-token-reset": "1767603601500"}),
        ("route", None, {"x-ratelimit-route-remaining": "0"}),
        ("retry-after", None, {}),
    ],
)
def test_a_rate_limit_has_the_headers_of_its_family(
    api: Caller, limit: str, wait: float | None, headers: dict[str, str]
) -> None:
    api.server.fault("get_projects", "status", limit=limit, wait=wait)
    response = api.get("/api/v2/projects")
    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    found = {name: value for name, value in response.headers.items() if name.startswith(("retry", "x-ratelimit"))}
    assert found == headers


def test_responses_without_a_fault_have_rate_limit_headers_by_a_switch(api: Caller) -> None:
    def remaining() -> tuple[dict[str, str], httpx.Headers]:
        response = api.get("/api/v2/projects")
        return {n: v for n, v in response.headers.items() if n.endswith("remaining")}, response.headers

    assert remaining()[0] == {}
    api.server.switch(rate_limit_headers="low")
    low, headers = remaining()
    assert set(low.values()) == {"1"}
    assert len(low) == 3
    assert headers["x-ratelimit-reset"] == headers["x-ratelimit-auth-token-reset"] == "1767603601000"
    api.server.switch(rate_limit_headers="plenty")
    assert set(remaining()[0].values()) == {"1000"}


def test_a_truncated_response_is_not_json_and_the_operation_is_performed(api: Caller) -> None:
    api.turn_on()
    api.create()
    api.server.fault("patch_experiment", "truncated")
    response = api.start()
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"\w"):
        response.json()
    assert api.read()["currentIteration"]["status"] == "running"


def test_a_slow_response_does_not_delay_others(api: Caller) -> None:
    api.server.fault("get_projects", "slow", delay=0.3)
    with pytest.raises(httpx.ReadTimeout):
        api.get("/api/v2/projects", timeout=0.05)
    assert api.get("/api/v2", timeout=0.25).status_code == 200
    api.server.fault("get_projects", "slow", delay=0.02)
    assert api.get("/api/v2/projects").elapsed.total_seconds() >= 0.02


def test_stale_results_are_frozen_until_the_fault_is_taken_back(api: Caller) -> None:
    results = f"{api.experiments}/bold/metrics/checkout-conversion/results"
    api.running()
    api.server.clock.advance("P2D")
    frozen = api.get(results).json()
    api.server.clock.advance("PT12H")
    api.server.fault("get_experiment_results", "stale", hours=12, probability=1)
    assert api.get(results).json() == frozen
    api.server.clock.advance("P5D")
    assert api.get(results).json() == frozen
    api.server.clear_faults()
    assert api.get(results).json() != frozen


def test_a_new_resource_is_hidden_for_some_reads(api: Caller) -> None:
    api.server.fault("get_experiment", "hidden", times=2)
    api.create("old")
    api.create("new")
    statuses = [api.get(f"{api.experiments}/{key}").status_code for key in ("old", "old", "old", "new", "new", "new")]
    assert statuses == [404, 404, 200, 404, 404, 200]


def test_a_new_resource_is_hidden_for_some_time(api: Caller) -> None:
    api.server.fault("get_experiment", "hidden", seconds=5)
    api.create()
    assert api.get(f"{api.experiments}/bold").status_code == 404
    api.server.clock.advance("PT5S")
    assert api.get(f"{api.experiments}/bold").status_code == 200


def test_an_earlier_resource_is_not_hidden(api: Caller) -> None:
    api.create()
    api.server.fault("*", "hidden", times=9)
    assert api.get(f"{api.experiments}/bold").status_code == 200
    assert api.start().status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": "nothing"},
        {"limit": "route", "status": 500},
        {"fault": "slow"},
        {"delay": 600},
        {"hours": -1},
        {"wait": "x"},
    ],
)
def test_an_invalid_limit_or_time_of_a_fault_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        rule(**fields)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_with_a_probability_the_same_seed_triggers_at_the_same_calls(emulator_with: StartEmulator, status: int) -> None:
    def statuses() -> list[int]:
        api = emulator_with(seed=3)
        api.server.fault("read", "status", probability=0.4, status=status)
        return [api.get("/api/v2").status_code for _ in range(30)]

    first = statuses()
    assert first == statuses()
    assert set(first) == {200, status}
