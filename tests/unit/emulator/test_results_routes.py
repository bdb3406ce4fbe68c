"""The results routes: the iteration that they return, their response without data, and their removal."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

    from support.emulator_caller import Caller, StartEmulator

CONVERSION = "metrics/checkout-conversion/results"


def results(api: Caller, path: str = CONVERSION, **query: str) -> httpx.Response:
    return api.get(f"{api.experiments}/bold/{path}", params=query)


def arms(response: httpx.Response) -> Any:
    return response.json()["results"][0]["treatmentResults"]


def test_results_grow_with_the_clock_and_name_the_treatments(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P1D")
    first = arms(results(api))
    api.server.clock.advance("P1D")
    second = arms(results(api))
    assert [arm["treatmentId"] for arm in first] == [t["_id"] for t in api.treatments()]
    assert [arm["treatmentName"] for arm in first] == ["Arm 0", "Arm 1"]
    for earlier, later in zip(first, second, strict=True):
        assert 800 < earlier["units"] < later["units"] < 2_400


def test_two_requests_at_the_same_time_get_the_same_response(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P9DT5H")
    assert results(api).json() == results(api).json()


def test_before_the_start_there_is_no_data_and_no_error(api: Caller) -> None:
    api.create()
    api.server.clock.advance("P5D")
    response = results(api)
    assert response.status_code == 200
    assert [arm["units"] for arm in arms(response)] == [0, 0]
    assert response.json()["metricSeen"] == {"ever": False}


def test_after_the_stop_the_data_stand_still(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P3D")
    api.stop(api.treatments()[1]["_id"])
    stopped = arms(results(api))
    api.server.clock.advance("P10D")
    assert arms(results(api)) == stopped


def test_results_of_an_iteration_are_separate_and_selected_by_its_id(api: Caller) -> None:
    first = api.running()["currentIteration"]["_id"]
    api.server.clock.advance("P3D")
    api.patch({"kind": "saveAndStartNewIteration"})
    assert [arm["units"] for arm in arms(results(api))] == [0, 0]
    assert arms(results(api, iterationId=first))[0]["units"] > 2_500


def test_traffic_is_returned_only_when_expanded(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P1D")
    assert "traffic" not in arms(results(api))[0]
    assert arms(results(api, expand="traffic"))[0]["traffic"] >= arms(results(api))[0]["units"]


def test_the_results_of_a_group_come_step_by_step(api: Caller) -> None:
    api.turn_on()
    iteration = api.iteration(metrics=[{"key": "signup-funnel", "isGroup": True}], primaryFunnelKey="signup-funnel")
    del iteration["primarySingleMetricKey"]
    api.running(iteration=iteration)
    api.server.clock.advance("P7D")
    steps = results(api, "metric-groups/signup-funnel/results").json()["metrics"]
    assert [step["metric"]["nameInGroup"] for step in steps] == ["Form opened", "Form sent", "Confirmed"]
    means = [step["results"]["treatmentResults"][0]["dataMean"] for step in steps]
    assert means == sorted(means, reverse=True)
    assert steps[0]["metric"]["key"] == "signup-form-opened"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("metrics/checkout-errors/results", {}),
        ("metrics/nothing/results", {}),
        ("metric-groups/signup-funnel/results", {}),
        (CONVERSION, {"iterationId": "nothing"}),
    ],
)
def test_results_of_a_metric_that_is_not_measured_are_a_404(api: Caller, path: str, query: dict[str, str]) -> None:
    api.running()
    assert error_of(results(api, path, **query))[:2] == (404, "not_found")


def test_a_removed_route_responds_as_an_unknown_path_does(api: Caller) -> None:
    api.running()
    api.server.switch(results="gone")
    status, code, message = error_of(results(api))
    assert (status, code) == (404, "not_found")
    assert message.startswith("unknown path")
    assert api.get(f"{api.experiments}/bold").status_code == 200


def looks(api: Caller, key: str = "rollout") -> list[tuple[int, float, float]]:
    """Return (day, z of the difference, probability of mismatch) at each of 28 daily looks."""
    api.running(key)
    found = []
    for day in range(1, 29):
        api.server.clock.advance("P1D")
        response = api.get(f"{api.experiments}/{key}/{CONVERSION}").json()
        control, bold = response["treatmentResults"]
        variance = sum(arm["dataStdDev"] ** 2 / arm["units"] for arm in (control, bold))
        found.append((day, (bold["dataMean"] - control["dataMean"]) / variance**0.5, response["probabilityOfMismatch"]))
    return found


FINAL_BOUNDARY = 1.85
"""The final bound of 28 equally spaced looks at one-sided alpha 0.05 with O'Brien and Fleming's shape."""


def crossings(found: list[tuple[int, float, float]]) -> list[int]:
    return [day for day, z, _ in found if z > FINAL_BOUNDARY / (day / 28) ** 0.5]


def test_in_the_scenario_with_an_effect_bold_typically_wins_about_half_way(emulator_with: StartEmulator) -> None:
    days = [crossings(looks(emulator_with(seed=seed)))[0] for seed in range(42, 53)]
    assert 10 <= statistics.median(days) <= 18


def test_in_the_scenario_without_an_effect_no_arm_wins(emulator_with: StartEmulator) -> None:
    assert crossings(looks(emulator_with(scenario="no-effect"))) == []


def test_in_the_scenario_with_a_broken_split_the_mismatch_is_soon_certain(emulator_with: StartEmulator) -> None:
    found = looks(emulator_with(scenario="broken-split"))
    assert found[13][2] > 0.999
    assert max(mismatch for _, _, mismatch in looks(emulator_with(scenario="effect"))) < 0.99


def test_in_the_scenario_without_traffic_there_are_no_people(emulator_with: StartEmulator) -> None:
    api = emulator_with(scenario="no-traffic")
    api.running()
    api.server.clock.advance("P28D")
    assert [arm["units"] for arm in arms(results(api))] == [0, 0]


def test_the_numbers_do_not_depend_on_when_the_experiment_is_run(emulator_with: StartEmulator) -> None:
    from datetime import UTC, datetime

    def numbers(start: datetime) -> list[tuple[int, float]]:
        api = emulator_with(start=start)
        api.running()
        api.server.clock.advance("P10D")
        return [(arm["units"], arm["dataMean"]) for arm in arms(results(api))]

    assert numbers(datetime(2026, 1, 5, 9, tzinfo=UTC)) == numbers(datetime(2027, 6, 12, 23, 30, tzinfo=UTC))
