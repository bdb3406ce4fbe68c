"""The way in: hosts, certificates, tokens of every kind, and what they may do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Doctor


def test_a_healthy_account_is_fine_in_every_line(patient: EmulatorServer, doctor: Doctor) -> None:
    visit = doctor()
    assert visit.code == ExitCode.OK
    assert {status for _, status in visit.statuses()} == {"fine"}
    assert "experiment 'bold' (chosen by the doctor)" in visit.out


def test_it_sends_reads_only(patient: EmulatorServer, doctor: Doctor) -> None:
    doctor()
    assert {line.method for line in patient.requests()} == {"GET"}
    assert [entry.operation for entry in patient.journal() if entry.seq > 3] == []


@pytest.mark.parametrize("experiment", ["bold", "none"])
def test_an_experiment_that_is_named_is_looked_at(patient: EmulatorServer, doctor: Doctor, experiment: str) -> None:
    visit = doctor("--experiment", experiment)
    (status, what), *_ = visit.lines("experiment")
    assert status == ("fine" if experiment == "bold" else "missing")
    assert "chosen" not in what


def test_without_an_experiment_the_rest_is_still_checked(unstarted: EmulatorServer, doctor: Doctor) -> None:
    visit = doctor()
    assert visit.code == ExitCode.OK
    for check in ("experiment", "metrics", "results"):
        ((status, what),) = visit.lines(check)
        assert (status, "started" in what) == ("unknown", True)
    assert "results" not in visit.report["emulator"]["switches"]


@pytest.mark.parametrize(
    ("token", "status", "said", "cure"),
    [
        ("api-wrong", "missing", "AuthenticationError 401", "correct the token"),
        ("sdk-emulator-production", "missing", "ConfigurationError", "nothing was sent"),
        ("mob-emulator-test", "missing", "ConfigurationError", "nothing was sent"),
        ("two words", "missing", "ConfigurationError", "nothing was sent"),
    ],
)
def test_a_credential_that_opens_nothing_ends_the_visit_with_its_cure(
    patient: EmulatorServer,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    status: str,
    said: str,
    cure: str,
) -> None:
    connect(monkeypatch, patient.url, token)
    visit = doctor()
    assert visit.code == ExitCode.FINDING
    assert visit.lines("connection") == [(status, said)]
    assert cure in visit.cures("connection")
    assert token not in visit.out


@pytest.mark.parametrize(("kind", "what"), [("sdk", "an SDK key"), ("mobile", "a mobile key")])
def test_a_key_that_only_the_caller_identity_gives_away_is_named(
    web_server: Callable[..., str], doctor: Doctor, monkeypatch: pytest.MonkeyPatch, kind: str, what: str
) -> None:
    url = web_server(
        {
            "/api/v2/versions": {"validVersions": [20240415]},
            "/api/v2/caller-identity": {"authKind": "token", "tokenKind": kind},
        }
    )
    connect(monkeypatch, url)
    visit = doctor()
    assert visit.lines("token") == [("missing", f"the credential is {what}, which LaunchDarkly's API refuses")]
    assert [check for check, _ in visit.statuses()] == ["connection", "token", "launchdarkly"]


@pytest.mark.parametrize(
    ("token", "role", "service", "status"),
    [
        ("api-emulator", "admin", False, "fine"),
        ("api-service", "admin", True, "fine"),
        ("api-reader", "reader", False, "missing"),
    ],
)
def test_the_kind_and_the_role_of_a_token_are_told(
    patient: EmulatorServer,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    role: str,
    service: bool,
    status: str,
) -> None:
    connect(monkeypatch, patient.url, token)
    visit = doctor()
    assert visit.report["emulator"]["token"] == {"role": role, "service": service}
    writing = [found for found, what in visit.lines("rights") if not what.startswith("reading")]
    assert writing == [status] * 4
    assert ("Writer" in visit.cures("rights")) == (status == "missing")


def test_what_a_custom_role_may_write_cannot_be_told_and_the_actions_are_named(
    unstarted: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_custom_role(emulator: Any) -> None:
        tokens = emulator.world.tokens
        tokens["api-service"] = replace(tokens["api-service"], role="custom")

    unstarted.call(give_custom_role)
    connect(monkeypatch, unstarted.url, "api-service")
    visit = doctor()
    assert visit.code == ExitCode.OK
    assert [status for status, _ in visit.lines("rights")] == ["fine", *["unknown"] * 4]
    assert "createExperiment, updateExperiment and updateExperimentArchived" in visit.cures("rights")
    assert visit.report["emulator"]["token"] == {"role": "custom", "service": True}


@pytest.mark.parametrize("member_role", ["reader", "writer"])
def test_a_token_that_does_not_show_its_role_is_told_by_its_member(
    patient: EmulatorServer, doctor: Doctor, member_role: str
) -> None:
    patient.fault("get_token", "status", status=403, times=99)

    def change_role(emulator: Any) -> None:
        members = emulator.world.members
        first = next(iter(members))
        members[first] = replace(members[first], role=member_role)

    patient.call(change_role)
    statuses = [status for status, _ in doctor().lines("rights")]
    assert statuses == (["fine", *["missing"] * 4] if member_role == "reader" else ["fine", "unknown"])


def test_a_token_without_access_to_the_project_is_told_so_line_by_line(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url, "api-outsider")
    visit = doctor()
    assert visit.code == ExitCode.FINDING
    assert visit.lines("project") == [("missing", "PermissionDeniedError 403")]
    assert visit.cures("project") == "give the token a role that may read this"
    assert ("token", "fine") in visit.statuses()


def test_a_read_that_fails_hides_no_right_to_write(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url, retry_budget=0)
    patient.fault("get_feature_flags", "status", status=500, probability=1.0)
    assert [status for status, _ in doctor().lines("rights")] == ["failed", *["fine"] * 4]


@pytest.mark.parametrize(
    ("extra", "said"),
    [({"project_key": ""}, "no project is named"), ({"environment_key": ""}, "no environment is named")],
)
def test_a_place_that_nothing_names_is_asked_for(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], said: str
) -> None:
    connect(monkeypatch, patient.url, **extra)
    ((status, what),) = doctor().lines("project")
    assert status == "unknown"
    assert said in what


def test_options_name_project_and_environment(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url, project_key="", environment_key="")
    assert doctor("--project", "demo", "--environment", "test").lines("project")[0][0] == "fine"
    assert doctor("--project", "demo", "--environment", "none").lines("project") == [("missing", "NotFoundError 404")]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "https://launchdarkly.invalid"])
def test_a_host_that_is_not_there_fails_the_connection_and_nothing_else(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    connect(monkeypatch, address, retry_budget=0)
    visit = doctor()
    assert visit.code == ExitCode.ERROR
    assert visit.statuses() == [("connection", "failed"), ("launchdarkly", "unknown")]
    assert "DNS, proxy, firewall" in visit.cures("connection")


def test_a_web_page_in_place_of_the_api_is_told(
    web_server: Callable[..., str], doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, web_server("<html>Welcome to the intranet</html>"))
    visit = doctor()
    assert visit.code == ExitCode.ERROR
    assert visit.lines("connection") == [("failed", "UnexpectedResponseError 200")]
    assert "base URL of LaunchDarkly's API" in visit.cures("connection")
    assert "it is text/html, not JSON" in visit.out


def test_https_to_a_port_that_speaks_plain_http_is_told(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url.replace("http://", "https://"))
    visit = doctor()
    assert visit.lines("connection") == [("failed", "TransportError")]
    assert "the server does not speak TLS there" in visit.out


def test_certificates_that_are_not_checked_are_told(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, patient.url, verify=False)
    visit = doctor()
    assert [status for status, _ in visit.lines("connection")] == ["fine", "missing"]
    assert ("experiment", "fine") in visit.statuses()


@pytest.mark.parametrize(
    ("valid", "statuses"), [([20240415], ["fine"]), ([20300101], ["missing", "fine"]), ([], ["fine"])]
)
def test_an_api_version_that_is_served_no_more_is_told(
    web_server: Callable[..., str],
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    valid: list[int],
    statuses: list[str],
) -> None:
    connect(monkeypatch, web_server({"/api/v2/versions": {"validVersions": valid}}))
    assert [status for status, _ in doctor().lines("connection")] == statuses


@pytest.mark.parametrize(("expires", "status"), [(4102444800000, "fine"), (1, "missing")])
def test_a_token_that_expires_is_told(
    web_server: Callable[..., str], doctor: Doctor, monkeypatch: pytest.MonkeyPatch, expires: int, status: str
) -> None:
    identity = {"tokenKind": "auth", "expiresAt": expires}
    connect(monkeypatch, web_server({"/api/v2/versions": {}, "/api/v2/caller-identity": identity}))
    assert [found for found, _ in doctor().lines("token")] == ["fine", status]
