"""What was asked for against what LaunchDarkly shows. Pure: the answers are written out here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.models import Experiment, ExperimentPost, Iteration, IterationInput
from airflow_provider_launchdarkly.api.writes.comparison import (
    experiment_differences,
    experiment_fields,
    iteration_differences,
    iteration_fields,
)

ASKED: dict[str, Any] = {
    "hypothesis": "Bold sells more",
    "metrics": [{"key": "m"}, {"key": "n"}],
    "primarySingleMetricKey": "m",
    "flags": {"f": {"ruleId": "fallthrough"}},
    "treatments": [
        {
            "name": name,
            "baseline": name == "Control",
            "allocationPercent": "50",
            "parameters": [{"flagKey": "f", "variationId": variation}],
        }
        for name, variation in (("Control", "v"), ("Bold", "w"))
    ],
}
SHOWN: dict[str, Any] = {
    "_id": "i",
    "status": "not_started",
    "hypothesis": "Bold sells more",
    "metrics": [{"key": "n"}, {"key": "m"}],
    "primarySingleMetric": {"key": "m"},
    "flags": {"f": {"targetingRule": "fallthrough", "flagConfigVersion": 3}},
    "treatments": [
        {
            "_id": f"t-{variation}",
            "name": name,
            "baseline": name == "Control",
            "allocationPercent": "50.0",
            "parameters": [{"flagKey": "f", "variationId": variation}],
        }
        for name, variation in (("Bold", "w"), ("Control", "v"))
    ],
}


def differences(asked: dict[str, Any], shown: dict[str, Any], **options: Any) -> list[str]:
    found = Iteration.model_validate_json(json.dumps(SHOWN | shown))
    return [str(one) for one in iteration_differences(IterationInput.checked(ASKED | asked), found, **options)]


def treatments(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [treatment | changes.get(treatment["name"], {}) for treatment in SHOWN["treatments"]]


def test_the_same_design_in_another_order_has_no_differences() -> None:
    assert differences({}, {}) == []


def test_only_what_was_asked_for_is_compared() -> None:
    more = {"randomizationUnit": "org", "attributes": ["country"], "canReshuffleTraffic": False, "novel": 1}
    assert differences({}, more) == []


@pytest.mark.parametrize("shown", [{"metrics": None, "primarySingleMetric": None}, {"metrics": []}])
def test_metrics_that_are_not_shown_cannot_differ(shown: dict[str, Any]) -> None:
    hidden = {"metrics": [], "primarySingleMetric": None} | shown
    assert differences({}, hidden) == []


def test_the_primary_metric_alone_is_a_shown_metric() -> None:
    assert differences({}, {"metrics": []}) == ["metrics: asked ['m', 'n'], found ['m']"]


def test_a_funnel_is_compared_as_the_primary() -> None:
    asked = {"primarySingleMetricKey": None, "primaryFunnelKey": "g", "metrics": [{"key": "g", "isGroup": True}]}
    shown = {"primarySingleMetric": None, "primaryFunnel": {"key": "h"}, "metrics": [{"key": "h"}]}
    assert differences(asked, shown) == [
        "metrics: asked ['g'], found ['h']",
        "primaryFunnelKey: asked 'g', found 'h'",
    ]


def test_a_missing_treatment_and_one_too_many_are_named() -> None:
    other = {
        "_id": "t",
        "name": "Other",
        "allocationPercent": "50",
        "parameters": [{"flagKey": "f", "variationId": "x"}],
    }
    assert differences({}, {"treatments": [SHOWN["treatments"][1], other]}) == [
        "treatments[Bold]: asked \"Bold (50 %, serves {'f': 'w'})\", found None",
        "treatments[Other]: asked None, found \"Other (50 %, serves {'f': 'x'})\"",
    ]


def test_treatments_that_are_not_shown_are_missing() -> None:
    assert len(differences({}, {"treatments": None})) == 2


def test_a_renamed_treatment_is_found_by_what_it_serves() -> None:
    assert differences({}, {"treatments": treatments(Bold={"name": "Brave"})}) == [
        "treatments[Bold].name: asked 'Bold', found 'Brave'"
    ]


def test_a_treatment_that_serves_something_else_is_found_by_its_name() -> None:
    serves = [{"flagKey": "f", "variationId": "x"}]
    assert differences({}, {"treatments": treatments(Bold={"parameters": serves})}) == [
        "treatments[Bold].parameters: asked {'f': 'w'}, found {'f': 'x'}"
    ]


@pytest.mark.parametrize(("shown", "found"), [("49.9", "'49.9'"), (None, "None")])
def test_another_allocation_is_named(shown: Any, found: str) -> None:
    assert differences({}, {"treatments": treatments(Bold={"allocationPercent": shown})}) == [
        f"treatments[Bold].allocationPercent: asked '50', found {found}"
    ]


def test_allocations_that_launchdarkly_moves_by_itself_do_not_differ() -> None:
    moved = treatments(Bold={"allocationPercent": "91.5"}, Control={"allocationPercent": "8.5"})
    assert differences({}, {"treatments": moved}, moving_allocations=True) == []


@pytest.mark.parametrize("flags", [None, {}, {"g": {"targetingRule": "fallthrough"}}])
def test_another_flag_is_named(flags: Any) -> None:
    assert differences({}, {"flags": flags})[0] == f"flags: asked ['f'], found {sorted(flags or {})}"


def test_a_rule_that_is_not_shown_cannot_differ() -> None:
    assert differences({}, {"flags": {"f": {"targetingRule": None}}}) == []


def test_reshuffling_is_on_where_launchdarkly_says_nothing() -> None:
    assert differences({"canReshuffleTraffic": True}, {}) == []
    assert differences({"canReshuffleTraffic": False}, {}) == ["canReshuffleTraffic: asked False, found True"]


def test_a_covariate_is_compared_by_the_id_of_its_file() -> None:
    assert differences({"covariateId": "c"}, {"covariateInfo": {"id": "c", "fileName": "x.csv"}}) == []
    assert differences({"covariateId": "c"}, {}) == ["covariateId: asked 'c', found None"]


def experiment(asked: dict[str, Any], shown: dict[str, Any]) -> list[str]:
    post = ExperimentPost.checked({"key": "k", "name": "n", "iteration": ASKED} | asked)
    found = Experiment.model_validate_json(json.dumps({"key": "k", "name": "n"} | shown))
    return [str(one) for one in experiment_differences(post, found)]


@pytest.mark.parametrize("asked", [{"type": "experiment"}, {"dataSource": "launchdarkly"}, {"description": ""}])
def test_launchdarklys_own_default_need_not_be_shown(asked: dict[str, Any]) -> None:
    assert experiment(asked, {}) == []


@pytest.mark.parametrize(
    ("asked", "shown", "found"),
    [
        ({"bayesianThreshold": "95"}, {"bayesianThreshold": 95.0}, []),
        ({"bayesianThreshold": "95"}, {"bayesianThreshold": "90"}, ["bayesianThreshold: asked '95', found '90'"]),
        ({"testDirection": "two-sided"}, {"testDirection": "one-sided"}, ["testDirection: asked 'two-sided', found"]),
        ({"sequentialTestingEnabled": True}, {}, ["sequentialTestingEnabled: asked True, found None"]),
    ],
)
def test_analysis_settings_are_compared_by_value(asked: Any, shown: Any, found: list[str]) -> None:
    seen = experiment({"analysisConfig": asked}, {"analysisConfig": shown})
    assert [one.startswith(f"analysisConfig.{expected}") for one, expected in zip(seen, found, strict=True)] == [
        True
    ] * len(found)


def test_analysis_settings_that_are_not_shown_did_not_take_effect() -> None:
    assert experiment({"analysisConfig": {"significanceThreshold": "5"}}, {}) == [
        "analysisConfig.significanceThreshold: asked '5', found None"
    ]


def test_every_plain_field_of_a_new_experiment_is_compared() -> None:
    """Fields are derived from the models: one that is added to both is compared without another line."""
    assert experiment_fields() == {
        "name": "name",
        "description": "description",
        "maintainerId": "maintainer_id",
        "holdoutId": "holdout_id",
        "tags": "tags",
        "methodology": "methodology",
        "dataSource": "data_source",
        "type": "type",
    }
    assert iteration_fields() == {
        "hypothesis": "hypothesis",
        "randomizationUnit": "randomization_unit",
        "canReshuffleTraffic": "can_reshuffle_traffic",
        "reallocationFrequencyMillis": "reallocation_frequency_millis",
        "attributes": "attributes",
    }
