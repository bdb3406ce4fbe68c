"""LaunchDarkly's own clients go the whole way on the emulator: from who am I to a flag that serves the winner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract.checkout import (
    ENVIRONMENT,
    FLAG,
    HERE,
    IN_ENVIRONMENT,
    IN_PROJECT,
    ITS_FLAG,
    KEY,
    METRIC,
    PROJECT,
    create,
    iteration_input,
    patch,
    read,
    read_flag,
    start,
    stop_on,
    turn_flag_on,
)
from contract.official import SEMANTIC_PATCH

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import OfficialClient


def test_a_token_says_whose_it_is(client: OfficialClient) -> None:
    caller = client.other.get_caller_identity()

    assert caller.model == "CallerIdentityRep"
    assert caller["authKind"] == "token"
    assert caller["serviceToken"] is False
    assert caller["memberId"]


def test_a_project_is_read_without_its_environments_unless_they_are_expanded(client: OfficialClient) -> None:
    plain = client.projects.get_project(**IN_PROJECT)
    expanded = client.projects.get_project(**IN_PROJECT, expand="environments")

    assert plain.model == "Project"
    assert plain["key"] == PROJECT
    assert "environments" not in plain.value
    assert [environment["key"] for environment in expanded["environments"]["items"]] == ["production", "test"]


def test_a_flag_is_read_with_the_ids_of_its_variations_and_its_version_in_each_environment(
    client: OfficialClient,
) -> None:
    flag = read_flag(client)

    assert flag.model == "FeatureFlag"
    assert [variation["value"] for variation in flag["variations"]] == ["classic", "bold"]
    assert all(variation["_id"] for variation in flag["variations"])
    assert {key: config["version"] for key, config in flag["environments"].items()} == {"production": 1, "test": 1}


def test_a_flag_read_for_one_environment_shows_only_that_one(client: OfficialClient) -> None:
    flag = client.feature_flags.get_feature_flag(**ITS_FLAG, env=ENVIRONMENT)

    assert list(flag["environments"]) == [ENVIRONMENT]


def test_a_semantic_patch_turns_the_flag_on_in_one_environment_and_counts_its_version(client: OfficialClient) -> None:
    flag = turn_flag_on(client)

    production, test = flag["environments"]["production"], flag["environments"]["test"]
    assert (production["on"], production["version"]) == (True, 2)
    assert (test["on"], test["version"]) == (False, 1)


def test_turning_on_a_flag_that_is_on_changes_nothing(client: OfficialClient) -> None:
    first, second = turn_flag_on(client), turn_flag_on(client)

    assert first.value == second.value


def test_a_metric_is_read_with_its_direction(client: OfficialClient) -> None:
    conversion = client.metrics.get_metric(**IN_PROJECT, metric_key=METRIC)
    page_load = client.metrics.get_metric(**IN_PROJECT, metric_key="page-load-ms")

    assert conversion.model == page_load.model == "MetricRep"
    assert (conversion["isNumeric"], conversion["successCriteria"]) == (False, "HigherThanBaseline")
    assert (page_load["isNumeric"], page_load["successCriteria"]) == (True, "LowerThanBaseline")
    assert page_load["unit"] == "ms"


def test_an_experiment_is_created_with_its_first_iteration_not_started(client: OfficialClient) -> None:
    created = create(client)

    assert (created.status, created.model) == (201, "Experiment")
    assert (created["key"], created["environmentKey"]) == (KEY, ENVIRONMENT)
    assert created["name"] == "A bold checkout button"
    assert created["currentIteration"]["status"] == "not_started"
    assert created["currentIteration"]["hypothesis"] == "A bold button sells more"


def test_an_experiment_belongs_to_the_member_whose_token_created_it(client: OfficialClient) -> None:
    assert create(client)["_maintainerId"] == client.other.get_caller_identity()["memberId"]


def test_an_experiment_read_with_every_expand_shows_what_it_was_created_with(client: OfficialClient) -> None:
    create(client)

    iteration = read(client)["currentIteration"]

    variations = {variation["name"]: variation["_id"] for variation in read_flag(client)["variations"]}
    assert [
        (arm["name"], arm["baseline"], arm["allocationPercent"], arm["parameters"][0]["variationId"])
        for arm in iteration["treatments"]
    ] == [("Classic", True, "50", variations["Classic"]), ("Bold", False, "50", variations["Bold"])]
    assert iteration["primarySingleMetric"]["key"] == METRIC
    assert [(metric["key"], metric["isGroup"]) for metric in iteration["metrics"]] == [
        (METRIC, False),
        ("page-load-ms", False),
        ("signup-funnel", True),
    ]
    assert [metric["key"] for metric in iteration["secondaryMetrics"]] == ["page-load-ms"]
    assert iteration["flags"][FLAG]["targetingRule"] == "fallthrough"
    assert iteration["flags"][FLAG]["flagConfigVersion"] == 2
    assert iteration["flags"][FLAG]["notInExperimentVariationId"] == variations["Classic"]
    assert (iteration["randomizationUnit"], iteration["attributes"]) == ("user", ["country"])


def test_parts_that_are_not_expanded_are_not_there(client: OfficialClient) -> None:
    create(client)

    experiment = client.experiments.get_experiment(**HERE)

    assert not {"treatments", "secondaryMetrics"} & experiment["currentIteration"].keys()


def test_parts_that_are_empty_are_not_there_even_when_expanded(client: OfficialClient) -> None:
    create(client)

    assert not {"draftIteration", "previousIterations"} & read(client).value.keys()


@pytest.mark.parametrize("field", ["draftIteration", "previousIterations", "secondaryMetrics", "treatments"])
def test_each_expand_can_be_asked_for_alone(client: OfficialClient, field: str) -> None:
    create(client)

    assert read(client, expand=field)["key"] == KEY


def test_experiments_are_listed_with_their_count(client: OfficialClient) -> None:
    create(client)

    listed = client.experiments.get_experiments(**IN_ENVIRONMENT, expand="treatments")

    assert listed.model == "ExperimentCollectionRep"
    assert [experiment["key"] for experiment in listed["items"]] == [KEY]
    assert len(listed["items"][0]["currentIteration"]["treatments"]) == 2
    assert listed["total_count"] == 1


@pytest.mark.parametrize(
    ("asked_for", "found"),
    [
        (f"flagKey:{FLAG}", True),
        ("flagKey:search-ranking", False),
        (f"metricKey:{METRIC}", True),
        ("status:running", True),
        ("status:stopped", False),
        (f"flagKey:{FLAG},status:running,metricKey:{METRIC}", True),
        (f"flagKey:{FLAG},status:stopped", False),
    ],
)
def test_a_list_of_experiments_is_filtered(client: OfficialClient, asked_for: str, found: bool) -> None:
    start(client)

    listed = client.experiments.get_experiments(**IN_ENVIRONMENT, filter=asked_for)

    assert bool(listed["items"]) is found


def test_a_list_of_experiments_is_read_page_by_page(client: OfficialClient) -> None:
    create(client)
    for number in range(2):
        create(client, key=f"another-{number}")

    first = client.experiments.get_experiments(**IN_ENVIRONMENT, limit=2)
    second = client.experiments.get_experiments(**IN_ENVIRONMENT, limit=2, offset=2)

    assert (len(first["items"]), len(second["items"])) == (2, 1)
    assert first["total_count"] == second["total_count"] == 3
    assert "next" in first["_links"]
    assert "next" not in second["_links"]


def test_an_iteration_is_created_and_waits_beside_the_running_one(client: OfficialClient) -> None:
    running = start(client)["currentIteration"]

    created = client.experiments.create_iteration(
        **HERE, iteration_input=iteration_input(read_flag(client), hypothesis="Once more, with patience")
    )

    experiment = read(client)
    assert (created.status, created.model) == (200, "IterationRep")
    assert created["status"] == "not_started"
    assert created["hypothesis"] == "Once more, with patience"
    assert experiment["draftIteration"]["_id"] == created["_id"]
    assert experiment["currentIteration"]["_id"] == running["_id"]


def test_an_iteration_is_started_by_the_servers_clock(client: OfficialClient, emulator: EmulatorServer) -> None:
    created = create(client)
    emulator.clock.advance("PT1H")

    started = patch(client, {"kind": "startIteration"})["currentIteration"]

    assert started["_id"] == created["currentIteration"]["_id"]
    assert started["status"] == "running"
    assert started["startedAt"] == emulator.clock.now().timestamp() * 1000
    assert started["startedAt"] - started["createdAt"] == 3_600_000


def test_a_running_experiment_is_seen_on_the_flags_rule(client: OfficialClient) -> None:
    start(client)

    production = read_flag(client)["environments"][ENVIRONMENT]

    rollout = production["fallthrough"]["rollout"]
    assert [(arm["variation"], arm["weight"]) for arm in rollout["variations"] if not arm.get("_untracked")] == [
        (0, 50_000),
        (1, 50_000),
    ]
    assert rollout["experimentAllocation"]["defaultVariation"] == 0
    assert production["version"] == 3


@pytest.mark.parametrize(("winner", "variation"), [("Bold", 1), ("Classic", 0)])
def test_a_stopped_experiment_serves_its_winner_to_everybody(
    client: OfficialClient, winner: str, variation: int
) -> None:
    start(client)

    stopped = stop_on(client, winner, reason="seen enough")["currentIteration"]

    production = read_flag(client)["environments"][ENVIRONMENT]
    assert stopped["status"] == "stopped"
    assert stopped["winningReason"] == "seen enough"
    assert stopped["winningTreatmentId"] == next(
        arm["_id"] for arm in read(client)["currentIteration"]["treatments"] if arm["name"] == winner
    )
    assert stopped["endedAt"] >= stopped["startedAt"]
    assert production["on"] is True
    assert production["fallthrough"] == {"variation": variation}
    assert production["version"] == 4


def test_a_new_iteration_of_a_stopped_experiment_takes_its_place_and_the_old_one_is_kept(
    client: OfficialClient,
) -> None:
    start(client)
    old = stop_on(client, "Classic")["currentIteration"]
    client.experiments.create_iteration(**HERE, iteration_input=iteration_input(read_flag(client)))

    new = patch(client, {"kind": "startIteration"})["currentIteration"]

    assert new["_id"] != old["_id"]
    assert [iteration["_id"] for iteration in read(client)["previousIterations"]] == [old["_id"]]


def test_experiments_are_patched_with_the_content_type_that_the_client_sends_by_itself(client: OfficialClient) -> None:
    create(client)

    started = client.experiments.patch_experiment(
        **HERE, experiment_patch_input={"instructions": [{"kind": "startIteration"}]}
    )

    assert started["currentIteration"]["status"] == "running"


def test_a_client_that_sets_no_api_version_goes_the_same_way(client: OfficialClient) -> None:
    untouched = client.like(api_version=None)
    start(untouched)

    assert stop_on(untouched, "Bold")["currentIteration"]["status"] == "stopped"


def test_a_flag_is_patched_by_several_instructions_or_not_at_all(client: OfficialClient) -> None:
    bold = read_flag(client)["variations"][1]["_id"]

    flag = client.feature_flags.patch_feature_flag(
        **ITS_FLAG,
        patch_with_comment={
            "environmentKey": ENVIRONMENT,
            "comment": "half of them",
            "instructions": [
                {"kind": "turnFlagOn"},
                {"kind": "updateFallthroughVariationOrRollout", "variationId": bold},
            ],
        },
        content_type=SEMANTIC_PATCH,
    )

    production = flag["environments"][ENVIRONMENT]
    assert (production["on"], production["fallthrough"]) == (True, {"variation": 1})
    assert production["version"] == 2
