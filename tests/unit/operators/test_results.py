"""The operator on results: plain JSON, of the right iteration and metric, and no write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators.results import LaunchDarklyGetResultsOperator
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.scene import Scene


def results(context: Any, **changes: Any) -> Any:
    fields = {"experiment_key": "bold"} | changes
    return LaunchDarklyGetResultsOperator(task_id="results", **fields).execute(context)


def test_the_primary_metrics_results_over_everyone(scene: Scene, context: Any) -> None:
    found = results(context)
    assert json.loads(json.dumps(found)) == found
    assert (found["metric_key"], found["iteration_id"]) == ("checkout-conversion", scene.iteration_id)
    assert [result["name"] for result in found["treatments"]] == ["Classic", "Bold"]
    assert all(result["traffic"] >= result["units"] > 0 for result in found["treatments"])
    assert found["metrics"][0]["treatments"] == found["treatments"]
    assert found["read_at"].startswith("2026-01-06T21")


def test_a_groups_results_metric_by_metric(scene: Scene, context: Any) -> None:
    found = results(context, metric_key="signup-funnel")
    assert found["is_group"] is True
    assert [metric["metric_key"] for metric in found["metrics"]] == [
        "signup-form-opened",
        "signup-form-sent",
        "signup-confirmed",
    ]
    assert found["treatments"] == found["metrics"][-1]["treatments"]


def test_slices_are_those_of_the_attribute_asked_for(scene: Scene, context: Any) -> None:
    every = results(context)["slices"]
    assert {part["attribute"] for part in results(context, attribute="country")["slices"]} <= {"country"}
    assert results(context, attribute="no-such")["slices"] == []
    assert len(results(context, attribute="country")["slices"]) <= len(every)


def test_without_a_running_iteration_the_last_one_started_is_read(scene: Scene, context: Any) -> None:
    scene.stop()
    assert results(context)["iteration_status"] == "stopped"


def test_a_metric_that_is_not_measured_is_an_error_that_names_those_that_are(scene: Scene, context: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"MetricNotMeasuredError.*checkout-conversion, signup-funnel"):
        results(context, metric_key="revenue-per-user")


def test_results_of_an_experiment_that_never_ran_are_an_error(
    scene: Scene, hook: LaunchDarklyHook, context: Any
) -> None:
    hook.create_experiment(scene.post.model_copy(update={"key": "second"}))
    with pytest.raises(AirflowFailException, match="IterationNotStartedError"):
        results(context, experiment_key="second")


def test_results_that_are_gone_are_an_error_and_not_empty(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    emulator.switch(results="gone")
    with pytest.raises(AirflowFailException, match=r"ResultsUnavailableError.*18\.0\.0"):
        results(context)


def test_reading_writes_nothing(scene: Scene, emulator: EmulatorServer, context: Any) -> None:
    before = emulator.journal()
    results(context)
    assert emulator.journal() == before
