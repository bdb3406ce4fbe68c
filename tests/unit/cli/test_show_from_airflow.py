"""`airflow-launchdarkly show --airflow`: a run as its page has it, over HTTP and with a token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from airflow.sdk import DAG
from typing_extensions import override

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.plugins.pages import gathering
from airflow_provider_launchdarkly.rollout.task_group import experiment_rollout
from airflow_provider_launchdarkly.testing import EmulatorServer
from airflow_provider_launchdarkly.views.notes import key_of
from support.shown import DAY, HOUR, START, WAITS, watched
from support.task_runner import TaskRunner
from unit.rollout.test_ship_by_release import make_true
from unit.rollout.test_ship_by_release import rollout as by_release
from unit.rollout.test_task_group import SeenEnoughError

NOTE = watched()
KEY = key_of("demo", "production", "checkout")
RUN = "manual__2026-03-02T09:00:00+00:00"
XCOMS = f"/api/v2/dags/shop/dagRuns/{RUN}/taskInstances/~/xcomEntries"
TOKEN = "token-of-a-viewer"


class Airflow(BaseHTTPRequestHandler):
    """Answers as Airflow's API server does, for one run with one note, and for a rollout that a test has run.

    Attributes:
        rollout: The rollout, whose DAG's id is ``rollout``; None without.
    """

    rollout: ClassVar[TaskRunner | None] = None

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(401, {"detail": "Not authenticated"})
        elif self.rollout and path.startswith(("/api/v2/dags/rollout/", "/api/v2/dags/~/")):
            self.answer(200, of_rollout(self.rollout, path, parse_qs(address.query)))
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


def of_rollout(run: TaskRunner, path: str, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return Airflow's answer about a run of a rollout."""
    if path.endswith("/xcomEntries"):
        (pattern,) = query["xcom_key_pattern"]
        entries = [
            {
                "dag_id": "rollout",
                "run_id": "run",
                "task_id": task_id,
                "map_index": -1,
                "key": key,
                "timestamp": (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=number)).isoformat(),
            }
            for number, (task_id, key) in enumerate(run.xcoms)
            if key.startswith(pattern)
        ]
        return {"xcom_entries": entries, "total_entries": len(entries)}
    if "/xcomEntries/" in path:
        task, _, key = path.partition("/xcomEntries/")
        return {"value": run.xcoms[task.rpartition("/")[2], key]}
    if path.endswith("/taskInstances"):
        tasks = [
            {"task_id": task_id, "state": state, "operator": run.dag.get_task(task_id).task_type, "map_index": -1}
            for task_id, state in run.states.items()
        ]
        return {"task_instances": tasks, "total_entries": len(tasks)}
    return {"hitl_details": [], "total_entries": 0, "state": "running"}


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
    monkeypatch.setattr(gathering, "_now", lambda: START + 8 * DAY + HOUR)


@pytest.mark.parametrize("what", [f"shop/{RUN}", "shop"])
def test_a_run_is_shown_as_its_page_has_it(what: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", what, "--airflow", url, "--utc"]) == ExitCode.OK
    shown = capsys.readouterr().out
    for told in ("demo/production", "waiting", "Who gets what: 75 % Classic, 25 % Bold", "How it is decided"):
        assert told in shown


def test_an_overdue_look_is_shown_with_what_to_do(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gathering, "_now", lambda: START + 20 * DAY)
    assert main(["show", "shop", "--airflow", url, "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)["summary"]
    assert (told["state"], told["unwatched"]["what"]) == ("overdue", "Look 9 of 28 is overdue by 11 days.")


def test_the_address_may_be_in_the_environment(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_API_URL", f"{url}/")
    assert main(["show", "shop", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["summary"]["dag_id"] == "shop"


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(
    ("polls", "tells"),
    [
        (1, ["step 1 of 2, 10 % get the target", "checkout-conversion no data", "Next step, 50 %: Tue 13 Jan 2026"]),
        (2, ["step 2 of 2, 50 % get the target", "checkout-conversion ok", "The last step ends: Thu 15 Jan 2026"]),
    ],
)
def test_a_rollout_that_has_handed_over_to_a_release_shows_its_step_and_its_metrics(
    polls: int,
    tells: list[str],
    emulator: EmulatorServer,
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Airflow, "rollout", begun(emulator, polls))
    capsys.readouterr()
    assert main(["show", "rollout", "--airflow", url, "--utc"]) == ExitCode.OK
    shown = capsys.readouterr().out
    (line,) = (each for each in shown.splitlines() if each.startswith("Release of the flag, as LaunchDarkly judges it"))
    for told in ("in progress", "page-load-ms", *tells):
        assert told in line
    assert main(["show", "rollout", "--airflow", url, "--json"]) == ExitCode.OK
    release = json.loads(capsys.readouterr().out)["summary"]["release"]
    assert (release["flag"], release["step"], release["status"]) == ("checkout-button", polls, "in_progress")


def begun(emulator: EmulatorServer, polls: int) -> TaskRunner:
    """Run a rollout until its release has been polled so often, a day apart."""
    make_true(emulator)
    polled = 0

    def wait(task_id: str) -> None:
        nonlocal polled
        if task_id.endswith("release.watch"):
            polled += 1
            if polled == polls:
                runner.states[task_id] = "deferred"
                raise SeenEnoughError
        emulator.clock.advance(timedelta(days=1))

    with DAG("rollout", schedule=None) as dag:
        experiment_rollout(by_release(), group_id="r")
    runner = TaskRunner(dag, wait=wait)
    with pytest.raises(SeenEnoughError):
        runner.run()
    return runner


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
