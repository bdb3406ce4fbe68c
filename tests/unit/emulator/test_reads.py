"""Reading experiments, flags, metrics, projects: shapes, `expand`, filters, paging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from support.emulator_caller import Caller


def test_treatments_and_history_are_returned_only_when_expanded(api: Caller) -> None:
    api.create()
    plain = api.get(f"{api.experiments}/bold").json()
    assert "treatments" not in plain["currentIteration"]
    assert not plain.keys() & {"previousIterations", "draftIteration", "analysisConfig", "mutableFieldsByStatus"}


def test_empty_fields_are_omitted_even_when_expanded(api: Caller) -> None:
    api.create()
    shown = api.read(expand="previousIterations,draftIteration,analysisConfig,secondaryMetrics")
    assert not shown.keys() & {"previousIterations", "draftIteration", "analysisConfig"}


def test_unknown_expand_fields_do_no_harm(api: Caller) -> None:
    api.create()
    assert "treatments" in api.read(expand="metrics,treatments,nothing")["currentIteration"]


def test_analysis_settings_are_stored_and_returned_when_expanded(api: Caller) -> None:
    api.create(methodology="frequentist", analysisConfig={"significanceThreshold": "5", "testDirection": "two-sided"})
    shown = api.read(expand="analysisConfig")
    assert shown["methodology"] == "frequentist"
    assert shown["analysisConfig"]["significanceThreshold"] == "5"


def test_an_iteration_shows_its_metrics_with_their_versions(api: Caller) -> None:
    iteration = api.iteration(metrics=[{"key": "checkout-conversion"}, {"key": "signup-funnel", "isGroup": True}])
    current = api.create(iteration=iteration)["currentIteration"]
    single, group = current["metrics"]
    assert (single["key"], single["isGroup"], single["isNumeric"]) == ("checkout-conversion", False, False)
    assert (group["key"], group["isGroup"], group["kind"]) == ("signup-funnel", True, "funnel")
    assert single["_versionId"] != group["_versionId"]
    assert current["primarySingleMetric"]["key"] == "checkout-conversion"


def test_secondary_metrics_leave_out_the_primary_one_and_groups(api: Caller) -> None:
    api.create()
    shown = api.read(expand="secondaryMetrics")["currentIteration"]
    assert [metric["key"] for metric in shown["secondaryMetrics"]] == ["page-load-ms"]


@pytest.fixture
def many(api: Caller) -> Caller:
    for index in range(5):
        api.create(f"e{index}")
    return api


def test_a_list_is_counted_in_snake_case_and_pages_with_links_on_the_same_host(many: Caller) -> None:
    seen, path = [], f"{many.experiments}?limit=2&expand=treatments"
    while path:
        page = many.get(path).json()
        assert page["total_count"] == 5
        assert all("treatments" in item["currentIteration"] for item in page["items"])
        seen += [item["key"] for item in page["items"]]
        path = page["_links"].get("next", {}).get("href")
        assert path is None or path.startswith("/api/v2/")
    assert seen == ["e0", "e1", "e2", "e3", "e4"]


def test_only_pages_that_exist_are_linked(many: Caller) -> None:
    first = many.get(many.experiments, params={"limit": 2}).json()["_links"]
    middle = many.get(many.experiments, params={"limit": 2, "offset": 2}).json()["_links"]
    last = many.get(many.experiments, params={"limit": 2, "offset": 4}).json()["_links"]
    assert first.keys() == {"self", "next", "last"}
    assert middle.keys() == {"self", "first", "prev", "next", "last"}
    assert last.keys() == {"self", "first", "prev"}
    assert many.get(first["last"]["href"]).json()["items"][0]["key"] == "e4"


def test_an_offset_past_the_end_is_an_empty_page(many: Caller) -> None:
    assert many.get(many.experiments, params={"offset": 50}).json()["items"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "offset=-1", "offset=1.5", "limit=99999999999"])
def test_an_invalid_page_is_rejected(api: Caller, query: str) -> None:
    assert error_of(api.get(f"{api.experiments}?{query}"))[:2] == (400, "invalid_request")


def test_the_filter_takes_flag_metric_and_status(api: Caller) -> None:
    api.running("one")
    api.create("two")
    search: dict[str, Any] = {
        "metrics": [{"key": "search-click-through"}],
        "primarySingleMetricKey": "search-click-through",
    }
    api.create("three", iteration=api.iteration("search-ranking", **search))

    def keys(text: str) -> list[str]:
        return [item["key"] for item in api.get(api.experiments, params={"filter": text}).json()["items"]]

    assert keys("flagKey:checkout-button") == ["one", "two"]
    assert keys("metricKey:search-click-through") == ["three"]
    assert keys("flagKey:checkout-button,status:running") == ["one"]


def test_the_status_filter_matches_past_iterations_too(api: Caller) -> None:
    api.running()
    api.stop(api.treatments()[0]["_id"])
    api.post(f"{api.experiments}/bold/iterations", api.iteration())
    api.start()
    found = api.get(api.experiments, params={"filter": "status:stopped"}).json()["items"]
    assert found[0]["currentIteration"]["status"] == "running"


@pytest.mark.parametrize("text", ["flag:x", "status", "key:bold"])
def test_an_unknown_filter_is_rejected(api: Caller, text: str) -> None:
    assert error_of(api.get(api.experiments, params={"filter": text}))[0] == 400


def test_the_lifecycle_state_says_whether_archived_experiments_are_listed(api: Caller) -> None:
    api.create("kept")
    api.create("gone")
    api.patch({"kind": "archiveExperiment"}, key="gone")

    def keys(states: str) -> list[str]:
        return [e["key"] for e in api.get(api.experiments, params={"lifecycleState": states}).json()["items"]]

    assert keys("active") == ["kept"]
    assert keys("archived") == ["gone"]
    assert keys("archived,active") == ["kept", "gone"]
    assert error_of(api.get(api.experiments, params={"lifecycleState": "lost"}))[0] == 400


def test_experiments_of_every_environment_can_be_listed_at_once(api: Caller) -> None:
    api.create()
    api.post("/api/v2/projects/demo/environments/test/experiments", api.experiment("other"))
    items = api.get("/api/v2/projects/demo/experiments").json()["items"]
    assert [(item["environmentKey"], item["key"]) for item in items] == [("production", "bold"), ("test", "other")]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/projects/nothing",
        "/api/v2/projects/nothing/environments/production/experiments",
        "/api/v2/projects/demo/environments/nothing/experiments",
        "/api/v2/projects/demo/environments/nothing",
        "/api/v2/projects/demo/environments/production/experiments/nothing",
        "/api/v2/flags/demo/nothing",
        "/api/v2/metrics/demo/nothing",
        "/api/v2/projects/demo/metric-groups/nothing",
        "/api/v2/nothing",
        "/nothing",
    ],
)
def test_an_unknown_resource_is_a_404(api: Caller, path: str) -> None:
    assert error_of(api.get(path))[:2] == (404, "not_found")


def test_a_flag_shows_variation_ids_and_serves_by_index(api: Caller) -> None:
    flag = api.flag()
    assert flag["kind"] == "multivariate"
    assert [(v["name"], v["value"]) for v in flag["variations"]] == [("Classic", "classic"), ("Bold", "bold")]
    config = flag["environments"]["production"]
    assert (config["on"], config["version"], config["fallthrough"]) == (False, 1, {"variation": 0})
    assert api.flag("pricing-page")["kind"] == "boolean"


def test_a_flag_can_be_read_for_one_environment(api: Caller) -> None:
    flag = api.get("/api/v2/flags/demo/checkout-button", params={"env": "test"}).json()
    assert flag["environments"].keys() == {"test"}


def test_the_list_of_flags_omits_environments_unless_named_and_rules_in_a_summary(api: Caller) -> None:
    page = api.get("/api/v2/flags/demo").json()
    assert page["totalCount"] == 3
    assert all("environments" not in item for item in page["items"])
    named = api.get("/api/v2/flags/demo", params={"env": "production"}).json()["items"][0]
    assert "fallthrough" not in named["environments"]["production"]
    full = api.get("/api/v2/flags/demo", params={"env": "production", "summary": "0"}).json()["items"][0]
    assert "fallthrough" in full["environments"]["production"]


def test_archived_flags_are_listed_apart(api: Caller) -> None:
    api.patch_flag({"kind": "archiveFlag"})
    assert api.get("/api/v2/flags/demo").json()["totalCount"] == 2
    archived = api.get("/api/v2/flags/demo", params={"archived": "true"}).json()["items"]
    assert [flag["key"] for flag in archived] == ["checkout-button"]


def test_a_metric_says_which_direction_is_better(api: Caller) -> None:
    assert api.get("/api/v2/metrics/demo/checkout-conversion").json()["successCriteria"] == "HigherThanBaseline"
    load = api.get("/api/v2/metrics/demo/page-load-ms").json()
    assert (load["successCriteria"], load["isNumeric"], load["unit"]) == ("LowerThanBaseline", True, "ms")


def test_a_metric_counts_the_experiments_that_use_it(api: Caller) -> None:
    api.running("one")
    api.create("two")
    metric = api.get("/api/v2/metrics/demo/checkout-conversion?expand=experimentCount,experiments").json()
    assert (metric["experimentCount"], metric["activeExperimentCount"]) == (2, 1)
    assert [experiment["key"] for experiment in metric["experiments"]] == ["one", "two"]
    listed = api.get("/api/v2/metrics/demo", params={"limit": 3}).json()
    assert (len(listed["items"]), listed["totalCount"]) == (3, 8)


def test_metric_groups_keep_their_order(api: Caller) -> None:
    group = api.get("/api/v2/projects/demo/metric-groups/signup-funnel").json()
    assert [m["nameInGroup"] for m in group["metrics"]] == ["Form opened", "Form sent", "Confirmed"]
    assert group["maintainer"]["_member"]["email"] == "ada@example.com"
    assert api.get("/api/v2/projects/demo/metric-groups").json()["totalCount"] == 2


def test_a_project_has_its_environments_only_when_expanded(api: Caller) -> None:
    assert "environments" not in api.get("/api/v2/projects/demo").json()
    expanded = api.get("/api/v2/projects/demo", params={"expand": "environments"}).json()
    assert [e["key"] for e in expanded["environments"]["items"]] == ["production", "test"]
    assert api.get("/api/v2/projects/demo/environments").json()["totalCount"] == 2
    assert api.get("/api/v2/projects").json()["items"][0]["key"] == "demo"


def test_an_environment_holds_its_sdk_key(api: Caller) -> None:
    environment = api.get("/api/v2/projects/demo/environments/production").json()
    assert environment["apiKey"] == "sdk-emulator-production"
    assert environment["approvalSettings"]["required"] is False


def test_the_root_answers(api: Caller) -> None:
    assert api.get("/api/v2").json()["links"]["projects"]["href"] == "/api/v2/projects"
