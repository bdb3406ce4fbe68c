"""The emulator keeps and shows what a client creates, in the shape of the generation, with people for each flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from support.emulator_caller import Caller, StartEmulator

METRICS = "/api/v2/metrics/demo"
FLAGS = "/api/v2/flags/demo"
GROUPS = "/api/v2/projects/demo/metric-groups"
CLICK = {
    "key": "m",
    "kind": "click",
    "selector": ".buy",
    "urls": [{"kind": "substring", "substring": "/shop"}, {"kind": "regex", "pattern": "a.*"}],
}
NUMERIC = {
    "key": "m",
    "kind": "custom",
    "eventKey": "m",
    "isNumeric": True,
    "successCriteria": "LowerThanBaseline",
    "analysisType": "percentile",
    "percentileValue": 95,
    "windowStartOffset": 0,
    "windowEndOffset": 86_400_000,
    "winsorLowerPercentile": 0.5,
    "winsorUpperPercentile": 99.5,
    "winsorIncludeImputed": True,
    "filters": {"type": "contextAttribute", "attribute": "plan", "op": "in", "values": ["pro"], "negate": False},
    "denominator": {"eventName": "visits", "isNumeric": False},
    "dataSource": {"key": "snowflake"},
    "unitAggregationType": "count_distinct",
    "unitAggregationField": "order_id",
}
TRACE = {"key": "m", "kind": "trace", "isNumeric": True, "traceQuery": "a=b", "traceValueLocation": "duration"}


@pytest.mark.parametrize("post", [CLICK, NUMERIC, TRACE])
def test_a_metric_shows_the_fields_it_was_created_with(api: Caller, post: dict[str, Any]) -> None:
    created = api.post(METRICS, post)
    assert created.status_code == 201, created.text
    for shown in (
        created.json(),
        api.get(f"{METRICS}/m").json(),
        api.get(METRICS, params={"limit": 50}).json()["items"][-1],
    ):
        assert {name: shown.get(name) for name in post} == post


def test_a_value_column_is_taken_and_not_shown(api: Caller) -> None:
    response = api.post(METRICS, NUMERIC | {"valueColumn": "amount"})
    assert response.status_code == 201
    assert "valueColumn" not in response.json()


@pytest.mark.parametrize(
    ("post", "said"),
    [
        (CLICK | {"selector": None}, "selector is required"),
        (CLICK | {"urls": [{"kind": "exact", "pattern": "x"}]}, "urls[0].url is required"),
        (CLICK | {"urls": [{"kind": "x"}]}, "urls[0].kind must be one of"),
        (TRACE | {"traceQuery": None}, "traceQuery is required"),
        (TRACE | {"traceValueLocation": None}, "traceValueLocation is required"),
        (NUMERIC | {"percentileValue": None}, "percentileValue is required"),
        (NUMERIC | {"percentileValue": 100}, "between 0 and 100"),
        (NUMERIC | {"winsorUpperPercentile": 0.5}, "greater than winsorLowerPercentile"),
        (NUMERIC | {"winsorLowerPercentile": "x"}, "a number between 0 and 100"),
        (NUMERIC | {"unitAggregationField": None}, "unitAggregationField is required"),
        (NUMERIC | {"dataSource": {"name": "x"}}, "dataSource.key is required"),
    ],
)
def test_a_metric_that_lacks_what_its_kind_needs_is_refused(api: Caller, post: dict[str, Any], said: str) -> None:
    status, _, message = error_of(api.post(METRICS, post))
    assert (status, said in message) == (400, True), message


def test_a_flag_shows_the_fields_it_was_created_with(api: Caller) -> None:
    bold = api.flag()["variations"][1]["_id"]
    fields = {
        "clientSideAvailability": {"usingMobileKey": True, "usingEnvironmentId": False},
        "customProperties": {"jira": {"name": "Jira", "value": ["A-1"]}},
        "migrationSettings": {"contextKind": "user", "stageCount": 6},
        "maintainerTeamKey": "growth",
    }
    needed = [{"key": "checkout-button", "variationId": bold}]
    post = {"key": "new", "name": "New", "initialPrerequisites": needed, "purpose": "migration", **fields}
    assert api.post(FLAGS, post).status_code == 201
    shown = api.flag("new")
    assert {name: shown[name] for name in fields} == fields
    assert "maintainerId" not in shown
    assert shown["environments"]["test"]["prerequisites"] == [{"key": "checkout-button", "variation": 1}]
    assert error_of(api.post(FLAGS, {"key": "x", "name": "X", "maintainerTeamKey": "none"}))[0] == 400


def test_the_older_generations_show_a_maintainer_and_a_metric_in_their_own_shape(emulator_with: StartEmulator) -> None:
    old, new = (emulator_with(settings={"generation": name}) for name in ("17.2", "25"))
    assert old.get(f"{GROUPS}/page-health").json()["maintainer"].keys() == {"member"}
    assert new.get(f"{GROUPS}/page-health").json()["maintainer"].keys() == {"key", "kind", "_member"}
    for caller, there in ((old, False), (new, True)):
        shown = caller.post(METRICS, NUMERIC).json()
        for name in ("analysisUnits", "dataSource", "winsorLowerPercentile", "denominator"):
            assert (name in shown) is there


def test_members_can_be_looked_up_where_a_maintainer_is_demanded(api: Caller) -> None:
    listed = api.get("/api/v2/members").json()
    assert [member["email"] for member in listed["items"]] == ["ada@example.com", "grace@example.com"]
    [grace] = api.get("/api/v2/members", params={"filter": "query:GRACE,role:writer"}).json()["items"]
    assert api.get("/api/v2/members", params={"filter": "role:admin"}).json()["items"][0]["role"] == "owner"
    assert api.get(f"/api/v2/members/{grace['_id']}").json()["firstName"] == "Grace"
    assert api.get("/api/v2/members/me").json()["email"] == "ada@example.com"
    assert api.get("/api/v2/members/nobody").status_code == 404
    service = {"Authorization": "api-service"}
    assert api.get("/api/v2/members/me", headers=service).status_code == 404
    body = api.experiment(maintainerId=grace["_id"])
    assert api.post(api.experiments, body, headers=service).json()["_maintainerId"] == grace["_id"]


@pytest.mark.parametrize("metric", ["checkout-conversion", "page-load-ms", "mine"])
def test_a_flag_that_a_client_creates_has_people_who_answer_any_metric(api: Caller, metric: str) -> None:
    created = api.post(FLAGS, {"key": "new", "name": "New", "isFlagOn": True})
    assert created.headers["x-emulator-truth"].startswith("default: 1000 people a day")
    api.post(METRICS, {"key": "mine", "kind": "custom", "eventKey": "mine"})
    iteration = api.iteration("new", metrics=[{"key": metric}], primarySingleMetricKey=metric)
    api.create(iteration=iteration)
    assert api.start().status_code == 200
    api.server.clock.advance("P10D")
    snapshot = api.get("/__emulator__/snapshot").json()
    path = f"{api.experiments}/bold/metrics/{metric}/results"
    results = api.get(path).json()
    units = [treatment["units"] for treatment in results["results"][0]["treatmentResults"]]
    assert sum(units) == pytest.approx(10_000, rel=0.05)
    assert api.post("/__emulator__/load", snapshot).status_code == 200
    assert api.get(path).json() == results


def test_a_flag_of_the_world_without_a_truth_has_no_people(emulator_with: StartEmulator) -> None:
    world = {
        "members": {"a@example.com": {}},
        "projects": {"demo": {"environments": {"production": {}}, "flags": {"quiet": {}}, "metrics": {}}},
    }
    caller = emulator_with(world=world)
    assert caller.get("/api/v2/flag-statuses/demo/production/quiet").json()["name"] == "new"
