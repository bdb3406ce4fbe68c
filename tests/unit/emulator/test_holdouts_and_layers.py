"""Holdouts and layers: their rules and their effect on an experiment's people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    import httpx

    from support.emulator_caller import Caller, StartEmulator

HOLDOUTS = "/api/v2/projects/demo/environments/production/holdouts"
LAYERS = "/api/v2/projects/demo/layers"
SEMANTIC = {"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"}


def post_holdout(api: Caller, **change: Any) -> httpx.Response:
    if api.get("/api/v2/flags/demo/holdout-q1").status_code == 404:
        api.post("/api/v2/flags/demo", {"key": "holdout-q1", "name": "Q1", "purpose": "holdout"})
    body = {
        "key": "q1",
        "name": "Q1",
        "randomizationunit": "user",
        "holdoutamount": "10",
        "primarymetrickey": "checkout-conversion",
        "metrics": [{"key": "checkout-conversion", "isGroup": False}],
        "prerequisiteflagkey": "holdout-q1",
    }
    return api.post(HOLDOUTS, body | change)


def patch_holdout(api: Caller, **instruction: Any) -> httpx.Response:
    return api.http.patch(f"{HOLDOUTS}/q1", json={"instructions": [instruction]}, headers=SEMANTIC)


def test_a_holdout_has_a_flag_and_a_base_experiment(api: Caller) -> None:
    response = post_holdout(api)
    holdout = response.json()
    assert (response.status_code, holdout["status"], holdout["holdoutAmount"]) == (201, "created", "10")
    base = api.get(f"{HOLDOUTS}/q1?expand=treatments").json()["baseExperiment"]
    assert (base["type"], base["key"]) == ("holdout", "q1")
    assert [arm["allocationPercent"] for arm in base["currentIteration"]["treatments"]] == ["10", "90"]
    assert list(base["currentIteration"]["flags"]) == ["holdout-q1"]


def test_a_holdouts_status_follows_its_experiments(api: Caller) -> None:
    api.turn_on()
    api.create(holdoutId=post_holdout(api).json()["_id"])
    statuses = [api.get(f"{HOLDOUTS}/q1").json()["status"]]
    api.start()
    running = api.get(f"{HOLDOUTS}/q1?expand=rel-treatments").json()
    statuses.append(running["status"])
    statuses.append(patch_holdout(api, kind="endHoldout").json()["status"])
    assert statuses == ["enabled", "running", "ended"]
    assert running["isDirty"] is True
    assert len(running["relatedExperiments"][0]["currentIteration"]["treatments"]) == 2
    assert api.get(f"{HOLDOUTS}/q1").json()["baseExperiment"]["currentIteration"]["status"] == "stopped"


def test_people_in_the_holdout_do_not_get_the_experiment(api: Caller, emulator_with: StartEmulator) -> None:
    holdout = post_holdout(api, holdoutamount="50").json()["_id"]
    api.running(holdoutId=holdout)
    other = emulator_with()
    other.running()

    def traffic(caller: Caller) -> int:
        caller.server.clock.advance("P7D")
        path = f"{caller.experiments}/bold/metrics/checkout-conversion/results?expand=traffic"
        return sum(arm["traffic"] for arm in caller.get(path).json()["treatmentResults"])

    assert traffic(api) == pytest.approx(traffic(other) / 2, rel=0.05)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prerequisiteflagkey": "nothing"}, "no feature flag 'nothing'"),
        ({"prerequisiteflagkey": "checkout-button"}, "purpose 'holdout'"),
        ({"holdoutamount": "0"}, "between 0 and 100"),
        ({"holdoutamount": "many"}, "between 0 and 100"),
        ({"primarymetrickey": "page-load-ms"}, "primarymetrickey must be one of metrics"),
        ({"metrics": [{"key": "nothing"}], "primarymetrickey": "nothing"}, "no metric 'nothing'"),
        ({"randomizationunit": "nothing"}, "not found in project settings"),
        ({"maintainerId": "nobody"}, "no member"),
        ({"key": None}, "key is required"),
    ],
)
def test_an_invalid_holdout_is_rejected(api: Caller, change: dict[str, Any], said: str) -> None:
    status, code, message = error_of(post_holdout(api, **change))
    assert (status, code) == (400, "invalid_request")
    assert said in message


def test_the_key_and_flag_of_a_holdout_are_unique(api: Caller) -> None:
    post_holdout(api)
    assert "already exists" in error_of(post_holdout(api))[2]
    assert "another holdout" in error_of(post_holdout(api, key="q2"))[2]


def test_an_ended_holdout_takes_no_experiment(api: Caller) -> None:
    holdout = post_holdout(api).json()["_id"]
    patch_holdout(api, kind="endHoldout")
    assert "has ended" in error_of(api.post(api.experiments, api.experiment(holdoutId=holdout)))[2]


def test_a_running_experiment_does_not_leave_its_holdout(api: Caller) -> None:
    api.running(holdoutId=post_holdout(api).json()["_id"])
    assert "running" in error_of(patch_holdout(api, kind="removeExperiment", value="bold"))[2]
    assert "not in holdout" in error_of(patch_holdout(api, kind="removeExperiment", value="other"))[2]


def test_a_holdout_is_patched_by_semantic_patch_alone(api: Caller) -> None:
    post_holdout(api)
    body = {"instructions": [{"kind": "endHoldout"}]}
    assert error_of(api.http.patch(f"{HOLDOUTS}/q1", json=body))[0] == 400
    assert error_of(patch_holdout(api, kind="explode"))[:2] == (422, "patch_failed")


def test_holdouts_are_per_environment(api: Caller) -> None:
    post_holdout(api)
    elsewhere = HOLDOUTS.replace("production", "test")
    assert api.get(elsewhere).json()["total_count"] == 0
    assert error_of(api.get(f"{elsewhere}/q1"))[0] == 404
    assert error_of(api.get(f"{elsewhere}/id/1"))[0] == 404


def create_layer(api: Caller, key: str = "checkout") -> httpx.Response:
    return api.post(LAYERS, {"key": key, "name": "Checkout", "description": ""})


def patch_layer(api: Caller, *instructions: Any, layer: str = "checkout", **body: Any) -> httpx.Response:
    body = {"environmentKey": "production", "instructions": list(instructions)} | body
    return api.http.patch(f"{LAYERS}/{layer}", json=body, headers=SEMANTIC)


def reserve(api: Caller, percent: Any, key: str = "bold", **options: Any) -> httpx.Response:
    instruction = {"kind": "updateExperimentReservation", "experimentKey": key, "reservationPercent": percent}
    return patch_layer(api, instruction, **options)


def test_a_layer_lists_its_reservations(api: Caller) -> None:
    api.create()
    assert create_layer(api).status_code == 201
    reserve(api, 40)
    [layer] = api.get(LAYERS).json()["items"]
    assert layer["environments"]["production"]["reservations"] == [
        {"experimentKey": "bold", "flagKey": "checkout-button", "reservationPercent": 40}
    ]


def test_a_share_of_a_layer_is_a_share_of_the_people(api: Caller, emulator_with: StartEmulator) -> None:
    api.turn_on()
    api.create()
    create_layer(api)
    reserve(api, 25)
    api.start()
    other = emulator_with()
    other.running()

    def traffic(caller: Caller) -> int:
        caller.server.clock.advance("P7D")
        path = f"{caller.experiments}/bold/metrics/checkout-conversion/results?expand=traffic"
        return sum(arm["traffic"] for arm in caller.get(path).json()["treatmentResults"])

    assert traffic(api) == pytest.approx(traffic(other) / 4, rel=0.08)


def test_an_invalid_change_of_a_layer_is_rejected(api: Caller) -> None:
    api.running()
    api.create("two")
    create_layer(api)
    create_layer(api, "other")
    reserve(api, 60)
    wrong = {
        "would have 101 % reserved": reserve(api, 41, "two"),
        "from 0 to 100": reserve(api, 101, "two"),
        "is in layer 'checkout' already": reserve(api, 10, layer="other"),
        "cannot reserve 0 %": reserve(api, 0),
        "no experiment 'nothing'": reserve(api, 10, "nothing"),
        "environmentKey is required": reserve(api, 10, environmentKey=None),
        "no environment 'nowhere'": reserve(api, 10, environmentKey="nowhere"),
        "must be an integer": reserve(api, "10"),
        "cannot leave its layer": patch_layer(api, {"kind": "removeExperiment", "experimentKey": "bold"}),
        "not in layer": patch_layer(api, {"kind": "removeExperiment", "experimentKey": "two"}),
        "must not be empty": patch_layer(api),
    }
    for said, response in wrong.items():
        status, _, message = error_of(response)
        assert (status, said in message) == (400, True), message
    assert error_of(patch_layer(api, {"kind": "explode"}))[0] == 422
    assert error_of(patch_layer(api, {"kind": "updateName", "name": "x"}, layer="none"))[0] == 404
    assert error_of(api.get(f"{LAYERS}?filter=name contains x"))[0] == 400


def test_a_stopped_iteration_keeps_the_reservations_of_its_layer(api: Caller) -> None:
    api.create("two")
    api.running()
    create_layer(api)
    reserve(api, 60)
    reserve(api, 15, "two")
    api.stop(api.treatments()[0]["_id"])
    snapshot = api.read()["currentIteration"]["layerSnapshot"]
    assert (snapshot["reservationPercent"], snapshot["otherReservationPercent"]) == (60, 15)


def test_layers_need_no_beta_header(api: Caller) -> None:
    api.server.switch(beta_header="strict")
    dated = {"LD-API-Version": "20240415"}
    assert api.get(LAYERS, headers=dated).status_code == 200
    assert api.get(HOLDOUTS, headers=dated).status_code == 403
