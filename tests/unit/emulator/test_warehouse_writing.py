"""What the emulator writes into a warehouse is repeatable, whatever happens to emulator and database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.testing import EmulatorServer
from support.emulator_caller import Caller
from support.export_rows import Place, kinds, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRUTH = {"people_per_day": 60, "metrics": {"bought": {"baseline_rate": 0.3, "late_events": {1: 0.2}}}}
WORLD: dict[str, Any] = {
    "members": {"ada@example.com": {}},
    "projects": {
        "demo": {
            "environments": {"production": {}},
            "flags": {"checkout-button": {"on_in": ["production"]}},
            "metrics": {"bought": {}, "bought-again": {"event_key": "bought"}},
            "truths": {"checkout-button": {**TRUTH, "other_metrics": {"baseline_rate": 0.1}}},
        }
    },
}


@pytest.fixture(params=kinds())
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as empty:
        yield empty


def start(server: EmulatorServer, *metrics: str) -> Caller:
    api = Caller(server)
    keys = [{"key": key} for key in metrics or ("bought",)]
    api.running(iteration=api.iteration(metrics=keys, primarySingleMetricKey="bought"))
    return api


def test_a_restart_from_a_snapshot_goes_on_without_duplicates(where: Place) -> None:
    with EmulatorServer(world=WORLD, warehouse=where.url) as server:
        start(server)
        server.clock.advance("P1D")
        snapshot = server.snapshot()
        server.clock.advance("P1D")
        through = where.everything()
    with EmulatorServer(snapshot=snapshot, warehouse=where.url, start=server.clock.now()) as again:
        assert where.everything() == through
        again.clock.advance("P1D")
        assert len(where.everything()["evaluation_events"]) > len(through["evaluation_events"])


def test_steps_of_any_length_write_the_same_rows(tmp_path: Path) -> None:
    found = []
    for name, steps in (("short", ["PT7H", "PT17H", "P2D"]), ("long", ["P3D"])):
        url = f"sqlite:///{tmp_path / name}.db"
        with EmulatorServer(world=WORLD, warehouse=url, warehouse_options={"late_share": 0.2}) as server:
            start(server)
            for step in steps:
                server.clock.advance(step)
        found.append(Place(url, "", "").everything())
    assert found[0] == found[1]
    assert len(found[0]["metric_events"]) > 20


def test_a_reset_deletes_the_rows_of_the_old_world(where: Place) -> None:
    with EmulatorServer(world=WORLD, warehouse=where.url) as server:
        start(server)
        server.clock.advance("P1D")
        server.reset()
        rows = where.everything()
    tables = ("evaluation_events", "metric_events", "experiment_iterations", "computed_arm_aggregates")
    assert [rows[table] for table in tables] == [[], [], [], []]


def test_rows_come_after_the_lag(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'warehouse.db'}"
    with EmulatorServer(world=WORLD, warehouse=url, warehouse_options={"lag": "PT26H"}) as server:
        start(server)
        server.clock.advance("P1D")
        assert Place(url, "", "").everything()["evaluation_events"] == []
        server.clock.advance("P1D")
        ((latest,),) = Place(url, "", "").rows("SELECT MAX(received_time) FROM evaluation_events")
        assert "2026-01-06 06" < latest < "2026-01-06 07"


def test_a_second_emulator_is_refused(where: Place) -> None:
    with (
        EmulatorServer(world=WORLD, warehouse=where.url),
        pytest.raises(ValueError, match=r"another emulator writes to the warehouse .*; end it, or give this one"),
    ):
        EmulatorServer(world=WORLD, warehouse=where.url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://localhost/shop", "'mysql://localhost/shop' is not a URL that the emulator can write to; use sqlite:"),
        ("sqlite:///", "is not a URL that the emulator can write to"),
        ("sqlite:////nowhere/warehouse.db", "there is no folder '/nowhere'; make it first"),
        ("postgresql://ada:secret@127.0.0.1:1/shop", r"cannot write to the warehouse postgresql://ada:\*\*\*@127"),
    ],
)
def test_a_bad_url_is_a_named_error(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        EmulatorServer(world=WORLD, warehouse=url)
    assert "secret" not in str(raised.value)


def test_two_metrics_with_the_same_events_are_refused(tmp_path: Path) -> None:
    with EmulatorServer(world=WORLD, warehouse=f"sqlite:///{tmp_path / 'warehouse.db'}") as server:
        start(server, "bought", "bought-again")
        with pytest.raises(ValueError, match="'bought' and 'bought-again' have the same events, 'bought'"):
            server.clock.advance("P1D")


@pytest.mark.parametrize("options", [{"lag": "soon"}, {"bots": 2}, {"arm_ids": "name"}, {"lags": "PT1H"}])
def test_a_wrong_option_is_named(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"warehouse\.{next(iter(options))}: "):
        EmulatorServer(warehouse=f"sqlite:///{tmp_path / 'warehouse.db'}", warehouse_options=options)


@pytest.mark.parametrize(
    ("rows", "expected"), [(1, {"user"}), (2, {"user", "device"}), (3, {"user", "device", "cart"})]
)
def test_each_event_has_a_row_for_each_context_kind(rows: int, expected: set[str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'warehouse.db'}"
    world = {**WORLD, "projects": {"demo": {**WORLD["projects"]["demo"], "context_kinds": ["device", "cart"]}}}
    with EmulatorServer(world=world, warehouse=url, warehouse_options={"context_kinds": rows}) as server:
        start(server)
        server.clock.advance("P1D")
    for table in ("evaluation_events", "metric_events"):
        counts = dict(Place(url, "", "").rows(f"SELECT context_kind, COUNT(*) FROM {table} GROUP BY context_kind"))
        assert set(counts) == expected
        assert len(set(counts.values())) == 1, counts


def test_bots_evaluate_often_and_bring_no_event(where: Place) -> None:
    with EmulatorServer(world=WORLD, warehouse=where.url, warehouse_options={"bots": 0.5}) as server:
        api = start(server)
        server.clock.advance("P2D")
        results = api.get(f"{api.experiments}/bold/metrics/bought/results").json()
    of_people = sum(arm["units"] for arm in results["results"][0]["treatmentResults"])
    seen: dict[bool, dict[str, int]] = {False: {}, True: {}}
    query = (
        "SELECT context_key, context_attributes, experiment_iteration_id FROM {export}evaluation_events "
        "WHERE context_kind = 'user'"
    )
    for key, attributes, iteration in where.rows(query):
        if iteration is not None:
            is_bot = (attributes if isinstance(attributes, dict) else json.loads(attributes)).get("bot") is True
            seen[is_bot][key] = seen[is_bot].get(key, 0) + 1
    bots, people = seen[True], seen[False]
    assert len(people) - of_people <= 0.02 * of_people, "crossovers come on top"
    assert len(bots) / len(people) == pytest.approx(0.5, abs=0.15)
    assert sum(bots.values()) / len(bots) > 2 * sum(people.values()) / len(people)
    of_events = {key for (key,) in where.rows("SELECT DISTINCT context_key FROM {export}metric_events")}
    assert of_events
    assert not of_events & bots.keys()
