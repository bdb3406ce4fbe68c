"""LaunchDarkly's own clients keep people out of experiments by holdouts, and experiments apart by layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import (
    ENVIRONMENT,
    FLAG,
    HERE,
    IN_ENVIRONMENT,
    IN_PROJECT,
    KEY,
    METRIC,
    create,
    experiment_post,
    patch,
    read,
    read_flag,
    stop_on,
)
from contract.official import SEMANTIC_PATCH, OfficialClient, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import Answer


def keys(listed: Answer) -> list[str]:
    return [item["key"] for item in listed["items"]]


def member(client: OfficialClient) -> str:
    found: str = client.other.get_caller_identity()["memberId"]
    return found


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
    def test_a_holdout_is_created(self, client: OfficialClient) -> None:
        created = create_holdout(client)

        assert (created.status, created.model) == (201, "HoldoutRep")
        assert created["status"] in ("created", "enabled")
        assert created["holdoutAmount"] == "10"
        assert created["baseExperiment"]["key"] == "q1"
        assert created["baseExperiment"]["name"] == "Q1"

    @pytest.mark.parametrize("by", ["key", "id"])
    def test_a_holdout_is_read(self, client: OfficialClient, by: str) -> None:
        created = create_holdout(client)
        read_it: dict[str, Callable[[], Answer]] = {
            "key": lambda: client.holdouts.get_holdout(**HOLDOUT, expand="treatments"),
            "id": lambda: client.holdouts.get_holdout_by_id(**IN_ENVIRONMENT, holdout_id=created["_id"]),
        }

        found = read_it[by]()

        assert found.model == {"key": "HoldoutDetailRep", "id": "HoldoutRep"}[by]
        assert found["_id"] == created["_id"]
        assert found["description"] == "Who sees nothing new this quarter"

    def test_holdouts_are_listed(self, client: OfficialClient) -> None:
        create_holdout(client)

        listed = client.holdouts.get_all_holdouts(**IN_ENVIRONMENT, limit=5)

        assert listed.model == "HoldoutsCollectionRep"
        assert keys(listed) == ["q1"]
        assert listed["total_count"] == 1

    def test_a_holdout_is_no_experiment_of_the_list(self, client: OfficialClient) -> None:
        create_holdout(client)

        assert client.experiments.get_experiments(**IN_ENVIRONMENT)["items"] == []

    def test_an_experiment_in_a_holdout_names_it_and_is_named_by_it(self, client: OfficialClient) -> None:
        create_in_holdout(client)

        holdout = client.holdouts.get_holdout(**HOLDOUT)

        assert read(client)["holdoutId"] == holdout["_id"]
        assert [experiment["key"] for experiment in holdout["relatedExperiments"]] == [KEY]

    def test_an_experiment_leaves_its_holdout(self, client: OfficialClient) -> None:
        create_in_holdout(client)

        patch_holdout(client, {"kind": "removeExperiment", "value": KEY})

        assert "holdoutId" not in read(client).value
        assert not client.holdouts.get_holdout(**HOLDOUT).value.get("relatedExperiments")

    def test_an_experiment_in_a_holdout_that_does_not_exist_is_refused(self, client: OfficialClient) -> None:
        with refused(400):
            create(client, holdoutId="000000000000000000000000")

    def test_a_holdout_is_renamed_and_described(self, client: OfficialClient) -> None:
        create_holdout(client)

        changed = patch_holdout(
            client, {"kind": "updateName", "value": "Winter"}, {"kind": "updateDescription", "value": "d"}
        )

        assert changed["baseExperiment"]["name"] == "Winter"
        assert changed["description"] == "d"

    def test_a_holdout_ends(self, client: OfficialClient) -> None:
        create_holdout(client)

        assert patch_holdout(client, {"kind": "endHoldout"})["status"] == "ended"

    def test_a_holdout_that_does_not_exist_is_not_found(self, client: OfficialClient) -> None:
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
    def test_a_layer_is_created_and_listed(self, client: OfficialClient) -> None:
        created = create_layer(client)

        listed = client.layers.get_layers(**IN_PROJECT)

        assert (created.status, created.model) == (201, "LayerRep")
        assert (listed.model, keys(listed), listed["totalCount"]) == ("LayerCollectionRep", ["checkout"], 1)
        assert listed["items"][0]["description"] == "All of the checkout"

    def test_a_layer_is_renamed_and_described(self, client: OfficialClient) -> None:
        create_layer(client)

        changed = patch_layer(
            client, {"kind": "updateName", "name": "C"}, {"kind": "updateDescription", "description": "d"}
        )

        assert (changed["name"], changed["description"]) == ("C", "d")

    def test_an_experiment_reserves_a_share_of_a_layer(self, client: OfficialClient) -> None:
        create_layer(client)
        create(client)

        reserved = reserve(client, 40)["environments"][ENVIRONMENT]["reservations"]

        assert reserved == [{"experimentKey": KEY, "flagKey": FLAG, "reservationPercent": 40}]

    def test_a_layer_is_found_by_the_experiment_that_it_holds(self, client: OfficialClient) -> None:
        create_layer(client)
        create(client)
        reserve(client, 40)

        def found(key: str) -> list[str]:
            return keys(client.layers.get_layers(**IN_PROJECT, filter=f"reservations.experimentKey contains {key}"))

        assert (found(KEY), found("another")) == (["checkout"], [])

    def test_an_experiment_leaves_its_layer(self, client: OfficialClient) -> None:
        create_layer(client)
        create(client)
        reserve(client, 40)

        left = patch_layer(client, {"kind": "removeExperiment", "experimentKey": KEY})

        assert not left.value.get("environments", {}).get(ENVIRONMENT, {}).get("reservations")

    def test_more_than_the_whole_of_a_layer_cannot_be_reserved(self, client: OfficialClient) -> None:
        create_layer(client)
        create(client)
        other = experiment_post(read_flag(client), key="another")
        client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=other)
        reserve(client, 60)

        with refused(400):
            reserve(client, 50, "another")

    def test_an_experiment_does_not_start_with_nothing_reserved(self, client: OfficialClient) -> None:
        create_layer(client)
        create(client)
        reserve(client, 0)

        with refused(400):
            patch(client, {"kind": "startIteration"})

    def test_a_stopped_iteration_remembers_its_share_of_the_layer(
        self, client: OfficialClient, emulator: EmulatorServer
    ) -> None:
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

    def test_a_second_layer_with_the_same_key_is_refused(self, client: OfficialClient) -> None:
        create_layer(client)

        # Of the errors that LaunchDarkly lists for this call, 400 is the one that fits; 409 is not among them.
        with refused(400):
            create_layer(client)
