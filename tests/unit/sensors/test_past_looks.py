"""The looks of a past iteration, taken again from the warehouse: the command `past-looks`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.cli.main import main
from support.launchdarkly_tables import LaunchDarklyTables
from support.warehouse import Warehouse
from unit.sensors.conftest import KEY, Fire, Underway, wait

RATES = {"Classic": 0.10, "Bold": 0.14}


@pytest.fixture
def tables(warehouse: Warehouse, underway: Underway) -> LaunchDarklyTables:
    made = LaunchDarklyTables(warehouse, underway.emulator, underway.iteration_id, underway.emulator.clock.now())
    made.create()
    underway.emulator.switch(results="gone")
    return made


def results_file(folder: Path, tables: LaunchDarklyTables, **fields: Any) -> Path:
    file = folder / "results.yaml"
    described = {"source": "data_export", "conn_id": "warehouse", "schema": tables.schema, **fields}
    file.write_text(json.dumps({"results": described}))
    return file


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["past-looks", KEY, *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("database", ["sqlite"])
def test_it_decides_at_each_look_as_the_sensor_did(
    underway: Underway,
    tables: LaunchDarklyTables,
    fire: Fire,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.fill("checkout-conversion", RATES)
    records = tmp_path / "records"
    monkeypatch.setenv("AIRFLOW__LAUNCHDARKLY__RECORD_PATH", f"file://{records}")
    file = results_file(tmp_path, tables)
    results = json.loads(file.read_text())["results"]
    verdict, _ = wait(underway, fire, results=results)
    assert verdict["verdict"] == "ship"
    (path,) = records.rglob("*.jsonl")
    recorded = [json.loads(line)["verdict"] for line in path.read_text().splitlines()]
    underway.stop()
    underway.emulator.clock.advance("P3D")
    capsys.readouterr()
    code, out, _ = command(capsys, "--results", str(file), "--json")
    again = json.loads(out)
    assert code == 0
    assert [look["verdict"] for look in again] == [look["verdict"] for look in recorded]
    assert [look["metrics"][0]["comparisons"] for look in again] == [
        look["metrics"][0]["comparisons"] for look in recorded
    ]
    assert command(capsys, "--results", str(file))[1].endswith(f"It would have ended ship on day {len(recorded)}.0.\n")


@pytest.mark.parametrize("database", ["sqlite"])
def test_another_policy_is_told_in_lines(
    underway: Underway, tables: LaunchDarklyTables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.fill("checkout-conversion", RATES)
    underway.emulator.clock.advance(timedelta(days=5, hours=3))
    policy = tmp_path / "policy.yaml"
    policy.write_text("looks: 2d\n")
    code, out, _ = command(capsys, "--results", str(results_file(tmp_path, tables)), "--policy", str(policy))
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f"{KEY}, iteration {underway.iteration_id}"
    assert [line.partition(" UTC  ")[2][:17] for line in lines[1:-1]] == ["wait         look", "wait         look"]
    assert lines[-1] == "It would still be waiting on day 4.0."


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ('{"results": {"source": "data_export", "schema": "x"}}', (), "results.yaml:1: conn_id: is required"),
        ("source: data_export\nconn_id: w\nshema: x\n", (), "results.yaml:3: shema: is not known"),
        ("[", (), "this is no YAML"),
        (None, ("--iteration", "other"), "has no iteration 'other'"),
        (None, (), "ran until 2026-01-05 09:00 UTC, and the policy's first look comes later"),
        (None, ("--preset", "none"), "preset"),
    ],
)
def test_what_is_wrong_is_named(
    tables: LaunchDarklyTables,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    file = results_file(tmp_path, tables)
    if text is not None:
        file.write_text(text)
    code, _, err = command(capsys, "--results", str(file), *arguments)
    assert code == 1
    assert message in err


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize("verb", ["past-looks", "results-sql"])
def test_a_connection_that_is_not_defined_is_named_with_the_cure(
    verb: str, underway: Underway, tables: LaunchDarklyTables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    underway.emulator.clock.advance("P3D")
    file = results_file(tmp_path, tables, conn_id="lake")
    assert main([verb, KEY, "--results", str(file)]) == 1
    told = capsys.readouterr().err
    assert told == (
        f"airflow-launchdarkly {verb}: connection 'lake' of {file} is not defined: set AIRFLOW_CONN_LAKE to its JSON "
        "or URI, or correct conn_id\n"
    )


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize(
    ("settings", "where", "said"),
    [
        (None, "country = = 'de'", "OperationalError: near"),
        ('{"conn_type": "sqlite", "host": "/nowhere/at/all.db"}', "", "OperationalError: unable to open database file"),
    ],
)
def test_what_a_driver_says_is_told_with_the_connection_and_the_cure(
    settings: str | None,
    where: str,
    said: str,
    underway: Underway,
    tables: LaunchDarklyTables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.fill("checkout-conversion", RATES)
    underway.emulator.clock.advance("P3D")
    if settings:
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", settings)
    file = results_file(tmp_path, tables, **({"where": where} if where else {}))
    code, _, told = command(capsys, "--results", str(file))
    assert code == 1
    assert told.startswith("airflow-launchdarkly past-looks: the warehouse of connection 'warehouse' could not be read")
    assert said in told
    assert f"`where` in {file}" in told
    assert "Traceback" not in told
