"""A rollout with `environments`: what each environment gets, and what is rejected where."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.rollout.content import read_rollout
from airflow_provider_launchdarkly.rollout.promotion import Promotion, parts_of
from airflow_provider_launchdarkly.rollout.spec import Rollout

ROLLOUT: dict[str, Any] = {
    "experiment": {
        "key": "button",
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
        "primary_metric": "checkout-conversion",
    },
    "stages": [{"allocation": 10, "dwell": "2d"}, {"allocation": 50, "gate": "decision"}],
    "policy": {"min_duration": "7d", "max_duration": "21d", "alpha": 0.04},
    "approval": {"before_ship": True, "timeout": "1d"},
    "change_window": {"hours": "09:00-17:00"},
    "connection": "nonproduction",
}


def promotion(*environments: Any, **changes: Any) -> Promotion:
    return Promotion.from_json({**ROLLOUT, **changes, "environments": list(environments)})


def test_an_environment_by_its_key_alone_has_the_rollout_as_it_is() -> None:
    found = promotion("test", "staging", "production")
    assert found.environments == ("test", "staging", "production")
    for rollout in found.rollouts:
        assert rollout == Rollout.from_json({**ROLLOUT, "environment": rollout.environment})


def test_a_rollout_without_environments_stays_a_rollout() -> None:
    assert read_rollout(ROLLOUT) == Rollout.from_json(ROLLOUT)
    (part,) = parts_of(ROLLOUT)
    assert part.value == ROLLOUT


def test_an_environment_has_its_own_gates_window_approval_and_connection() -> None:
    test, production = promotion(
        {
            "key": "test",
            "stages": [{"allocation": 50, "gate": "decision"}],
            "policy": {"max_duration": "10d"},
            "approval": None,
            "change_window": None,
        },
        {"key": "production", "connection": "production", "approval": {"users": ["grace"]}, "autonomy": "recommend"},
    ).rollouts
    assert len(test.stages) == 1
    assert test.policy.alpha == 0.04
    assert test.policy.max_duration.days == 10
    assert not test.asks_before_ship
    assert test.change_window is None
    assert test.connection == "nonproduction"
    assert len(production.stages) == 2
    assert production.approval.users == ("grace",)
    assert production.approval.timeout.days == 1
    assert production.asks_before(0)
    assert production.change_window is not None
    assert production.connection == "production"


def test_each_environment_may_name_its_own_rule() -> None:
    found = promotion({"key": "test", "rule": "rule-1"}, {"key": "production", "rule": "rule-2"})
    assert [rollout.experiment.rule for rollout in found.rollouts] == ["rule-1", "rule-2"]


def test_all_environments_may_only_observe() -> None:
    found = promotion("test", "production", autonomy="observe")
    assert [rollout.autonomy.value for rollout in found.rollouts] == ["observe", "observe"]


RULE = "f3ea72d0-e473-4e8b-b942-565b790ffe18"
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"environments": []}, "environments: is empty"),
    "no list": ({"environments": "test"}, "environments: write a list (given 'test')"),
    "a number": ({"environments": ["test", 3]}, "environments[1]: write a key, or a mapping with `key`"),
    "without a key": ({"environments": [{"rule": "r"}]}, "environments[0].key: is required"),
    "a blank": ({"environments": ["te st"]}, "environments[0].key: is no key"),
    "twice": (
        {"environments": ["test", {"key": "test"}]},
        "environments[1].key: test is there twice: name each environment once",
    ),
    "one group": ({"environments": ["a.b", "a_b"]}, "environments[1].key: a_b and a.b are one task group"),
    "another experiment": (
        {"environments": ["test", {"key": "production", "experiment": {"key": "other"}}]},
        "environments[1].experiment: is the same in each environment",
    ),
    "another DAG": ({"environments": [{"key": "test", "dag": {}}]}, "environments[0].dag: is the same in each"),
    "an unknown field": (
        {"environments": [{"key": "test", "stage": []}]},
        "environments[0].stage: is not known: write key, rule, stages",
    ),
    "beside environment": (
        {"environment": "test", "environments": ["test"]},
        "environment: cannot stand beside `environments`",
    ),
    "a wrong value of its own": (
        {"environments": ["test", {"key": "production", "stages": [{"allocation": 10, "dwell": "soon"}]}]},
        "environments[1].stages[0].dwell: 'soon' is no duration",
    ),
    "a wrong value of all": ({"stages": [], "environments": ["test", "production"]}, "stages has 0 entries"),
    "what does not fit in one": (
        {"environments": ["test", {"key": "production", "policy": {"min_duration": "30d"}}]},
        "min_duration",
    ),
    "a rule of one environment in two": (
        {"experiment": {**ROLLOUT["experiment"], "rule": RULE}, "environments": [{"key": "a", "rule": "r2"}, "b"]},
        f"experiment.rule: '{RULE}' is the id of a rule in one environment, and b would use it too",
    ),
    "one that never ships": (
        {"environments": [{"key": "test", "autonomy": "observe"}, "production"]},
        "environments[0].autonomy: observe never ships, so production would never begin",
    ),
    "taken away": ({"environments": [{"key": "test", "stages": None}]}, "environments[0].stages: is required"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_cannot_work_is_rejected_with_its_field(case: str) -> None:
    changes, message = REJECTED[case]
    with pytest.raises(InvalidSettingError) as error:
        Promotion.from_json({**ROLLOUT, **changes})
    assert message in str(error.value)


def test_what_is_wrong_everywhere_is_said_once() -> None:
    with pytest.raises(InvalidSettingError) as error:
        promotion("test", "staging", "production", stages=[{"allocation": 10}])
    assert [flaw.path for flaw in error.value.flaws] == [("stages", 0)]


def test_what_is_wrong_in_some_says_where() -> None:
    base = {name: value for name, value in ROLLOUT.items() if name != "stages"}
    with pytest.raises(InvalidSettingError, match=r"stages: in staging: is required"):
        Promotion.from_json({**base, "environments": [{"key": "test", "stages": ROLLOUT["stages"]}, "staging"]})


def test_a_promotion_needs_environments() -> None:
    with pytest.raises(InvalidSettingError, match="environments is missing"):
        Promotion.from_json(ROLLOUT)
