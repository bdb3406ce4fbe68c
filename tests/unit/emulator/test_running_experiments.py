"""Running experiments: bandits, flags turned off, edits and locks, approvals, legacy results, generations."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from support.emulator_caller import error_of

if TYPE_CHECKING:
    import httpx

    from support.emulator_caller import Caller, StartEmulator


def bandit(api: Caller, every: int = 86_400_000, **changes: Any) -> None:
    api.turn_on()
    api.create(type="mab", iteration=api.iteration(reallocationFrequencyMillis=every), **changes)
    assert api.start().status_code == 200


def shares(api: Caller) -> list[Decimal]:
    return [Decimal(arm["allocationPercent"]) for arm in api.treatments()]


def traffic(api: Caller, metric: str = "checkout-conversion") -> Any:
    path = f"{api.experiments}/bold/metrics/{metric}/results?expand=traffic"
    return [arm["traffic"] for arm in api.get(path).json()["results"][0]["treatmentResults"]]


def test_a_bandit_moves_its_traffic_to_the_better_arm(api: Caller) -> None:
    bandit(api)
    assert shares(api) == [50, 50]
    api.server.clock.advance("P21D")
    assert sum(shares(api)) == 100
    assert shares(api)[1] > 90
    classic, bold = traffic(api)
    assert bold > 2 * classic


def test_a_bandit_divides_its_traffic_at_its_frequency_only(api: Caller) -> None:
    bandit(api)
    api.server.clock.advance("PT23H59M")
    assert shares(api) == [50, 50]
    api.server.clock.advance("PT1M")
    after_a_day = shares(api)
    assert after_a_day != [50, 50]
    api.server.clock.advance("PT23H")
    assert shares(api) == after_a_day


def test_a_bandit_does_not_depend_on_earlier_requests(api: Caller, emulator_with: StartEmulator) -> None:
    bandit(api)
    for _ in range(9):
        api.server.clock.advance("P1D")
        shares(api)
    other = emulator_with()
    bandit(other)
    other.server.clock.advance("P9D")
    assert (shares(api), traffic(api)) == (shares(other), traffic(other))


def test_a_bandits_rollout_is_on_its_flag(api: Caller) -> None:
    bandit(api)
    version = api.production()["version"]
    api.server.clock.advance("P21D")
    weights = [part["weight"] for part in api.production()["fallthrough"]["rollout"]["variations"]]
    assert weights == [int(share * 1000) for share in shares(api)]
    assert api.production()["version"] == version


def test_a_bandit_has_no_sample_ratio_to_mismatch(api: Caller) -> None:
    bandit(api)
    api.server.clock.advance("P7D")
    response = api.get(f"{api.experiments}/bold/metrics/checkout-conversion/results").json()
    assert "probabilityOfMismatch" not in response


def test_a_stopped_bandit_keeps_its_last_shares(api: Caller) -> None:
    bandit(api)
    api.server.clock.advance("P21D")
    last = shares(api)
    api.stop(api.treatments()[1]["_id"])
    api.server.clock.advance("P7D")
    assert shares(api) == last
    assert api.production()["fallthrough"] == {"variation": 1}


def test_a_bandits_next_iteration_starts_with_the_requested_shares(api: Caller) -> None:
    bandit(api)
    api.server.clock.advance("P21D")
    api.patch({"kind": "saveAndStartNewIteration"})
    assert shares(api) == [50, 50]


def test_a_bandit_without_data_stays_as_it_is(emulator_with: StartEmulator) -> None:
    api = emulator_with(scenario="no-traffic")
    bandit(api)
    api.server.clock.advance("P5D")
    assert shares(api) == [50, 50]


def test_a_flag_turned_off_stops_traffic(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P3D")
    before = traffic(api)
    api.patch_flag({"kind": "turnFlagOff"})
    api.server.clock.advance("P3D")
    assert traffic(api) == before
    api.patch_flag({"kind": "turnFlagOn"})
    api.server.clock.advance("P3D")
    assert sum(traffic(api)) == pytest.approx(2 * sum(before), rel=0.05)


def test_statistics_from_before_a_flag_was_turned_off_stay(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P2DT7H")
    path = f"{api.experiments}/bold/metrics/checkout-conversion/results?expand=traffic"
    before = api.get(path).json()
    api.patch_flag({"kind": "turnFlagOff"})
    assert api.get(path).json() == before


def test_turning_a_flag_off_in_another_environment_changes_nothing(api: Caller) -> None:
    api.running()
    for kind in ("turnFlagOn", "turnFlagOff"):
        api.patch_flag({"kind": kind}, environmentKey="test")
    api.server.clock.advance("P2D")
    assert sum(traffic(api)) > 3_000


def update(api: Caller, **changes: Any) -> httpx.Response:
    value = {name: {"operation": how, "value": what} for name, (how, what) in changes.items()}
    return api.patch({"kind": "updateExperimentFields", "value": value})


def test_before_the_start_everything_of_the_draft_may_change(api: Caller) -> None:
    api.create()
    arms = api.iteration()["treatments"]
    arms[0]["allocationPercent"], arms[1]["allocationPercent"] = "80", "20"
    changed = update(
        api,
        hypothesis=("update", "h"),
        treatments=("update", arms),
        attributes=("add", ["country"]),
        methodology=("update", "frequentist"),
        covariateId=("update", "spend"),
    )
    assert changed.status_code == 200, changed.text
    iteration = api.read()["currentIteration"]
    assert iteration["covariateInfo"]["id"] == "spend"
    assert (iteration["hypothesis"], iteration["attributes"]) == ("h", ["country"])
    assert [arm["allocationPercent"] for arm in iteration["treatments"]] == ["80", "20"]
    assert iteration["version"] == 2


def test_an_edit_applies_to_the_draft_beside_a_stopped_iteration(api: Caller) -> None:
    api.running()
    api.stop(api.treatments()[0]["_id"])
    api.post(f"{api.experiments}/bold/iterations", api.iteration())
    assert update(api, hypothesis=("update", "another")).status_code == 200
    assert api.read()["draftIteration"]["hypothesis"] == "another"
    assert api.read()["currentIteration"]["hypothesis"] == "Bold sells more"


def test_the_metadata_of_a_stopped_experiment_may_change_after_a_change_of_its_flag(api: Caller) -> None:
    api.turn_on()
    variation = api.flag()["variations"][1]["_id"]
    api.patch_flag({"kind": "addRule", "clauses": [], "variationId": variation})
    rule = api.production()["rules"][0]["_id"]
    api.running(iteration=api.iteration(rule=rule))
    api.stop(api.treatments()[0]["_id"])
    api.patch_flag({"kind": "removeRule", "ruleId": rule})
    assert update(api, name=("update", "n")).json()["name"] == "n"


def test_the_analysis_unit_of_a_metric_is_kept_and_shown(api: Caller) -> None:
    metrics = [{"key": "checkout-conversion", "analysisUnit": "organization"}, {"key": "page-load-ms"}]
    api.create(iteration=api.iteration(metrics=metrics))
    shown = api.read()["currentIteration"]["metrics"]
    assert shown[0]["analysisUnit"] == "organization"
    assert "analysisUnit" not in shown[1]
    update(api, metrics=("remove", [{"key": "page-load-ms"}]))
    assert [use["key"] for use in api.read()["currentIteration"]["metrics"]] == ["checkout-conversion"]


def test_where_experiments_need_approvals_nothing_of_them_is_changed(api: Caller) -> None:
    api.running()
    api.server.switch(experiment_approvals="everywhere")
    writes = [
        api.stop(api.treatments()[1]["_id"]),
        api.post(api.experiments, api.experiment("two")),
        api.post(f"{api.experiments}/bold/iterations", api.iteration()),
    ]
    for response in writes:
        assert error_of(response) == (403, "forbidden", "approval is required")
    assert api.read()["currentIteration"]["status"] == "running"


def test_approvals_can_be_of_starts_and_stops_alone(api: Caller) -> None:
    api.server.switch(experiment_approvals="everywhere", experiment_approvals_of="starts_and_stops")
    assert api.post(api.experiments, api.experiment()).status_code == 201
    assert error_of(api.start()) == (403, "forbidden", "approval is required")
    assert update(api, tags=("add", ["checkout"])).status_code == 200
    assert api.read()["currentIteration"]["status"] == "not_started"


def test_approvals_can_be_a_matter_of_the_environment(emulator_with: StartEmulator) -> None:
    data = {
        "members": {"ada@example.com": {}},
        "projects": {
            "demo": {
                "environments": {"production": {"approvals_required": True}},
                "flags": {"checkout-button": {}},
                "metrics": {"checkout-conversion": {}, "page-load-ms": {"numeric": True}},
            }
        },
    }
    api = emulator_with(world=data)
    assert api.post(api.experiments, api.experiment()).status_code == 201
    assert error_of(api.patch_flag({"kind": "turnFlagOn"}))[0] == 405
    api.server.switch(experiment_approvals="by_environment")
    assert error_of(api.start())[0] == 403


LEGACY = "/api/v2/flags/demo/checkout-button/experiments/production"


def test_legacy_results_are_by_variation_and_day(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P7DT5H")
    results = api.get(f"{LEGACY}/checkout-conversion").json()
    assert [item["key"] for item in results["metadata"]] == ["classic", "bold"]
    assert len(results["series"]) == 8
    last = results["series"][-1]["VariationData"]
    assert [part["cumulativeCount"] for part in last] == [total["cumulativeCount"] for total in results["totals"]]
    assert sum(traffic(api)) == sum(total["cumulativeImpressionCount"] for total in results["totals"])
    assert 0 <= results["stats"]["pValue"] <= 1


def test_legacy_results_of_a_number_have_p_values_too(api: Caller) -> None:
    api.running()
    api.server.clock.advance("P7D")
    totals = api.get(f"{LEGACY}/page-load-ms").json()["totals"]
    assert totals[0]["pValue"] == 1.0
    assert 0 < totals[1]["pValue"] < 1


def test_legacy_results_before_any_data_are_empty_numbers(api: Caller) -> None:
    api.running()
    results = api.get(f"{LEGACY}/checkout-conversion").json()
    assert results["series"] == []
    assert results["metricSeen"] == {"ever": False}
    assert results["totals"][1]["improvement"] == 0


def test_legacy_results_are_limited_in_time_and_a_404_without_an_experiment(api: Caller) -> None:
    assert error_of(api.get(f"{LEGACY}/checkout-conversion"))[0] == 404
    api.running()
    began = 1767603600000
    api.server.clock.advance("P7D")
    two_days = api.get(f"{LEGACY}/checkout-conversion", params={"from": began, "to": began + 2 * 86_400_000}).json()
    assert [part["Time"] for part in two_days["series"]] == [began + 86_400_000, began + 2 * 86_400_000]
    assert error_of(api.get(f"{LEGACY}/checkout-conversion?from=yesterday"))[0] == 400


def test_an_older_generation_has_no_newer_operations_fields_or_instructions(api: Caller) -> None:
    api.create(tags=["a"])
    api.server.switch(generation="17.2")
    assert error_of(api.get("/api/v2/projects/demo/experiments"))[0] == 404
    assert error_of(api.get(f"{LEGACY}/checkout-conversion"))[2].startswith("unknown path")
    shown = api.read(expand="analysisConfig,mutableFieldsByStatus")
    assert not {"tags", "methodology", "type", "dataSource", "mutableFieldsByStatus"} & shown.keys()
    assert "version" not in shown["currentIteration"]
    assert error_of(api.patch({"kind": "saveAndStartNewIteration"}))[0] == 422
    assert api.post(api.experiments, api.experiment("two", methodology="frequentist")).status_code == 201
    api.server.switch(generation="all")
    assert api.read("two")["methodology"] == "bayesian"


def test_the_newest_generation_has_no_results(api: Caller) -> None:
    api.create()
    api.server.switch(generation="25")
    results = f"{api.experiments}/bold/metrics/checkout-conversion/results"
    assert error_of(api.get(results)) == (404, "not_found", f"unknown path {results}")
    assert error_of(api.http.put(results))[0] == 404
    assert api.get("/api/v2/projects/demo/experiments").status_code == 200


def test_the_newest_generation_is_frequentist_by_default_and_its_bandits_are_not(api: Caller) -> None:
    assert api.create("one")["methodology"] == "bayesian"
    api.server.switch(generation="25")
    assert api.create("two")["methodology"] == "frequentist"
    assert api.create("three", type="mab")["methodology"] == "bayesian"


def test_the_oldest_generation_needs_a_standard_unit(api: Caller) -> None:
    api.server.switch(generation="17.1")
    path = "/api/v2/projects/demo/experimentation-settings"
    assert api.get(path).json()["randomizationUnits"][0]["standardRandomizationUnit"] == "user"
    response = api.http.put(path, json={"randomizationUnits": [{"randomizationUnit": "user"}]})
    assert "standardRandomizationUnit is required" in error_of(response)[2]
