"""The design of an iteration: which are refused, and how variations are resolved with the flag."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import FeatureFlag
from airflow_provider_launchdarkly.api.variations import find_variation
from airflow_provider_launchdarkly.operators._design import IterationDesign
from airflow_provider_launchdarkly.operators._design_operator import LaunchDarklyIterationDesignBaseOperator

DESIGN = IterationDesign(
    flag_key="button",
    hypothesis="Bold is better.",
    treatments=[
        {"variation": "Classic", "allocation_percent": 50, "baseline": True},
        {"variation": "Bold", "allocation_percent": 50},
    ],
    primary_metric="conversion",
    metrics=["latency", {"key": "funnel", "is_group": True}],
)
FLAG = FeatureFlag.model_validate(
    {
        "key": "button",
        "variations": [
            {"_id": "v0", "value": "classic", "name": "Classic"},
            {"_id": "v1", "value": "bold", "name": "Bold"},
            {"_id": "v2", "value": True},
            {"_id": "v3", "value": 1},
            {"_id": "v4", "value": {"size": 2}},
        ],
    }
)


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        dataclasses.replace(DESIGN, **changes).check()
    return str(error.value)


def with_shares(*shares: Any) -> list[dict[str, Any]]:
    return [
        {"variation": f"v{number}", "name": f"T{number}", "allocation_percent": share, "baseline": number == 0}
        for number, share in enumerate(shares)
    ]


def test_a_sound_design_passes() -> None:
    DESIGN.check()


@pytest.mark.parametrize("shares", [(50, 40), (50, 50, 1), (33.3, 33.3, 33.3), (0, 0)])
def test_allocations_that_do_not_add_up_to_100_are_refused_with_their_sum(shares: tuple[float, ...]) -> None:
    message = refused(treatments=with_shares(*shares))
    assert "allocationPercent must add up to 100" in message
    assert all(str(share) in message for share in shares)


@pytest.mark.parametrize("shares", [(33.3, 33.3, 33.4), ("33.34", "33.33", "33.33"), (0.1, 99.9), (0.001, 99.999)])
def test_allocations_are_added_up_as_decimals(shares: tuple[Any, ...]) -> None:
    dataclasses.replace(DESIGN, treatments=with_shares(*shares)).check()


@pytest.mark.parametrize(
    ("shares", "wrong"),
    [
        ((0, 100), "the baseline 'T0'"),
        ((100, 0), "'T1' has"),
        (("99.9996", "0.0004"), "'T1' has"),
        ((100, 0, 0), "'T1', 'T2' have"),
    ],
)
def test_shares_that_leave_nothing_to_compare_are_refused(shares: tuple[Any, ...], wrong: str) -> None:
    message = refused(treatments=with_shares(*shares))
    assert f"treatments: {wrong}" in message
    assert "Stopping with" in message


def test_one_of_two_new_treatments_may_have_no_share() -> None:
    dataclasses.replace(DESIGN, treatments=with_shares(50, 50, 0)).check()


@pytest.mark.parametrize("unjudged", [{"judged": False}, {"reallocation_frequency": 3600}])
def test_an_iteration_that_no_policy_judges_may_serve_everyone(unjudged: dict[str, Any]) -> None:
    dataclasses.replace(DESIGN, treatments=with_shares(0, 100), **unjudged).check()


@pytest.mark.parametrize("share", [-1, 101, "half", None])
def test_an_impossible_share_is_refused_with_its_place_and_value(share: Any) -> None:
    message = refused(treatments=with_shares(100, share))
    assert "treatments.1" in message
    assert str(share) in message or "null" in message


def test_no_baseline_and_two_baselines_are_refused() -> None:
    treatments = with_shares(50, 50)
    treatments[0]["baseline"] = False
    assert "exactly one has baseline true, found 0" in refused(treatments=treatments)
    treatments = with_shares(50, 50)
    treatments[1]["baseline"] = True
    assert "exactly one has baseline true, found 2" in refused(treatments=treatments)


@pytest.mark.parametrize("treatments", [[], with_shares(100), "two of them", None, [1, 2]])
def test_an_experiment_compares_at_least_two_treatments(treatments: Any) -> None:
    assert "treatments" in refused(treatments=treatments)


def test_a_misspelt_key_of_a_treatment_is_refused_by_name() -> None:
    treatments = with_shares(50, 50)
    treatments[1]["alocation_percent"] = treatments[1].pop("allocation_percent")
    assert "treatments[1] has unknown keys alocation_percent" in refused(treatments=treatments)


def test_a_treatment_without_a_variation_is_refused() -> None:
    treatments = with_shares(50, 50)
    del treatments[0]["variation"]
    assert "treatments[0] lacks variation" in refused(treatments=treatments)


@pytest.mark.parametrize(
    "metric", [{"primary_metric": None}, {"primary_metric": ""}, {"primary_metric": "a", "primary_funnel": "b"}]
)
def test_exactly_one_primary_metric_decides(metric: dict[str, Any]) -> None:
    assert "name the one metric, or the one funnel" in refused(**metric)


def test_a_metric_with_a_misspelt_key_is_refused() -> None:
    assert "metrics[0] has unknown keys isGroup" in refused(metrics=[{"key": "funnel", "isGroup": True}])


@pytest.mark.parametrize("field", ["flag_key", "hypothesis"])
@pytest.mark.parametrize("value", ["", None, 3])
def test_flag_key_and_hypothesis_are_required(field: str, value: Any) -> None:
    assert f"{field} is {value!r}" in refused(**{field: value})


def test_variations_are_resolved_to_ids_and_name_the_treatments() -> None:
    resolved = DESIGN.resolve(FLAG)
    assert [(t.name, t.baseline, t.allocation_percent) for t in resolved.treatments] == [
        ("Classic", True, "50"),
        ("Bold", False, "50"),
    ]
    assert [t.parameters[0].variation_id for t in resolved.treatments] == ["v0", "v1"]


def test_the_primary_metric_is_measured_without_being_repeated() -> None:
    assert [(m.key, m.is_group) for m in DESIGN.resolve(FLAG).metrics] == [
        ("conversion", False),
        ("latency", False),
        ("funnel", True),
    ]
    repeated = dataclasses.replace(DESIGN, metrics=["latency", "conversion"]).resolve(FLAG)
    assert [m.key for m in repeated.metrics] == ["conversion", "latency"]


def test_a_primary_funnel_is_a_metric_group() -> None:
    resolved = dataclasses.replace(DESIGN, primary_metric=None, primary_funnel="steps", metrics=()).resolve(FLAG)
    assert resolved.primary_funnel_key == "steps"
    assert [(m.key, m.is_group) for m in resolved.metrics] == [("steps", True)]


def test_people_left_out_get_the_named_variation() -> None:
    resolved = dataclasses.replace(DESIGN, not_in_experiment_variation="Classic").resolve(FLAG)
    assert resolved.flags["button"].not_in_experiment_variation_id == "v0"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        *[("v1", "v1"), ("Bold", "v1"), ("bold", "v1"), (True, "v2"), ("true", "v2"), (1, "v3"), ({"size": 2}, "v4")],
        *[("True", "v2"), (1.0, "v3"), ("1.0", "v3"), ("1", "v3"), ({"size": 2.0}, "v4"), ('{"size":2}', "v4")],
        ("{'size': 2}", "v4"),
    ],
)
def test_a_variation_is_found_by_id_name_or_value(wanted: Any, found: str) -> None:
    assert find_variation(FLAG, wanted).id == found


@pytest.mark.parametrize(
    ("variations", "wanted", "found"),
    [
        ([{"value": True, "name": "On"}, {"value": 1, "name": "One"}], 1, 1),
        ([{"value": True, "name": "On"}, {"value": 1, "name": "One"}], True, 0),
        ([{"value": "x", "name": "1"}, {"value": "y", "name": "2"}], 1, 0),
        ([{"value": "x", "name": "true"}, {"value": True, "name": "y"}], "true", 0),
        ([{"value": "x", "name": "true"}, {"value": True, "name": "y"}], True, 1),
        ([{"value": "true"}, {"value": "false"}], True, 0),
        ([{"value": ""}, {"value": "x"}], "", 0),
        ([{"value": "a"}, {"value": None}], None, 1),
        ([{"value": "x", "name": "Bold Button"}, {"value": "y", "name": "Classic"}], "Bold Button", 0),
        ([{"value": [1, {"a": True}]}, {"value": [1, {"a": 1}]}], [1.0, {"a": 1.0}], 1),
    ],
)
def test_a_variation_is_found_as_people_name_it(variations: list[dict[str, Any]], wanted: Any, found: int) -> None:
    ids = [{"_id": f"v{number}", **variation} for number, variation in enumerate(variations)]
    assert find_variation(FeatureFlag.model_validate({"key": "b", "variations": ids}), wanted).id == f"v{found}"


@pytest.mark.parametrize("variation", ["Bold Button", {"a": 1}, [1, 2], "", True, None])
def test_any_name_of_a_variation_passes_the_check(variation: Any) -> None:
    treatments = [{"variation": variation, "allocation_percent": 50}, {**DESIGN.treatments[0]}]
    dataclasses.replace(DESIGN, treatments=treatments).check()


def test_an_unknown_variation_is_refused_with_those_of_the_flag() -> None:
    with pytest.raises(ConfigurationError, match="'Blod' is not one of flag 'button'; it has 'Classic', 'Bold'"):
        find_variation(FLAG, "Blod")


def test_a_variation_that_fits_twice_is_refused() -> None:
    flag = FeatureFlag.model_validate(
        {"key": "b", "variations": [{"_id": "a", "value": 1, "name": "x"}, {"_id": "b", "value": 2, "name": "x"}]}
    )
    with pytest.raises(ConfigurationError, match="fits 2 variations"):
        find_variation(flag, "x")


@pytest.mark.parametrize("field", dataclasses.fields(IterationDesign), ids=lambda field: field.name)
def test_the_operators_take_each_field_of_a_design_with_its_default(field: dataclasses.Field[Any]) -> None:
    base = LaunchDarklyIterationDesignBaseOperator
    parameter = inspect.signature(base.__init__).parameters[field.name]
    required = field.default is dataclasses.MISSING
    assert parameter.default == (inspect.Parameter.empty if required else field.default)
    assert parameter.annotation == field.type
    assert field.name in base.template_fields


def test_two_treatments_that_serve_one_variation_are_refused() -> None:
    twice = [{**each, "variation": "Bold", "name": str(place)} for place, each in enumerate(DESIGN.treatments)]
    assert refused(treatments=twice) == (
        "treatments[1].variation is 'Bold', which another treatment serves: name each variation once"
    )
