"""Rollouts that are judged by rows in a warehouse, on a real Airflow, with LaunchDarkly's results endpoints gone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.emulator.state.scenarios import scenario_data
from stack.airflow_stack import AirflowStack, StackError
from stack.demo import FLAG, Emulator
from stack.demo_warehouse import open_warehouse
from stack.rollouts import MINUTES, Rollout
from support.warehouse import backends

EFFECTS = {"better": 0.9, "worse": -0.8}
ENDINGS = {
    "better": ("ship", "on, everyone gets Bold"),
    "worse": ("rollback", "on, everyone gets Classic"),
}


def write_world(target: Path, effect: float) -> None:
    """The default world with few people, so that a day's rows are written at once, and an effect that they show."""
    world = scenario_data("no-effect")
    truth = world["projects"][FLAG[0]]["truths"][FLAG[2]]
    truth["people_per_day"] = 400
    truth["metrics"]["checkout-conversion"] = {"baseline_rate": 0.3, "effects": {"Bold": {"relative": effect}}}
    target.write_text(json.dumps(world), encoding="utf-8")


@pytest.fixture
def accounts(stack: AirflowStack, tmp_path: Path) -> Iterator[dict[str, Emulator]]:
    """An account for each effect, without results endpoints, which fills a warehouse; Airflow is connected to both.

    The warehouses are databases of their own in PostgreSQL where it answers, in CI always; else SQLite files.
    """
    with ExitStack() as cleanup:
        running = {}
        for name, effect in EFFECTS.items():
            folder = tmp_path / name
            folder.mkdir()
            warehouse = cleanup.enter_context(open_warehouse(folder))
            if "postgres" in backends():
                assert warehouse.url.startswith("postgresql://"), "PostgreSQL does not let us make a database"
            write_world(folder / "world.json", effect)
            options = ("--set", "results=gone", "--warehouse", warehouse.url)
            emulator = Emulator("", 42, folder / "emulator.log", world=folder / "world.json", options=options)
            cleanup.callback(emulator.stop)
            running[name] = emulator
            connect(stack, cleanup, name, json.loads(emulator.connection))
            connect(stack, cleanup, f"rows_of_{name}", json.loads(warehouse.environment["AIRFLOW_CONN_WAREHOUSE"]))
        schema = warehouse.environment["AIRFLOW_VAR_LAUNCHDARKLY_SCHEMA"]
        stack.call("POST", "/variables", {"key": "exported_schema", "value": schema})
        cleanup.callback(stack.call, "DELETE", "/variables/exported_schema")
        yield running


def connect(stack: AirflowStack, cleanup: ExitStack, conn_id: str, described: dict[str, Any]) -> None:
    fields = {**described, "extra": json.dumps(described.get("extra", {})), "connection_id": conn_id}
    stack.call("POST", "/connections", fields)
    cleanup.callback(stack.call, "DELETE", f"/connections/{conn_id}")


def finish(runs: dict[str, Rollout]) -> None:
    """Let rollouts run to their ends, side by side."""
    deadline = time.monotonic() + MINUTES * 60
    while unfinished := [run for run in runs.values() if run.state() not in {"success", "failed"}]:
        if time.monotonic() > deadline:
            raise StackError(f"after {MINUTES} minutes: {[run.states() for run in unfinished]}")
        unfinished[0].stack.check_alive()
        for run in unfinished:
            run.step(run.states())
        time.sleep(0.2)


def test_rollouts_end_by_the_rows_of_the_warehouse(stack: AirflowStack, accounts: dict[str, Emulator]) -> None:
    runs = {name: Rollout(stack, emulator, f"from_warehouse_{name}") for name, emulator in accounts.items()}
    finish(runs)
    for name, (ending, served) in ENDINGS.items():
        run, emulator = runs[name], accounts[name]
        assert run.state() == "success", run.states()
        assert run.states()[f"rollout.{ending}"] == "success"
        assert run.xcom("rollout.verdict")["ending"] == ending
        assert emulator.served() == served
        operations = {request["operation"] for request in emulator.get("/__emulator__/requests", after=0)["requests"]}
        assert operations
        assert not [operation for operation in operations if "results" in operation]
