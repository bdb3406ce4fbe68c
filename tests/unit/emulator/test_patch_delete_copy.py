"""Metrics and groups are patched and deleted; flags are deleted, copied, and have a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    import httpx

    from support.emulator_caller import Caller

METRIC = "/api/v2/metrics/demo/checkout-errors"
GROUP = "/api/v2/projects/demo/metric-groups/page-health"
FLAG = "/api/v2/flags/demo/search-ranking"


def patch(api: Caller, path: str, *operations: tuple[str, str, Any]) -> httpx.Response:
    body = [{"op": op, "path": where, "value": value} for op, where, value in operations]
    response: httpx.Response = api.http.patch(path, json=body)
    return response


def test_a_metric_is_patched_and_its_past_version_stays(api: Caller) -> None:
    before = api.get(METRIC).json()
    api.server.clock.advance("PT1H")
    after = patch(api, METRIC, ("replace", "/name", "Failures"), ("add", "/tags/-", "health")).json()
    assert (after["name"], after["tags"], after["_version"]) == ("Failures", ["health"], 2)
    assert after["_versionId"] != before["_versionId"]
    assert after["lastModified"] != before["lastModified"]
    assert api.get(METRIC, params={"versionId": before["_versionId"]}).json()["name"] == before["name"]
    assert api.get(METRIC, params={"versionId": "none"}).status_code == 404
    assert [effect["kind"] for effect in api.server.effects()] == ["metric.changed"]


def test_a_patch_that_changes_nothing_makes_no_version(api: Caller) -> None:
    before = api.get(METRIC).json()
    assert patch(api, METRIC, ("replace", "/name", before["name"])).json() == before
    assert api.server.journal() == []


def test_a_metrics_units_direction_and_archive_are_patched(api: Caller) -> None:
    after = patch(
        api,
        METRIC,
        ("replace", "/randomizationUnits", ["organization"]),
        ("replace", "/successCriteria", "HigherThanBaseline"),
        ("replace", "/archived", True),
        ("add", "/winsorUpperPercentile", 99),
    ).json()
    assert after["analysisUnits"] == after["randomizationUnits"] == ["organization"]
    assert (after["successCriteria"], after["archived"]) == ("HigherThanBaseline", True)
    assert after["winsorUpperPercentile"] == 99


@pytest.mark.parametrize(
    ("operation", "status", "said"),
    [
        (("replace", "/key", "x"), 400, "/key cannot be changed"),
        (("replace", "/isNumeric", True), 400, "/isNumeric cannot be changed"),
        (("replace", "/successCriteria", "Better"), 400, "must be one of"),
        (("replace", "/maintainerId", "nobody"), 400, "no member"),
        (("replace", "/none", 1), 400, "does not exist"),
        (("test", "/name", "x"), 409, "precondition"),
        (("jump", "/name", "x"), 400, "op must be"),
    ],
)
def test_a_wrong_metric_patch_is_refused(api: Caller, operation: tuple[str, str, Any], status: int, said: str) -> None:
    answered, _, message = error_of(patch(api, METRIC, operation))
    assert (answered, said in message) == (status, True), message


def test_a_patch_that_is_no_list_is_refused(api: Caller) -> None:
    assert error_of(api.http.patch(METRIC, json={"name": "x"}))[0] == 400


def test_a_metric_group_is_patched(api: Caller) -> None:
    after = patch(
        api, GROUP, ("replace", "/metrics/0/nameInGroup", "Speed"), ("add", "/metrics/-", {"key": "revenue-per-user"})
    ).json()
    assert [(m["key"], m["nameInGroup"]) for m in after["metrics"]] == [
        ("page-load-ms", "Speed"),
        ("checkout-errors", "Checkout errors"),
        ("revenue-per-user", "Revenue per user"),
    ]
    assert after["_version"] == 2
    assert error_of(patch(api, GROUP, ("replace", "/metrics", [{"key": "none"}])))[0] == 400
    assert error_of(patch(api, GROUP, ("replace", "/kind", "funnel")))[0] == 400


def test_metrics_and_groups_are_deleted_unless_they_are_used(api: Caller) -> None:
    assert error_of(api.http.delete(METRIC))[:2] == (409, "optimistic_locking_error")
    deleted = api.http.delete(GROUP)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert api.get(GROUP).status_code == 404
    assert api.http.delete(METRIC).status_code == 204
    assert api.http.delete(METRIC).status_code == 404
    api.create()
    assert "experiment 'bold'" in error_of(api.http.delete("/api/v2/metrics/demo/checkout-conversion"))[2]


def test_a_flag_is_deleted_unless_an_experiment_uses_it(api: Caller) -> None:
    api.create()
    assert error_of(api.http.delete("/api/v2/flags/demo/checkout-button"))[0] == 409
    assert api.http.delete(FLAG).status_code == 204
    assert api.http.delete(FLAG).status_code == 404
    assert api.post("/api/v2/flags/demo", {"key": "search-ranking", "name": "Anew"}).status_code == 201


def test_a_flags_configuration_is_copied(api: Caller) -> None:
    semantic = api.flag("search-ranking")["variations"][1]["_id"]
    api.patch_flag(
        {"kind": "updateFallthroughVariationOrRollout", "variationId": semantic},
        {"kind": "addTargets", "values": ["a"], "variationId": semantic},
        {"kind": "turnFlagOff"},
        key="search-ranking",
    )
    places = {"source": {"key": "production", "currentVersion": 2}, "target": {"key": "test", "currentVersion": 1}}
    copied = api.post(f"{FLAG}/copy", places | {"excludedActions": ["updateOn"]})
    assert copied.status_code == 201
    test = copied.json()["environments"]["test"]
    assert (test["on"], test["fallthrough"], test["targets"][0]["values"]) == (True, {"variation": 1}, ["a"])
    assert test["version"] == 2
    only = {"source": {"key": "production"}, "target": {"key": "test"}, "includedActions": ["updateOn"]}
    assert api.post(f"{FLAG}/copy", only).json()["environments"]["test"]["on"] is False


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"source": {"key": "production", "currentVersion": 9}}, 409),
        ({"target": {"key": "none"}}, 404),
        ({"includedActions": ["paint"]}, 400),
        ({"includedActions": ["updateOn"], "excludedActions": ["updateRules"]}, 400),
    ],
)
def test_a_wrong_copy_is_refused(api: Caller, change: dict[str, Any], status: int) -> None:
    body = {"source": {"key": "production"}, "target": {"key": "test"}} | change
    assert error_of(api.post(f"{FLAG}/copy", body))[0] == status


def test_a_running_experiments_rule_is_not_copied_over(api: Caller) -> None:
    api.running()
    body = {"source": {"key": "test"}, "target": {"key": "production"}}
    assert error_of(api.post("/api/v2/flags/demo/checkout-button/copy", body))[0] == 409
    back = api.post(
        "/api/v2/flags/demo/checkout-button/copy", {"source": {"key": "production"}, "target": {"key": "test"}}
    )
    assert "experimentAllocation" not in back.json()["environments"]["test"]["fallthrough"]["rollout"]


def test_a_flag_has_a_status_in_each_environment(api: Caller) -> None:
    def name() -> str:
        status: str = api.get("/api/v2/flag-statuses/demo/production/search-ranking").json()["name"]
        return status

    assert name() == "active"
    api.server.clock.advance("P8D")
    assert name() == "launched"
    api.turn_on("search-ranking")
    weights = dict.fromkeys((v["_id"] for v in api.flag("search-ranking")["variations"][:2]), 50_000)
    api.patch_flag({"kind": "updateFallthroughVariationOrRollout", "rolloutWeights": weights}, key="search-ranking")
    api.server.clock.advance("P8D")
    assert name() == "active"
    everywhere = api.get("/api/v2/flag-status/demo/search-ranking").json()
    assert {key: status["name"] for key, status in everywhere["environments"].items()} == {
        "production": "active",
        "test": "launched",
    }
    one = api.get("/api/v2/flag-status/demo/search-ranking", params={"env": "test"}).json()
    assert one["environments"].keys() == {"test"}
    assert len(api.get("/api/v2/flag-statuses/demo/production").json()["items"]) == 3
    assert api.get("/api/v2/flag-statuses/demo/none/search-ranking").status_code == 404
