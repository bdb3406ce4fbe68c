"""`airflow-launchdarkly show` of a promotion: one environment from LaunchDarkly, or each of a run from Airflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest
from typing_extensions import override

from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import PromotionRunner, make_true, three_environments
from support.surroundings import CONNECTION, connection_json
from unit.cli.conftest import Run
from unit.rollout.test_promotion_group import PROMOTION

Command = Callable[..., Run]
RUN = "manual__1"


class Airflow(BaseHTTPRequestHandler):
    """Answers as Airflow's API server does, for the run of a promotion."""

    done: ClassVar[PromotionRunner]

    def do_GET(self) -> None:
        *_, kind = unquote(urlsplit(self.path).path).split("/dagRuns/", 1)[-1].split("/", 1)
        notes = {key: (task, body) for (task, key), body in self.done.xcoms.items() if "note/" in key}
        if kind == "taskInstances/~/xcomEntries":
            place = {"dag_id": "button", "run_id": RUN, "map_index": -1, "timestamp": "2026-03-02T09:00:00+00:00"}
            entries = [{**place, "task_id": task, "key": key} for key, (task, _) in notes.items()]
            self.answer({"xcom_entries": entries, "total_entries": len(entries)})
        elif "/xcomEntries/" in kind:
            self.answer({"value": notes[kind.partition("/xcomEntries/")[2]][1]})
        elif kind == "taskInstances":
            tasks = [
                {"task_id": name, "state": state, "operator": self.done.dag.get_task(name).task_type, "map_index": -1}
                for name, state in self.done.states.items()
            ]
            self.answer({"task_instances": tasks, "total_entries": len(tasks)})
        elif kind.endswith("hitlDetails"):
            self.answer({"hitl_details": [], "total_entries": 0})
        else:
            self.answer({"state": "success"})

    def answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    @override
    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """An emulator in which a promotion has shipped in test and was rolled back in staging."""
    with EmulatorServer(world=three_environments()) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))

        def wait(task_id: str) -> None:
            make_true(server, -0.5 if task_id.startswith("staging") else 0.3)
            server.clock.advance(timedelta(days=1))

        Airflow.done = PromotionRunner(rollout_dag(PROMOTION), wait=wait)
        Airflow.done.run()
        yield server


@pytest.fixture
def url(emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AIRFLOW_API_TOKEN", "token")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_run_shows_each_environment_that_has_begun(run: Command, url: str) -> None:
    shown = run("show", f"button/{RUN}", "--airflow", url, "--json")
    assert shown.code == ExitCode.OK
    found = {each["summary"]["environment"]: each["summary"]["state"] for each in json.loads(shown.out)}
    assert found == {"test": "shipped", "staging": "rolled_back"}
    text = run("show", f"button/{RUN}", "--airflow", url, "--utc").out
    assert "demo/test" in text
    assert "demo/staging" in text
    assert "demo/production" not in text


@pytest.mark.parametrize(("environment", "served"), [("test", "Bold"), ("staging", "Classic")])
def test_an_experiment_is_that_of_the_environment_that_is_named(
    run: Command, emulator: EmulatorServer, environment: str, served: str
) -> None:
    shown = run("show", "button", "--environment", environment, "--utc")
    assert shown.code == ExitCode.OK
    assert f"demo/{environment}" in shown.out
    assert served in shown.out


def test_an_environment_that_was_not_begun_has_no_experiment(run: Command, emulator: EmulatorServer) -> None:
    shown = run("show", "button", "--environment", "production")
    assert shown.code == ExitCode.ERROR
    assert "button" in shown.err
