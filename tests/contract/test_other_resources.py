"""LaunchDarkly's own clients read and change what experiments stand on: flags, metrics, projects, environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import (
    ENVIRONMENT,
    FLAG,
    FUNNEL,
    IN_ENVIRONMENT,
    IN_PROJECT,
    ITS_FLAG,
    KEY,
    METRIC,
    read_flag,
    start,
    turn_flag_on,
)
from contract.official import SEMANTIC_PATCH, OfficialClient, refused

if TYPE_CHECKING:
    from contract.official import Answer


def keys(listed: Answer) -> list[str]:
    return [item["key"] for item in listed["items"]]


def member(client: OfficialClient) -> str:
    found: str = client.other.get_caller_identity()["memberId"]
    return found


def patch_flag(client: OfficialClient, *instructions: dict[str, Any]) -> dict[str, Any]:
    """Change the flag; what it is like in production afterwards."""
    body = {"environmentKey": ENVIRONMENT, "instructions": list(instructions)}
    flag = client.feature_flags.patch_feature_flag(**ITS_FLAG, patch_with_comment=body, content_type=SEMANTIC_PATCH)
    found: dict[str, Any] = flag["environments"][ENVIRONMENT]
    return found


class TestFlags:
    def test_flags_are_listed(self, client: OfficialClient) -> None:
        listed = client.feature_flags.get_feature_flags(**IN_PROJECT, env=ENVIRONMENT)

        assert listed.model == "FeatureFlags"
        assert keys(listed) == ["checkout-button", "search-ranking", "pricing-page"]
        assert listed["totalCount"] == 3

    def test_a_list_of_flags_leaves_out_what_they_serve_unless_asked(self, client: OfficialClient) -> None:
        short = client.feature_flags.get_feature_flags(**IN_PROJECT, env=ENVIRONMENT)["items"][0]
        long = client.feature_flags.get_feature_flags(**IN_PROJECT, env=ENVIRONMENT, summary=False)["items"][0]

        assert "fallthrough" not in short["environments"][ENVIRONMENT]
        assert long["environments"][ENVIRONMENT]["fallthrough"] == {"variation": 0}

    def test_a_flag_is_created_off_with_its_variations(self, client: OfficialClient) -> None:
        created = client.feature_flags.post_feature_flag(
            **IN_PROJECT,
            feature_flag_body={
                "key": "new-flag",
                "name": "New flag",
                "description": "d",
                "variations": [{"value": "a", "name": "A"}, {"value": "b", "name": "B"}],
                "defaults": {"onVariation": 1, "offVariation": 0},
                "tags": ["a"],
                "temporary": False,
            },
        )

        flag = client.feature_flags.get_feature_flag(**IN_PROJECT, feature_flag_key="new-flag")
        assert (created.status, created.model) == (201, "FeatureFlag")
        assert [(variation["value"], variation["name"]) for variation in flag["variations"]] == [("a", "A"), ("b", "B")]
        assert flag["environments"][ENVIRONMENT]["on"] is False
        assert flag["environments"][ENVIRONMENT]["fallthrough"] == {"variation": 1}
        assert flag["environments"][ENVIRONMENT]["offVariation"] == 0
        assert (flag["tags"], flag["temporary"], flag["description"]) == (["a"], False, "d")

    def test_a_flag_without_variations_is_a_boolean(self, client: OfficialClient) -> None:
        created = client.feature_flags.post_feature_flag(
            **IN_PROJECT, feature_flag_body={"key": "new-flag", "name": "New flag"}
        )

        assert created["kind"] == "boolean"
        assert [variation["value"] for variation in created["variations"]] == [True, False]

    def test_a_second_flag_with_the_same_key_is_a_conflict(self, client: OfficialClient) -> None:
        with refused(409):
            client.feature_flags.post_feature_flag(**IN_PROJECT, feature_flag_body={"key": FLAG, "name": "Again"})

    def test_a_rollout_is_set_by_the_ids_of_variations_and_read_by_their_places(self, client: OfficialClient) -> None:
        classic, bold = (variation["_id"] for variation in read_flag(client)["variations"])

        production = patch_flag(
            client,
            {
                "kind": "updateFallthroughVariationOrRollout",
                "rolloutWeights": {classic: 90_000, bold: 10_000},
                "rolloutContextKind": "user",
            },
        )

        rollout = production["fallthrough"]["rollout"]
        assert [(part["variation"], part["weight"]) for part in rollout["variations"]] == [(0, 90_000), (1, 10_000)]
        assert rollout["contextKind"] == "user"
        assert "experimentAllocation" not in rollout

    def test_a_rule_is_added_changed_and_removed(self, client: OfficialClient) -> None:
        classic, bold = (variation["_id"] for variation in read_flag(client)["variations"])
        clause = {"contextKind": "user", "attribute": "plan", "op": "in", "negate": False, "values": ["pro"]}

        [added] = patch_flag(client, {"kind": "addRule", "clauses": [clause], "variationId": bold})["rules"]
        change = {"kind": "updateRuleVariationOrRollout", "ruleId": added["_id"], "variationId": classic}
        [changed] = patch_flag(client, change)["rules"]
        rules = patch_flag(client, {"kind": "removeRule", "ruleId": added["_id"]})["rules"]

        assert (added["variation"], changed["variation"]) == (1, 0)
        assert changed["_id"] == added["_id"]
        assert added["clauses"][0]["values"] == ["pro"]
        assert rules == []

    def test_a_flag_is_turned_off_and_serves_another_variation_then(self, client: OfficialClient) -> None:
        turn_flag_on(client)
        bold = read_flag(client)["variations"][1]["_id"]

        off = patch_flag(client, {"kind": "turnFlagOff"}, {"kind": "updateOffVariation", "variationId": bold})

        assert (off["on"], off["offVariation"]) == (False, 1)

    @pytest.mark.parametrize(
        ("operation", "found"),
        [
            ({"op": "replace", "path": "/environments/production/on", "value": True}, ("on", True)),
            ({"op": "replace", "path": "/environments/production/fallthrough/variation", "value": 1}, None),
        ],
        ids=["on", "fallthrough"],
    )
    def test_a_flag_is_changed_by_the_json_patch_that_the_clients_are_made_for(
        self, client: OfficialClient, operation: dict[str, Any], found: tuple[str, Any] | None
    ) -> None:
        flag = client.feature_flags.patch_feature_flag(
            **ITS_FLAG, patch_with_comment={"comment": "by hand", "patch": [operation]}
        )

        production = flag["environments"][ENVIRONMENT]
        assert production["version"] == 2
        if found is None:
            assert production["fallthrough"] == {"variation": 1}
        else:
            assert production[found[0]] == found[1]

    def test_a_json_patch_that_tests_a_version_which_is_not_the_flags_is_refused(self, client: OfficialClient) -> None:
        operations = [
            {"op": "test", "path": "/environments/production/version", "value": 99},
            {"op": "replace", "path": "/environments/production/on", "value": True},
        ]

        with refused(409):
            client.feature_flags.patch_feature_flag(**ITS_FLAG, patch_with_comment={"patch": operations})

        assert read_flag(client)["environments"][ENVIRONMENT]["on"] is False


class TestMetrics:
    def test_metrics_are_listed_page_by_page(self, client: OfficialClient) -> None:
        listed = client.metrics.get_metrics(**IN_PROJECT)

        assert listed.model == "MetricCollectionRep"
        assert METRIC in keys(listed)
        if client.generation == 25:
            pages = [client.metrics.get_metrics(**IN_PROJECT, limit=3, offset=offset) for offset in (0, 3, 6)]
            assert [key for page in pages for key in keys(page)] == keys(listed)
            assert {page["totalCount"] for page in pages} == {len(keys(listed))}

    def test_a_metric_is_created(self, client: OfficialClient) -> None:
        created = client.metrics.post_metric(
            **IN_PROJECT,
            metric_post={
                "key": "basket-size",
                "name": "Basket size",
                "kind": "custom",
                "isNumeric": True,
                "unit": "items",
                "successCriteria": "HigherThanBaseline",
                "eventKey": "basket",
                "tags": ["a"],
            },
        )

        metric = client.metrics.get_metric(**IN_PROJECT, metric_key="basket-size")
        assert (created.status, created.model) == (201, "MetricRep")
        assert (metric["unit"], metric["successCriteria"], metric["eventKey"]) == (
            "items",
            "HigherThanBaseline",
            "basket",
        )

    def test_a_second_metric_with_the_same_key_is_a_conflict(self, client: OfficialClient) -> None:
        with refused(409):
            client.metrics.post_metric(
                **IN_PROJECT, metric_post={"key": METRIC, "kind": "custom", "isNumeric": False, "eventKey": "e"}
            )

    def test_a_metric_counts_what_uses_it_only_when_that_is_expanded(self, client: OfficialClient) -> None:
        start(client)

        plain = client.metrics.get_metric(**IN_PROJECT, metric_key=METRIC)
        expanded = client.metrics.get_metric(
            **IN_PROJECT, metric_key=METRIC, expand="experimentCount,metricGroupCount,experiments"
        )

        assert not {"experimentCount", "metricGroupCount", "experiments"} & plain.value.keys()
        assert (expanded["experimentCount"], expanded["metricGroupCount"]) == (1, 0)
        assert KEY in str(expanded["experiments"])

    def test_metric_groups_are_listed_and_read(self, client: OfficialClient) -> None:
        listed = client.metrics_beta.get_metric_groups(**IN_PROJECT)
        group = client.metrics_beta.get_metric_group(**IN_PROJECT, metric_group_key=FUNNEL)

        assert keys(listed) == ["signup-funnel", "page-health"]
        assert (group.model, group["kind"]) == ("MetricGroupRep", "funnel")
        assert [step["nameInGroup"] for step in group["metrics"]] == ["Form opened", "Form sent", "Confirmed"]

    def test_a_metric_group_counts_the_experiments_that_use_it_only_when_that_is_expanded(
        self, client: OfficialClient
    ) -> None:
        start(client)
        group = {**IN_PROJECT, "metric_group_key": FUNNEL}

        plain = client.metrics_beta.get_metric_group(**group)
        expanded = client.metrics_beta.get_metric_group(**group, expand="experiments,experimentCount")

        assert not {"experimentCount", "experiments"} & plain.value.keys()
        assert expanded["experimentCount"] == 1
        assert [experiment["key"] for experiment in expanded["experiments"]] == [KEY]

    def test_a_metric_group_is_created(self, client: OfficialClient) -> None:
        created = client.metrics_beta.create_metric_group(
            **IN_PROJECT,
            metric_group_post={
                "key": "basket-funnel",
                "name": "Basket funnel",
                "kind": "funnel",
                "maintainerId": member(client),
                "tags": ["a"],
                "metrics": [
                    {"key": "signup-form-opened", "nameInGroup": "First"},
                    {"key": METRIC, "nameInGroup": "Second"},
                ],
            },
        )

        group = client.metrics_beta.get_metric_group(**IN_PROJECT, metric_group_key="basket-funnel")
        assert (created.status, created.model) == (201, "MetricGroupRep")
        assert [(step["key"], step["nameInGroup"]) for step in group["metrics"]] == [
            ("signup-form-opened", "First"),
            (METRIC, "Second"),
        ]


class TestProjects:
    def test_projects_are_listed(self, client: OfficialClient) -> None:
        listed = client.projects.get_projects(expand="environments")

        assert listed.model == "Projects"
        assert keys(listed) == ["demo"]
        assert listed["items"][0]["environments"]["totalCount"] == 2

    def test_environments_are_listed_and_read(self, client: OfficialClient) -> None:
        listed = client.environments.get_environments_by_project(**IN_PROJECT)
        one = client.environments.get_environment(**IN_ENVIRONMENT)

        assert (listed.model, keys(listed)) == ("Environments", ["production", "test"])
        assert (one.model, one["name"]) == ("Environment", "Production")
        assert one["approvalSettings"]["required"] is False

    def test_the_versions_of_the_api_are_known(self, client: OfficialClient) -> None:
        versions = client.other.get_versions()

        assert versions.model == "VersionsRep"
        assert versions["latestVersion"] == 20240415
        assert 20240415 in versions["validVersions"]
        assert versions["beta"] is True
        assert not client.like(api_version="20240415").other.get_versions().value.get("beta")
