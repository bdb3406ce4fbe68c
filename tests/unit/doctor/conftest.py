"""A patient for the doctor: an emulator whose clock runs with this machine's, in which an experiment runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene
from support.surroundings import CONNECTION, connection_json


@dataclass
class Visit:
    """What the doctor said.

    Attributes:
        code: The exit code.
        out: All that was printed.
        report: The JSON report.
    """

    code: int
    out: str
    err: str
    report: dict[str, Any]

    def lines(self, check: str) -> list[tuple[str, str]]:
        """Status and sentence of each line of a check."""
        return [(line["status"], line["what"]) for line in self.report["findings"] if line["check"] == check]

    def cures(self, check: str) -> str:
        return "\n".join(line["cure"] or "" for line in self.report["findings"] if line["check"] == check)

    def statuses(self) -> list[tuple[str, str]]:
        return [(line["check"], line["status"]) for line in self.report["findings"]]


Doctor = Callable[..., Visit]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause a twentieth of what the client asks for, between tries and before it reads again."""
    defaults = LaunchDarklyClient.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "sleep", lambda seconds: time.sleep(seconds / 20))


@pytest.fixture
def doctor(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run `airflow-launchdarkly doctor` and read what it printed and wrote."""

    def visit(*arguments: str) -> Visit:
        capsys.readouterr()
        file = tmp_path / "doctor.json"
        code = main(["doctor", *arguments, "--write", str(file)])
        return Visit(code, *capsys.readouterr(), json.loads(file.read_text()))

    return visit


@pytest.fixture
def unstarted(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """An account without any experiment, and the connection to it."""
    with EmulatorServer(start=datetime.now(UTC), clock_rate=1.0) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))
        yield server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """An account in which the experiment `bold` has run for 36 hours."""
    with EmulatorServer(start=datetime.now(UTC) - timedelta(hours=36), clock_rate=1.0) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))
        Scene(LaunchDarklyHook(), server)
        server.call(lambda emulator: emulator.requests.clear())
        yield server


def connect(monkeypatch: pytest.MonkeyPatch, url: str, token: str = "api-emulator", **extra: Any) -> None:
    """Point the connection elsewhere, or give it another token."""
    keys = {"project_key": "demo", "environment_key": "production"}
    connection = {"conn_type": "launchdarkly", "host": url, "password": token, "extra": {**keys, **extra}}
    monkeypatch.setenv(CONNECTION, json.dumps(connection))


@pytest.fixture
def web_server() -> Iterator[Callable[..., str]]:
    """Serve answers that no LaunchDarkly gives: each path's JSON, or HTML for all."""
    servers: list[ThreadingHTTPServer] = []

    def serve(answers: dict[str, Any] | str, headers: dict[str, str] | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers if isinstance(answers, str) else answers.get(self.path.partition("?")[0])
                body = (found if isinstance(found, str) else json.dumps(found or {})).encode()
                self.send_response_only(200 if found is not None else 404)
                self.send_header("Content-Type", "text/html" if isinstance(answers, str) else "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
