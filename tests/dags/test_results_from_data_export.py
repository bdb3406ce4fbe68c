"""The example with results from LaunchDarkly's tables, through `dag.test()`: the emulator fills them in SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.testing import EmulatorServer
from dags.test_results_from_sql import xcom
from support.lone_polls import poll_alone
from support.warehouse import CONNECTION

# Few people, of whom many respond: each of them is several rows.
TRUTH = {
    "people_per_day": 250,
    "metrics": {
        "checkout-conversion": {"baseline_rate": 0.2, "effects": {"Bold": {"relative": 0.8}}},
        "page-load-ms": {"baseline_mean": 820, "standard_deviation": 60},
    },
}


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """An emulator without results endpoints, whose people are rows in the warehouse, and whose days fly."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "sqlite", "host": str(path)}))
    with EmulatorServer(warehouse=f"sqlite:///{path}") as server:
        server.switch(results="gone")
        truth = GroundTruth.from_dict(TRUTH)
        server.call(lambda inside: inside.world.projects["demo"].truths.update({"checkout-button": truth}))
        monkeypatch.setenv("AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT", json.dumps(server.connection()))

        async def sleep(_: float) -> None:
            server.clock.advance("P1D")

        poll_alone(monkeypatch, sleep)
        yield server


def test_it_ships_and_leaves_a_record(
    exported: EmulatorServer, load_dag: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "decisions"
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", f"file://{records}")
    run = load_dag("results_from_data_export").test()
    assert run.state == "success"
    assert xcom(run, "rollout.verdict", "ending") == "ship"
    # The first stage's iteration ends with the second's start, and that one with the ship.
    assert len(exported.effects("iteration.stopped")) == 2
    paths = sorted(records.rglob("*.jsonl"))
    assert len(paths) == 2
    for path in paths:
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        assert {entry["source"] for entry in entries} == {"data_export"}
        assert main(["replay", str(path)]) == 0
