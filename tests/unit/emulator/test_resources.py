"""Settings, versions, flags, metrics and metric groups over HTTP; JSON patches of flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    import httpx

    from support.emulator_caller import Caller

SETTINGS = "/api/v2/projects/demo/experimentation-settings"
FLAG = "/api/v2/flags/demo/checkout-button"


def put(api: Caller, *units: Any) -> httpx.Response:
    return api.http.put(SETTINGS, json={"randomizationUnits": list(units)})


def units_of(response: httpx.Response) -> list[tuple[str, bool]]:
    return [(unit["randomizationUnit"], unit["default"]) for unit in response.json()["randomizationUnits"]]


def test_settings_list_the_units_with_their_default(api: Caller) -> None:
    response = api.get(SETTINGS)
    assert units_of(response) == [("user", True), ("organization", False)]
    assert response.json()["_projectKey"] == "demo"
    assert "standardRandomizationUnit" not in response.json()["randomizationUnits"][0]


def test_putting_settings_replaces_the_whole_list(api: Caller) -> None:
    response = put(api, {"randomizationUnit": "device", "default": True})
    assert units_of(response) == units_of(api.get(SETTINGS)) == [("device", True)]
    assert api.server.effects("experimentation_settings.changed")[0]["randomization_units"] == ["device"]
    message = error_of(api.post(api.experiments, api.experiment()))[2]
    assert message == 'Randomization unit "user" not found in project settings [device]'


def test_putting_the_present_settings_changes_nothing(api: Caller) -> None:
    put(api, {"randomizationUnit": "user", "default": True}, {"randomizationUnit": "organization"})
    assert api.server.journal() == []


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (
            [{"randomizationUnit": "user", "default": True}, {"randomizationUnit": "device", "default": True}],
            "one default",
        ),
        ([{"randomizationUnit": "user"}, {"randomizationUnit": "user"}], "twice"),
        ([{"randomizationUnit": "nothing"}], "there is no context kind 'nothing'"),
        ([{"default": True}], "randomizationUnits[0].randomizationUnit is required"),
        ([{"randomizationUnit": "user", "standardRandomizationUnit": "x"}], "must be one of guest"),
    ],
)
def test_invalid_settings_are_rejected(api: Caller, units: list[dict[str, Any]], said: str) -> None:
    status, code, message = error_of(put(api, *units))
    assert (status, code) == (400, "invalid_request")
    assert said in message


def test_the_versions_are_listed(api: Caller) -> None:
    assert api.get("/api/v2/versions").json() == {
        "validVersions": [20240415],
        "latestVersion": 20240415,
        "currentVersion": 20240415,
        "beta": True,
    }
    assert "beta" not in api.get("/api/v2/versions", headers={"LD-API-Version": "20240415"}).json()


def test_a_flag_is_created_off_with_two_booleans(api: Caller) -> None:
    response = api.post("/api/v2/flags/demo", {"key": "new", "name": "New"})
    flag = response.json()
    assert response.status_code == 201
    assert [v["value"] for v in flag["variations"]] == [True, False]
    assert flag["environments"]["production"]["on"] is False
    assert (flag["environments"]["production"]["version"], flag["_version"]) == (1, 1)
    assert api.flag("new")["defaults"] == {"onVariation": 0, "offVariation": 1}
    assert api.server.effects() == [{"kind": "flag.created", "project": "demo", "flag": "new"}]


def test_a_flag_is_created_on_with_given_variations(api: Caller) -> None:
    body = {
        "key": "new",
        "name": "New",
        "isFlagOn": True,
        "variations": [{"value": 1, "name": "One"}, {"value": True}, {"value": [2]}],
        "defaults": {"onVariation": 2, "offVariation": 1},
    }
    config = api.post("/api/v2/flags/demo", body).json()["environments"]["production"]
    assert (config["on"], config["fallthrough"], config["offVariation"]) == (True, {"variation": 2}, 1)


def test_an_experiment_runs_on_a_flag_that_was_just_created(api: Caller) -> None:
    api.post("/api/v2/flags/demo", {"key": "new", "name": "New", "isFlagOn": True})
    api.create(iteration=api.iteration("new"))
    assert api.start().status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"key": "checkout-button"}, 409, "already exists"),
        ({"key": "no/slash"}, 400, "key must"),
        ({"variations": [{"value": 1}]}, 400, "at least two"),
        ({"variations": [{"value": 1}, {"value": 1}]}, 400, "different values"),
        ({"defaults": {"onVariation": 5, "offVariation": 0}}, 400, "no variation 5"),
        ({"purpose": "fun"}, 400, "purpose"),
        ({"maintainerId": "nobody"}, 400, "no member"),
        ({"name": None}, 400, "name is required"),
    ],
)
def test_an_invalid_flag_is_rejected(api: Caller, change: dict[str, Any], status: int, said: str) -> None:
    response = error_of(api.post("/api/v2/flags/demo", {"key": "new", "name": "New"} | change))
    assert response[0] == status
    assert said in response[2]


def test_a_metric_is_created(api: Caller) -> None:
    body = {
        "key": "size",
        "kind": "custom",
        "isNumeric": True,
        "eventKey": "size",
        "successCriteria": "LowerThanBaseline",
        "eventDefault": {"disabled": True},
        "analysisUnits": ["organization"],
    }
    response = api.post("/api/v2/metrics/demo", body)
    metric = api.get("/api/v2/metrics/demo/size").json()
    assert response.status_code == 201
    assert {name: metric[name] for name in body} == body
    assert metric["isActive"] is True


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"key": "page-load-ms"}, 409, "already exists"),
        ({"kind": "guess"}, 400, "kind must be one of"),
        ({"eventKey": None}, 400, "eventKey is required"),
        ({"isNumeric": True}, 400, "successCriteria is required"),
        ({"kind": "click"}, 400, "urls is required"),
    ],
)
def test_an_invalid_metric_is_rejected(api: Caller, change: dict[str, Any], status: int, said: str) -> None:
    body = {"key": "size", "kind": "custom", "isNumeric": False, "eventKey": "e"} | change
    response = error_of(api.post("/api/v2/metrics/demo", body))
    assert response[0] == status
    assert said in response[2]


def group(api: Caller, **change: Any) -> httpx.Response:
    member = api.get("/api/v2/caller-identity").json()["memberId"]
    metrics = [{"key": "signup-form-sent", "nameInGroup": "Sent"}, {"key": "signup-confirmed"}]
    body = {"key": "g", "name": "G", "kind": "funnel", "maintainerId": member, "tags": [], "metrics": metrics}
    return api.post("/api/v2/projects/demo/metric-groups", body | change)


def test_a_metric_group_is_created(api: Caller) -> None:
    assert group(api).status_code == 201
    shown = api.get("/api/v2/projects/demo/metric-groups/g").json()
    assert [step["nameInGroup"] for step in shown["metrics"]] == ["Sent", "Sign-up confirmed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "page-health"}, "already exists"),
        ({"metrics": [{"key": "nothing"}, {"key": "checkout-errors"}]}, "no metric 'nothing'"),
        ({"metrics": [{"key": "page-load-ms"}, {"key": "checkout-errors"}]}, "conversion metrics only"),
        ({"metrics": [{"key": "checkout-errors"}]}, "at least two"),
        ({"maintainerId": "nobody"}, "no member"),
    ],
)
def test_an_invalid_metric_group_is_rejected(api: Caller, change: dict[str, Any], said: str) -> None:
    status, _, message = error_of(group(api, **change))
    assert status == 400
    assert said in message


def test_metric_lists_count_experiments_only_when_expanded(api: Caller) -> None:
    api.create()
    plain = api.get("/api/v2/metrics/demo").json()["items"][0]
    assert not {"experimentCount", "metricGroupCount", "isActive"} & plain.keys()
    counted = api.get("/api/v2/metrics/demo?expand=experimentCount").json()["items"][0]
    assert counted["experimentCount"] == 1


def json_patch(api: Caller, *operations: Any) -> httpx.Response:
    return api.http.patch(FLAG, json=list(operations))


def replace(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def test_a_json_patch_turns_a_flag_on(api: Caller) -> None:
    changed = json_patch(api, replace("/environments/production/on", True)).json()["environments"]["production"]
    assert (changed["on"], changed["version"]) == (True, 2)
    assert api.flag()["environments"]["test"]["version"] == 1


def test_a_json_patch_sets_fallthrough_and_rollout(api: Caller) -> None:
    json_patch(api, replace("/environments/production/fallthrough/variation", 1))
    assert api.production()["fallthrough"] == {"variation": 1}
    rollout = {"rollout": {"variations": [{"variation": 0, "weight": 40000}, {"variation": 1, "weight": 60000}]}}
    json_patch(api, replace("/environments/production/fallthrough", rollout))
    assert [v["weight"] for v in api.production()["fallthrough"]["rollout"]["variations"]] == [40000, 60000]


def test_a_json_patch_edits_name_and_tags(api: Caller) -> None:
    changed = json_patch(api, replace("/name", "Button"), {"op": "add", "path": "/tags/-", "value": "a"}).json()
    assert (changed["name"], changed["tags"]) == ("Button", ["a"])


def test_a_precondition_that_does_not_hold_is_a_conflict_and_nothing_is_done(api: Caller) -> None:
    precondition = {"op": "test", "path": "/_version", "value": 9}
    assert error_of(json_patch(api, precondition, replace("/name", "Button")))[0] == 409
    assert api.server.journal() == []


def test_a_merge_patch_changes_what_it_names(api: Caller) -> None:
    changed = api.http.patch(FLAG, json={"merge": {"description": "d", "environments": {"test": {"on": True}}}}).json()
    assert (changed["description"], changed["environments"]["test"]["on"]) == ("d", True)


def test_a_json_patch_cannot_change_the_rule_of_a_running_experiment(api: Caller) -> None:
    api.running()
    assert error_of(json_patch(api, replace("/environments/production/fallthrough", {"variation": 1})))[0] == 409


@pytest.mark.parametrize(
    "operations",
    [
        [replace("/key", "other")],
        [replace("/nothing/at/all", 1)],
        [{"op": "explode", "path": "/name"}],
        [{"op": "replace", "path": "/name"}],
        [{"op": "remove", "path": "/tags/7"}],
        [{"op": "replace", "path": "", "value": 5}],
        [replace("name", "x")],
        ["x"],
        [replace("/environments/production/salt", "x")],
        [replace("/environments/production/offVariation", 9)],
        [{"op": "remove", "path": "/environments/test"}],
        [replace("/environments/production/on", True), replace("/environments/test/on", True)],
    ],
)
def test_an_invalid_json_patch_is_rejected(api: Caller, operations: list[Any]) -> None:
    assert error_of(json_patch(api, *operations))[:2] == (400, "invalid_request")
    assert api.server.journal() == []


def test_a_json_patch_needs_an_approval_where_one_is_required(api: Caller) -> None:
    api.server.switch(flag_approvals="everywhere")
    assert error_of(json_patch(api, replace("/environments/production/on", True)))[0] == 405
    assert json_patch(api, replace("/name", "Button")).status_code == 200


def test_a_verb_can_be_tunnelled_through_post(api: Caller) -> None:
    headers = {"X-HTTP-Method-Override": "PATCH"}
    assert api.http.post(FLAG, json=[replace("/name", "Button")], headers=headers).json()["name"] == "Button"
    headers = {"X-HTTP-Method-Override": "PUT"}
    body = {"randomizationUnits": [{"randomizationUnit": "user", "default": True}]}
    assert api.http.post(SETTINGS, json=body, headers=headers).status_code == 200
    assert [entry.method for entry in api.server.journal()] == ["PATCH", "PUT"]


def test_a_verb_is_tunnelled_through_post_alone(api: Caller) -> None:
    assert api.get(FLAG, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 200


def test_projects_have_their_environments_when_expanded(api: Caller) -> None:
    [project] = api.get("/api/v2/projects?expand=environments").json()["items"]
    assert [e["key"] for e in project["environments"]["items"]] == ["production", "test"]


def test_archived_flags_are_listed_for_a_boolean_in_any_case(api: Caller) -> None:
    api.patch_flag({"kind": "archiveFlag"})
    for asked in ("true", "True", "1"):
        listed = api.get("/api/v2/flags/demo", params={"archived": asked}).json()
        assert [flag["key"] for flag in listed["items"]] == ["checkout-button"]
