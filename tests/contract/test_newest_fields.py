"""What came after client 17.2.0, in the words of client 25.0.1."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contract.checkout import (
    ENVIRONMENT,
    EVERYTHING,
    FLAG,
    IN_ENVIRONMENT,
    IN_PROJECT,
    ITS_FLAG,
    KEY,
    create,
    experiment_post,
    id_of,
    patch,
    read,
    read_flag,
    start,
    stop_on,
    turn_flag_on,
)
from contract.official import SEMANTIC_PATCH, OfficialClient, refused

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import ClientProcess

ANALYSIS = {
    "bayesianThreshold": "95",
    "significanceThreshold": "5",
    "testDirection": "two-sided",
    "multipleComparisonCorrectionMethod": "bonferroni",
    "multipleComparisonCorrectionScope": "variations-and-metrics",
    "sequentialTestingEnabled": True,
}


@pytest.fixture
def client(processes: dict[str, ClientProcess], emulator: EmulatorServer) -> OfficialClient:
    return OfficialClient(processes["25.0.1"], processes["25.0.1"], emulator)


def test_every_field_that_an_experiment_is_created_with_can_be_read_back(client: OfficialClient) -> None:
    member = client.other.get_caller_identity()["memberId"]
    create(
        client,
        methodology="frequentist",
        analysisConfig=ANALYSIS,
        tags=["checkout", "q1"],
        maintainerId=member,
        dataSource="launchdarkly",
        type="experiment",
    )

    experiment = read(client, expand=EVERYTHING)

    assert experiment["methodology"] == "frequentist"
    assert experiment["analysisConfig"] == ANALYSIS
    assert experiment["tags"] == ["checkout", "q1"]
    assert experiment["_maintainerId"] == member
    assert (experiment["dataSource"], experiment["type"]) == ("launchdarkly", "experiment")


def test_the_analysis_is_shown_only_when_it_is_expanded(client: OfficialClient) -> None:
    create(client, analysisConfig=ANALYSIS)

    assert "analysisConfig" not in read(client, expand="treatments").value


def test_an_experiment_says_which_of_its_fields_may_change_when(client: OfficialClient) -> None:
    create(client)

    mutable = read(client, expand="mutableFieldsByStatus")["mutableFieldsByStatus"]

    assert mutable.keys() == {"not_started", "running", "stopped"}
    assert "update" in mutable["stopped"]["name"]
    assert "hypothesis" in mutable["not_started"]
    assert "hypothesis" not in mutable["running"]


def test_a_bandit_moves_its_traffic_to_what_is_better(client: OfficialClient, emulator: EmulatorServer) -> None:
    post = experiment_post(turn_flag_on(client), type="mab", methodology="bayesian")
    post["iteration"]["reallocationFrequencyMillis"] = 3_600_000
    client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=post)
    patch(client, {"kind": "startIteration"})
    emulator.clock.advance("P21D")

    experiment = read(client)

    shares = {arm["name"]: Decimal(arm["allocationPercent"]) for arm in experiment["currentIteration"]["treatments"]}
    assert experiment["type"] == "mab"
    assert experiment["currentIteration"]["reallocationFrequencyMillis"] == 3_600_000
    assert sum(shares.values()) == 100
    assert shares["Bold"] > 90


def test_a_bandit_is_bayesian(client: OfficialClient) -> None:
    with refused(400):
        create(client, type="mab", methodology="frequentist")


def test_experiments_of_all_environments_are_listed_together(client: OfficialClient) -> None:
    create(client)
    flag = read_flag(client)
    post = experiment_post(flag, key="in-test")
    post["iteration"]["flags"][FLAG]["flagConfigVersion"] = flag["environments"]["test"]["version"]
    client.experiments.create_experiment(project_key="demo", environment_key="test", experiment_post=post)

    found = client.experiments.get_experiments_any_env(**IN_PROJECT, expand="treatments")

    assert {(item["environmentKey"], item["key"]) for item in found["items"]} == {
        ("production", KEY),
        ("test", "in-test"),
    }
    assert found["total_count"] == 2


def test_a_metric_can_be_analysed_by_another_unit(client: OfficialClient) -> None:
    post = experiment_post(turn_flag_on(client))
    post["iteration"]["metrics"][0]["analysisUnit"] = "organization"
    client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=post)

    assert read(client)["currentIteration"]["metrics"][0]["analysisUnit"] == "organization"


def test_a_covariate_file_is_kept_with_the_iteration(client: OfficialClient) -> None:
    post = experiment_post(turn_flag_on(client))
    post["iteration"]["covariateId"] = "spend-last-month"
    client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=post)

    assert read(client)["currentIteration"]["covariateInfo"]["id"] == "spend-last-month"


def test_a_stopped_experiments_winner_is_one_of_its_treatments(client: OfficialClient) -> None:
    start(client)
    bold = id_of(client, "Bold")

    stop_on(client, "Bold")

    assert read(client)["currentIteration"]["winningTreatmentId"] == bold


def test_a_preview_of_a_flags_patch_changes_nothing(client: OfficialClient) -> None:
    body = {"environmentKey": ENVIRONMENT, "instructions": [{"kind": "turnFlagOn"}]}

    preview = client.feature_flags.patch_feature_flag(
        **ITS_FLAG,
        patch_with_comment=body,
        dry_run=True,
        content_type=SEMANTIC_PATCH,
    )

    assert preview["environments"][ENVIRONMENT]["on"] is True
    assert read_flag(client)["environments"][ENVIRONMENT]["on"] is False
