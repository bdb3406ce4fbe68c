"""LaunchDarkly's own client 25.0.1 runs every call of its environment releases on the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import ENVIRONMENT, FLAG, METRIC, PROJECT, read_flag, turn_flag_on
from contract.official import OfficialClient, Refusal, refused

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import Answer, ClientProcess

HERE: dict[str, Any] = {
    "ld_api_version": "beta",
    "project_key": PROJECT,
    "flag_key": FLAG,
    "environment_key": ENVIRONMENT,
}
DAY = 86_400_000
CLAUSE = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
BACK = "roll_back_all_phases_and_remove_pending_phases"


@pytest.fixture
def client(processes: dict[str, ClientProcess], emulator: EmulatorServer) -> OfficialClient:
    return OfficialClient(processes["25.0.1"], processes["25.0.1"], emulator)


def post(client: OfficialClient, **changes: Any) -> dict[str, Any]:
    turn_flag_on(client)
    original, target, *_ = (variation["_id"] for variation in read_flag(client)["variations"])
    return {
        "originalVariationId": original,
        "targetVariationId": target,
        "randomizationUnit": "user",
        "phases": [{"clauses": [CLAUSE], "steps": [{"allocation": 50_000, "durationMillis": DAY}]}],
        "metrics": [{"metricKey": METRIC, "autoRollback": True}],
    } | changes


def start(client: OfficialClient, **changes: Any) -> Answer:
    return client.environment_releases.start_environment_release(
        **HERE, start_environment_release_request=post(client, **changes)
    )


def test_a_complete_life_uses_every_method_that_the_client_has(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    releases = client.environment_releases
    started = start(client, comment="ship it", cleanupBehavior="remove_rules_and_update_default_rule")
    assert (started.status, started.model, started["status"]) == (201, "EnvironmentRelease", "in_progress")

    emulator.clock.advance("PT12H")
    shown = releases.get_environment_release(**HERE, release_id=started["id"], expand=["metrics"])
    assert shown["phases"][0]["metricStatuses"] == {METRIC: "ok"}
    assert shown["metrics"][0]["definition"]["key"] == METRIC
    listed = releases.list_environment_releases(**HERE, filter='kind equals "guarded"', limit=1, offset=0)
    assert [item["id"] for item in listed["items"]] == [started["id"]]
    again = releases.list_environment_releases(**HERE, snapshot=str(2**62))
    assert again["totalCount"] == 1
    stopped = releases.stop_environment_release(
        **HERE, release_id=started["id"], stop_environment_release_request={"resolution": BACK, "comment": "enough"}
    )
    assert (stopped["status"], stopped["statusReason"]) == ("reverted", "reverted_manual")

    assert client.used["environment_releases"] == set(client.methods("environment_releases"))


@pytest.mark.parametrize("mode", ["manual", "automatic"])
def test_every_state_of_a_release_of_several_phases_can_be_read(
    client: OfficialClient, emulator: EmulatorServer, mode: str
) -> None:
    other = CLAUSE | {"attribute": "country", "values": ["DE"]}
    phases = [
        {"clauses": [CLAUSE, other], "description": "Germans", "steps": [{"allocation": 9_000, "durationMillis": DAY}]},
        {"clauses": [CLAUSE], "steps": [{"allocation": 5_000, "durationMillis": DAY}]},
    ]
    started = start(client, phases=phases, metrics=[], advancementMode=mode)
    rules = read_flag(client)["environments"][ENVIRONMENT]["rules"]
    assert [rule.get("disabled", False) for rule in rules] == [False, True]

    emulator.clock.advance("P3D")

    ended = client.environment_releases.get_environment_release(**HERE, release_id=started["id"])
    expected = {"manual": ("waiting", "waiting_phase_ended"), "automatic": ("completed", "completed_automatic")}
    assert (ended["status"], ended["statusReason"]) == expected[mode]


def test_the_errors_of_a_start_are_read_by_its_client(client: OfficialClient, emulator: EmulatorServer) -> None:
    with refused(400) as wrong:
        start(client, phases=[{"ruleId": "x", "steps": [{"allocation": 1, "durationMillis": 1}]}])
    assert wrong.value.model == "StartEnvironmentReleaseBadRequest"
    start(client)
    with refused(409) as conflict:
        start(client)
    assert conflict.value.code == "release_already_active"
    emulator.switch(flag_approvals="everywhere")
    with refused(405):
        client.environment_releases.start_environment_release(
            **HERE, start_environment_release_request={"originalVariationId": _NOBODY, "targetVariationId": _NOBODY}
        )


def test_failing_health_checks_are_read_by_the_client(client: OfficialClient) -> None:
    kind = {"contextKind": "device", "attribute": "kind", "op": "in", "values": ["device"]}
    phases = [{"clauses": [kind], "steps": [{"allocation": 1_000, "durationMillis": DAY}]}]

    with pytest.raises(Refusal) as refusal:
        start(client, randomizationUnit="device", phases=phases, metrics=[])

    assert (refusal.value.status, refusal.value.code) == (400, "health_checks_failed")
    bypass = ["flag_evaluations_with_context"]
    started = start(client, randomizationUnit="device", phases=phases, metrics=[], bypassHealthChecks=bypass)
    assert started["randomizationUnit"] == "device"


_NOBODY = "6a2f41a3-c54c-fce8-32d2-0324e1c32e22"
