"""The command as a person meets it: its JSON, its file, its example in the documentation, and keys drawn at random."""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators._design import IterationDesign
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.surroundings import CONNECTION, REPOSITORY

from .conftest import Doctor, connect

PAGE = REPOSITORY / "docs" / "how-to" / "doctor.md"


def test_json_is_all_that_json_prints_also_with_a_warehouse(patient: EmulatorServer, tmp_path: Path) -> None:
    warehouse = json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "empty.db")})
    command = [sys.executable, "-m", "airflow_provider_launchdarkly.cli.main", "doctor", "--json", "--warehouse", "w"]
    ran = subprocess.run(
        command, env={**os.environ, "AIRFLOW_CONN_W": warehouse}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == ExitCode.FINDING, ran.stderr
    assert json.loads(ran.stdout)["doctor"] == 1


def test_a_file_that_cannot_be_written_is_named(patient: EmulatorServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--write", "/nowhere/doctor.json"]) == ExitCode.ERROR
    said = capsys.readouterr()
    assert "--write /nowhere/doctor.json: No such file or directory; choose another file" in said.err
    assert "For a bug report" in said.out


def test_a_token_alone_is_enough(patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONNECTION)
    monkeypatch.setenv("LAUNCHDARKLY_ACCESS_TOKEN", "api-service")
    visit = doctor("--host", patient.url, "--project", "demo", "--environment", "production")
    assert visit.code == ExitCode.OK


def test_no_access_at_all_is_a_line_with_its_cure(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONNECTION, raising=False)
    monkeypatch.delenv("LAUNCHDARKLY_ACCESS_TOKEN", raising=False)
    visit = doctor()
    assert visit.code == ExitCode.FINDING
    assert "set AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT, or LAUNCHDARKLY_ACCESS_TOKEN and --host" in visit.out


def test_the_example_of_the_page_is_what_the_doctor_says(patient: EmulatorServer, doctor: Doctor) -> None:
    patient.switch(results="gone")
    visit = doctor()
    summary = visit.out.partition("without tokens and keys:\n\n")[2].rstrip().splitlines()[1:]
    (shown,) = re.findall(r"```text\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert shown == "\n".join(summary)


def test_every_line_of_the_report_has_its_row_on_the_page(patient: EmulatorServer, doctor: Doctor) -> None:
    rows = set(re.findall(r"^\| `([\w ]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert {check for check, _ in doctor("--sandbox", "demo").statuses()} <= rows


@pytest.mark.parametrize("operation", [None, "read", "get_metric"])
def test_keys_and_tokens_drawn_at_random_are_nowhere_in_the_summary(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, operation: str | None
) -> None:
    project, environment, flag, metric, experiment, token, left, right, address = (
        f"{secrets.choice('abcdef')}{secrets.token_hex(6)}" for _ in range(9)
    )
    world = {
        "members": {f"{address}@example.com": {}},
        "projects": {
            project: {
                "environments": {environment: {}},
                "flags": {flag: {"variations": [{"value": v, "name": v} for v in (left, right)]}},
                "metrics": {metric: {}},
                "truths": {flag: {"people_per_day": 100, "metrics": {metric: {"baseline_rate": 0.1}}}},
            }
        },
    }
    with EmulatorServer(start=datetime.now(UTC), clock_rate=1.0, world=world, token=token) as server:
        connect(monkeypatch, server.url, token, project_key=project, environment_key=environment, retry_budget=0)
        hook = LaunchDarklyHook()
        treatments = [
            {"variation": left, "allocation_percent": 50, "baseline": True},
            {"variation": right, "allocation_percent": 50},
        ]
        design = IterationDesign(flag_key=flag, hypothesis=address, treatments=treatments, primary_metric=metric)
        iteration = design.resolve(hook.get_flag(flag))
        post = ExperimentPost.checked({"key": experiment, "name": experiment, "iteration": iteration})
        created = hook.create_experiment(post).iteration.id
        hook.start_iteration(experiment, created, turn_flag_on=True)
        secret = [project, environment, flag, metric, experiment, token, left, right, address, created, server.url]
        if operation:
            server.fault(operation, "status", status=404, message=" ".join(secret), probability=1.0)
        visit = doctor("--experiment", experiment)
    pasted = visit.out.partition("For a bug report")[2] + json.dumps(visit.report)
    assert [word for word in secret if word in pasted] == []
    assert token not in visit.out + visit.err


@pytest.fixture
def self_signed(tmp_path: Path) -> Callable[[], str]:
    """Serve https with a certificate that nobody trusts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))

    def serve() -> str:
        server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        Thread(target=server.serve_forever, daemon=True).start()
        return f"https://127.0.0.1:{server.server_address[1]}"

    return serve


def test_a_certificate_that_is_not_trusted_is_told(
    self_signed: Callable[[], str], doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, self_signed())
    visit = doctor()
    assert visit.code == ExitCode.ERROR
    assert visit.lines("connection") == [("failed", "TransportError")]
    assert "set ca_bundle in the connection's extra" in visit.out


def test_the_command_is_offered_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.search(r"doctor\s+check a real account", capsys.readouterr().out)
