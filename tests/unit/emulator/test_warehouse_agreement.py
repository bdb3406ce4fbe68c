"""The rows that the emulator writes, and its results endpoint, say the same to the last digit."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.rules.simulated_iteration import simulated_iteration, simulated_metric
from airflow_provider_launchdarkly.emulator.state.transaction import Transaction
from support.export_rows import Arm, Place, kinds, measure, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
    from support.emulator_caller import Caller, StartEmulator


@pytest.fixture(params=kinds())
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place(request.param, tmp_path) as empty:
        yield empty


METRICS: dict[str, dict[str, Any]] = {
    "bought": {},
    "late-bought": {},
    "bought-often": {"unit_aggregation": "sum"},
    "seconds": {"numeric": True, "missing_counts_as_zero": False},
    "spent": {"numeric": True, "unit_aggregation": "sum"},
    "covered": {"numeric": True, "missing_counts_as_zero": False, "unit_aggregation": "sum"},
    "opened": {},
    "sent": {},
    "confirmed": {},
}
TRUTH: dict[str, Any] = {
    "people_per_day": 300,
    "attributes": {"country": {"DE": {"share": 0.6}, "FR": {"share": 0.4}}},
    "metrics": {
        "bought": {"baseline_rate": 0.2, "effects": {"b": {"relative": 0.1}}, "lost_events": {"b": 0.1}},
        "late-bought": {"baseline_rate": 0.2, "late_events": {1: 0.3, 3: 0.2}},
        "bought-often": {"baseline_rate": 0.3},
        "seconds": {"baseline_mean": 820, "standard_deviation": 240, "late_events": {1: 0.3}},
        "spent": {"baseline_mean": 42, "standard_deviation": 18, "event_share": 0.2},
        "opened": {"baseline_rate": 0.5, "late_events": {1: 0.2}},
        "sent": {"baseline_rate": 0.6, "after": "opened", "late_events": {1: 0.2}},
        "confirmed": {"baseline_rate": 0.8, "after": "sent"},
    },
}


def world(**truth: Any) -> dict[str, Any]:
    flag = {"variations": [{"value": name, "name": name} for name in "abc"], "on_in": ["production"]}
    return {
        "members": {"ada@example.com": {}},
        "projects": {
            "demo": {
                "context_kinds": ["device", "household"],
                "environments": {"production": {}, "test": {}},
                "flags": {"checkout-button": flag},
                "metrics": METRICS,
                "metric_groups": {"signup": {"kind": "funnel", "metrics": {"opened": {}, "sent": {}, "confirmed": {}}}},
                "truths": {"checkout-button": {**TRUTH, **truth}},
            }
        },
    }


def running(api: Caller, metrics: list[dict[str, Any]], **changes: Any) -> str:
    iteration = api.iteration(metrics=metrics, primarySingleMetricKey=metrics[0]["key"], **changes)
    api.running(iteration=iteration)
    return str(api.read()["currentIteration"]["_id"])


def endpoint(api: Caller, metric: str) -> dict[str, Any]:
    """The results of each variation: units, sum, mean and deviation."""
    return by_variation(api, api.get(f"{api.experiments}/bold/metrics/{metric}/results").json())


def by_variation(api: Caller, results: dict[str, Any]) -> dict[str, Any]:
    variations = {t["_id"]: t["parameters"][0]["variationId"] for t in api.treatments()}
    return {variations[arm["treatmentId"]]: arm for arm in results["results"][0]["treatmentResults"]}


def in_order(api: Caller, arms: dict[str, Arm]) -> list[Arm]:
    return [arms[t["parameters"][0]["variationId"]] for t in api.treatments()]


def agree(api: Caller, where: Place, iteration_id: str, metric: str, *, zeros: bool, **options: Any) -> None:
    of_endpoint, of_rows = endpoint(api, metric), measure(where, iteration_id, [metric], **options)
    assert of_rows.keys() == of_endpoint.keys()
    for variation, arm in of_rows.items():
        units = arm.exposed if zeros else arm.responders
        shown = of_endpoint[variation]
        assert units > 100
        assert shown["units"] == units
        assert shown["eventValuesSum"] == arm.sum
        assert shown["dataMean"] == arm.sum / units
        mean = arm.sum / units
        if options.get("numeric"):
            deviation = math.sqrt((arm.sum_of_squares - units * mean * mean) / (units - 1))
        else:
            deviation = math.sqrt(mean * (1 - mean))
        assert shown["dataStdDev"] == deviation


@pytest.mark.parametrize("days", ["P1DT5H", "P6D"])
def test_single_metrics_agree(emulator_with: StartEmulator, where: Place, days: str) -> None:
    api = emulator_with(world=world(), warehouse=where.url)
    keys = ("bought", "late-bought", "bought-often", "seconds", "spent")
    iteration_id = running(api, [{"key": key} for key in keys])
    api.server.clock.advance("PT2H")
    api.server.clock.advance(days)
    for key in ("bought", "late-bought", "bought-often"):
        agree(api, where, iteration_id, key, zeros=True)
    agree(api, where, iteration_id, "seconds", zeros=False, numeric=True)
    agree(api, where, iteration_id, "spent", zeros=True, numeric=True, aggregation="sum")


def test_a_funnel_agrees_step_by_step(emulator_with: StartEmulator, where: Place) -> None:
    api = emulator_with(world=world(), warehouse=where.url)
    funnel: dict[str, Any] = {"metrics": [{"key": "signup", "isGroup": True}], "primaryFunnelKey": "signup"}
    iteration = api.iteration(**funnel)
    del iteration["primarySingleMetricKey"]
    api.running(iteration=iteration)
    api.server.clock.advance("P5DT7H")
    iteration_id = api.read()["currentIteration"]["_id"]
    response = api.get(f"{api.experiments}/bold/metric-groups/signup/results").json()
    steps: list[str] = []
    for member in response["metrics"]:
        steps.append(member["metric"]["key"])
        of_rows = measure(where, iteration_id, steps)
        of_endpoint = by_variation(api, member["results"])
        assert {v: (arm["units"], arm["eventValuesSum"]) for v, arm in of_endpoint.items()} == {
            v: (arm.exposed, arm.sum) for v, arm in of_rows.items()
        }
        assert min(arm.responders for arm in of_rows.values()) > 100
    assert steps == ["opened", "sent", "confirmed"]


@pytest.mark.parametrize("delays", [{}, {2: 0.4}])
def test_the_covariate_agrees(emulator_with: StartEmulator, where: Place, delays: dict[int, float]) -> None:
    covered = {"baseline_mean": 10, "standard_deviation": 4, "covariate_correlation": 0.7, "late_events": delays}
    truth = {"people_per_day": 400, "metrics": {"covered": covered}}
    api = emulator_with(world=world(**truth), warehouse=where.url)
    iteration_id = running(api, [{"key": "covered"}])
    api.server.clock.advance("P4DT3H")
    of_rows = measure(where, iteration_id, ["covered"], numeric=True, aggregation="sum")
    treatments = {t["_id"]: t["parameters"][0]["variationId"] for t in api.treatments()}
    found = api.server.call(lambda emulator: _statistics(emulator, "covered"))
    assert {treatments[t.treatment_id] for t in found} == of_rows.keys()
    for treatment in found:
        arm = of_rows[treatments[treatment.treatment_id]]
        assert (treatment.units, treatment.sum, treatment.sum_of_squares) == (
            arm.responders,
            arm.sum,
            arm.sum_of_squares,
        )
        assert treatment.covariate == arm.covariate
        n, (x, xx, xy) = arm.responders, arm.covariate
        spread = math.sqrt((arm.sum_of_squares - arm.sum**2 / n) * (xx - x * x / n))
        assert (xy - x * arm.sum / n) / spread == pytest.approx(0.7, abs=0.06)


def _statistics(emulator: Emulator, metric: str) -> Any:
    (project,) = emulator.world.projects.values()
    (experiment,) = project.experiments.values()
    transaction = Transaction(emulator.world, project, emulator.clock.milliseconds(), emulator.settings)
    simulated = simulated_iteration(transaction, experiment, experiment.current)
    measured, truth = simulated_metric(project.metrics[metric]), project.truths["checkout-button"]
    return metric_statistics(truth, emulator.seed, simulated, measured, emulator.clock.now()).treatments


def test_three_treatments_agree(emulator_with: StartEmulator, where: Place) -> None:
    api = emulator_with(world=world(people_per_day=600), warehouse=where.url)
    treatments = [
        {
            "name": name,
            "baseline": name == "a",
            "allocationPercent": share,
            "parameters": [{"flagKey": "checkout-button", "variationId": variation["_id"]}],
        }
        for (name, share), variation in zip(
            [("a", "40"), ("b", "35"), ("c", "25")], api.flag()["variations"], strict=True
        )
    ]
    iteration_id = running(api, [{"key": "bought"}, {"key": "seconds"}], treatments=treatments)
    api.server.clock.advance("P3D")
    agree(api, where, iteration_id, "bought", zeros=True)
    agree(api, where, iteration_id, "seconds", zeros=False, numeric=True)


def test_each_iteration_agrees_though_people_return(emulator_with: StartEmulator, where: Place) -> None:
    api = emulator_with(world=world(), warehouse=where.url, warehouse_options={"returning": 0.5})
    first = running(api, [{"key": "late-bought"}, {"key": "seconds"}])
    api.server.clock.advance("P3DT5H30M")
    treatments = api.iteration()["treatments"]
    shares = [{**t, "allocationPercent": share} for t, share in zip(treatments, ["20", "80"], strict=True)]
    update = {"treatments": {"operation": "update", "value": shares}}
    assert api.patch({"kind": "saveAndStartNewIteration", "value": update}).status_code == 200
    api.server.clock.advance("P3DT2H")
    second = str(api.read()["currentIteration"]["_id"])
    agree(api, where, second, "late-bought", zeros=True)
    agree(api, where, second, "seconds", zeros=False, numeric=True)
    before = api.get(f"{api.experiments}/bold/metrics/late-bought/results", params={"iterationId": first}).json()
    ended = datetime.fromtimestamp(api.read()["previousIterations"][0]["endedAt"] / 1000, UTC)
    of_rows = measure(where, first, ["late-bought"], look=ended)
    assert [arm["eventValuesSum"] for arm in before["results"][0]["treatmentResults"]] == [
        arm.sum for arm in in_order(api, of_rows)
    ]
    people = [set(where.rows(f"{UNITS} '{iteration_id}'")) for iteration_id in (first, second)]
    assert len(people[0] & people[1]) > 100
    twice = where.rows(
        "SELECT context_key FROM {export}evaluation_events WHERE context_kind = 'user' "
        "GROUP BY context_key HAVING COUNT(DISTINCT experiment_iteration_id) > 1 AND COUNT(DISTINCT variation_id) > 1"
    )
    assert len(twice) > 50


UNITS = (
    "SELECT DISTINCT context_key FROM {export}evaluation_events "
    "WHERE context_kind = 'user' AND experiment_iteration_id ="
)


def test_attributes_and_a_flag_that_was_off_agree(emulator_with: StartEmulator, where: Place) -> None:
    api = emulator_with(world=world(), warehouse=where.url)
    iteration_id = running(api, [{"key": "late-bought"}])
    api.server.clock.advance("P1DT2H")
    assert api.patch_flag({"kind": "turnFlagOff"}).status_code == 200
    api.server.clock.advance("PT30H")
    api.turn_on()
    api.server.clock.advance("P2D")
    agree(api, where, iteration_id, "late-bought", zeros=True)
    shares = where.rows(
        "SELECT context_attributes, COUNT(DISTINCT context_key) FROM {export}evaluation_events "
        "WHERE context_kind = 'user' GROUP BY context_attributes"
    )
    people = {(a if isinstance(a, dict) else json.loads(a))["country"]: count for a, count in shares}
    assert people["DE"] / sum(people.values()) == pytest.approx(0.6, abs=0.06)
