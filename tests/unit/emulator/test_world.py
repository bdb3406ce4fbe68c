"""Worlds from plain data, and their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.emulator.state.scenarios import SCENARIOS
from airflow_provider_launchdarkly.emulator.state.world import add_own_token, build_world, first_world

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import World


def world(**project: Any) -> World:
    data = {
        "members": {"ada@example.com": {}},
        "projects": {"p": {"environments": {"e": {}}, "flags": {"f": {}}, "metrics": {"m": {}}} | project},
    }
    return build_world(data, seed=1, now=0)


def test_a_small_world_has_defaults() -> None:
    project = world().projects["p"]
    assert [v.value for v in project.flags["f"].variations] == [True, False]
    assert project.flags["f"].configs["e"].on is False
    assert project.metrics["m"].higher_is_better
    assert project.environments["e"].sdk_key.startswith("sdk-")


def test_ids_depend_on_seed_and_keys_alone() -> None:
    assert world(metrics={"m": {}, "n": {}}).projects["p"].metrics["m"] == world().projects["p"].metrics["m"]
    data: dict[str, Any] = {"members": {"ada@example.com": {}}, "projects": {"p": {}}}
    assert build_world(data, seed=1, now=0) == build_world(data, seed=1, now=0)
    assert build_world(data, seed=1, now=0).account_id != build_world(data, seed=2, now=0).account_id


def test_values_that_are_no_text_have_labels_as_json() -> None:
    variations = [None, 7, {"a": 1}, {"value": {"b": 2}, "name": "Two"}]
    flag = world(flags={"f": {"variations": variations}}).projects["p"].flags["f"]
    assert [v.label for v in flag.variations] == ["null", "7", '{"a": 1}', "Two"]


@pytest.mark.parametrize(
    ("project", "named"),
    [
        ({"flgas": {}}, "world.projects.p.flgas"),
        ({"flags": {"f": {"variations": [1]}}}, "flags.f.variations"),
        ({"flags": {"f": {"fallthrough": "Nothing"}}}, "flags.f.fallthrough"),
        ({"flags": {"f": {"on_in": ["nowhere"]}}}, "flags.f.on_in"),
        ({"flags": {"f": {"on_in": "e"}}}, "flags.f.on_in"),
        ({"metrics": {"m": {"numeric": "yes"}}}, "metrics.m.numeric"),
        ({"metrics": {"m": {"better": "louder"}}}, "metrics.m.better"),
        ({"metric_groups": {"g": {"metrics": {"x": {}}}}}, "metric_groups.g.metrics"),
        ({"metric_groups": {"g": {"kind": "heap"}}}, "metric_groups.g.kind"),
        ({"truths": {"x": {"people_per_day": 1}}}, "truths"),
        ({"truths": {"f": {"people": 1}}}, "people_per_day"),
        ({"environments": {"e": 5}}, "environments.e"),
    ],
)
def test_an_error_in_a_world_is_named(project: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace(".", r"\.")):
        world(**project)


def test_a_world_needs_a_member() -> None:
    with pytest.raises(ValueError, match=r"world\.members"):
        build_world({"projects": {}}, seed=1, now=0)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_the_same_world_with_another_truth(scenario: str) -> None:
    made = first_world(seed=1, scenario=scenario, now=0)
    plain = first_world(seed=1, scenario="effect", now=0)
    assert made.projects["demo"].flags == plain.projects["demo"].flags
    assert made.projects["demo"].metrics == plain.projects["demo"].metrics
    assert made.tokens == plain.tokens


def test_an_unknown_scenario_is_rejected_with_the_known_names() -> None:
    with pytest.raises(ValueError, match=r"effect, no-effect, broken-split, no-traffic"):
        first_world(seed=1, scenario="nothing", now=0)


def test_no_credential_is_in_a_representation() -> None:
    made = first_world(seed=1, scenario="effect", now=0)
    add_own_token(made, "secret-token")
    assert "secret-token" not in repr(made)
    assert "secret-token" not in repr(made.tokens["secret-token"])
