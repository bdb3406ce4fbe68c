"""The LaunchDarkly token is nowhere after a rollout whose logs are at DEBUG, and a token that leaks is found.

Both in one test, since it needs an Airflow of its own: what is planted there would be found by other tests' hunts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stack.airflow_stack import PATIENCE, AirflowStack
from stack.demo import Emulator
from stack.rollouts import Rollout, make_true
from stack.token_hunt import Hunt, forms

# A quote, a backslash and what URLs reserve, so that each form of it is another text.
TOKEN = f'api-{secrets.token_hex(8)}/hunt+of"the\\token={secrets.token_hex(8)}&'
# Stands in all that is looked at, so that a place that was not really looked at is told.
KEY = "hunted-button"
CONNECTION = "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"
DAGS = Path(__file__).parent / "dags"
TASK = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"
XCOM, LOG, LINKS = f"{TASK}/xcomEntries/{{xcom_key}}", f"{TASK}/logs/{{try_number}}", f"{TASK}/links"
ANSWERS = (
    "/api/v2/dags",
    "/api/v2/dags/{dag_id}",
    "/api/v2/dags/{dag_id}/details",
    "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}",
    "/api/v2/dagSources/{dag_id}",
    "/api/v2/connections/{connection_id}",
    "/api/v2/eventLogs",
    "/api/v2/plugins",
    TASK,
    XCOM,
    LOG,
    LINKS,
    f"{TASK}/{{map_index}}/hitlDetails",
    "/ui/grid/structure/{dag_id}",
)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def hunted_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    running = Emulator("effect", 42, tmp_path_factory.mktemp("hunted") / "emulator.log", token=TOKEN)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hunted(hunted_emulator: Emulator, records: Path) -> Iterator[AirflowStack]:
    """An Airflow whose logs are at DEBUG, with decision records."""
    environment = {
        CONNECTION: hunted_emulator.connection,
        "AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL": "0.5",
        "AIRFLOW__LAUNCHDARKLY__RECORD_PATH": str(records),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    }
    with AirflowStack(DAGS, environment) as running:
        yield running


def test_the_token_is_nowhere_after_a_rollout_and_what_leaks_is_found(
    hunted: AirflowStack, hunted_emulator: Emulator, records: Path, tmp_path: Path
) -> None:
    assert_what_leaks_is_found(hunted)
    hunt = Hunt({"token": TOKEN, "key": KEY})
    store_connection(hunted, hunted_emulator)
    make_true(hunted_emulator, effect=0.5, people_per_day=20_000)
    run = Rollout(hunted, hunted_emulator, "hunted")
    run.until(lambda states: states["rollout.watch"] == "deferred" and bool(rows_of_triggers(hunted)))
    hunt.look_at_database(hunted)
    assert "table trigger" in hunt.found("key")
    states = run.finish()
    assert (run.state(), states["rollout.ship"]) == ("success", "success"), states
    assert run.answered

    hunt.look_at_database(hunted)
    answered = hunt.walk(hunted, parameters(hunted, "hunted", run.run_id))
    assert set(ANSWERS) <= answered
    hunt.look_at_files("file", hunted.home)
    hunt.look_at_files("record", records)
    for path in ("/__emulator__/journal", "/__emulator__/requests"):
        hunt.look(path, json.dumps(hunted_emulator.get(path)))
    for verb, said in command_line(hunted_emulator, records, tmp_path):
        hunt.look(f"airflow-launchdarkly {verb}", said)
    hunt.look_at_files("written by", tmp_path)
    assert hunt.found("token") == set()

    with_the_key = hunt.found("key")
    tables = ("xcom", "rendered_task_instance_fields", "serialized_dag", "dag_code", "hitl_detail")
    assert {f"table {name}" for name in tables} <= with_the_key
    assert {f"GET {path}" for path in (XCOM, LOG, LINKS, TASK)} <= with_the_key
    assert any(place.startswith("record ") for place in with_the_key)
    assert any(place.startswith("file logs/") and "rollout.watch" in place for place in with_the_key)
    assert {"/__emulator__/journal", "airflow-launchdarkly doctor", "airflow-launchdarkly replay"} <= with_the_key
    assert b"DEBUG" in hunted.log_of("triggerer").read_bytes().upper()


def assert_what_leaks_is_found(hunted: AirflowStack) -> None:
    """Leak a text like the token in each form, and find it in the log, the XCom, the rendered field and the answers."""
    decoys = {form: f'api-{secrets.token_hex(16)}/leak+of"the\\decoy=&' for form in forms("")}
    planted = {
        "plain": decoys["plain"],
        "JSON-escaped": json.dumps(json.dumps({"token": decoys["JSON-escaped"]})),
        "URL-encoded": f"https://127.0.0.1/?of={quote(decoys['URL-encoded'], safe='')}",
        "base64": base64.b64encode(f"user:{decoys['base64']}".encode()).decode(),
    }
    run_id = hunted.trigger("planted", {"planted": planted})
    wait_until_ended(hunted, "planted", run_id)
    assert hunted.run_state("planted", run_id) == "success"
    hunt = Hunt({**decoys, "absent": TOKEN[::-1]})
    hunt.look_at_database(hunted)
    hunt.walk(hunted, parameters(hunted, "planted", run_id))
    hunt.look_at_files("file", hunted.home)
    for form in planted:
        found = hunt.found(form)
        assert {
            "table xcom",
            "table rendered_task_instance_fields",
            f"GET {XCOM}",
            f"GET {LOG}",
            f"GET {TASK}",
        } <= found
        assert any(place.startswith("file logs/") for place in found), form
    assert hunt.found("absent") == set()


def test_each_form_is_another_text() -> None:
    written = [one for needles in forms(TOKEN).values() for one in needles]
    assert len(written) == len(set(written))
    assert all(len(one) > 40 for one in written)


def store_connection(stack: AirflowStack, emulator: Emulator) -> None:
    """Store the same connection in the database too, as the form in Airflow's UI does."""
    fields = json.loads(emulator.connection)
    body = {**fields, "connection_id": "launchdarkly_stored", "extra": json.dumps(fields["extra"])}
    stack.call("POST", "/connections", body)
    assert stack.call("GET", "/connections/launchdarkly_stored")["password"] == "***"


def rows_of_triggers(stack: AirflowStack) -> list[Any]:
    with contextlib.closing(sqlite3.connect(stack.home / "airflow.db", timeout=30)) as database:
        return database.execute("SELECT id FROM trigger").fetchall()


def parameters(stack: AirflowStack, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Values of the path parameters of Airflow's API, for all that a run has."""
    run = {"dag_id": dag_id, "dag_run_id": run_id, "run_id": run_id, "version_number": 1, "map_index": -1}
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    found: list[dict[str, Any]] = [{"connection_id": "launchdarkly_stored"}, {"pool_name": "default_pool"}]
    found += [{"asset_id": asset["id"]} for asset in stack.call("GET", "/assets")["assets"]]
    for task in stack.call("GET", path, limit=100)["task_instances"]:
        tries = range(1, max(task["try_number"], 1) + 1)
        entries = stack.call("GET", f"{path}/{task['task_id']}/xcomEntries", limit=100)["xcom_entries"]
        for number in tries:
            for key in [entry["key"] for entry in entries] or ["return_value"]:
                this = {"task_id": task["task_id"], "try_number": number, "task_try_number": number, "xcom_key": key}
                found.append({**run, **this})
    return found


def command_line(emulator: Emulator, records: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """What the commands say that reach LaunchDarkly or read what a rollout has kept, with a right and a wrong token."""
    rollout = folder / "hunted.yaml"
    (record, *_) = sorted(map(str, records.rglob("*.jsonl")))
    variables = {key: text for key, text in os.environ.items() if not key.startswith(("AIRFLOW", "LAUNCHDARKLY"))}
    with_connection = {**variables, CONNECTION: emulator.connection}
    with_token = {**variables, "LAUNCHDARKLY_ACCESS_TOKEN": TOKEN}
    place = ("--host", emulator.url, "--project", "demo", "--environment", "production")
    for environment, *arguments in (
        (with_connection, "doctor", "--experiment", KEY),
        (with_connection, "doctor", "--json"),
        (with_token, "doctor", *place),
        ({**with_token, "LAUNCHDARKLY_ACCESS_TOKEN": f"{TOKEN}x"}, "doctor", *place),
        (with_connection, "init", KEY, "--output", str(rollout)),
        (with_connection, "plan", str(rollout)),
        (with_connection, "replay", record),
        (with_connection, "portfolio", str(records)),
    ):
        command = (sys.executable, "-m", "airflow_provider_launchdarkly.cli.main", *arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.stdout + done.stderr or rollout.is_file()
        yield arguments[0], done.stdout + done.stderr


def wait_until_ended(stack: AirflowStack, dag_id: str, run_id: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while stack.run_state(dag_id, run_id) not in {"success", "failed"}:
        assert time.monotonic() < deadline
        time.sleep(0.5)
