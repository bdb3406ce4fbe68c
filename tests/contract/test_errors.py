"""What the emulator refuses reaches the official clients as their own exceptions, with LaunchDarkly's codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    create,
    experiment_post,
    patch,
    read_flag,
    start,
    stop_on,
    turn_flag_on,
)
from contract.official import SEMANTIC_PATCH, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import Answer, OfficialClient

OLD, NEW = 17, 25
EXCEPTIONS = {
    400: {OLD: "ApiException", NEW: "BadRequestException"},
    401: {OLD: "UnauthorizedException", NEW: "UnauthorizedException"},
    403: {OLD: "ForbiddenException", NEW: "ForbiddenException"},
    404: {OLD: "NotFoundException", NEW: "NotFoundException"},
    405: {OLD: "ApiException", NEW: "ApiException"},
    409: {OLD: "ApiException", NEW: "ConflictException"},
    422: {OLD: "ApiException", NEW: "UnprocessableEntityException"},
    429: {OLD: "ApiException", NEW: "ApiException"},
    500: {OLD: "ServiceException", NEW: "ServiceException"},
}


def refusal(client: OfficialClient, status: int, code: str, do: Callable[..., Answer], **arguments: Any) -> Refusal:
    """What comes of a call that has to be refused: the client's exception for that status, with code, text and id."""
    with pytest.raises(Refusal) as refused:
        do(**arguments)
    found = refused.value
    assert (found.status, found.code) == (status, code), found
    assert found.raised == EXCEPTIONS[status][client.generation]
    assert found.message
    assert found.support_id
    return found


@pytest.mark.parametrize("token", ["api-nobody", "sdk-emulator-production", "mob-emulator-production"])
def test_a_wrong_token_or_an_sdk_key_is_unauthorized(client: OfficialClient, token: str) -> None:
    stranger = client.like(token=token)

    refusal(client, 401, "unauthorized", stranger.projects.get_project, **IN_PROJECT)
    refusal(client, 401, "unauthorized", stranger.feature_flags.get_feature_flag, **ITS_FLAG)
    refusal(client, 401, "unauthorized", stranger.experiments.get_experiments, **IN_ENVIRONMENT)


def test_an_sdk_key_can_still_say_who_it_is(client: OfficialClient) -> None:
    caller = client.like(token="sdk-emulator-production").other.get_caller_identity()

    assert caller["environmentName"] == "Production"


def test_a_token_without_access_to_the_project_is_forbidden(client: OfficialClient) -> None:
    outsider = client.like(token="api-outsider")

    refusal(client, 403, "forbidden", outsider.projects.get_project, **IN_PROJECT)


def test_a_reader_may_not_write(client: OfficialClient) -> None:
    post = experiment_post(read_flag(client))
    reader = client.like(token="api-reader")

    refusal(client, 403, "forbidden", reader.experiments.create_experiment, **IN_ENVIRONMENT, experiment_post=post)


def test_metric_groups_are_forbidden_without_the_beta_header(client: OfficialClient) -> None:
    without = client.like(api_version="20240415")

    refusal(client, 403, "forbidden", without.metrics_beta.get_metric_groups, **IN_PROJECT)
    assert client.metrics_beta.get_metric_groups(**IN_PROJECT).model == "MetricGroupCollectionRep"


def test_experiments_are_forbidden_without_the_beta_header_where_it_is_demanded(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    emulator.switch(beta_header="strict")
    without = client.like(api_version="20240415")

    refusal(client, 403, "forbidden", without.experiments.get_experiments, **IN_ENVIRONMENT)
    assert client.experiments.get_experiments(**IN_ENVIRONMENT)["items"] == []


def test_what_does_not_exist_is_not_found(client: OfficialClient) -> None:
    nowhere = {**IN_PROJECT, "environment_key": "nowhere"}

    refusal(client, 404, "not_found", client.projects.get_project, project_key="nothing")
    refusal(client, 404, "not_found", client.feature_flags.get_feature_flag, **ITS_FLAG | {"feature_flag_key": "no"})
    refusal(client, 404, "not_found", client.metrics.get_metric, **IN_PROJECT, metric_key="nothing")
    refusal(client, 404, "not_found", client.metrics_beta.get_metric_group, **IN_PROJECT, metric_group_key="nothing")
    refusal(client, 404, "not_found", client.experiments.get_experiments, **nowhere)
    refusal(client, 404, "not_found", client.experiments.get_experiment, **HERE)


def test_a_second_experiment_with_the_same_key_is_a_conflict(client: OfficialClient) -> None:
    create(client)
    post = experiment_post(read_flag(client))

    found = refusal(
        client,
        409,
        "optimistic_locking_error",
        client.experiments.create_experiment,
        **IN_ENVIRONMENT,
        experiment_post=post,
    )

    assert KEY in found.message


def test_starting_on_a_rule_that_another_experiment_runs_on_is_a_conflict(client: OfficialClient) -> None:
    start(client)
    create(client, key="the-other-one")

    refusal(
        client,
        409,
        "optimistic_locking_error",
        client.experiments.patch_experiment,
        **HERE | {"experiment_key": "the-other-one"},
        experiment_patch_input={"instructions": [{"kind": "startIteration"}]},
        content_type=SEMANTIC_PATCH,
    )


def test_changing_what_a_rule_serves_while_an_experiment_runs_on_it_is_a_conflict(client: OfficialClient) -> None:
    start(client)
    bold = read_flag(client)["variations"][1]["_id"]
    instruction = {"kind": "updateFallthroughVariationOrRollout", "variationId": bold}

    refusal(
        client,
        409,
        "optimistic_locking_error",
        client.feature_flags.patch_feature_flag,
        **ITS_FLAG,
        patch_with_comment={"environmentKey": ENVIRONMENT, "instructions": [instruction]},
        content_type=SEMANTIC_PATCH,
    )


def test_a_flag_version_that_is_not_the_present_one_is_a_conflict(client: OfficialClient) -> None:
    before = read_flag(client)
    turn_flag_on(client)
    post = experiment_post(before)

    refusal(
        client,
        409,
        "optimistic_locking_error",
        client.experiments.create_experiment,
        **IN_ENVIRONMENT,
        experiment_post=post,
    )


def bad_iterations() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """What is wrong with an iteration, and how to make it so."""
    return {
        "shares that do not add up": lambda it: it["treatments"][0].update(allocationPercent="49"),
        "no baseline": lambda it: it["treatments"][0].update(baseline=False),
        "two baselines": lambda it: it["treatments"][1].update(baseline=True),
        "unknown metric": lambda it: it["metrics"].append({"key": "no-such-metric"}),
        "primary metric not measured": lambda it: it.update(primarySingleMetricKey="revenue-per-user"),
        "no primary metric": lambda it: it.pop("primarySingleMetricKey"),
        "unknown randomization unit": lambda it: it.update(randomizationUnit="planet"),
        "unknown variation": lambda it: it["treatments"][1]["parameters"][0].update(variationId="nothing"),
        "unknown rule": lambda it: it["flags"][FLAG].update(ruleId="nothing"),
        "no metrics": lambda it: it.update(metrics=[]),
    }


@pytest.mark.parametrize("wrong", bad_iterations())
def test_an_experiment_that_makes_no_sense_is_a_bad_request(client: OfficialClient, wrong: str) -> None:
    post = experiment_post(turn_flag_on(client))
    bad_iterations()[wrong](post["iteration"])

    refusal(
        client,
        400,
        "invalid_request",
        client.experiments.create_experiment,
        **IN_ENVIRONMENT,
        experiment_post=post,
    )


def test_a_refused_create_leaves_nothing_behind(client: OfficialClient, emulator: EmulatorServer) -> None:
    post = experiment_post(turn_flag_on(client))
    post["iteration"]["metrics"] = []

    refusal(
        client, 400, "invalid_request", client.experiments.create_experiment, **IN_ENVIRONMENT, experiment_post=post
    )

    assert client.experiments.get_experiments(**IN_ENVIRONMENT)["items"] == []
    assert emulator.effects("experiment.created") == []


def test_a_flag_that_is_off_cannot_carry_an_experiment(client: OfficialClient) -> None:
    client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=experiment_post(read_flag(client)))

    found = refusal(client, 400, "invalid_request", lambda: patch(client, {"kind": "startIteration"}))

    assert FLAG in found.message


def test_stopping_needs_a_winner(client: OfficialClient) -> None:
    start(client)

    refusal(client, 400, "invalid_request", lambda: patch(client, {"kind": "stopIteration", "winningReason": "bored"}))


def test_the_winner_has_to_be_a_treatment_of_the_iteration(client: OfficialClient) -> None:
    start(client)
    stop = {"kind": "stopIteration", "winningTreatmentId": "nobody", "winningReason": "none"}

    refusal(client, 400, "invalid_request", lambda: patch(client, stop))


def test_what_does_not_run_cannot_be_stopped(client: OfficialClient) -> None:
    start(client)
    stop_on(client, "Bold")

    refusal(client, 400, "invalid_request", lambda: stop_on(client, "Bold"))


def test_a_running_experiment_is_not_restarted_without_a_justification(client: OfficialClient) -> None:
    start(client)

    refusal(client, 400, "invalid_request", lambda: patch(client, {"kind": "startIteration"}))


def test_an_instruction_that_does_not_exist_fails_the_patch(client: OfficialClient) -> None:
    create(client)

    refusal(client, 422, "patch_failed", lambda: patch(client, {"kind": "pauseIteration"}))


def test_a_patch_takes_effect_whole_or_not_at_all(client: OfficialClient) -> None:
    create(client)

    refusal(
        client,
        422,
        "patch_failed",
        lambda: patch(client, {"kind": "updateName", "value": "renamed"}, {"kind": "pauseIteration"}),
    )

    assert client.experiments.get_experiment(**HERE)["name"] == "A bold checkout button"


def test_a_flags_semantic_patch_without_its_content_type_is_a_bad_request(client: OfficialClient) -> None:
    refusal(
        client,
        400,
        "invalid_request",
        client.feature_flags.patch_feature_flag,
        **ITS_FLAG,
        patch_with_comment={"environmentKey": ENVIRONMENT, "instructions": [{"kind": "turnFlagOn"}]},
    )


def test_an_experiments_patch_without_its_content_type_is_a_bad_request_where_it_is_demanded(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    create(client)
    emulator.switch(content_type="strict")

    refusal(
        client,
        400,
        "invalid_request",
        client.experiments.patch_experiment,
        **HERE,
        experiment_patch_input={"instructions": [{"kind": "startIteration"}]},
    )


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (500, "internal_server_error")])
def test_trouble_of_the_service_reaches_the_client(
    client: OfficialClient, emulator: EmulatorServer, status: int, code: str
) -> None:
    emulator.fault("get_metric", "status", status=status)

    refusal(client, status, code, client.metrics.get_metric, **IN_PROJECT, metric_key=METRIC)


@pytest.mark.parametrize("wrong", ["limit", "offset"])
def test_a_page_that_cannot_be_is_a_bad_request(client: OfficialClient, wrong: str) -> None:
    refusal(client, 400, "invalid_request", client.experiments.get_experiments, **IN_ENVIRONMENT, **{wrong: -1})


def test_errors_have_the_class_that_the_newest_client_expects(client: OfficialClient) -> None:
    expected = {OLD: None, NEW: "NotFoundErrorRep"}

    assert (
        refusal(client, 404, "not_found", client.experiments.get_experiment, **HERE).model
        == (expected[client.generation])
    )
