"""Authentication, version header, content types, verbs, error bodies, dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.emulator_caller import error_of

if TYPE_CHECKING:
    from support.emulator_caller import Caller, StartEmulator

GROUPS = "/api/v2/projects/demo/metric-groups"


@pytest.mark.parametrize("token", ["", "wrong", "Bearer api-emulator", "sdk-emulator-production"])
def test_without_an_access_token_nothing_is_read(api: Caller, token: str) -> None:
    response = api.get("/api/v2/projects/demo", headers={"Authorization": token})
    assert error_of(response)[:2] == (401, "unauthorized")


def test_no_authorization_header_is_unauthorized(server: EmulatorServer) -> None:
    import httpx

    assert error_of(httpx.get(f"{server.url}/api/v2/projects"))[:2] == (401, "unauthorized")


def test_the_caller_identity_names_the_tokens_member(api: Caller) -> None:
    identity = api.get("/api/v2/caller-identity").json()
    assert (identity["authKind"], identity["tokenKind"], identity["serviceToken"]) == ("token", "auth", False)
    service = api.get("/api/v2/caller-identity", headers={"Authorization": "api-service"}).json()
    assert service["serviceToken"] is True
    assert "memberId" not in service


def test_a_token_sees_its_own_role_and_never_its_value(api: Caller) -> None:
    for token, role, service in (("api-emulator", "admin", False), ("api-service", "admin", True)):
        headers = {"Authorization": token}
        own = api.get("/api/v2/caller-identity", headers=headers).json()["tokenId"]
        shown = api.get(f"/api/v2/tokens/{own}", headers=headers)
        assert (shown.json()["role"], shown.json()["serviceToken"]) == (role, service)
        assert token not in shown.text


def test_only_an_administrator_sees_the_personal_tokens_of_other_members(emulator_with: StartEmulator) -> None:
    world = {
        "members": {"ada@example.com": {}},
        "tokens": {"api-robot": {"service": True, "role": "reader"}, "api-custom": {"role": "custom"}},
        "projects": {"demo": {"environments": {"production": {}}}},
    }
    api = emulator_with(world=world)
    ids = {
        token: api.get("/api/v2/caller-identity", headers={"Authorization": token}).json()["tokenId"]
        for token in ("api-robot", "api-custom")
    }
    custom = api.get(f"/api/v2/tokens/{ids['api-custom']}").json()
    assert len(custom["customRoleIds"]) == 1
    assert "role" not in custom
    robot = {"Authorization": "api-robot"}
    assert api.get(f"/api/v2/tokens/{ids['api-robot']}", headers=robot).json()["role"] == "reader"
    assert error_of(api.get(f"/api/v2/tokens/{ids['api-custom']}", headers=robot))[:2] == (404, "not_found")
    assert error_of(api.get("/api/v2/tokens/none"))[:2] == (404, "not_found")


@pytest.mark.parametrize(("key", "kind"), [("sdk-emulator-production", "sdk"), ("mob-emulator-test", "mobile")])
def test_the_caller_identity_names_an_sdk_keys_environment_and_gives_no_rights(
    api: Caller, key: str, kind: str
) -> None:
    headers = {"Authorization": key}
    identity = api.get("/api/v2/caller-identity", headers=headers).json()
    assert identity["tokenKind"] == kind
    assert identity["environmentName"] in ("Production", "Test")
    assert error_of(api.get("/api/v2/projects", headers=headers))[0] == 401


def test_a_reader_reads_and_cannot_write(api: Caller) -> None:
    headers = {"Authorization": "api-reader"}
    assert api.get("/api/v2/projects/demo", headers=headers).status_code == 200
    assert error_of(api.post(api.experiments, api.experiment(), headers=headers))[:2] == (403, "forbidden")


def test_a_token_without_access_to_the_project_is_forbidden_there(api: Caller) -> None:
    headers = {"Authorization": "api-outsider"}
    assert error_of(api.get("/api/v2/projects/demo", headers=headers))[:2] == (403, "forbidden")
    assert api.get("/api/v2/projects", headers=headers).json()["items"] == []


def test_metric_groups_need_the_beta_header(api: Caller) -> None:
    for version in ("20240415", ""):
        assert error_of(api.get(GROUPS, headers={"LD-API-Version": version}))[:2] == (403, "forbidden")
    assert api.get(GROUPS).status_code == 200


def test_experiments_need_the_beta_header_only_when_switched_to_strict(api: Caller) -> None:
    dated = {"LD-API-Version": "20240415"}
    assert api.get(api.experiments, headers=dated).status_code == 200
    api.server.switch(beta_header="strict")
    assert "LD-API-Version: beta" in error_of(api.get(api.experiments, headers=dated))[2]
    assert api.get(api.experiments).status_code == 200
    assert api.get("/api/v2/flags/demo", headers=dated).status_code == 200


def test_the_version_header_is_sent_once(server: EmulatorServer) -> None:
    import httpx

    headers = [("Authorization", server.token), ("LD-API-Version", "beta"), ("LD-API-Version", "beta")]
    status, _, message = error_of(httpx.get(f"{server.url}/api/v2/projects", headers=headers))
    assert status == 400
    assert "Too many values" in message


def test_an_experiment_is_patched_by_plain_json_unless_switched_to_strict(api: Caller) -> None:
    api.create()
    assert api.patch({"kind": "updateName", "value": "One"}).status_code == 200
    api.server.switch(content_type="strict")
    assert "semanticpatch" in error_of(api.patch({"kind": "updateName", "value": "Two"}))[2]
    semantic = {"Content-Type": "application/json; domain-model=launchdarkly.semanticpatch"}
    assert api.patch({"kind": "updateName", "value": "Two"}, headers=semantic).json()["name"] == "Two"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_with_another_content_type_than_json_is_rejected(api: Caller, content_type: str) -> None:
    response = api.http.post(api.experiments, content=b"{}", headers={"Content-Type": content_type})
    assert error_of(response)[:2] == (400, "invalid_request")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"name": NaN}', b"null", b'"\\ud800"'])
def test_a_body_that_is_not_a_json_object_is_rejected(api: Caller, content: bytes) -> None:
    response = api.http.post(api.experiments, content=content, headers={"Content-Type": "application/json"})
    assert error_of(response)[:2] == (400, "invalid_request")


def test_a_lone_surrogate_is_kept(api: Caller) -> None:
    content = b'{"instructions": [{"kind": "updateName", "value": "\\ud800 \\u00e9"}]}'
    api.create()
    headers = {"Content-Type": "application/json"}
    response = api.http.patch(f"{api.experiments}/bold", content=content, headers=headers)
    assert response.json()["name"] == "\ud800 é"
    assert api.get("/projects/demo/experiments/bold").status_code == 200


def test_a_wrong_verb_is_a_405_with_the_allowed_verbs(api: Caller) -> None:
    response = api.http.put("/api/v2/projects/demo")
    assert error_of(response)[:2] == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET"


def test_each_error_has_a_separate_id(api: Caller) -> None:
    first, second = (api.get("/api/v2/nothing").json()["id"] for _ in range(2))
    assert first != second


def test_the_date_header_is_the_emulators_clock(api: Caller) -> None:
    response = api.get("/api/v2")
    assert response.headers.get_list("Date") == ["Mon, 05 Jan 2026 09:00:00 GMT"]
    api.server.clock.advance("P10DT1H")
    assert api.get("/api/v2/nothing").headers["Date"] == "Thu, 15 Jan 2026 10:00:00 GMT"


def test_keys_in_paths_are_decoded(api: Caller) -> None:
    assert error_of(api.get("/api/v2/metrics/demo/caf%C3%A9%20au"))[2].startswith("metric 'café au'")
