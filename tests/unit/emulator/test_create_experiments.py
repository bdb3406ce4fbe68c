"""Creating experiments and iterations: the accepted and the rejected requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.emulator_caller import Caller


def test_a_new_experiment_shows_its_first_iteration_as_current_and_not_started(api: Caller) -> None:
    created = api.create()
    assert created["key"] == "bold"
    assert created["environmentKey"] == "production"
    assert created["currentIteration"]["status"] == "not_started"
    assert "startedAt" not in created["currentIteration"]
    assert "draftIteration" not in api.read()


def test_creating_an_experiment_answers_201_and_creating_an_iteration_200(api: Caller) -> None:
    assert api.post(api.experiments, api.experiment()).status_code == 201
    assert api.post(f"{api.experiments}/bold/iterations", api.iteration()).status_code == 200


def test_an_experiment_belongs_to_the_member_of_the_token(api: Caller) -> None:
    member = api.get("/api/v2/caller-identity").json()["memberId"]
    assert api.create()["_maintainerId"] == member


def test_a_service_token_has_to_name_the_maintainer(api: Caller) -> None:
    member = api.create("first")["_maintainerId"]
    as_service = {"Authorization": "api-service"}
    response = api.post(api.experiments, api.experiment("second"), headers=as_service)
    assert error_of(response)[:2] == (400, "invalid_request")
    response = api.post(api.experiments, api.experiment("second", maintainerId=member), headers=as_service)
    assert response.json()["_maintainerId"] == member


def test_a_key_can_be_used_once_in_an_environment_and_again_in_another(api: Caller) -> None:
    api.create()
    assert error_of(api.post(api.experiments, api.experiment()))[:2] == (409, "optimistic_locking_error")
    elsewhere = "/api/v2/projects/demo/environments/test/experiments"
    assert api.post(elsewhere, api.experiment()).status_code == 201


def test_unknown_fields_are_ignored(api: Caller) -> None:
    created = api.create(nmae="typo", iteration=api.iteration(hypotesis="typo"))
    assert "nmae" not in created


def test_numbers_are_taken_as_allocations_and_given_back_as_text(api: Caller) -> None:
    iteration = api.iteration()
    iteration["treatments"][0]["allocationPercent"] = 33.5
    iteration["treatments"][1]["allocationPercent"] = 66.5
    assert [t["allocationPercent"] for t in _treatments(api.create(iteration=iteration))] == ["33.5", "66.5"]


def test_the_variation_outside_the_experiment_is_the_baselines_unless_named(api: Caller) -> None:
    flag = api.flag()
    created = api.create()
    use = created["currentIteration"]["flags"]["checkout-button"]
    assert use["notInExperimentVariationId"] == flag["variations"][0]["_id"]


def test_treatments_have_ids_of_their_own_unless_switched(api: Caller) -> None:
    variations = {variation["_id"] for variation in api.flag()["variations"]}
    assert not variations & {t["_id"] for t in _treatments(api.create("own"))}
    api.server.switch(treatment_ids="variation")
    assert variations == {t["_id"] for t in _treatments(api.create("shared"))}


def test_a_funnel_can_be_the_primary_metric(api: Caller) -> None:
    iteration = api.iteration(metrics=[{"key": "signup-funnel", "isGroup": True}], primaryFunnelKey="signup-funnel")
    del iteration["primarySingleMetricKey"]
    current = api.create(iteration=iteration)["currentIteration"]
    assert [metric["key"] for metric in current["primaryFunnel"]["metrics"]] == [
        "signup-form-opened",
        "signup-form-sent",
        "signup-confirmed",
    ]


def _treatments(created: dict[str, Any]) -> Any:
    return created["currentIteration"]["treatments"]


def _remove(*path: str | int) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for name in path[:-1]:
            body = body[name]
        del body[path[-1]]

    return change


def _put(value: Any, *path: str | int) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for name in path[:-1]:
            body = body[name]
        body[path[-1]] = value

    return change


WRONG = {
    "no name": (_remove("name"), "name is required"),
    "an empty name": (_put("  ", "name"), "name must not be empty"),
    "a name that is a number": (_put(7, "name"), "name must be a string"),
    "a key with a space": (_put("my key", "key"), "key must start"),
    "an unknown methodology": (_put("guessing", "methodology"), "methodology must be one of"),
    "an unknown maintainer": (_put("nobody", "maintainerId"), "there is no member 'nobody'"),
    "tags that are no list": (_put("a,b", "tags"), "tags must be a list"),
    "no iteration": (_remove("iteration"), "iteration is required"),
    "an iteration that is a list": (_put([], "iteration"), "iteration must be a JSON object"),
    "no hypothesis": (_remove("iteration", "hypothesis"), "iteration.hypothesis is required"),
    "no metrics": (_put([], "iteration", "metrics"), "iteration.metrics must not be empty"),
    "an unknown metric": (_put("nothing", "iteration", "metrics", 1, "key"), "there is no metric 'nothing'"),
    "a metric twice": (_put("checkout-conversion", "iteration", "metrics", 1, "key"), "names a metric twice"),
    "a metric given as a group": (_put(True, "iteration", "metrics", 1, "isGroup"), "no metric group 'page-load-ms'"),
    "no primary metric": (_remove("iteration", "primarySingleMetricKey"), "primarySingleMetricKey"),
    "a primary metric not measured": (_put("checkout-errors", "iteration", "primarySingleMetricKey"), "must be one of"),
    "two primaries": (_put("signup-funnel", "iteration", "primaryFunnelKey"), "one of iteration.primarySingle"),
    "no baseline": (_put(False, "iteration", "treatments", 0, "baseline"), "exactly one baseline, not 0"),
    "two baselines": (_put(True, "iteration", "treatments", 1, "baseline"), "exactly one baseline, not 2"),
    "shares that miss 100": (_put("40", "iteration", "treatments", 1, "allocationPercent"), "add up to 100, not 90"),
    "a share that is no number": (_put("x", "iteration", "treatments", 1, "allocationPercent"), "must be a number"),
    "a share that is not finite": (_put("NaN", "iteration", "treatments", 1, "allocationPercent"), "between 0 and 100"),
    "a negative share": (_put("-5", "iteration", "treatments", 1, "allocationPercent"), "between 0 and 100"),
    "a share that is a boolean": (_put(True, "iteration", "treatments", 1, "allocationPercent"), "holds a number"),
    "no parameters": (_put([], "iteration", "treatments", 1, "parameters"), "must name one variation"),
    "an unknown variation": (
        _put("v9", "iteration", "treatments", 1, "parameters", 0, "variationId"),
        "has no variation 'v9'",
    ),
    "another flag's treatment": (
        _put("search-ranking", "iteration", "treatments", 1, "parameters", 0, "flagKey"),
        "names flag 'search-ranking'",
    ),
    "no flag": (_put({}, "iteration", "flags"), "must name one flag, not 0"),
    "an unknown rule": (_put("r9", "iteration", "flags", "checkout-button", "ruleId"), "has no rule 'r9'"),
    "a version that is text": (
        _put("1", "iteration", "flags", "checkout-button", "flagConfigVersion"),
        "must be an integer",
    ),
    "an unknown variation outside": (
        _put("v9", "iteration", "flags", "checkout-button", "notInExperimentVariationId"),
        "there is no variation 'v9'",
    ),
    "a randomization unit not enabled": (
        _put("device", "iteration", "randomizationUnit"),
        'Randomization unit "device" not found in project settings [user, organization]',
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_experiment_is_rejected_with_400_and_named(api: Caller, wrong: Any) -> None:
    body = api.experiment()
    change, message = WRONG[wrong]
    change(body)
    status, code, said = error_of(api.post(api.experiments, body))
    assert (status, code) == (400, "invalid_request")
    assert message in said
    assert api.get(api.experiments).json()["items"] == []
    assert api.server.journal() == []


def test_two_treatments_cannot_serve_the_same_variation(api: Caller) -> None:
    iteration = api.iteration()
    iteration["treatments"][1]["parameters"] = iteration["treatments"][0]["parameters"]
    assert "same variation" in error_of(api.post(api.experiments, api.experiment(iteration=iteration)))[2]


def test_an_unknown_flag_is_rejected(api: Caller) -> None:
    iteration = api.iteration()
    iteration["flags"] = {"nothing": iteration["flags"]["checkout-button"]}
    assert "no feature flag 'nothing'" in error_of(api.post(api.experiments, api.experiment(iteration=iteration)))[2]


@pytest.mark.parametrize(("position", "status"), [("at_create", 409), ("always", 409), ("never", 201)])
def test_a_flag_version_that_has_passed_is_a_conflict_unless_switched_off(
    api: Caller, position: str, status: int
) -> None:
    api.server.switch(flag_version=position)
    iteration = api.iteration()
    api.turn_on()
    assert api.post(api.experiments, api.experiment(iteration=iteration)).status_code == status


def test_by_default_turning_the_flag_on_after_creating_does_not_hinder_the_start(api: Caller) -> None:
    api.create()
    api.turn_on()
    assert api.start().status_code == 200


def test_switched_to_always_the_flag_version_is_checked_at_the_start_too(api: Caller) -> None:
    api.server.switch(flag_version="always")
    api.create()
    api.turn_on()
    assert error_of(api.start())[:2] == (409, "optimistic_locking_error")


def test_a_new_iteration_replaces_an_unstarted_one(api: Caller) -> None:
    first = api.create()["currentIteration"]["_id"]
    second = api.post(f"{api.experiments}/bold/iterations", api.iteration(hypothesis="Another")).json()
    shown = api.read()
    assert second["_id"] != first
    assert shown["currentIteration"]["_id"] == second["_id"]
    assert shown["currentIteration"]["hypothesis"] == "Another"
    assert [e["iteration"] for e in api.server.effects("iteration.discarded")] == [first]


def test_with_the_switch_refuse_an_unstarted_iteration_stays(api: Caller) -> None:
    api.server.switch(draft_over_draft="refuse")
    first = api.create()["currentIteration"]["_id"]
    response = api.post(f"{api.experiments}/bold/iterations", api.iteration())
    assert error_of(response)[:2] == (400, "invalid_request")
    assert api.read()["currentIteration"]["_id"] == first


def test_an_iteration_created_while_one_runs_is_a_draft(api: Caller) -> None:
    running = api.running()["currentIteration"]["_id"]
    draft = api.post(f"{api.experiments}/bold/iterations", api.iteration()).json()["_id"]
    shown = api.read()
    assert shown["currentIteration"]["_id"] == running
    assert shown["draftIteration"]["_id"] == draft
    assert "draftIteration" not in api.read(expand="treatments")


def test_the_flag_of_an_experiment_cannot_be_changed(api: Caller) -> None:
    api.create()
    response = api.post(f"{api.experiments}/bold/iterations", api.iteration("search-ranking"))
    assert "cannot change its flag" in error_of(response)[2]


def test_an_iteration_for_an_unknown_experiment_is_not_found(api: Caller) -> None:
    assert error_of(api.post(f"{api.experiments}/nothing/iterations", api.iteration()))[:2] == (404, "not_found")


def test_a_bandit_is_bayesian(api: Caller) -> None:
    response = api.post(api.experiments, api.experiment(type="mab", methodology="frequentist"))
    assert "multi-armed bandit" in error_of(response)[2]
    assert api.create("bandit", type="mab")["type"] == "mab"
