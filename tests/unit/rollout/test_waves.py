"""A rollout with `targets` and `waves`: what each target gets, how they are divided, and what is rejected where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.config.problems import Flaw, InvalidSettingError
from airflow_provider_launchdarkly.rollout.content import read_rollout, rollouts_by_key
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_text
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.waves import MOST_TARGETS, Waves, read_waves
from support.waves import ROLLOUT, TARGETS

BASE = {name: value for name, value in ROLLOUT.items() if name not in {"targets", "waves"}}


def waves(*targets: Any, **settings: Any) -> Waves:
    return Waves.from_json({**BASE, "targets": list(targets) or ROLLOUT["targets"], "waves": settings})


def numbered(number: int) -> list[dict[str, str]]:
    return [{"key": f"t{each}", "environment": f"e{each}"} for each in range(number)]


def test_a_target_has_the_rollout_with_an_experiment_of_its_own() -> None:
    found = waves(order=["rest"])
    assert found.targets == TARGETS
    for key, rollout in rollouts_by_key(found):
        experiment = {**BASE["experiment"], "key": f"button-{key}"}
        assert rollout == Rollout.from_json({**BASE, "experiment": experiment, "environment": key})


def test_a_target_has_its_own_place_connection_flag_rule_and_experiment() -> None:
    found = waves(
        {"key": "a", "project": "acme", "environment": "live", "connection": "acme", "approval": {"users": ["grace"]}},
        {"key": "b", "rule": "Beta users", "experiment": {"flag": "other-flag"}},
        {"key": "c", "experiment": {"key": "button", "name": "For C"}},
        order=["rest"],
    )
    a, b, c = found.rollouts
    assert (a.project, a.environment, a.connection, a.approval.users) == ("acme", "live", "acme", ("grace",))
    assert (b.experiment.key, b.experiment.flag, b.experiment.rule) == ("button-b", "other-flag", "Beta users")
    assert (c.experiment.key, c.experiment.name) == ("button", "For C")


def test_a_name_says_the_target() -> None:
    experiment = {**BASE["experiment"], "name": "Bold"}
    found = Waves.from_json({**ROLLOUT, "experiment": experiment})
    assert [rollout.experiment.name for rollout in found.rollouts] == [f"Bold ({key})" for key in TARGETS]


def test_a_limit_and_a_tolerance_are_as_in_stacksets_if_none_is_given() -> None:
    found = waves(order=["rest"])
    assert (found.settings.max_under_way, found.tolerated) == (1, 0)


@pytest.mark.parametrize(
    ("order", "sizes"),
    [
        (["rest"], [6]),
        ([1, "34%", "rest"], [1, 2, 3]),
        ([1, "10%", "rest"], [1, 1, 4]),
        (["50%", "50%"], [3, 3]),
        ([6], [6]),
        ([{"size": 2}, {"size": "rest", "pause": "1d"}], [2, 4]),
    ],
)
def test_sizes_take_the_targets_in_their_order(order: list[Any], sizes: list[int]) -> None:
    found = waves(order=order)
    assert [len(each) for each in found.waves] == sizes
    assert tuple(key for each in found.waves for key in each) == TARGETS


def test_listed_targets_are_left_out_of_sizes() -> None:
    found = waves(order=[["rome"], 2, {"targets": ["lima", "berlin"]}, "rest"])
    assert found.waves == (("rome",), ("paris", "oslo"), ("lima", "berlin"), ("cairo",))


@given(st.integers(1, MOST_TARGETS), st.integers(1, 100), st.integers(1, 20))
def test_each_target_is_in_exactly_one_wave(number: int, percent: int, first: int) -> None:
    flaws: list[Flaw] = []
    order = [min(first, number), f"{percent}%", "rest"]
    found = read_waves({**BASE, "targets": numbered(number), "waves": {"order": order}}, flaws)
    assert found is not None
    assert [key for wave in found.waves for key in wave] == list(found.targets)
    assert {flaw.message for flaw in flaws} <= {"finds no target left: leave the wave out"}
    assert bool(flaws) is not all(found.waves)


@pytest.mark.parametrize(
    ("tolerance", "number"), [(0, 0), (2, 2), ("34%", 2), ("33%", 1), ("0%", 0), ("99.9 %", 5), ("16.6%", 0)]
)
def test_a_share_of_failures_is_rounded_down(tolerance: Any, number: int) -> None:
    assert waves(order=["rest"], max_failed=tolerance).tolerated == number


def test_plain_json_may_be_any_of_the_three() -> None:
    assert isinstance(read_rollout(ROLLOUT), Waves)
    assert isinstance(read_rollout(BASE), Rollout)


REST = {"order": ["rest"]}
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no waves": ({"targets": ["a"]}, "waves: is missing beside `targets`: write order: [1, 10%, rest]"),
    "no targets": ({"waves": REST}, "targets: is missing beside `waves`: name the targets, such as [berlin, paris]"),
    "no target": ({"targets": [], "waves": REST}, "targets: has 0 entries, not 1 to 100"),
    "too many": (
        {"targets": numbered(MOST_TARGETS + 1), "waves": REST},
        "targets: has 101 entries, not 1 to 100: divide them among several rollouts",
    ),
    "no list": ({"targets": "a", "waves": REST}, "targets: write a list (given 'a')"),
    "a number": ({"targets": [3], "waves": REST}, "targets[0]: write a key, or a mapping with `key`"),
    "twice": ({"targets": ["a", "a"], "waves": REST}, "targets[1].key: a is there twice: name each target once"),
    "one group": ({"targets": ["a.b", "a_b"], "waves": REST}, "targets[1].key: a_b and a.b are one task group"),
    "a task of another": ({"targets": ["count_a"], "waves": REST}, "targets[0].key: begins with begin_ or count_"),
    "an unknown field": (
        {"targets": [{"key": "a", "stage": []}], "waves": REST},
        "targets[0].stage: is not known: write key, rule, experiment, stages",
    ),
    "another DAG": (
        {"targets": [{"key": "a", "dag": {}}], "waves": REST},
        "targets[0].dag: is the same in each target",
    ),
    "environments": (
        {"targets": ["a"], "waves": REST, "environments": ["test"]},
        "environments: cannot stand beside `targets`",
    ),
    "the same rule": (
        {"targets": ["a", {"key": "b", "environment": "e"}, "c"], "waves": REST},
        "targets[2]: c and a have the same rule, fallthrough of flag checkout-button: write the `project`",
    ),
    "the same experiment": (
        {"targets": ["a", {"key": "b", "rule": "r", "experiment": {"key": "button-a"}}], "waves": REST},
        "targets[1].experiment.key: b and a have the same experiment, button-a: give each its own `key`",
    ),
    "a wrong value of one": (
        {"targets": ["a", {"key": "b", "stages": [{"allocation": 10, "dwell": "soon"}]}], "waves": REST},
        "targets[1].stages[0].dwell: 'soon' is no duration",
    ),
    "a wrong value of all": ({"targets": numbered(2), "waves": REST, "stages": []}, "stages has 0 entries"),
    "a wrong value in a part that all share": (
        {"targets": [{"key": "a", "experiment": {"flag": "f"}}], "waves": REST, "policy": {"alpha": 3}},
        "policy.alpha: write a number",
    ),
    "no order": ({"targets": numbered(2), "waves": {}}, "waves.order: is required"),
    "an empty order": ({"targets": numbered(2), "waves": {"order": []}}, "waves.order: write at least 1"),
    "an unknown setting": ({"targets": numbered(2), "waves": {**REST, "max_down": 1}}, "waves.max_down: is not known"),
    "a wave of none": (
        {"targets": numbered(2), "waves": {"order": [0, "rest"]}},
        "waves.order[0].size: write a number",
    ),
    "a wave of all": (
        {"targets": numbered(2), "waves": {"order": ["all"]}},
        "waves.order[0].size: write a number from 1",
    ),
    "more than there are": ({"targets": numbered(2), "waves": {"order": [3]}}, "waves.order[0].size: is 3, and only 2"),
    "nothing left": ({"targets": numbered(2), "waves": {"order": [2, "rest"]}}, "waves.order[1].size: finds no target"),
    "left out": (
        {"targets": numbered(9), "waves": {"order": [1]}},
        "waves.order: leaves out t1, t2, t3, t4, t5 and 3 more",
    ),
    "both": (
        {"targets": numbered(2), "waves": {"order": [{"size": 1, "targets": ["t0"]}, "rest"]}},
        "waves.order[0]: write either `size` or `targets`",
    ),
    "another target": (
        {"targets": numbered(2), "waves": {"order": [["t7"], "rest"]}},
        "waves.order[0].targets[0]: 't7' is not among `targets`: write one of t0, t1",
    ),
    "in two waves": (
        {"targets": numbered(2), "waves": {"order": [["t0"], ["t1", "t0"]]}},
        "waves.order[1].targets[1]: t0 is in wave 1 already: name each target once",
    ),
    "a pause first": (
        {"targets": numbered(2), "waves": {"order": [{"size": "rest", "pause": "1d"}]}},
        "waves.order[0].pause: stands before the first wave, which starts with the run",
    ),
    "an approval first": (
        {"targets": numbered(2), "waves": {"order": [{"size": "rest", "approval": True}]}},
        "waves.order[0].approval: stands before the first wave",
    ),
    "no pause": (
        {"targets": numbered(2), "waves": {"order": [1, {"size": 1, "pause": "0d"}]}},
        "waves.order[1].pause: is not above 0",
    ),
    "nobody under way": (
        {"targets": numbered(2), "waves": {**REST, "max_under_way": 0}},
        "waves.max_under_way: write a number greater than",
    ),
    "a share under way": (
        {"targets": numbered(2), "waves": {**REST, "max_under_way": "10%"}},
        "waves.max_under_way: write a whole number (given '10%')",
    ),
    "a tolerance for all": (
        {"targets": numbered(2), "waves": {**REST, "max_failed": 2}},
        "waves.max_failed: is 2, and there are 2 targets, so nothing would ever stop: write fewer",
    ),
    "a whole share": (
        {"targets": numbered(2), "waves": {**REST, "max_failed": "100%"}},
        "waves.max_failed: write a number from 0, or a share below 100%, such as 10% (given '100%')",
    ),
    "a fraction": ({"targets": numbered(2), "waves": {**REST, "max_failed": 0.1}}, "waves.max_failed: write a number"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_cannot_work_is_rejected_with_its_field(case: str) -> None:
    changes, message = REJECTED[case]
    with pytest.raises(InvalidSettingError) as error:
        read_rollout({**BASE, **changes})
    assert message in str(error.value)


FILE = """\
rollouts:
  button:
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      treatments: [{variation: Classic, baseline: true}, {variation: Bold}]
    stages: [{allocation: 50, gate: decision}]
    targets:
      - {key: a, environment: test}
      - {key: b, environment: production}
    waves:
      order:
        - 1
        - rest
      max_failed: 50%
"""


def in_file(text: str) -> NamedRollout | Broken:
    (found,) = read_text(text, Path("button.yaml"))
    return found


def test_a_file_may_have_waves() -> None:
    found = in_file(FILE)
    assert isinstance(found, NamedRollout)
    assert isinstance(found.content, Waves)
    assert [name for name, _ in found.by_name()] == ["button/a", "button/b"]
    assert [rollout.experiment.key for _, rollout in found.by_name()] == ["button-a", "button-b"]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("environment: production", "environmnt: production", "button.yaml:11: targets[1].environmnt: is not known"),
        ("environment: production", "environment: test", "button.yaml:11: targets[1]: b and a have the same rule"),
        ("- rest", "- 5", "button.yaml:15: waves.order[1].size: is 5, and only 1 targets are left"),
        ("50%", "half", "button.yaml:16: waves.max_failed: write a number from 0"),
        ("gate: decision", "gate: decide", "button.yaml:8: stages[0].gate: write 'guardrails'"),
        ("flag: checkout-button", "flag: 'a b'", "button.yaml:4: experiment.flag: is no key"),
    ],
)
def test_an_error_in_a_file_has_its_line(right: str, wrong: str, told: str) -> None:
    found = in_file(FILE.replace(right, wrong))
    assert isinstance(found, Broken)
    assert len(found.problems) == 1
    assert str(found.problems[0]).startswith(told)
