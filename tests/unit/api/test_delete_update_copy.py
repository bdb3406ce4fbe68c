"""Deleting, updating and copying, and creating holdouts and layers: one effect, whatever happens to the write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ConflictError,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    InvalidRequestError,
    NotFoundError,
)
from airflow_provider_launchdarkly.api.models import FlagPost, HoldoutPost, LayerPost, PatchOperation
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, Driver

FAULTS = {
    "none": None,
    "closed before": {"fault": "close_before"},
    "closed after": {"fault": "close_after"},
    "500 after it took effect": {"fault": "status_after", "status": 500},
    "503": {"fault": "status", "status": 503},
    "429": {"fault": "status", "status": 429},
}
LAYER = LayerPost(key="checkout", name="Checkout", description="One at a time")
HOLDOUT = {
    "key": "q1",
    "name": "Q1",
    "holdout_amount": "10",
    "primary_metric_key": "checkout-conversion",
    "metrics": [{"key": "checkout-conversion"}],
    "prerequisite_flag_key": "holdout-q1",
}
WRITES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "delete a flag": ("delete_feature_flag", "flag.deleted", lambda: writes.delete_flag("demo", "pricing-page")),
    "archive a flag": (
        "patch_feature_flag",
        "flag.changed",
        lambda: writes.archive_flag("demo", "pricing-page", comment="retired"),
    ),
    "delete a metric": ("delete_metric", "metric.deleted", lambda: writes.delete_metric("demo", "revenue-per-user")),
    "delete a group": (
        "delete_metric_group",
        "metric_group.deleted",
        lambda: writes.delete_metric_group("demo", "page-health"),
    ),
    "update a metric": (
        "patch_metric",
        "metric.changed",
        lambda: writes.update_metric("demo", "page-load-ms", {"tags": ["speed"], "unit": "s"}),
    ),
    "update a group": (
        "patch_metric_group",
        "metric_group.changed",
        lambda: writes.update_metric_group("demo", "page-health", {"name": "Health"}),
    ),
    "copy a flag": ("copy_feature_flag", "flag.changed", lambda: writes.copy_flag(ENV, "search-ranking", "test")),
    "create a layer": ("create_layer", "layer.created", lambda: writes.create_layer("demo", LAYER)),
    "create a holdout": (
        "post_holdout",
        "holdout.created",
        lambda: writes.create_holdout(ENV, HoldoutPost.checked(HOLDOUT)),
    ),
}


@pytest.fixture
def stage(driver: Driver, emulator: EmulatorServer) -> EmulatorServer:
    """An emulator in which each write has something to do."""
    driver.run(writes.create_flag("demo", FlagPost(key="holdout-q1", name="Holdout", purpose="holdout")))
    driver.run(writes.turn_flag(ENV, "search-ranking", on=False))
    return emulator


def changed(found: Any) -> bool:
    return not found.adopted if hasattr(found, "adopted") else bool(found.changed)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_write_has_one_effect_and_a_repeat_none(driver: Driver, stage: EmulatorServer, name: str, fault: str) -> None:
    operation, effect, make = WRITES[name]
    before = len(stage.effects(effect))
    options = FAULTS[fault]
    if options is not None:
        stage.fault(operation, **options)
    assert changed(driver.run(make()))
    assert len(stage.effects(effect)) == before + 1
    assert not changed(driver.run(make()))
    assert len(stage.effects(effect)) == before + 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: writes.delete_metric("demo", "checkout-errors"),
        lambda: writes.delete_flag("demo", "checkout-button"),
    ],
)
def test_what_is_used_is_not_deleted(driver: Driver, running: Any, make: Callable[[], Any]) -> None:
    with pytest.raises(ConflictError, match="is used by"):
        driver.run(make())


def test_a_metric_is_updated_only_where_it_differs(driver: Driver, emulator: EmulatorServer) -> None:
    driver.run(writes.update_metric("demo", "page-load-ms", {"name": "Page load", "description": "In ms"}))
    [entry] = emulator.journal()
    assert entry.body == [{"op": "add", "path": "/description", "value": "In ms"}]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({}, ConfigurationError, "name a field of metric 'page-load-ms'"),
        ({"key": "x"}, InvalidRequestError, "/key cannot be changed"),
        ({"successCriteria": "Best"}, InvalidRequestError, "must be one of"),
    ],
)
def test_a_wrong_update_is_refused(
    driver: Driver, emulator: EmulatorServer, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        driver.run(writes.update_metric("demo", "page-load-ms", changes))


def test_only_the_named_parts_are_copied(driver: Driver, stage: EmulatorServer) -> None:
    copied = driver.run(writes.copy_flag(ENV, "search-ranking", "test", actions=["updateOffVariation"]))
    assert not copied.changed
    copied = driver.run(writes.copy_flag(ENV, "search-ranking", "test", actions=["updateOn"], comment="as there"))
    assert copied.value.environments["test"].on is False
    assert stage.journal()[-1].body["target"] == {"key": "test", "currentVersion": 1}


def test_a_copy_of_a_running_experiment_leaves_out_its_mark(driver: Driver, running: Any) -> None:
    copied = driver.run(writes.copy_flag(ENV, "checkout-button", "test"))
    assert copied.value.environments["test"].fallthrough.rollout.experiment_allocation is None
    assert not driver.run(writes.copy_flag(ENV, "checkout-button", "test")).changed


@pytest.mark.parametrize(
    ("target", "actions", "error", "said"),
    [
        ("production", (), ConfigurationError, "the source too"),
        ("test", ("updateColour",), ConfigurationError, "'updateColour' is unknown; use updateOn"),
        ("none", (), NotFoundError, "environment"),
    ],
)
def test_a_wrong_copy_is_refused(
    driver: Driver, emulator: EmulatorServer, target: str, actions: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        driver.run(writes.copy_flag(ENV, "checkout-button", target, actions=actions))


@pytest.mark.parametrize("change", [{"holdout_amount": "20"}, {"name": "Q2"}])
def test_a_holdout_of_other_content_is_named(driver: Driver, stage: EmulatorServer, change: dict[str, str]) -> None:
    driver.run(writes.create_holdout(ENV, HoldoutPost.checked(HOLDOUT)))
    with pytest.raises(ExperimentDiffersError, match="holdout 'q1' exists already, with other content"):
        driver.run(writes.create_holdout(ENV, HoldoutPost.checked(HOLDOUT | change)))


def test_a_holdout_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="key is missing"):
        writes.create_holdout(ENV, HoldoutPost.checked(HOLDOUT | {"key": None}))


def test_a_layer_of_other_content_is_named(driver: Driver, emulator: EmulatorServer) -> None:
    driver.run(writes.create_layer("demo", LAYER))
    with pytest.raises(ExperimentDiffersError, match="layer 'checkout' exists already"):
        driver.run(writes.create_layer("demo", LAYER.model_copy(update={"name": "Other"})))


def test_a_value_column_is_not_reported_as_dropped(driver: Driver, emulator: EmulatorServer) -> None:
    from airflow_provider_launchdarkly.api.models import MetricPost

    post = MetricPost.checked(
        {
            "key": "amount",
            "kind": "custom",
            "event_key": "amount",
            "is_numeric": True,
            "success_criteria": "HigherThanBaseline",
            "value_column": "amount",
            "data_source": {"key": "snowflake"},
            "analysis_type": "percentile",
            "percentile_value": 95,
            "winsor_upper_percentile": 99,
            "window_end_offset": 1000,
        }
    )
    made = driver.run(writes.create_metric("demo", post))
    assert not made.adopted
    assert driver.run(writes.create_metric("demo", post)).adopted


def test_a_flag_with_all_its_fields_is_not_reported_as_dropped(driver: Driver, emulator: EmulatorServer) -> None:
    post = FlagPost.checked(
        {
            "key": "new",
            "name": "New",
            "client_side_availability": {"using_environment_id": True, "using_mobile_key": True},
            "custom_properties": {"jira": {"name": "Jira", "value": ["A-1"]}},
            "maintainer_team_key": "growth",
        }
    )
    assert not driver.run(writes.create_flag("demo", post)).adopted
    assert driver.run(writes.create_flag("demo", post)).adopted


def test_a_patch_needs_an_operation() -> None:
    for patch in (endpoints.patch_metric, endpoints.patch_metric_group):
        with pytest.raises(ConfigurationError, match="operations is empty"):
            patch("demo", "x", [])
    assert PatchOperation(op="remove", path="/unit").to_operation() == {"op": "remove", "path": "/unit"}
    assert PatchOperation(op="test", path="/unit").to_operation() == {"op": "test", "path": "/unit", "value": None}


def test_a_field_that_launchdarkly_ignores_is_reported(driver: Driver, emulator: EmulatorServer) -> None:
    with pytest.raises((FieldsNotAppliedError, InvalidRequestError), match="colour"):
        driver.run(writes.update_metric("demo", "page-load-ms", {"colour": "red"}))
