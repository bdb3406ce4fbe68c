"""Generations of the API are data: a new one needs a table entry and no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from airflow_provider_launchdarkly.emulator.state.generations import (
    GENERATIONS,
    Generation,
    GenerationName,
    published_generations,
)
from airflow_provider_launchdarkly.emulator.state.settings import Settings
from support.emulator_caller import error_of

if TYPE_CHECKING:
    import pytest

    from support.emulator_caller import Caller

NEW_GENERATION = Generation(
    missing_experiment_fields=frozenset({"description"}),
    missing_iteration_fields=frozenset({"canReshuffleTraffic"}),
    missing_instructions=frozenset({"updateName"}),
    default_methodology="frequentist",
)


def test_every_name_of_a_generation_has_its_data() -> None:
    assert set(GENERATIONS) == set(get_args(GenerationName))


def test_an_operation_exists_from_its_first_to_its_last_generation() -> None:
    assert published_generations() == ("17.1", "17.2", "25")
    assert published_generations(until="17.2") == ("17.1", "17.2")
    assert published_generations(since="25") == ("25",)


def test_a_new_generation_is_a_table_entry(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GENERATIONS, "26", NEW_GENERATION)

    def switch_to_it(emulator: object) -> None:
        monkeypatch.setattr(emulator, "settings", Settings(generation="26"))  # type: ignore[arg-type]  # not published yet

    api.server.call(switch_to_it)
    created = api.create(description="ignored as unknown")
    assert created["methodology"] == "frequentist"
    assert "description" not in created
    assert "canReshuffleTraffic" not in created["currentIteration"]
    assert error_of(api.patch({"kind": "updateName", "value": "New"}))[0] == 422
    assert api.get("/api/v2/projects/demo/experiments").status_code == 200
    results = f"{api.experiments}/bold/metrics/checkout-conversion/results"
    assert error_of(api.get(results))[2].startswith("unknown path")
