"""Experiments as assets: their URI, and what is read of the events on it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from airflow.sdk import Asset

from airflow_provider_launchdarkly.assets import (
    EventName,
    experiment_asset,
    experiment_events,
    experiment_uri,
    flag_asset,
    flag_uri,
)
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.notifications.cards import HEADLINES
from airflow_provider_launchdarkly.rollout.options import Ending


def event(name: str, *, hour: int = 0, watched: bool = False, **content: Any) -> Any:
    extra: dict[str, Any] = {"event": name, "iteration_id": "it-1", **content}
    if watched:
        extra = {"from_trigger": True, "payload": extra}
    return SimpleNamespace(extra=extra, timestamp=datetime(2026, 1, 5, hour, tzinfo=UTC))


def test_an_experiments_asset_is_named_by_its_uri() -> None:
    asset = experiment_asset("demo", "production", "bold-checkout-button")
    assert asset.uri == asset.name == "launchdarkly://demo/production/bold-checkout-button"


def test_keys_keep_their_case_and_odd_ones_are_escaped() -> None:
    assert experiment_asset("Demo", "eu/west", "Button v2").uri == "launchdarkly://Demo/eu%2Fwest/Button%20v2"


def test_a_hand_written_uri_is_normalised_by_airflow() -> None:
    assert Asset("LAUNCHDARKLY://demo/production/button/").uri == experiment_uri("demo", "production", "button")


@pytest.mark.parametrize(
    "uri",
    [
        "launchdarkly://demo",
        "launchdarkly://demo/production",
        "launchdarkly://demo//x",
        "launchdarkly:///a/b/c",
        "launchdarkly://demo/production/button/7",
        "launchdarkly://demo/production/button?x=1",
    ],
)
def test_a_uri_of_another_shape_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="launchdarkly://PROJECT/ENVIRONMENT/EXPERIMENT"):
        Asset(uri)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="environment_key is ''"):
        experiment_asset("demo", "", "button")
    with pytest.raises(ValueError, match="flag_key is '': a flag's asset"):
        flag_asset("demo", "production", "")


def test_a_flags_asset_is_told_from_an_experiments() -> None:
    asset = flag_asset("Demo", "eu/west", "button v2")
    assert asset.uri == asset.name == "launchdarkly://Demo/eu%2Fwest/flags/button%20v2"
    assert Asset(asset.uri).uri == asset.uri
    assert experiment_uri("demo", "production", "flags") != flag_uri("demo", "production", "flags")


def test_events_of_two_releases_at_the_same_time_are_both_read() -> None:
    first, second = (event("release_completed", iteration_id=None, release_id=name) for name in ("r-1", "r-2"))
    found = experiment_events({"alias": [first, second, first]}, "release_completed")
    assert [content["release_id"] for content in found] == ["r-1", "r-2"]


def test_events_of_tasks_and_watchers_read_alike_oldest_first() -> None:
    happened = {"asset": [event("stop", hour=2, watched=True), event("start", hour=1)]}
    assert [told["event"] for told in experiment_events(happened)] == ["start", "stop"]


def test_only_the_events_asked_for_are_returned() -> None:
    happened = {"asset": [event("start"), event("ship", hour=1)]}
    assert [told["event"] for told in experiment_events(happened, "ship", "rollback")] == ["ship"]


def test_an_event_that_came_by_its_asset_and_by_the_alias_is_one() -> None:
    shipped = event("ship")
    assert len(experiment_events({"asset": [shipped], "alias": [shipped]})) == 1


def test_what_others_emit_on_the_asset_is_left_out() -> None:
    by_hand = SimpleNamespace(extra={"from_rest_api": True}, timestamp=datetime(2026, 1, 5, tzinfo=UTC))
    assert experiment_events({"asset": [by_hand]}) == []


def test_each_ending_of_a_rollout_has_an_event_and_a_headline() -> None:
    assert set(Ending) <= set(get_args(EventName))
    assert set(Kind) <= set(HEADLINES)


def test_an_ending_is_a_kind_of_verdict_that_ends_the_wait() -> None:
    others = {"refused", "regressed"}
    assert {ending.value for ending in Ending} == {kind.value for kind in Kind} - {"wait"} | others
