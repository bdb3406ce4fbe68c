"""`airflow-launchdarkly show --airflow`: a run as its page has it, over HTTP and with a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.views.notes import key_of
from support.shown import WAITS, watched

NOTE = watched()
KEY = key_of("demo", "production", "checkout")
RUN = "manual__2026-03-02T09:00:00+00:00"
XCOMS = f"/api/v2/dags/shop/dagRuns/{RUN}/taskInstances/~/xcomEntries"
TOKEN = "token-of-a-viewer"


class Airflow(BaseHTTPRequestHandler):
    """Answers as Airflow's API server does, for one run with one note."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(401, {"detail": "Not authenticated"})
        elif path == "/elsewhere/api/v2/dags/shop/dagRuns/~/taskInstances/~/xcomEntries":
            self.answer(302, {}, location="https://example.invalid/")
        elif path in {XCOMS, XCOMS.replace(RUN, "~")}:
            place = {"dag_id": "shop", "run_id": RUN, "task_id": NOTE.task_id, "map_index": -1}
            entry = {**place, "key": KEY, "timestamp": NOTE.at}
            self.answer(200, {"xcom_entries": [entry], "total_entries": 1})
        elif path == f"{XCOMS.replace('~', NOTE.task_id)}/{KEY}":
            self.answer(200, {"value": NOTE.body})
        elif path.endswith("/taskInstances"):
            task = {"task_id": WAITS.task_id, "state": WAITS.state, "operator": WAITS.operator, "map_index": -1}
            self.answer(200, {"task_instances": [task], "total_entries": 1})
        elif path.endswith("/hitlDetails"):
            self.answer(200, {"hitl_details": [], "total_entries": 0})
        elif path.endswith(f"/dagRuns/{RUN}"):
            self.answer(200, {"state": "running"})
        elif path.endswith("/xcomEntries"):
            self.answer(
                200, {"xcom_entries": [], "total_entries": 0} if "/empty/" in path else {}, ok="/empty/" in path
            )
        else:
            self.answer(404, {})

    def answer(self, status: int, body: dict[str, Any], *, location: str | None = None, ok: bool = True) -> None:
        self.send_response(status if ok else 404)
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    @override
    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_API_TOKEN", TOKEN)


@pytest.mark.parametrize("what", [f"shop/{RUN}", "shop"])
def test_a_run_is_shown_as_its_page_has_it(what: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", what, "--airflow", url, "--utc"]) == ExitCode.OK
    shown = capsys.readouterr().out
    for told in ("demo/production", "waiting", "Who gets what now: 75 % Classic, 25 % Bold", "How it is decided"):
        assert told in shown


def test_the_address_may_be_in_the_environment(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_API_URL", f"{url}/")
    assert main(["show", "shop", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["summary"]["dag_id"] == "shop"


@pytest.mark.parametrize(
    ("what", "address", "held", "says"),
    [
        ("shop", "", "wrong", "renew the token in AIRFLOW_API_TOKEN"),
        ("shop", "", "", "AIRFLOW_API_TOKEN is not set"),
        ("nowhere", "", TOKEN, "correct the DAG and the run"),
        ("empty", "", TOKEN, "no run of empty has an experiment"),
        ("shop", "/elsewhere", TOKEN, "Airflow answers 302"),
        ("shop", "file:///etc/passwd", TOKEN, "is no address"),
        ("shop", "http://127.0.0.1:9", TOKEN, "does not answer"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_cure_and_without_the_token(
    what: str,
    address: str,
    held: str,
    says: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW_API_TOKEN", held)
    whole = address if "://" in address else f"{url}{address}"
    assert main(["show", what, "--airflow", whole]) == ExitCode.ERROR
    error = capsys.readouterr().err
    assert says in error
    assert TOKEN not in error
