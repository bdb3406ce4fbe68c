"""Clients up to 17.2.0 read an experiment's results from the emulator, computed from the people it simulated so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import FUNNEL, HERE, METRIC, create, id_of, iteration_input, patch, read_flag, start, stop_on
from contract.official import VERSIONS, OfficialClient, Refusal

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import Answer, ClientProcess

WITH_RESULTS = ("17.1.0", "17.2.0")


@pytest.fixture(params=WITH_RESULTS)
def client(
    request: pytest.FixtureRequest, processes: dict[str, ClientProcess], emulator: EmulatorServer
) -> OfficialClient:
    """The official clients that were published with results, the older one first."""
    return OfficialClient(processes[request.param], processes[VERSIONS[-1]], emulator)


def look(client: OfficialClient, metric: str = METRIC, **more: str) -> Answer:
    return client.experiments.get_experiment_results(**HERE, metric_key=metric, **more)


def by_name(results: Any) -> dict[str, dict[str, Any]]:
    return {arm["treatmentName"]: arm for arm in results["treatmentResults"]}


def test_results_after_ten_days_hold_every_number_of_a_conversion(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    start(client)
    emulator.clock.advance("P10D")

    results = look(client, expand="traffic")

    assert results.model == "ExperimentBayesianResultsRep"
    classic, bold = by_name(results["results"][0]).values()
    assert bold["treatmentId"] == id_of(client, "Bold")
    assert bold["traffic"] >= bold["units"] > 9_000
    assert bold["eventValuesSum"] / bold["units"] == pytest.approx(bold["dataMean"])
    assert bold["credibleInterval"]["lower"] < bold["mean"] < bold["credibleInterval"]["upper"]
    assert bold["pBest"] + classic["pBest"] == pytest.approx(1)
    assert (bold["model"], bold["distribution"]["kind"]) == ("bayesianBeta", "beta")
    parameters = bold["distribution"]["parameters"]
    assert parameters["alpha"] / (parameters["alpha"] + parameters["beta"]) == pytest.approx(bold["mean"])
    difference = bold["relativeDifferences"][0]
    assert difference["fromTreatmentId"] == classic["treatmentId"]
    assert difference["lower"] < bold["mean"] / classic["mean"] - 1 < difference["upper"]
    assert results["metricSeen"]["ever"] is True
    assert 0 <= results["probabilityOfMismatch"] < 0.99


def test_results_of_a_number_have_a_normal_distribution(client: OfficialClient, emulator: EmulatorServer) -> None:
    start(client)
    emulator.clock.advance("P10D")

    bold = by_name(look(client, "page-load-ms")["results"][0])["Bold"]

    assert (bold["model"], bold["distribution"]["kind"]) == ("bayesianNormal", "normal")
    assert bold["distribution"]["parameters"]["mu"] == pytest.approx(bold["mean"])
    assert bold["mean"] == pytest.approx(820, rel=0.05)


def test_the_unsliced_results_are_those_of_the_first_slice_without_an_attribute(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    start(client)
    emulator.clock.advance("P3D")

    results = look(client)

    assert not results["results"][0].get("attribute")
    assert results["treatmentResults"] == results["results"][0]["treatmentResults"]


def test_traffic_is_counted_only_when_it_is_expanded(client: OfficialClient, emulator: EmulatorServer) -> None:
    start(client)
    emulator.clock.advance("P3D")

    assert all("traffic" not in arm for arm in look(client)["treatmentResults"])
    assert all(arm["traffic"] > 0 for arm in look(client, expand="traffic")["treatmentResults"])


def test_results_of_a_group_come_metric_by_metric_in_the_groups_order(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    start(client)
    emulator.clock.advance("P5D")

    results = client.experiments.get_experiment_results_for_metric_group(**HERE, metric_group_key=FUNNEL)

    assert results.model == "MetricGroupResultsRep"
    assert [step["metric"]["nameInGroup"] for step in results["metrics"]] == ["Form opened", "Form sent", "Confirmed"]
    rates = [by_name(step["results"])["Classic"]["dataMean"] for step in results["metrics"]]
    assert rates == sorted(rates, reverse=True)


def test_results_of_an_iteration_that_has_not_started_are_empty_and_readable(client: OfficialClient) -> None:
    create(client)

    results = look(client)

    assert results["metricSeen"] == {"ever": False}
    assert [arm["units"] for arm in results["treatmentResults"]] == [0, 0]


def test_results_are_of_the_current_iteration_unless_another_is_named(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    old = start(client)["currentIteration"]["_id"]
    emulator.clock.advance("P4D")
    seen = look(client)
    stop_on(client, "Classic")
    client.experiments.create_iteration(**HERE, iteration_input=iteration_input(read_flag(client)))
    patch(client, {"kind": "startIteration"})

    assert [arm["units"] for arm in look(client)["treatmentResults"]] == [0, 0]
    assert look(client, iteration_id=old)["treatmentResults"] == seen["treatmentResults"]


@pytest.mark.parametrize(
    ("metric", "iteration"),
    [("revenue-per-user", None), ("no-such-metric", None), (METRIC, "no-such-iteration")],
    ids=["metric of another experiment", "unknown metric", "unknown iteration"],
)
def test_results_of_what_the_experiment_does_not_have_are_not_found(
    client: OfficialClient, metric: str, iteration: str | None
) -> None:
    start(client)

    with pytest.raises(Refusal) as refused:
        look(client, metric, **({"iteration_id": iteration} if iteration else {}))

    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_when_the_routes_are_gone_results_are_not_found_though_the_experiment_is(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    start(client)
    emulator.switch(results="gone")

    with pytest.raises(Refusal) as refused:
        look(client)

    assert (refused.value.raised, refused.value.status) == ("NotFoundException", 404)
    assert client.experiments.get_experiment(**HERE)["key"] == HERE["experiment_key"]


def test_the_newest_client_has_no_results_at_all(processes: dict[str, ClientProcess], emulator: EmulatorServer) -> None:
    newest = OfficialClient(processes["25.0.1"], processes["25.0.1"], emulator)

    assert [method for method in newest.methods("experiments") if "result" in method] == []
