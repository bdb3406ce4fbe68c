"""`init` writes only files that load, whatever names LaunchDarkly has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag
from airflow_provider_launchdarkly.rollout.ending_settings import Retire
from airflow_provider_launchdarkly.rollout.export import initial_file
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_text
from airflow_provider_launchdarkly.rollout.options import Inconclusive
from airflow_provider_launchdarkly.rollout.requests import stage_iteration

ENV = EnvironmentRef("demo", "production")
# An option that a comment offers, and the mark to remove in order to take it. Prose begins with a capital letter.
OPTION = re.compile(r"^ +# (\w+):", re.MULTILINE)
COMMENT = re.compile(r"^( +)# (?![A-Z])", re.MULTILINE)
CHARACTERS = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
NAMES = st.sampled_from(
    [
        "Bold Button",
        "true",
        "1",
        "1.0",
        "null",
        "no",
        "{a: b}",
        "a: b # c",
        "'",
        '"',
        "- x",
        "\x7f",
        "\u2028",
        "😀",
        "\ufeff",
    ]
) | st.text(CHARACTERS, min_size=1, max_size=1200)
VALUES = st.booleans() | st.integers(-5, 5) | st.text(CHARACTERS, max_size=5) | st.just({"size": 1.5})


def flag(names: list[str | None], values: list[Any]) -> FeatureFlag:
    variations = [
        {"_id": f"id{number}", "value": value, "name": name}
        for number, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    return FeatureFlag.model_validate({"key": "button", "variations": variations})


def experiment(
    key: str = "bold", shares: tuple[str, ...] = ("50", "50"), names: Any = ("A", "B"), **iteration: Any
) -> Experiment:
    treatments = [
        {
            "_id": f"t{number}",
            "name": name,
            "baseline": number == 0,
            "allocationPercent": share,
            "parameters": [{"flagKey": "button", "variationId": f"id{number}"}],
        }
        for number, (name, share) in enumerate(zip(names, shares, strict=True))
    ]
    design = {
        "_id": "i",
        "status": "running",
        "hypothesis": "Bold is better.",
        "treatments": treatments,
        "flags": {"button": {"targetingRule": "fallthrough"}},
        "primarySingleMetric": {"key": "conversion"},
        "metrics": [{"key": "conversion", "isGroup": False}],
        **iteration,
    }
    return Experiment.model_validate({"key": key, "name": "Bold", "currentIteration": design})


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True), st.lists(VALUES, min_size=2, max_size=2), NAMES)
def test_a_file_of_any_names_is_read_back(names: list[str], values: list[Any], hypothesis: str) -> None:
    if any("{{" in text or "{%" in text or "{#" in text or not text.strip() for text in (*names, hypothesis)):
        return
    made = flag(list(names), values)
    text = initial_file(ENV, experiment(names=names, hypothesis=hypothesis), made)
    (found,) = read_text(text, Path("a.yaml"))
    assert isinstance(found, NamedRollout)
    iteration = stage_iteration(found.rollout, 0, made)
    assert [treatment.name for treatment in iteration.treatments] == names
    assert [treatment.parameters[0].variation_id for treatment in iteration.treatments] == ["id0", "id1"]
    assert found.rollout.experiment.hypothesis == hypothesis


@pytest.mark.parametrize(("key", "name"), [("a.broken", "a.broken-experiment"), ("a b", "a_b"), ("k" * 300, "k" * 200)])
def test_a_key_that_is_no_dag_id_is_changed_for_the_dag(key: str, name: str) -> None:
    if " " in key:
        with pytest.raises(StateError, match=r"experiment\.key: is no key"):
            initial_file(ENV, experiment(key), flag(["A", "B"], [1, 2]))
        return
    (found,) = read_text(initial_file(ENV, experiment(key), flag(["A", "B"], [1, 2])), Path("a.yaml"))
    assert isinstance(found, NamedRollout)
    assert (found.name, found.rollout.experiment.key) == (name, key)


def test_names_of_any_length_are_written() -> None:
    names = ["A", "b" * 1100]
    text = initial_file(ENV, experiment(names=names), flag(["A", "B"], [1, 2]))
    assert isinstance(next(read_text(text, Path("a.yaml"))), NamedRollout)


def test_a_missing_hypothesis_is_marked_as_missing() -> None:
    text = initial_file(ENV, experiment(hypothesis=None), flag(["A", "B"], [1, 2]))
    assert 'hypothesis: "Write the hypothesis here' in text


@pytest.mark.parametrize("others", [[], ["page-load-ms", "error-rate"]], ids=["one metric", "several metrics"])
def test_every_option_that_the_comments_offer_can_be_taken_as_it_stands(others: list[str]) -> None:
    measured = [{"key": key, "isGroup": False} for key in ("conversion", *others)]
    text = initial_file(ENV, experiment(metrics=measured), flag(["A", "B"], [1, 2]))
    head, policy, tail = text.partition("    policy:\n")
    offered = OPTION.findall(tail)
    assert offered == [
        *("guardrails", "endings", "approval", "launchdarkly_approval", "change_window", "autonomy", "dag")
    ]

    (found,) = read_text(head + policy + COMMENT.sub(r"\1", tail), Path("a.yaml"))

    assert isinstance(found, NamedRollout), found
    made = found.rollout
    assert [guardrail.metric for guardrail in made.policy.guardrails] == (others or ["page-load-ms"])
    assert made.endings.retire == Retire()
    assert made.endings.inconclusive is Inconclusive.BASELINE
    assert made.approval.before_ship
    assert made.launchdarkly_approval is not None
    assert made.change_window is not None
    assert found.dag.owner == "growth"


def test_an_experiment_that_no_rollout_can_be_is_refused_with_the_field() -> None:
    with pytest.raises(StateError, match=r"stages\[0\]\.allocation: the baseline 'A' has no share"):
        initial_file(ENV, experiment(shares=("0", "100")), flag(["A", "B"], [1, 2]))


def test_variations_without_a_name_are_named_by_id() -> None:
    text = initial_file(ENV, experiment(names=("On", "Off")), flag([None, None], [True, False]))
    assert isinstance(next(read_text(text, Path("a.yaml"))), NamedRollout)
