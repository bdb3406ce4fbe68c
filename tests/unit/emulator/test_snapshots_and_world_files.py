"""Snapshots, and worlds from files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_launchdarkly.emulator.state import files, snapshot
from airflow_provider_launchdarkly.emulator.state.clock import parse_time
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.testing import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.emulator_caller import Caller, StartEmulator

WORLD = """
members:
  ada@example.com: {first_name: Ada}
projects:
  shop:
    environments:
      live: {name: Live, approvals_required: true}
    flags:
      banner: {variations: [none, loud], on_in: [live]}
    metrics:
      sales: {}
      basket: {numeric: true}
    truths:
      banner:
        people_per_day: 500
        metrics:
          sales: {baseline_rate: 0.2, effects: {loud: {relative: 0.1}}}
          basket: {baseline_mean: 10, standard_deviation: 3}
"""


@pytest.fixture
def world_file(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str = WORLD) -> Path:
        path = tmp_path / "world.yaml"
        path.write_text(text)
        return path

    return write


def test_a_snapshot_restores_the_whole_state(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P3D")
    before = api.read(), api.flag()
    taken = api.server.snapshot()
    api.stop(api.treatments()[1]["_id"])
    api.server.load(taken)
    assert (api.read(), api.flag()) == before
    assert api.server.journal() == []


def test_another_emulator_continues_from_a_snapshot_in_plain_json(
    api: Caller, emulator_with: StartEmulator, tmp_path: Path
) -> None:
    api.running()
    api.server.clock.advance("P3D")
    path = tmp_path / "snapshot.json"
    api.server.snapshot(path)
    other = emulator_with(snapshot=path)
    assert other.server.clock.now() == api.server.clock.now()
    assert other.read() == api.read()
    results = f"{api.experiments}/bold/metrics/checkout-conversion/results"
    assert other.get(results).json() == api.get(results).json()
    for caller in (api, other):
        caller.server.clock.advance("P7D")
    assert other.get(results).json() == api.get(results).json()


def test_new_ids_continue_from_the_snapshot(api: Caller, emulator_with: StartEmulator) -> None:
    taken = api.server.snapshot()
    assert emulator_with(snapshot=taken).create()["_id"] == api.create()["_id"]


def test_snapshots_work_over_http(api: Caller) -> None:
    url = f"{api.server.url}/__emulator__"
    api.turn_on()
    taken = httpx.get(f"{url}/snapshot").json()
    api.patch_flag({"kind": "turnFlagOff"})
    assert httpx.post(f"{url}/load", json=taken).status_code == 200
    assert api.production()["on"] is True


def test_the_clock_does_not_go_back_to_a_snapshots_time(api: Caller) -> None:
    taken = api.server.snapshot()
    api.server.clock.advance("P1D")
    api.server.load(taken)
    assert api.server.clock.now().isoformat() == "2026-01-06T09:00:00+00:00"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda taken: taken.update({"launchdarkly-emulator-snapshot": 99}),
        lambda taken: taken.pop("world"),
        lambda taken: taken.update(world={"is": "Anything"}),
        lambda taken: taken.update(world=[1]),
        lambda taken: taken["world"].update(nothing=1),
        lambda taken: taken["settings"].update(nothing="on"),
        lambda taken: taken.update(time="yesterday"),
    ],
)
def test_an_invalid_snapshot_is_rejected_and_changes_nothing(
    api: Caller, spoil: Callable[[dict[str, Any]], object]
) -> None:
    api.turn_on()
    taken = api.server.snapshot()
    spoil(taken)
    response = httpx.post(f"{api.server.url}/__emulator__/load", json=taken)
    assert response.status_code == 400
    assert api.production()["on"] is True


def test_a_snapshot_round_trip_keeps_the_whole_world() -> None:
    emulator = Emulator(start=parse_time("2026-01-05T09:00:00Z"), rate=0)
    flag = emulator.world.projects["demo"].flags["checkout-button"]
    assert flag.variations
    text = json.dumps(emulator.snapshot())
    world, moment, settings = snapshot.from_json(json.loads(text))
    assert (moment, settings) == (emulator.clock.now(), emulator.settings)
    assert json.dumps(snapshot.to_json(world, moment, settings)) == text


def test_a_world_comes_from_a_yaml_file(emulator_with: StartEmulator, world_file: Callable[..., Path]) -> None:
    caller = emulator_with(world=world_file())
    assert [p["key"] for p in caller.get("/api/v2/projects").json()["items"]] == ["shop"]
    flag = caller.get("/api/v2/flags/shop/banner").json()
    assert flag["environments"]["live"]["on"] is True
    assert caller.get("/api/v2/projects/shop/environments/live").json()["approvalSettings"]["required"] is True


def test_a_reset_brings_the_files_world_back_and_a_scenario_replaces_it(
    emulator_with: StartEmulator, world_file: Callable[..., Path]
) -> None:
    caller = emulator_with(world=world_file())
    caller.server.reset()
    assert caller.get("/api/v2/projects/shop").status_code == 200
    caller.server.reset("no-effect")
    assert caller.get("/api/v2/projects/shop").status_code == 404


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "baseline_rate: 0.2,",
            "baseline_mean: 1, standard_deviation: 1,",
            r"truths\.banner\.metrics\.sales: .*baseline_rate",
        ),
        ("basket: {numeric: true}", "basket: {}", r"truths\.banner\.metrics\.basket: .*a conversion"),
        ("sales: {}", "sale: {}", r"truths\.banner\.metrics: 'sales' is not one of sale, basket"),
        (
            "effects: {loud:",
            "effects: {lout:",
            r"truths\.banner\.metrics\.sales\.effects: 'lout' is not one of none, loud",
        ),
        ("people_per_day: 500", "people: 500", r"truths\.banner\.people_per_day: missing"),
        (
            "baseline_rate: 0.2",
            "baseline_rate: 2",
            r"world\.projects\.shop\.truths\.banner\.metrics\.sales\.baseline_rate",
        ),
        ("on_in:", "onn_in:", r"world\.projects\.shop\.flags\.banner\.onn_in: unknown field; did you mean 'on_in'"),
    ],
)
def test_an_error_in_a_world_names_its_path(world_file: Callable[..., Path], old: str, new: str, said: str) -> None:
    assert old in WORLD
    with pytest.raises(ValueError, match=said):
        EmulatorServer(world=world_file(WORLD.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("- a", "does not hold a world"),
        ("members: {}\nmembers: {}", r"world\.yaml:2: 'members' is given twice"),
        ("a: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_file_without_a_world_is_rejected(world_file: Callable[..., Path], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        files.read_world(world_file(text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*none\.yaml"):
        files.read_world(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match=r"cannot read .*none\.json"):
        files.read_snapshot(tmp_path / "none.json")
