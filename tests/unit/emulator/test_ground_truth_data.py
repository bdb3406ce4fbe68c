"""Ground truths are read strictly from plain data."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth


def truth(**changes: Any) -> GroundTruth:
    signup = {"baseline_rate": 0.1, "effects": {"true": {"relative": 0.2}}}
    latency = {"baseline_mean": 300, "standard_deviation": 80, "effects": {"true": {"absolute": -15}}}
    return GroundTruth.from_dict({"people_per_day": 2_000, "metrics": {"signup": signup, "latency": latency}} | changes)


def signup(**changes: Any) -> dict[str, Any]:
    return {"metrics": {"signup": {"baseline_rate": 0.1} | changes}}


def test_a_truth_is_read_from_plain_json() -> None:
    read = GroundTruth.from_dict(
        json.loads(
            """{"people_per_day": 5000, "growth": 0.01, "weekdays": {"sunday": 0.4}, "no_traffic_from_day": 20.5,
            "split": {"true": 0.48, "false": 0.52},
            "attributes": {"country": {"de": {"share": 0.7},
                "fr": {"share": 0.3, "effects": {"signup": {"true": {"relative": -0.1}}}}}},
            "metrics": {
                "cart": {"baseline_rate": 0.3},
                "signup": {"baseline_rate": 0.1, "effects": {"true": {"relative": 0.05, "absolute": 0.01}},
                    "novelty": {"half_life_days": 3, "lasting": 0.25}, "drift": 0.001,
                    "late_events": {"1": 0.2, "3": 0.1}, "lost_events": {"true": 0.02}, "after": "cart"},
                "latency": {"baseline_mean": 300, "standard_deviation": 80, "event_share": 0.9,
                    "covariate_correlation": 0.6}}}"""
        )
    )
    assert read.weekdays == (1, 1, 1, 1, 1, 1, 0.4)
    assert read.metrics["signup"].delays == pytest.approx((0.7, 0.2, 0, 0.1))
    assert read.metrics["signup"].after == "cart"
    assert read.metrics["latency"].kind == "numeric"
    assert read.attribute_values("country") == ("de", "fr")
    assert read.attribute_values("plan") == ()


def test_variations_that_yaml_reads_as_true_or_1_are_their_json_text() -> None:
    read = truth(metrics={"signup": {"baseline_rate": 0.1, "effects": {True: {"relative": 0.1}, 2: {"relative": 0.2}}}})
    assert list(read.metrics["signup"].effects) == ["true", "2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"people_per_day": None}, r"truth\.people_per_day: missing"),
        ({"people_per_day": -1}, r"truth\.people_per_day: -1 is not a number from 0"),
        ({"people_per_day": True}, r"truth\.people_per_day: True is not a number"),
        ({"people_per_day": "many"}, r"truth\.people_per_day: 'many' is not a number"),
        ({"people_per_day": math.nan}, r"truth\.people_per_day: nan is not a number"),
        ({"people_a_day": 5}, r"truth\.people_a_day: unknown field; did you mean 'people_per_day'"),
        ({"zzz": 5}, r"truth\.zzz: unknown field; known here: .*people_per_day"),
        ({"growth": 3}, r"truth\.growth: 3 is not a number from -0\.5 to 0\.5"),
        ({"weekdays": {"sun": 0.5}}, r"truth\.weekdays\.sun: unknown field"),
        ({"weekdays": [1, 2]}, r"truth\.weekdays: \[1, 2\] is not a mapping"),
        ({"split": {"true": 0.5, "false": 0.4}}, r"truth\.split: .* adds up to 0\.9; write shares that add up to 1"),
        ({"attributes": {"country": {}}}, r"truth\.attributes\.country: has no values"),
        ({"attributes": {"country": {"de": {"share": 0.5}}}}, r"truth\.attributes\.country: .*add up to 1"),
        (
            {"attributes": {"plan": {"free": {"share": 1, "effects": {"sale": {}}}}}},
            r"truth\.attributes\.plan\.free\.effects\.sale: no such metric; metrics known: signup, latency",
        ),
        ({"attributes": {name: {str(n): {"share": 0.1} for n in range(10)} for name in "ab"}}, r"100 combinations"),
        ({"metrics": {"signup": {}}}, r"truth\.metrics\.signup: give either baseline_rate"),
        (signup(baseline_mean=3), r"truth\.metrics\.signup: give either baseline_rate"),
        (signup(baseline_rate=1.1), r"truth\.metrics\.signup\.baseline_rate: 1\.1 is not a number from 0 to 1"),
        (signup(standard_deviation=1), r"truth\.metrics\.signup\.standard_deviation: unknown field"),
        (signup(effects={"true": {"relativ": 0.1}}), r"effects\.true\.relativ: unknown field; did you mean 'relative'"),
        (signup(effects={"true": {"absolute": "much"}}), r"effects\.true\.absolute: 'much' is not a number"),
        (signup(effects={"true": 0.1}), r"effects\.true: 0\.1 is not a mapping"),
        (signup(effects={"true": {"relative": 12}}), r"effects\.true: makes the rate 1\.3"),
        (signup(novelty={"half_life_days": 0}), r"novelty\.half_life_days: 0 is not a number above 0"),
        (signup(novelty={"lasting": 0.5}), r"novelty\.lasting: unknown field"),
        (signup(late_events={"soon": 0.5}), r"late_events: 'soon' is not a number of days"),
        (signup(late_events={1: 0.7, 2: 0.7}), r"late_events: the shares add up to 1\.4"),
        (signup(lost_events={"true": 2}), r"lost_events\.true: 2 is not a number from 0 to 1"),
        (signup(after="cart"), r"signup\.after: 'cart' is not another conversion metric"),
        (signup(after="signup"), r"signup\.after: 'signup' is not another conversion metric"),
        (signup(after=7), r"signup\.after: 7 is not a text"),
        (
            {"metrics": {"m": {"baseline_mean": 1, "standard_deviation": 0}}},
            r"m\.standard_deviation: 0 is not a number above",
        ),
        ({"metrics": {"m": {"baseline_mean": 1e6, "standard_deviation": 1}}}, r"m\.standard_deviation: 1\.0 is below"),
    ],
)
def test_an_invalid_truth_is_rejected_with_field_and_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        truth(**changes)


def test_a_field_that_is_null_is_a_field_left_out() -> None:
    read = truth(no_traffic_from_day=None, growth=None, split=None, attributes=None)
    assert (read.no_traffic_from_day, read.growth, read.split, read.attributes) == (None, 0.0, {}, {})


def test_a_truth_that_is_not_a_mapping_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"truth: 'no-effect' is not a mapping"):
        GroundTruth.from_dict("no-effect")  # type: ignore[arg-type]  # as from a file


def test_two_attributes_may_not_change_the_same_metric() -> None:
    values = {"x": {"share": 1, "effects": {"signup": {"true": {"relative": 0.1}}}}}
    with pytest.raises(ValueError, match=r"truth\.attributes\.plan\.x\.effects\.signup: 'country' already changes"):
        truth(attributes={"country": values, "plan": values})
