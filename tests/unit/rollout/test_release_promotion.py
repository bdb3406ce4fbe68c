"""Releases through environments as data: what an environment may set, and what is wrong, with its field and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_text
from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
from support.release_rollouts import GUARDED, RELEASE


def released(**changes: Any) -> ReleasePromotion:
    return ReleasePromotion.from_json(RELEASE | changes)


def refused(**changes: Any) -> str:
    with pytest.raises(InvalidSettingError) as error:
        released(**changes)
    return str(error.value)


def changed(**fields: Any) -> dict[str, Any]:
    return {**RELEASE["release"], **fields}


def test_each_environment_has_the_release_with_its_own_fields_over_it() -> None:
    environments = [
        "test",
        {
            "key": "production",
            "rule": "Beta users",
            "connection": "production",
            "approval": {"before_start": True},
            "release": {"steps": [{"percent": 1, "duration": "7d"}]},
            "turn_flag_on": None,
        },
    ]
    test, production = released(environments=environments).releases
    assert (test.environment, test.release.rule, len(test.release.steps), test.turn_flag_on) == (
        "test",
        "fallthrough",
        2,
        True,
    )
    assert (production.environment, production.connection) == ("production", "production")
    assert (production.release.rule, production.release.target) == ("Beta users", "Bold")
    assert (len(production.release.steps), production.turn_flag_on) == (1, False)
    assert (test.approval.before_start, production.approval.before_start) == (False, True)


def test_without_environments_it_is_one_release_where_the_connection_says() -> None:
    plain = {name: value for name, value in RELEASE.items() if name != "environments"}
    found = ReleasePromotion.from_json(plain)
    assert [(key, each.environment) for key, each in found.by_key()] == [(None, None)]


def test_json_there_and_back() -> None:
    for each in ReleasePromotion.from_json(GUARDED).releases:
        assert type(each).from_json(each.to_json()) == each


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environments": []}, "environments: is empty"),
        (
            {"release": {**RELEASE["release"], "kind": "guarded_or_progressive"}},
            "release.kind: is 'guarded_or_progressive', which only the release of a winner takes",
        ),
        ({"environments": ["a", "a"]}, "environments[1].key: a is there twice"),
        (
            {"environments": [{"key": "a", "release": {"flag": "x"}}]},
            "environments[0].release.flag: is the same",
        ),
        ({"environments": [{"key": "a", "release": {"target": "X"}}]}, "environments[0].release.target: is the same"),
        ({"environments": [{"key": "a", "stages": []}]}, "environments[0].stages: is not known"),
        ({"environments": [{"key": "a", "environment": "b"}]}, "environments[0].environment: is the same"),
        ({"environments": [{"key": "a", "decide_within": "0d"}]}, "environments[0].decide_within: is PT0S"),
        ({"experiment": {"flag": "x"}}, "experiment: is for experiments, and cannot stand beside `release`"),
        ({"stages": []}, "stages: is for experiments"),
        ({"policy": {}}, "policy: is for experiments"),
        ({"targets": ["a"]}, "targets: is for experiments"),
        ({"environment": "test"}, "environment: cannot stand beside `environments`"),
        ({"decide_within": "400d"}, "decide_within: is 400d, not above 0 and at most 365d"),
        ({"approval": {"before_ship": True}}, "approval.before_ship: is not known"),
        ({"approval": {"timeout": "0d"}}, "approval.timeout: is PT0S, not above 0"),
        ({"approval": {"remind_after": "4d"}}, "approval.remind_after: is 4d, not from 1m to below 3d"),
        (
            {"launchdarkly_approval": {"reviewers": ["a@b.c"], "replaces_airflow": True}},
            "launchdarkly_approval.replaces_airflow: is for experiments",
        ),
        ({"release": changed(target="Classic")}, "release.target: is 'Classic', as `original` is"),
        ({"release": changed(original=None)}, "release.original: is null"),
        ({"release": changed(kind="guarded")}, "release.metrics: is missing"),
        ({"release": changed(metrics=["m"])}, "release.metrics: guard nothing in a progressive release"),
        ({"release": changed(kind="guarded", metrics=["m", "m"])}, "release.metrics[1]: 'm' is there twice"),
        ({"release": changed(steps=[])}, "release.steps: write at least 1"),
        (
            {"release": changed(steps=[{"percent": float("nan"), "duration": "1d"}])},
            "release.steps[0].percent: nan is not a percentage",
        ),
        (
            {"environments": ["a", {"key": "b", "rule": "Beta", "release": {"rule": "Alpha"}}]},
            "environments[1].rule: is 'Beta', and `release.rule` is 'Alpha': write one of the two",
        ),
        (
            {"environments": ["promote_to_b", "a", "b"]},
            "environments[0].key: promote_to_b is the task before b",
        ),
        ({"release": changed(phases=[])}, "release.phases: is not known"),
        ({"release": changed(rule="9ab52f4e-8a7c-4c55-9d4f-2f3d5bb8f3a1")}, "release.rule: '9ab52f4e"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], told: str) -> None:
    assert told in refused(**changes)


def test_a_list_whose_items_are_wrong_is_not_called_too_short() -> None:
    told = refused(release=changed(steps=[{"percent": 0, "duration": "1d"}]))
    assert "release.steps[0].percent: 0 is no step" in told
    assert "write at least" not in told


def read(content: dict[str, Any]) -> list[NamedRollout | Broken]:
    return list(read_text(yaml.safe_dump(content, sort_keys=False), Path("releases.yaml")))


def test_an_error_in_a_file_names_its_line_and_field() -> None:
    spec = {**RELEASE, "environments": ["test", {"key": "production", "decide_within": "soon"}]}
    (found,) = read({"rollouts": {"bold": spec}})
    assert isinstance(found, Broken)
    (problem,) = found.problems
    assert (problem.line, problem.field) == (17, "environments[1].decide_within")
    assert "'soon' is no duration" in problem.message


def test_a_file_may_hold_experiments_and_releases_over_the_same_defaults() -> None:
    experiment = {
        "experiment": {
            "flag": "checkout-button",
            "hypothesis": "Bold is better.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        }
    }
    defaults = {"connection": "shared", "stages": [{"allocation": 50, "gate": "decision"}], "policy": {"alpha": 0.01}}
    one, other = read({"defaults": defaults, "rollouts": {"measured": experiment, "released": RELEASE}})
    assert isinstance(one, NamedRollout)
    assert isinstance(other, NamedRollout)
    assert one.rollout.connection == "shared"
    assert [name for name, _ in other.releases_by_name()] == [
        "released/test",
        "released/staging",
        "released/production",
    ]
    assert {each.connection for _, each in other.releases_by_name()} == {"shared"}
    assert list(other.by_name()) == []
    assert list(one.releases_by_name()) == []


def test_a_release_in_the_defaults_is_none_of_an_experiments() -> None:
    experiment = {
        "experiment": {
            "flag": "checkout-button",
            "hypothesis": "Bold is better.",
            "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
            "primary_metric": "checkout-conversion",
        },
        "stages": [{"allocation": 50, "gate": "decision"}],
    }
    found = read({"defaults": {"release": RELEASE["release"]}, "rollouts": {"measured": experiment, "released": {}}})
    assert [type(each) for each in found] == [NamedRollout, NamedRollout]


def test_a_window_that_never_opens_and_a_calendar_that_cannot_be_read_are_named() -> None:
    never = {"timezone": "UTC", "hours": "09:00-17:00", "blackout": [{"from": "2020-01-01", "to": "2099-12-31"}]}
    (closed,) = read({"rollouts": {"bold": {**RELEASE, "change_window": never}}})
    assert isinstance(closed, Broken)
    calendar = {"timezone": "UTC", "hours": "09:00-17:00", "calendar": "gone.ics"}
    (unread,) = read({"rollouts": {"bold": {**RELEASE, "change_window": calendar}}})
    assert isinstance(unread, NamedRollout)
    assert unread.calendar_problem is not None
