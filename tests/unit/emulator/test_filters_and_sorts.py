"""`filter` and `sort` of the list calls do what LaunchDarkly documents, and refuse what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from support.emulator_caller import Caller

FLAGS = "/api/v2/flags/demo"
METRICS = "/api/v2/metrics/demo"
GROUPS = "/api/v2/projects/demo/metric-groups"
PROJECTS = "/api/v2/projects"
ENVIRONMENTS = "/api/v2/projects/demo/environments"
LISTS = (FLAGS, METRICS, GROUPS, PROJECTS, ENVIRONMENTS)


def keys(api: Caller, path: str, **query: str) -> list[str]:
    response = api.get(path, params=query)
    assert response.status_code == 200, response.text
    assert response.json()["totalCount"] == len(response.json()["items"])
    return [item["key"] for item in response.json()["items"]]


@pytest.fixture
def listed(api: Caller) -> Caller:
    """Add an archived, a permanent and a tagged flag, and run an experiment that measures a metric and a funnel."""
    api.post(FLAGS, {"key": "old", "name": "Old", "tags": ["beta", "ui"], "temporary": False})
    api.patch_flag({"kind": "archiveFlag"}, key="old")
    api.post(FLAGS, {"key": "zebra", "name": "A zebra", "tags": ["beta"], "temporary": False})
    metrics = [{"key": "checkout-conversion"}, {"key": "signup-funnel", "isGroup": True}]
    api.turn_on()
    api.create(iteration=api.iteration(metrics=metrics))
    assert api.start().status_code == 200
    return api


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("state:archived", ["old"]),
        ("archived:true", ["old"]),
        ("state:live", ["checkout-button", "search-ranking", "pricing-page", "zebra"]),
        ("state:deprecated", []),
        ("query:BUTTON", ["checkout-button"]),
        ("tags:beta", ["zebra"]),
        ("state:archived,tags:beta+ui", ["old"]),
        ("type:permanent", ["zebra"]),
        ("hasExperiment:true", ["checkout-button"]),
        ("hasExperiment:false,query:e", ["search-ranking", "pricing-page", "zebra"]),
        ('creationDate:{"before":1}', []),
        (
            'evaluated:{"after":1},filterEnv:production,type:temporary',
            ["checkout-button", "search-ranking", "pricing-page"],
        ),
        ("codeReferences.min:1", []),
        ("codeReferences.max:0,type:permanent", ["zebra"]),
        ("maintainerId:nobody", []),
        ("sdkAvailability:anyClient", []),
        ("guardedRollout:any", []),
    ],
)
def test_flags_are_filtered(listed: Caller, filters: str, found: list[str]) -> None:
    assert keys(listed, FLAGS, filter=filters) == found


@pytest.mark.parametrize(
    ("sort", "first"), [("key", "checkout-button"), ("-key", "zebra"), ("name", "zebra"), ("type,-key", "zebra")]
)
def test_flags_are_sorted(listed: Caller, sort: str, first: str) -> None:
    assert keys(listed, FLAGS, sort=sort)[0] == first


def test_flags_are_sorted_by_the_last_change_of_an_environment(listed: Caller) -> None:
    listed.server.clock.advance("P1D")
    listed.patch_flag({"kind": "turnFlagOn"}, key="pricing-page")
    assert keys(listed, FLAGS, sort="-targetingModifiedDate", env="production")[0] == "pricing-page"
    assert error_of(listed.get(FLAGS, params={"sort": "targetingModifiedDate"}))[0] == 400


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ('query equals "checkout"', ["checkout-conversion", "checkout-errors"]),
        ("isNumeric equals true", ["page-load-ms", "revenue-per-user"]),
        ("isNumeric equals true and unitAggregationType equals 'sum'", ["revenue-per-user"]),
        ("isNumeric equals true, unitAggregationType equals 'sum'", ["revenue-per-user"]),
        ('eventKeys anyOf ["page-load-ms","checkout-errors"]', ["page-load-ms", "checkout-errors"]),
        ("eventKind equals 'click'", []),
        ('tags contains ["x"]', []),
        ("metricUsedIn equals 'experiments' and query equals 'checkout'", ["checkout-conversion"]),
        ("hasConnections equals true and query equals 'signup-form'", ["signup-form-opened", "signup-form-sent"]),
        ('dataSourceKeys notEquals "launchdarkly"', []),
    ],
)
def test_metrics_are_filtered(listed: Caller, filters: str, found: list[str]) -> None:
    assert keys(listed, METRICS, filter=filters) == found


def test_metrics_are_sorted_by_one_field(listed: Caller) -> None:
    assert keys(listed, METRICS, sort="-name")[0] == "signup-form-sent"
    assert error_of(listed.get(METRICS, params={"sort": "name,createdAt"}))[0] == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"filter": "kind equals 'funnel'"}, ["signup-funnel"]),
        ({"filter": "experimentStatus equals 'running'"}, ["signup-funnel"]),
        ({"filter": "experimentStatus equals 'stopped'"}, []),
        ({"filter": "hasConnections equals false"}, ["page-health"]),
        ({"filter": "query equals 'page'"}, ["page-health"]),
        ({"sort": "name"}, ["page-health", "signup-funnel"]),
        ({"sort": "-connectionCount,name"}, ["signup-funnel", "page-health"]),
    ],
)
def test_metric_groups_are_filtered_and_sorted(listed: Caller, query: dict[str, str], found: list[str]) -> None:
    assert keys(listed, GROUPS, **query) == found


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        (PROJECTS, {"filter": "query:DEM"}, ["demo"]),
        (PROJECTS, {"filter": "keys:demo|other", "sort": "-createdOn"}, ["demo"]),
        (PROJECTS, {"filter": "tags:none"}, []),
        (ENVIRONMENTS, {"filter": "critical:true"}, ["production"]),
        (ENVIRONMENTS, {"filter": "query:tes"}, ["test"]),
        (ENVIRONMENTS, {"sort": "-name"}, ["test", "production"]),
        (ENVIRONMENTS, {"sort": "critical"}, ["test", "production"]),
    ],
)
def test_projects_and_environments_are_filtered_and_sorted(
    api: Caller, path: str, query: dict[str, str], found: list[str]
) -> None:
    assert keys(api, path, **query) == found


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", [{"filter": "colour:red"}, {"filter": "colour equals red"}, {"sort": "colour"}])
def test_an_unknown_field_is_refused(api: Caller, path: str, query: dict[str, str]) -> None:
    status, code, message = error_of(api.get(path, params=query))
    assert (status, code) == (400, "invalid_request")
    assert "colour" in message


@pytest.mark.parametrize(
    ("path", "filters", "said"),
    [
        (FLAGS, "state:alive", "live, deprecated, archived"),
        (FLAGS, "hasExperiment:yes", "true or false"),
        (FLAGS, "creationDate:yesterday", "creationDate"),
        (FLAGS, 'creationDate:{"before":"x"}', "milliseconds"),
        (FLAGS, "codeReferences.min:x", "whole number"),
        (FLAGS, 'evaluated:{"after":1}', "filterEnv"),
        (FLAGS, "guardedRollout:maybe", "monitoring"),
        (FLAGS, "query", "field:value"),
        (METRICS, "tags equals x", "tags takes contains"),
        (METRICS, "isNumeric equals maybe", "true or false"),
        (METRICS, "metricUsedIn equals flags", "guarded_rollouts"),
        (METRICS, "query equals", "field operator value"),
        (GROUPS, "kind equals 'pile'", "funnel, standard"),
        (ENVIRONMENTS, "critical:very", "true or false"),
    ],
)
def test_a_wrong_value_is_refused_with_the_right_ones(api: Caller, path: str, filters: str, said: str) -> None:
    status, _, message = error_of(api.get(path, params={"filter": filters}))
    assert status == 400
    assert said in message


@pytest.mark.parametrize("path", LISTS)
def test_deeply_nested_filters_are_no_internal_error(api: Caller, path: str) -> None:
    for filters in ("creationDate:" + "[" * 9000, "tags contains " + "[" * 9000 + "]"):
        assert api.get(path, params={"filter": filters}).status_code in (200, 400)
