"""LaunchDarkly's own clients read and change what experiments stand on: flags, metrics, projects, holdouts, layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import (
    ENVIRONMENT,
    FLAG,
    FUNNEL,
    HERE,
    IN_ENVIRONMENT,
    IN_PROJECT,
    ITS_FLAG,
    KEY,
    METRIC,
    create,
    experiment_post,
    patch,
    read,
    read_flag,
    start,
    stop_on,
    turn_flag_on,
)
from contract.official import SEMANTIC_PATCH, OfficialClient, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import Answer


def refused(status: int) -> pytest.RaisesExc[Refusal]:
    return pytest.raises(Refusal, check=lambda found: found.status == status)


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
    def test_flags_are_listed(self, client: OfficialClient):
        listed = client.feature_flags.get_feature_flags(**IN_PROJECT, env=ENVIRONMENT)

        assert listed.model == "FeatureFlags"
        assert keys(listed) == ["checkout-button", "search-ranking", "pricing-page"]
        assert listed["totalCount"] == 3

    def test_a_list_of_flags_leaves_out_what_they_serve_unless_asked(self, client: OfficialClient):
        short = client.feature_flags.get_feature_flags(**IN_PROJECT, env=ENVIRONMENT)["items"][0]
        long = client.feature_flags.get_feature_flags(**IN_PROJECT, env=ENVIRONMENT, summary=False)["items"][0]

        assert "fallthrough" not in short["environments"][ENVIRONMENT]
        assert long["environments"][ENVIRONMENT]["fallthrough"] == {"variation": 0}

    def test_a_flag_is_created_off_with_its_variations(self, client: OfficialClient):
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

    def test_a_flag_without_variations_is_a_boolean(self, client: OfficialClient):
        created = client.feature_flags.post_feature_flag(
            **IN_PROJECT, feature_flag_body={"key": "new-flag", "name": "New flag"}
        )

        assert created["kind"] == "boolean"
        assert [variation["value"] for variation in created["variations"]] == [True, False]

    def test_a_second_flag_with_the_same_key_is_a_conflict(self, client: OfficialClient):
        with refused(409):
            client.feature_flags.post_feature_flag(**IN_PROJECT, feature_flag_body={"key": FLAG, "name": "Again"})

    def test_a_rollout_is_set_by_the_ids_of_variations_and_read_by_their_places(self, client: OfficialClient):
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

    def test_a_rule_is_added_changed_and_removed(self, client: OfficialClient):
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

    def test_a_flag_is_turned_off_and_serves_another_variation_then(self, client: OfficialClient):
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
    ):
        flag = client.feature_flags.patch_feature_flag(
            **ITS_FLAG, patch_with_comment={"comment": "by hand", "patch": [operation]}
        )

        production = flag["environments"][ENVIRONMENT]
        assert production["version"] == 2
        if found is None:
            assert production["fallthrough"] == {"variation": 1}
        else:
            assert production[found[0]] == found[1]

    def test_a_json_patch_that_tests_a_version_which_is_not_the_flags_is_refused(self, client: OfficialClient):
        operations = [
            {"op": "test", "path": "/environments/production/version", "value": 99},
            {"op": "replace", "path": "/environments/production/on", "value": True},
        ]

        with refused(409):
            client.feature_flags.patch_feature_flag(**ITS_FLAG, patch_with_comment={"patch": operations})

        assert read_flag(client)["environments"][ENVIRONMENT]["on"] is False


class TestMetrics:
    def test_metrics_are_listed_page_by_page(self, client: OfficialClient):
        listed = client.metrics.get_metrics(**IN_PROJECT)

        assert listed.model == "MetricCollectionRep"
        assert METRIC in keys(listed)
        if client.generation == 25:
            pages = [client.metrics.get_metrics(**IN_PROJECT, limit=3, offset=offset) for offset in (0, 3, 6)]
            assert [key for page in pages for key in keys(page)] == keys(listed)
            assert {page["totalCount"] for page in pages} == {len(keys(listed))}

    def test_a_metric_is_created(self, client: OfficialClient):
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

    def test_a_second_metric_with_the_same_key_is_a_conflict(self, client: OfficialClient):
        with refused(409):
            client.metrics.post_metric(
                **IN_PROJECT, metric_post={"key": METRIC, "kind": "custom", "isNumeric": False, "eventKey": "e"}
            )

    def test_a_metric_counts_the_experiments_that_use_it(self, client: OfficialClient):
        start(client)

        metric = client.metrics.get_metric(**IN_PROJECT, metric_key=METRIC, expand="experimentCount")

        assert metric["experimentCount"] == 1

    def test_metric_groups_are_listed_and_read(self, client: OfficialClient):
        listed = client.metrics_beta.get_metric_groups(**IN_PROJECT)
        group = client.metrics_beta.get_metric_group(**IN_PROJECT, metric_group_key=FUNNEL)

        assert keys(listed) == ["signup-funnel", "page-health"]
        assert (group.model, group["kind"]) == ("MetricGroupRep", "funnel")
        assert [step["nameInGroup"] for step in group["metrics"]] == ["Form opened", "Form sent", "Confirmed"]

    def test_a_metric_group_is_created(self, client: OfficialClient):
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
    def test_projects_are_listed(self, client: OfficialClient):
        listed = client.projects.get_projects(expand="environments")

        assert listed.model == "Projects"
        assert keys(listed) == ["demo"]
        assert listed["items"][0]["environments"]["totalCount"] == 2

    def test_environments_are_listed_and_read(self, client: OfficialClient):
        listed = client.environments.get_environments_by_project(**IN_PROJECT)
        one = client.environments.get_environment(**IN_ENVIRONMENT)

        assert (listed.model, keys(listed)) == ("Environments", ["production", "test"])
        assert (one.model, one["name"]) == ("Environment", "Production")
        assert one["approvalSettings"]["required"] is False

    def test_the_versions_of_the_api_are_known(self, client: OfficialClient):
        versions = client.other.get_versions()

        assert versions.model == "VersionsRep"
        assert versions["latestVersion"] == 20240415
        assert 20240415 in versions["validVersions"]
        assert versions["beta"] is True


HOLDOUT = {**IN_ENVIRONMENT, "holdout_key": "q1"}


def create_holdout(client: OfficialClient) -> Answer:
    client.feature_flags.post_feature_flag(
        **IN_PROJECT, feature_flag_body={"key": "holdout-q1", "name": "Holdout Q1", "purpose": "holdout"}
    )
    return client.holdouts.post_holdout(
        **IN_ENVIRONMENT,
        holdout_post_request={
            "key": "q1",
            "name": "Q1",
            "description": "Who sees nothing new this quarter",
            "randomizationunit": "user",
            "attributes": ["country"],
            "holdoutamount": "10",
            "primarymetrickey": METRIC,
            "metrics": [{"key": METRIC, "isGroup": False}],
            "prerequisiteflagkey": "holdout-q1",
            "maintainerId": member(client),
        },
    )


def patch_holdout(client: OfficialClient, *instructions: dict[str, Any]) -> Answer:
    return client.holdouts.patch_holdout(
        **HOLDOUT, holdout_patch_input={"instructions": list(instructions)}, content_type=SEMANTIC_PATCH
    )


def create_in_holdout(client: OfficialClient) -> None:
    holdout_id = create_holdout(client)["_id"]
    create(client, holdoutId=holdout_id)


class TestHoldouts:
    def test_a_holdout_is_created(self, client: OfficialClient):
        created = create_holdout(client)

        assert (created.status, created.model) == (201, "HoldoutRep")
        assert created["status"] in ("created", "enabled")
        assert created["holdoutAmount"] == "10"
        assert created["baseExperiment"]["key"] == "q1"
        assert created["baseExperiment"]["name"] == "Q1"

    @pytest.mark.parametrize("by", ["key", "id"])
    def test_a_holdout_is_read(self, client: OfficialClient, by: str):
        created = create_holdout(client)
        read_it: dict[str, Callable[[], Answer]] = {
            "key": lambda: client.holdouts.get_holdout(**HOLDOUT, expand="treatments"),
            "id": lambda: client.holdouts.get_holdout_by_id(**IN_ENVIRONMENT, holdout_id=created["_id"]),
        }

        found = read_it[by]()

        assert found.model == {"key": "HoldoutDetailRep", "id": "HoldoutRep"}[by]
        assert found["_id"] == created["_id"]
        assert found["description"] == "Who sees nothing new this quarter"

    def test_holdouts_are_listed(self, client: OfficialClient):
        create_holdout(client)

        listed = client.holdouts.get_all_holdouts(**IN_ENVIRONMENT, limit=5)

        assert listed.model == "HoldoutsCollectionRep"
        assert keys(listed) == ["q1"]
        assert listed["total_count"] == 1

    def test_a_holdout_is_no_experiment_of_the_list(self, client: OfficialClient):
        create_holdout(client)

        assert client.experiments.get_experiments(**IN_ENVIRONMENT)["items"] == []

    def test_an_experiment_in_a_holdout_names_it_and_is_named_by_it(self, client: OfficialClient):
        create_in_holdout(client)

        holdout = client.holdouts.get_holdout(**HOLDOUT)

        assert read(client)["holdoutId"] == holdout["_id"]
        assert [experiment["key"] for experiment in holdout["relatedExperiments"]] == [KEY]

    def test_an_experiment_leaves_its_holdout(self, client: OfficialClient):
        create_in_holdout(client)

        patch_holdout(client, {"kind": "removeExperiment", "value": KEY})

        assert "holdoutId" not in read(client).value
        assert not client.holdouts.get_holdout(**HOLDOUT).value.get("relatedExperiments")

    def test_an_experiment_in_a_holdout_that_does_not_exist_is_refused(self, client: OfficialClient):
        with refused(400):
            create(client, holdoutId="000000000000000000000000")

    def test_a_holdout_is_renamed_and_described(self, client: OfficialClient):
        create_holdout(client)

        changed = patch_holdout(
            client, {"kind": "updateName", "value": "Winter"}, {"kind": "updateDescription", "value": "d"}
        )

        assert changed["baseExperiment"]["name"] == "Winter"
        assert changed["description"] == "d"

    def test_a_holdout_ends(self, client: OfficialClient):
        create_holdout(client)

        assert patch_holdout(client, {"kind": "endHoldout"})["status"] == "ended"

    def test_a_holdout_that_does_not_exist_is_not_found(self, client: OfficialClient):
        with refused(404):
            client.holdouts.get_holdout(**HOLDOUT)


LAYER = {**IN_PROJECT, "layer_key": "checkout"}


def create_layer(client: OfficialClient) -> Answer:
    return client.layers.create_layer(
        **IN_PROJECT, layer_post={"key": "checkout", "name": "Checkout", "description": "All of the checkout"}
    )


def patch_layer(client: OfficialClient, *instructions: dict[str, Any]) -> Answer:
    body = {"environmentKey": ENVIRONMENT, "comment": "contract test", "instructions": list(instructions)}
    return client.layers.update_layer(**LAYER, layer_patch_input=body, content_type=SEMANTIC_PATCH)


def reserve(client: OfficialClient, percent: int, key: str = KEY) -> Answer:
    return patch_layer(
        client, {"kind": "updateExperimentReservation", "experimentKey": key, "reservationPercent": percent}
    )


class TestLayers:
    def test_a_layer_is_created_and_listed(self, client: OfficialClient):
        created = create_layer(client)

        listed = client.layers.get_layers(**IN_PROJECT)

        assert (created.status, created.model) == (201, "LayerRep")
        assert (listed.model, keys(listed), listed["totalCount"]) == ("LayerCollectionRep", ["checkout"], 1)
        assert listed["items"][0]["description"] == "All of the checkout"

    def test_a_layer_is_renamed_and_described(self, client: OfficialClient):
        create_layer(client)

        changed = patch_layer(
            client, {"kind": "updateName", "name": "C"}, {"kind": "updateDescription", "description": "d"}
        )

        assert (changed["name"], changed["description"]) == ("C", "d")

    def test_an_experiment_reserves_a_share_of_a_layer(self, client: OfficialClient):
        create_layer(client)
        create(client)

        reserved = reserve(client, 40)["environments"][ENVIRONMENT]["reservations"]

        assert reserved == [{"experimentKey": KEY, "flagKey": FLAG, "reservationPercent": 40}]

    def test_a_layer_is_found_by_the_experiment_that_it_holds(self, client: OfficialClient):
        create_layer(client)
        create(client)
        reserve(client, 40)

        def found(key: str) -> list[str]:
            return keys(client.layers.get_layers(**IN_PROJECT, filter=f"reservations.experimentKey contains {key}"))

        assert (found(KEY), found("another")) == (["checkout"], [])

    def test_an_experiment_leaves_its_layer(self, client: OfficialClient):
        create_layer(client)
        create(client)
        reserve(client, 40)

        left = patch_layer(client, {"kind": "removeExperiment", "experimentKey": KEY})

        assert not left.value.get("environments", {}).get(ENVIRONMENT, {}).get("reservations")

    def test_more_than_the_whole_of_a_layer_cannot_be_reserved(self, client: OfficialClient):
        create_layer(client)
        create(client)
        other = experiment_post(read_flag(client), key="another")
        client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=other)
        reserve(client, 60)

        with refused(400):
            reserve(client, 50, "another")

    def test_an_experiment_does_not_start_with_nothing_reserved(self, client: OfficialClient):
        create_layer(client)
        create(client)
        reserve(client, 0)

        with refused(400):
            patch(client, {"kind": "startIteration"})

    def test_a_stopped_iteration_remembers_its_share_of_the_layer(
        self, client: OfficialClient, emulator: EmulatorServer
    ):
        create_layer(client)
        create(client)
        reserve(client, 40)
        patch(client, {"kind": "startIteration"})
        emulator.clock.advance("P1D")

        stop_on(client, "Bold")

        snapshot = client.experiments.get_experiment(**HERE)["currentIteration"]["layerSnapshot"]
        assert snapshot == {
            "key": "checkout",
            "name": "Checkout",
            "reservationPercent": 40,
            "otherReservationPercent": 0,
        }

    def test_a_second_layer_with_the_same_key_is_refused(self, client: OfficialClient):
        create_layer(client)

        with refused(409):
            create_layer(client)
