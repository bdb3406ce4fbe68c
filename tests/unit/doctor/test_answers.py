"""How LaunchDarkly answers: header, generation, results, pages, limits, clock; and that no failure stops the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene

from .conftest import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Doctor


@pytest.mark.parametrize("sent", ["beta", "20240415"])
def test_whether_the_beta_header_is_needed_is_told_and_the_connection_is_corrected(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    connect(monkeypatch, patient.url, experiments_api_version=sent)
    ((status, what),) = doctor().lines("beta header")
    assert (status, "not needed for experiments, settings and holdouts" in what) == ("fine", True)

    patient.switch(beta_header="strict")
    visit = doctor()
    ((status, what),) = visit.lines("beta header")
    assert what.startswith("needed for experiments, settings, holdouts and metric groups")
    assert status == ("fine" if sent == "beta" else "missing")
    assert visit.report["emulator"]["switches"]["beta_header"] == "strict"
    # What a wrong header would hide is checked all the same.
    assert ("experiment", "fine") in visit.statuses()


@pytest.mark.parametrize("results", ["present", "gone"])
@pytest.mark.parametrize("generation", ["all", "17.1", "17.2", "25"])
def test_generation_and_results_are_told_apart(
    patient: EmulatorServer, doctor: Doctor, generation: str, results: str
) -> None:
    patient.switch(generation=generation, results=results)
    visit = doctor()
    switches = visit.report["emulator"]["switches"]
    served = results == "present" and generation != "25"
    assert switches["results"] == ("present" if served else "gone")
    assert [status for status, _ in visit.lines("results")] == ["fine" if served else "missing"]
    told_by_results = {"17.1": "17.1" if served else "17.2", "all": "all" if served else "25"}
    assert switches["generation"] == told_by_results.get(generation, generation)
    assert visit.lines("generation")[0][0] == ("missing" if generation.startswith("17") else "fine")
    assert ("--warehouse" in visit.cures("results")) == (not served)


def test_a_mixture_of_generations_is_unknown(patient: EmulatorServer, doctor: Doctor) -> None:
    patient.fault("get_experiments_any_env", "status", status=404, times=9)
    ((status, what),) = doctor().lines("generation")
    assert status == "unknown"
    assert "a mixture" in what


@pytest.mark.parametrize("position", ["none", "plenty", "low"])
def test_rate_limit_headers_are_told(patient: EmulatorServer, doctor: Doctor, position: str) -> None:
    patient.switch(rate_limit_headers=position)
    visit = doctor()
    assert visit.report["emulator"]["switches"]["rate_limit_headers"] == position
    assert visit.lines("rate limits")[0][0] == ("missing" if position == "low" else "fine")


def test_a_refusal_for_the_rate_is_waited_for_and_told(patient: EmulatorServer, doctor: Doctor) -> None:
    patient.fault("get_project", "status", limit="retry-after", wait=0.1)
    visit = doctor()
    assert ("missing", "1 of this visit's calls were refused with 429") in visit.lines("rate limits")
    assert ("project", "fine") in visit.statuses()


@pytest.mark.parametrize(("ahead", "status"), [(0, "fine"), (600, "missing")])
def test_a_clock_that_is_off_is_told(patient: EmulatorServer, doctor: Doctor, ahead: int, status: str) -> None:
    patient.clock.advance(timedelta(seconds=ahead))
    visit = doctor()
    assert [found for found, _ in visit.lines("clock")] == [status]
    assert abs(visit.report["emulator"].get("clock_ahead_seconds", 0) - ahead) <= 2


def test_a_response_without_a_date_is_told(
    web_server: Callable[..., str], doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, web_server({"/api/v2/versions": {}, "/api/v2/caller-identity": {"tokenKind": "auth"}}))
    visit = doctor()
    assert visit.lines("clock")[0][0] == "missing"
    assert "proxy" in visit.cures("clock")


def test_a_second_page_is_followed(patient: EmulatorServer, doctor: Doctor) -> None:
    hook = LaunchDarklyHook()
    treatments = [
        {"variation": "Keyword", "allocation_percent": 50, "baseline": True},
        {"variation": "Hybrid", "allocation_percent": 50},
    ]
    design = Scene.design(
        flag_key="search-ranking", treatments=treatments, primary_metric="search-click-through", metrics=[]
    )
    iteration = design.resolve(hook.get_flag("search-ranking"))
    hook.create_experiment(ExperimentPost.checked({"key": "second", "name": "Second", "iteration": iteration}))
    assert doctor().lines("pages") == [("fine", "the link to the second page leads to 1 more")]


def test_a_link_to_another_host_is_not_followed(
    web_server: Callable[..., str], doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = {
        "items": [{"key": "one"}],
        "total_count": 2,
        "_links": {"next": {"href": "https://evil.example/api/v2/projects"}},
    }
    place = "/api/v2/projects/demo/environments/production/experiments"
    answers = {"/api/v2/versions": {}, "/api/v2/caller-identity": {"tokenKind": "auth"}, place: experiments}
    connect(monkeypatch, web_server(answers))
    visit = doctor()
    assert visit.lines("pages") == [("failed", "UnexpectedResponseError 200")]
    assert "evil" not in str(visit.report)


@pytest.mark.parametrize("position", ["own", "variation"])
def test_the_ids_of_treatments_are_told(unstarted: EmulatorServer, doctor: Doctor, position: str) -> None:
    unstarted.switch(treatment_ids=position)
    Scene(LaunchDarklyHook(), unstarted)
    visit = doctor()
    assert visit.report["emulator"]["switches"]["treatment_ids"] == position
    assert visit.lines("treatments")[0][0] == "fine"


def test_a_metric_that_no_policy_can_judge_is_told(patient: EmulatorServer, doctor: Doctor) -> None:
    def spoil(emulator: Any) -> None:
        metrics = emulator.world.projects["demo"].metrics
        metric = metrics["checkout-conversion"]
        metrics["checkout-conversion"] = replace(metric, analysis_type="percentile", details={"percentileValue": 95})

    patient.call(spoil)
    assert ("missing", "metric metric-1 is analysed by a percentile") in doctor().lines("metrics")


def test_a_metric_that_is_gone_is_told(patient: EmulatorServer, doctor: Doctor) -> None:
    patient.fault("get_metric", "status", status=404, times=1)
    visit = doctor()
    assert ("missing", "metric metric-1 cannot be read: NotFoundError 404") in visit.lines("metrics")
    assert ("results", "fine") in visit.statuses()


READS = (
    *("get_versions", "get_caller_identity", "get_token", "get_project", "get_environment"),
    *("get_experiments", "get_experiments_any_env", "get_experiment", "get_experimentation_settings"),
    *("get_experiment_results", "get_experiment_results_for_metric_group", "get_legacy_experiment_results"),
    *("get_feature_flags", "get_metrics", "get_metric", "get_metric_groups", "get_all_holdouts"),
)


def test_a_visit_makes_each_of_these_calls_and_no_other(patient: EmulatorServer, doctor: Doctor) -> None:
    doctor()
    assert {line.operation for line in patient.requests()} == set(READS)


@pytest.mark.parametrize("status", [500, 403])
@pytest.mark.parametrize("operation", READS)
def test_no_failing_call_stops_the_other_checks(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, operation: str, status: int
) -> None:
    connect(monkeypatch, patient.url, retry_budget=0)
    patient.fault(operation, "status", status=status, probability=1.0)
    visit = doctor()
    assert visit.code in set(ExitCode)
    checks = [check for check, _ in visit.statuses()]
    gate = {"get_versions": "connection", "get_caller_identity": "token"}.get(operation)
    assert checks[-1] == ("launchdarkly" if gate else "rate limits")
    assert "the check itself failed" not in str(visit.report)


def test_a_check_that_stumbles_over_something_else_is_a_line_of_the_report(
    patient: EmulatorServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> Any:
        raise KeyError("bold")

    monkeypatch.setattr("airflow_provider_launchdarkly.doctor.answers.check_pages", stumble)
    visit = doctor()
    assert visit.code == ExitCode.ERROR
    assert visit.lines("pages") == [("failed", "the check itself failed: KeyError")]
    assert ("experiment", "fine") in visit.statuses()
