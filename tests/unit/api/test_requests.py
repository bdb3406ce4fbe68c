"""What each call sends: verb, path, query, body, API version, content type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.endpoints import EnvironmentRef, Request
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import (
    ArchiveExperiment,
    EndHoldout,
    ExperimentationSettingsPut,
    FieldChange,
    FlagPost,
    HoldoutPost,
    IterationInput,
    LayerPost,
    MetricGroupPost,
    MetricPost,
    OtherFlagInstruction,
    RemoveExperimentFromHoldout,
    RestoreExperiment,
    SaveAndStartNewIteration,
    StartIteration,
    StopIterationWithWinner,
    TurnFlagOff,
    TurnFlagOn,
    UpdateDescription,
    UpdateExperimentFields,
    UpdateExperimentReservation,
    UpdateFallthroughVariationOrRollout,
    UpdateName,
    UpdateOffVariation,
    UpdateRuleVariationOrRollout,
)

ENV = EnvironmentRef("demo", "production")
EXPERIMENTS = "/api/v2/projects/demo/environments/production/experiments"
HOLDOUTS = "/api/v2/projects/demo/environments/production/holdouts"
SEMANTIC = "application/json; domain-model=launchdarkly.semanticpatch"


def wire(request: Request[Any]) -> tuple[Any, ...]:
    return request.method, request.path, dict(request.query), request.api_version


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (endpoints.get_experiment(ENV, "bold"), ("GET", f"{EXPERIMENTS}/bold", {}, "beta")),
        (
            endpoints.get_experiment(ENV, "bold", expand=("treatments", "draftIteration")),
            ("GET", f"{EXPERIMENTS}/bold", {"expand": "treatments,draftIteration"}, "beta"),
        ),
        (endpoints.list_experiments(ENV), ("GET", EXPERIMENTS, {}, "beta")),
        (
            endpoints.list_experiments(
                ENV,
                flag_key="f",
                metric_key="m",
                status="running",
                lifecycle_state=("active", "archived"),
                limit=5,
                offset=10,
            ),
            (
                "GET",
                EXPERIMENTS,
                {
                    "limit": "5",
                    "offset": "10",
                    "filter": "flagKey:f,metricKey:m,status:running",
                    "lifecycleState": "active,archived",
                },
                "beta",
            ),
        ),
        (
            endpoints.list_experiments_in_any_environment("demo", status="running"),
            ("GET", "/api/v2/projects/demo/experiments", {"filter": "status:running"}, "beta"),
        ),
        (
            endpoints.get_experimentation_settings("demo"),
            ("GET", "/api/v2/projects/demo/experimentation-settings", {}, "beta"),
        ),
        (
            endpoints.get_metric_results(ENV, "bold", "m", iteration_id="i", expand=("traffic",)),
            ("GET", f"{EXPERIMENTS}/bold/metrics/m/results", {"iterationId": "i", "expand": "traffic"}, "beta"),
        ),
        (
            endpoints.get_metric_group_results(ENV, "bold", "g", iteration_id="i"),
            ("GET", f"{EXPERIMENTS}/bold/metric-groups/g/results", {"iterationId": "i"}, "beta"),
        ),
        (
            endpoints.get_legacy_results(
                ENV, "f", "m", start=datetime(2026, 1, 5, tzinfo=UTC), end=datetime(2026, 1, 6, tzinfo=UTC)
            ),
            (
                "GET",
                "/api/v2/flags/demo/f/experiments/production/m",
                {"from": "1767571200000", "to": "1767657600000"},
                "beta",
            ),
        ),
        (endpoints.get_metric("demo", "m"), ("GET", "/api/v2/metrics/demo/m", {}, "20240415")),
        (
            endpoints.get_metric("demo", "m", version_id="v", expand=("experiments",)),
            ("GET", "/api/v2/metrics/demo/m", {"expand": "experiments", "versionId": "v"}, "20240415"),
        ),
        (endpoints.list_metrics("demo", limit=50), ("GET", "/api/v2/metrics/demo", {"limit": "50"}, "20240415")),
        (endpoints.get_metric_group("demo", "g"), ("GET", "/api/v2/projects/demo/metric-groups/g", {}, "beta")),
        (
            endpoints.list_metric_groups("demo", filters="kind equals 'funnel'"),
            ("GET", "/api/v2/projects/demo/metric-groups", {"filter": "kind equals 'funnel'"}, "beta"),
        ),
        (endpoints.get_caller_identity(), ("GET", "/api/v2/caller-identity", {}, "20240415")),
        (endpoints.get_versions(), ("GET", "/api/v2/versions", {}, "20240415")),
        (endpoints.get_project("demo"), ("GET", "/api/v2/projects/demo", {}, "20240415")),
        (
            endpoints.list_projects(filters="tags:a+b", expand=("environments",)),
            ("GET", "/api/v2/projects", {"filter": "tags:a+b", "expand": "environments"}, "20240415"),
        ),
        (endpoints.get_environment(ENV), ("GET", "/api/v2/projects/demo/environments/production", {}, "20240415")),
        (
            endpoints.list_environments("demo", sort="name"),
            ("GET", "/api/v2/projects/demo/environments", {"sort": "name"}, "20240415"),
        ),
        (endpoints.list_holdouts(ENV, limit=5), ("GET", HOLDOUTS, {"limit": "5"}, "beta")),
        (
            endpoints.get_holdout(ENV, "h", expand=("rel-treatments",)),
            ("GET", f"{HOLDOUTS}/h", {"expand": "rel-treatments"}, "beta"),
        ),
        (endpoints.get_holdout_by_id(ENV, "x"), ("GET", f"{HOLDOUTS}/id/x", {}, "beta")),
        (
            endpoints.list_layers("demo", filters="reservations.experimentKey contains bold"),
            (
                "GET",
                "/api/v2/projects/demo/layers",
                {"filter": "reservations.experimentKey contains bold"},
                "20240415",
            ),
        ),
    ],
    ids=lambda value: value.operation if isinstance(value, Request) else "",
)
def test_a_read_asks_for(request_: Request[Any], expected: tuple[Any, ...]) -> None:
    assert wire(request_) == expected
    assert request_.is_read
    assert request_.body is None


def test_each_environment_of_a_flag_is_a_parameter_of_its_own() -> None:
    request = endpoints.get_flag("demo", "f", environments=("production", "test"), expand=("evaluation",))
    assert request.path == "/api/v2/flags/demo/f"
    assert request.query == (("env", "production"), ("env", "test"), ("expand", "evaluation"))


def test_rules_of_listed_flags_are_asked_for_by_leaving_out_the_summary() -> None:
    request = endpoints.list_flags("demo", environments=("production",), with_rules=True, archived=False)
    assert request.query == (("env", "production"), ("archived", "false"), ("summary", "0"))


def test_rules_of_listed_flags_need_an_environment() -> None:
    with pytest.raises(ConfigurationError, match="environments is empty"):
        endpoints.list_flags("demo", with_rules=True)


@pytest.mark.parametrize(
    ("instruction", "sent"),
    [
        (UpdateName(value="New"), {"kind": "updateName", "value": "New"}),
        (UpdateDescription(value=""), {"kind": "updateDescription", "value": ""}),
        (StartIteration(), {"kind": "startIteration"}),
        (StartIteration(change_justification="why"), {"kind": "startIteration", "changeJustification": "why"}),
        (
            StopIterationWithWinner(winning_treatment_id="t", winning_reason="better"),
            {"kind": "stopIteration", "winningTreatmentId": "t", "winningReason": "better"},
        ),
        (ArchiveExperiment(), {"kind": "archiveExperiment"}),
        (RestoreExperiment(), {"kind": "restoreExperiment"}),
        (
            UpdateExperimentFields(value={"tags": FieldChange(operation="add", value=["a"])}),
            {"kind": "updateExperimentFields", "value": {"tags": {"operation": "add", "value": ["a"]}}},
        ),
        (
            SaveAndStartNewIteration(
                change_justification="ramp", value={"description": FieldChange(operation="remove")}
            ),
            {
                "kind": "saveAndStartNewIteration",
                "changeJustification": "ramp",
                "value": {"description": {"operation": "remove"}},
            },
        ),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_each_of_the_eight_experiment_instructions_is_sent_as(instruction: Any, sent: dict[str, Any]) -> None:
    request = endpoints.patch_experiment(ENV, "bold", [instruction], comment="by a test")
    assert request.body == {"instructions": [sent], "comment": "by a test"}
    assert (request.method, request.path, request.content_type) == ("PATCH", f"{EXPERIMENTS}/bold", SEMANTIC)
    assert not request.is_read


def test_several_instructions_travel_in_one_patch_in_order() -> None:
    request = endpoints.patch_experiment(ENV, "bold", [UpdateName(value="A"), StartIteration()])
    assert request.body == {"instructions": [{"kind": "updateName", "value": "A"}, {"kind": "startIteration"}]}


@pytest.mark.parametrize(
    "build",
    [
        lambda: endpoints.patch_experiment(ENV, "bold", []),
        lambda: endpoints.patch_flag(ENV, "f", []),
        lambda: endpoints.patch_holdout(ENV, "h", []),
        lambda: endpoints.patch_layer(ENV, "l", []),
    ],
)
def test_a_patch_without_an_instruction_is_refused(build: Any) -> None:
    with pytest.raises(ConfigurationError, match="instructions is empty"):
        build()


@pytest.mark.parametrize(
    ("instruction", "sent"),
    [
        (TurnFlagOn(), {"kind": "turnFlagOn"}),
        (TurnFlagOff(), {"kind": "turnFlagOff"}),
        (
            UpdateFallthroughVariationOrRollout(variation_id="v"),
            {"kind": "updateFallthroughVariationOrRollout", "variationId": "v"},
        ),
        (
            UpdateRuleVariationOrRollout(
                rule_id="r", rollout_weights={"v": 60_000, "w": 40_000}, rollout_context_kind="org"
            ),
            {
                "kind": "updateRuleVariationOrRollout",
                "ruleId": "r",
                "rolloutWeights": {"v": 60_000, "w": 40_000},
                "rolloutContextKind": "org",
            },
        ),
        (UpdateOffVariation(variation_id="v"), {"kind": "updateOffVariation", "variationId": "v"}),
        (OtherFlagInstruction.of("addTags", values=["a"]), {"kind": "addTags", "values": ["a"]}),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_a_flag_instruction_is_sent_as(instruction: Any, sent: dict[str, Any]) -> None:
    request = endpoints.patch_flag(ENV, "f", [instruction], comment="c", dry_run=True, ignore_conflicts=True)
    assert request.body == {"environmentKey": "production", "instructions": [sent], "comment": "c"}
    assert request.query == (("ignoreConflicts", "true"), ("dryRun", "true"))
    assert (request.path, request.content_type, request.api_version) == ("/api/v2/flags/demo/f", SEMANTIC, "20240415")


def test_a_flag_instruction_that_launchdarkly_does_not_publish_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="turnFlagOnn"):
        OtherFlagInstruction.of("turnFlagOnn")


@pytest.mark.parametrize(
    ("request_", "path", "body"),
    [
        (
            endpoints.create_flag("demo", FlagPost(key="f", name="F", is_flag_on=True)),
            "/api/v2/flags/demo",
            {"key": "f", "name": "F", "isFlagOn": True},
        ),
        (
            endpoints.create_metric(
                "demo",
                MetricPost(
                    key="m", kind="custom", is_numeric=True, success_criteria="LowerThanBaseline", event_key="e"
                ),
            ),
            "/api/v2/metrics/demo",
            {
                "key": "m",
                "kind": "custom",
                "isNumeric": True,
                "successCriteria": "LowerThanBaseline",
                "eventKey": "e",
            },
        ),
        (
            endpoints.create_metric_group(
                "demo",
                MetricGroupPost.checked(
                    {
                        "key": "g",
                        "name": "G",
                        "kind": "funnel",
                        "maintainerId": "x",
                        "metrics": [{"key": "m", "nameInGroup": "1"}],
                    }
                ),
            ),
            "/api/v2/projects/demo/metric-groups",
            {
                "key": "g",
                "name": "G",
                "kind": "funnel",
                "maintainerId": "x",
                "tags": [],
                "metrics": [{"key": "m", "nameInGroup": "1"}],
            },
        ),
        (
            endpoints.create_holdout(
                ENV,
                HoldoutPost(
                    key="h",
                    name="H",
                    randomization_unit="user",
                    holdout_amount="5",
                    primary_metric_key="m",
                    prerequisite_flag_key="f",
                    maintainer_id="x",
                ),
            ),
            HOLDOUTS,
            {
                "key": "h",
                "name": "H",
                "randomizationunit": "user",
                "holdoutamount": "5",
                "primarymetrickey": "m",
                "prerequisiteflagkey": "f",
                "maintainerId": "x",
            },
        ),
        (
            endpoints.create_layer("demo", LayerPost(key="l", name="L", description="")),
            "/api/v2/projects/demo/layers",
            {"key": "l", "name": "L", "description": ""},
        ),
    ],
    ids=lambda value: value.operation if isinstance(value, Request) else "",
)
def test_a_creation_is_posted_as(request_: Request[Any], path: str, body: dict[str, Any]) -> None:
    assert (request_.method, request_.path, request_.body) == ("POST", path, body)
    assert request_.content_type == "application/json"


def test_settings_are_put_whole() -> None:
    settings = ExperimentationSettingsPut.checked(
        {"randomizationUnits": [{"randomizationUnit": "user", "default": True}]}
    )
    request = endpoints.put_experimentation_settings("demo", settings)
    assert (request.method, request.path) == ("PUT", "/api/v2/projects/demo/experimentation-settings")
    assert request.body == {"randomizationUnits": [{"randomizationUnit": "user", "default": True}]}


def test_a_holdout_names_experiments_by_value_and_a_layer_by_experiment_key() -> None:
    holdout = endpoints.patch_holdout(ENV, "h", [EndHoldout(), RemoveExperimentFromHoldout(value="bold")], comment="c")
    assert holdout.body == {
        "instructions": [{"kind": "endHoldout"}, {"kind": "removeExperiment", "value": "bold"}],
        "comment": "c",
    }
    layer = endpoints.patch_layer(
        ENV, "l", [UpdateExperimentReservation(experiment_key="bold", reservation_percent=40)]
    )
    assert layer.body == {
        "environmentKey": "production",
        "instructions": [{"kind": "updateExperimentReservation", "experimentKey": "bold", "reservationPercent": 40}],
    }
    assert layer.path == "/api/v2/projects/demo/layers/l"


@pytest.mark.parametrize("key", ["a/b", "a b", "a?b#c", "50%", "ключ", "a+b", "..a", "%2F"])
def test_a_key_is_encoded_as_one_segment_of_the_path(key: str) -> None:
    path = endpoints.get_experiment(EnvironmentRef("demo", "production"), key).path
    encoded = path.removeprefix(f"{EXPERIMENTS}/")
    assert not set(encoded) & set("/? #")
    assert encoded.isascii()


@pytest.mark.parametrize("key", ["", ".", "..", " bold", "bold\n"])
def test_a_key_that_would_lead_to_another_route_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="experiment_key is"):
        endpoints.get_experiment(ENV, key)


@pytest.mark.parametrize("value", ["a,b", "a:b"])
def test_a_filter_value_that_the_grammar_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="flagKey is"):
        endpoints.list_experiments(ENV, flag_key=value)


def test_a_legacy_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="start is"):
        endpoints.get_legacy_results(ENV, "f", "m", start=datetime(2026, 1, 5))  # noqa: DTZ001 - the point of the test


def test_an_iteration_is_not_sent_without_the_version_of_its_flag() -> None:
    iteration = IterationInput.checked(
        {
            "hypothesis": "h",
            "metrics": [{"key": "m"}],
            "primarySingleMetricKey": "m",
            "flags": {"f": {"ruleId": "fallthrough"}},
            "treatments": [
                {
                    "name": "a",
                    "baseline": True,
                    "allocationPercent": 100,
                    "parameters": [{"flagKey": "f", "variationId": "v"}],
                }
            ],
        }
    )
    with pytest.raises(ConfigurationError, match=r"flags\[f\]\.flagConfigVersion is missing"):
        endpoints.create_iteration(ENV, "bold", iteration)


@pytest.mark.parametrize("listing", [endpoints.list_experiments, endpoints.list_experiments_in_any_environment])
def test_an_unknown_filter_is_refused_by_name(listing: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'flagkey'"):
        listing(ENV if listing is endpoints.list_experiments else "demo", flagkey="checkout-button")


@pytest.mark.parametrize("key", ["\udcff", "a\nb", "\x00"], ids=ascii)
def test_a_key_that_no_url_can_hold_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigurationError, match="experiment_key is"):
        endpoints.get_experiment(ENV, key).path  # noqa: B018 - some requests make their path late
    with pytest.raises(ConfigurationError, match="environment_key is"):
        endpoints.list_experiments(EnvironmentRef("demo", key)).path  # noqa: B018
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        endpoints.list_experiments(ENV, flag_key=key)
