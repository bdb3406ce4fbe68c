"""Odd requests get error responses in LaunchDarkly's form."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.emulator.transport.operations import OPERATIONS
from support.emulator_caller import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.emulator_caller import Caller

SEMANTIC = "application/json; domain-model=launchdarkly.semanticpatch"
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\ud800",
    "é/%2F",
    [],
    [None],
    [[]],
    {},
    {"kind": 5},
    {"value": {}},
)
PROJECT = "/api/v2/projects/demo"
PRODUCTION = f"{PROJECT}/environments/production"
REPOSITORIES = "/api/v2/code-refs/repositories"


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in plain JSON."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield from places(value, (*path, name))


def with_one_odd_value(data: Any, chance: random.Random, odd: tuple[Any, ...] = ODD) -> Any:
    """Return the data with one value replaced by an odd one."""
    changed = copy.deepcopy(data)
    path = chance.choice(list(places(changed)))
    if not path:
        return chance.choice(odd)
    parent, last = changed, path[-1]
    for name in path[:-1]:
        parent = parent[name]
    parent[last] = copy.deepcopy(chance.choice(odd))
    return changed


@pytest.fixture
def bodies(api: Caller) -> list[tuple[str, str, Any]]:
    """Return for every write its verb, its path and a valid body."""
    api.post("/api/v2/flags/demo", {"key": "h", "name": "H", "purpose": "holdout"})
    api.running()
    api.post(f"{PROJECT}/layers", {"key": "l", "name": "L", "description": ""})
    variations = [v["_id"] for v in api.flag()["variations"]]
    fields = {
        "name": {"operation": "update", "value": "n"},
        "tags": {"operation": "add", "value": ["a"]},
        "metrics": {"operation": "add", "value": [{"key": "checkout-errors"}]},
        "analysisConfig": {"operation": "update", "value": {"bayesianThreshold": "95"}},
        "treatments": {"operation": "update", "value": api.iteration()["treatments"]},
    }
    holdout = {
        "name": "Q",
        "key": "q",
        "holdoutamount": "5",
        "primarymetrickey": "checkout-conversion",
        "metrics": [{"key": "checkout-conversion"}],
        "prerequisiteflagkey": "h",
    }
    reserve = {"kind": "updateExperimentReservation", "experimentKey": "bold", "reservationPercent": 5}
    weights = {
        "kind": "updateFallthroughVariationOrRollout",
        "rolloutWeights": dict(zip(variations, (1, 99999), strict=True)),
    }
    rule = {"kind": "addRule", "clauses": [{"attribute": "a", "op": "in", "values": [1]}], "variationId": variations[0]}
    member = api.get("/api/v2/caller-identity").json()["memberId"]
    return [
        ("POST", f"{PRODUCTION}/experiments", api.experiment("two", analysisConfig={}, tags=["a"])),
        ("POST", f"{PRODUCTION}/experiments/bold/iterations", api.iteration(attributes=["country"])),
        (
            "PATCH",
            f"{PRODUCTION}/experiments/bold",
            {"instructions": [{"kind": "updateExperimentFields", "value": fields}]},
        ),
        (
            "PATCH",
            f"{PRODUCTION}/experiments/bold",
            {"instructions": [{"kind": "saveAndStartNewIteration", "value": fields}]},
        ),
        (
            "PATCH",
            f"{PRODUCTION}/experiments/bold",
            {"instructions": [{"kind": "stopIteration", "winningTreatmentId": "t"}]},
        ),
        (
            "PUT",
            f"{PROJECT}/experimentation-settings",
            {"randomizationUnits": [{"randomizationUnit": "user", "default": True}]},
        ),
        (
            "POST",
            "/api/v2/flags/demo",
            {
                "key": "f",
                "name": "F",
                "variations": [{"value": 1}, {"value": 2}],
                "defaults": {"onVariation": 0, "offVariation": 1},
            },
        ),
        (
            "PATCH",
            "/api/v2/flags/demo/search-ranking",
            {"environmentKey": "production", "instructions": [{"kind": "turnFlagOn"}, weights, rule]},
        ),
        (
            "PATCH json",
            "/api/v2/flags/demo/search-ranking",
            {"patch": [{"op": "replace", "path": "/environments/test/fallthrough", "value": {"variation": 1}}]},
        ),
        (
            "PATCH json",
            "/api/v2/flags/demo/search-ranking",
            {"merge": {"tags": ["a"], "environments": {"test": {"on": True}}}},
        ),
        (
            "POST",
            "/api/v2/metrics/demo",
            {
                "key": "m",
                "kind": "custom",
                "isNumeric": True,
                "successCriteria": "HigherThanBaseline",
                "eventKey": "m",
                "eventDefault": {"disabled": True},
            },
        ),
        (
            "POST",
            f"{PROJECT}/metric-groups",
            {
                "key": "g",
                "name": "G",
                "kind": "standard",
                "maintainerId": member,
                "tags": [],
                "metrics": [{"key": "page-load-ms"}, {"key": "checkout-errors"}],
            },
        ),
        ("POST", f"{PRODUCTION}/holdouts", holdout),
        (
            "POST",
            "/api/v2/metrics/demo",
            {
                "key": "w",
                "kind": "click",
                "selector": ".a",
                "urls": [{"kind": "exact", "url": "x"}],
                "winsorLowerPercentile": 1,
                "windowEndOffset": 5,
                "dataSource": {"key": "w"},
                "denominator": {"eventName": "e"},
            },
        ),
        (
            "POST",
            "/api/v2/flags/demo",
            {
                "key": "c",
                "name": "C",
                "customProperties": {"a": {"name": "A", "value": ["v"]}},
                "clientSideAvailability": {"usingMobileKey": True, "usingEnvironmentId": True},
                "initialPrerequisites": [{"key": "checkout-button", "variationId": variations[0]}],
            },
        ),
        (
            "POST",
            "/api/v2/flags/demo/search-ranking/copy",
            {"source": {"key": "production"}, "target": {"key": "test"}, "includedActions": ["updateOn"]},
        ),
        (
            "PATCH json",
            "/api/v2/metrics/demo/search-click-through",
            [{"op": "replace", "path": "/tags", "value": ["a"]}, {"op": "add", "path": "/selector", "value": "x"}],
        ),
        (
            "PATCH json",
            f"{PROJECT}/metric-groups/page-health",
            [{"op": "replace", "path": "/metrics/0/nameInGroup", "value": "n"}],
        ),
        (
            "PATCH",
            f"{PRODUCTION}/holdouts/q",
            {"instructions": [{"kind": "updateName", "value": "x"}, {"kind": "removeExperiment", "value": "bold"}]},
        ),
        ("POST", f"{PROJECT}/layers", {"key": "k", "name": "L", "description": ""}),
        (
            "PATCH",
            f"{PROJECT}/layers/l",
            {"environmentKey": "production", "instructions": [reserve, {"kind": "updateName", "name": "x"}]},
        ),
        (
            "POST",
            f"{PROJECT}/flags/pricing-page/environments/production/approval-requests",
            {"description": "d", "instructions": [{"kind": "turnFlagOff"}], "notifyMemberIds": [member]},
        ),
        ("POST", REPOSITORIES, {"name": "shop", "type": "github", "defaultBranch": "main", "sourceLink": "https://x"}),
        (
            "PUT",
            f"{REPOSITORIES}/shop/branches/main",
            {
                "name": "main",
                "head": "a",
                "updateSequenceId": 1,
                "syncTime": 1_700_000_000_000,
                "commitTime": 1_700_000_000_000,
                "references": [
                    {
                        "path": "a.py",
                        "hint": "python",
                        "hunks": [
                            {"startingLineNumber": 1, "projKey": "demo", "flagKey": "checkout-button", "aliases": ["b"]}
                        ],
                    }
                ],
            },
        ),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_odd_bodies_are_rejected_without_an_internal_error(
    api: Caller, bodies: list[tuple[str, str, Any]], seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(400):
        method, path, body = chance.choice(bodies)
        content_type = SEMANTIC if method == "PATCH" else "application/json"
        sent = with_one_odd_value(body, chance)
        content = json.dumps(sent).encode()
        response = api.http.request(method.split()[0], path, content=content, headers={"Content-Type": content_type})
        assert response.status_code < 500, (method, path, sent)
        if response.status_code >= 400:
            error_of(response)
    for operation in OPERATIONS:
        if operation.method == "GET":
            everything = "treatments,draftIteration,previousIterations,secondaryMetrics,analysisConfig,experiments"
            path = operation.path.format(
                projectKey="demo",
                environmentKey="production",
                experimentKey="bold",
                metricKey="checkout-conversion",
                metricGroupKey="signup-funnel",
                featureFlagKey="checkout-button",
                flagKey="checkout-button",
                releaseId="6a2f41a3-c54c-4ce8-92d2-0324e1c32e22",
                holdoutKey="q",
                holdoutId="x",
                layerKey="l",
                repo="shop",
                branch="main",
                id="me",
            )
            assert api.get(path, params={"expand": everything}).status_code in (200, 404), path


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "offset=-1", "limit=99999999999", "filter=x", "lifecycleState=dead"]
)
def test_odd_queries_are_rejected(api: Caller, query: str) -> None:
    assert error_of(api.get(f"{PRODUCTION}/experiments?{query}"))[0] == 400


CONTROLS: dict[str, list[Any]] = {
    "clock": [{"set": "2027-01-01T00:00:00Z"}, {"advance": "P1D"}, {"rate": 3}],
    "reset": [{"scenario": "effect"}],
    "settings": [{"results": "gone"}],
    "faults": [
        {"operation": "read", "fault": "status", "headers": {"a": "b"}, "message": "m", "limit": "route", "wait": 2},
        {"operation": "get_metrics", "fault": "hidden", "times": 2, "delay": 0, "seconds": 3},
        {"fault": "stale", "hours": 3, "probability": 1},
    ],
}
ODD_CONTROLS: tuple[Any, ...] = (
    *ODD,
    10**400,
    {"is": "Flag"},
    {"is": []},
    {"is": "dict", "items": 3},
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    f"P{'9' * 400}D",
    ["effect"],
)
JSON = {"content-type": "application/json"}
AFTERWARDS = (
    "/__emulator__/clock",
    "/__emulator__/snapshot",
    "/__emulator__/faults",
    "/api/v2/flags/demo?summary=0&env=production",
    "/api/v2/metrics/demo",
    "/api/v2/projects/demo/metric-groups",
    "/",
)


@pytest.mark.parametrize("seed", range(3))
def test_odd_control_requests_are_rejected_and_leave_the_emulator_working(api: Caller, seed: int) -> None:
    chance = random.Random(seed)
    api.running()
    snapshot = api.get("/__emulator__/snapshot").json()
    for _ in range(120):
        name = chance.choice([*CONTROLS, "load"])
        sent = with_one_odd_value(snapshot if name == "load" else chance.choice(CONTROLS[name]), chance, ODD_CONTROLS)
        response = api.http.post(f"/__emulator__/{name}", content=json.dumps(sent).encode(), headers=JSON)
        assert response.status_code in (200, 400), (name, sent if name != "load" else response.text)
        api.http.delete("/__emulator__/faults")
        for path in AFTERWARDS:
            assert api.get(path).status_code in (200, 401, 404), (path, name, sent)
        assert api.http.post("/__emulator__/load", json=snapshot).status_code == 200


@pytest.mark.parametrize("after", ["9" * 5000, "x", "", "-1", "%00"])
def test_odd_sequence_numbers_are_rejected(api: Caller, after: str) -> None:
    assert api.get(f"/__emulator__/requests?after={after}").status_code in (200, 400)


@pytest.mark.parametrize("header", [{"a b": "c"}, {"a": "line\nbreak"}, {"é": "x"}, {"a": "é"}])
def test_a_fault_with_an_impossible_header_is_rejected(api: Caller, header: dict[str, str]) -> None:
    fault = {"operation": "read", "fault": "status", "headers": header}
    assert api.post("/__emulator__/faults", fault).status_code == 400


def test_the_clock_stops_at_its_end(api: Caller) -> None:
    assert api.post("/__emulator__/clock", {"set": "8999-12-31T23:59:59Z"}).status_code == 200
    assert api.post("/__emulator__/clock", {"rate": 1e6}).status_code == 200
    assert api.get("/__emulator__/clock").json()["now"] <= "9000-01-01T00:00:00+00:00"
    assert api.post("/__emulator__/clock", {"advance": "P1D"}).status_code == 400
    assert api.get("/api/v2/flags/demo").status_code == 200
