"""LaunchDarkly's JSON: read tolerantly, written strictly."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError, MetricNotMeasuredError
from airflow_provider_launchdarkly.api.models import (
    Environment,
    Experiment,
    ExperimentationSettingsPut,
    ExperimentPage,
    ExperimentPost,
    FeatureFlag,
    FieldChange,
    FlagPage,
    Iteration,
    IterationInput,
    LegacyResults,
    Metric,
    MetricGroup,
    MetricPost,
    MetricResults,
    Project,
    TreatmentInput,
    UpdateFallthroughVariationOrRollout,
)


def read(model: Any, value: Any) -> Any:
    return model.model_validate_json(json.dumps(value))


def test_unknown_fields_are_kept() -> None:
    found = read(Experiment, {"key": "bold", "novelField": {"x": 1}, "_access": {"denied": []}})
    assert found.model_extra == {"novelField": {"x": 1}, "_access": {"denied": []}}


def test_unknown_enum_values_are_kept() -> None:
    found = read(Experiment, {"key": "bold", "dataSource": "databricks", "currentIteration": {"status": "paused"}})
    assert found.data_source == "databricks"
    assert found.current_iteration.status == "paused"
    shown = found.current_iteration
    assert not any((shown.running, shown.stopped, shown.not_started))


def test_nulls_are_taken_for_what_is_missing() -> None:
    found = read(
        Experiment,
        {
            "key": "bold",
            "name": None,
            "tags": None,
            "previousIterations": None,
            "mutableFieldsByStatus": None,
            "_links": None,
            "currentIteration": {"_id": None, "treatments": None, "flags": None, "metrics": None, "attributes": None},
        },
    )
    assert (found.name, found.tags, found.previous_iterations, found.links) == ("", (), (), {})
    assert (found.current_iteration.id, found.current_iteration.treatments) == ("", ())


def test_missing_lists_are_empty() -> None:
    found = read(Experiment, {"key": "bold"})
    assert (found.iterations, found.running, found.drafts, found.archived) == ((), None, (), False)


@pytest.mark.parametrize("share", ["33.33", 33.33, "33.330"])
def test_an_allocation_is_a_decimal_whether_it_comes_as_a_string_or_a_number(share: Any) -> None:
    iteration = read(Iteration, {"treatments": [{"allocationPercent": share}]})
    assert iteration.treatments[0].allocation_percent == Decimal("33.33")


def test_numbers_in_strings_are_numbers_and_strings_in_numbers_are_strings() -> None:
    found = read(MetricResults, {"treatmentResults": [{"treatmentId": 7, "units": "120", "pBest": "0.5"}]})
    assert (found.total[0].treatment_id, found.total[0].units, found.total[0].p_best) == ("7", 120, 0.5)


@pytest.mark.parametrize("stamp", [1_657_129_307, 1_657_129_307_000, "1657129307000"])
def test_a_time_is_read_in_seconds_as_in_milliseconds(stamp: Any) -> None:
    found = read(MetricResults, {"metricSeen": {"ever": True, "timestamp": stamp}})
    assert found.metric_seen.timestamp == datetime(2022, 7, 6, 17, 41, 47, tzinfo=UTC)


@pytest.mark.parametrize("never", [0, None, ""])
def test_a_zero_time_is_never(never: Any) -> None:
    assert not read(Experiment, {"key": "bold", "archivedDate": never}).archived


@pytest.mark.parametrize("name", ["total_count", "totalCount"])
@pytest.mark.parametrize("page", [ExperimentPage, FlagPage])
def test_a_count_is_read_under_either_name(page: Any, name: str) -> None:
    assert read(page, {"items": [], name: 7}).total_count == 7


@pytest.mark.parametrize("body", [{"items": None}, {}, {"items": []}])
def test_an_empty_page_is_a_page(body: dict[str, Any]) -> None:
    page = read(ExperimentPage, body)
    assert (page.items, page.next_href) == ((), None)


@pytest.mark.parametrize("text", ['{"mean": NaN}', '{"mean": Infinity}', '{"mean": "-inf"}', '{"mean": null}', "{}"])
def test_what_is_no_finite_number_is_no_number(text: str) -> None:
    found = MetricResults.model_validate_json('{"treatmentResults": [' + text + "]}")
    assert found.total[0].mean is None


def test_an_iteration_shown_twice_counts_once_and_with_its_treatments() -> None:
    bare = {"_id": "i1", "status": "running"}
    whole = bare | {"treatments": [{"_id": "t", "name": "Control", "baseline": True}]}
    found = read(Experiment, {"key": "bold", "currentIteration": bare, "previousIterations": [whole]})
    assert [iteration.id for iteration in found.iterations] == ["i1"]
    assert found.running.baseline.name == "Control"


def test_an_iteration_is_found_by_its_status_wherever_it_is_shown() -> None:
    found = read(
        Experiment,
        {
            "key": "bold",
            "currentIteration": {"_id": "i1", "status": "not_started"},
            "draftIteration": {"_id": "i2", "status": "running"},
        },
    )
    assert found.running.id == "i2"
    assert [draft.id for draft in found.drafts] == ["i1"]
    assert found.iteration("i2").running
    assert found.iteration("i3") is None


def test_a_treatment_is_found_by_id_before_name_and_not_by_a_name_that_two_share() -> None:
    iteration = read(
        Iteration, {"treatments": [{"_id": "a", "name": "x"}, {"_id": "b", "name": "a"}, {"_id": "c", "name": "x"}]}
    )
    assert iteration.treatment("a").id == "a"
    assert iteration.treatment("x") is None
    assert iteration.treatment("nobody") is None


def test_the_measured_metrics_are_listed_once_with_the_primary_first() -> None:
    iteration = read(
        Iteration,
        {
            "primarySingleMetric": {"key": "b", "name": "from the primary"},
            "metrics": [{"key": "a"}, {"key": "b", "isGroup": False, "name": "from the list"}],
            "secondaryMetrics": [{"key": "a"}],
        },
    )
    assert [(metric.key, metric.name) for metric in iteration.measured] == [("b", "from the list"), ("a", "")]


def test_results_over_everyone_are_the_slice_without_an_attribute() -> None:
    found = read(
        MetricResults,
        {
            "treatmentResults": [{"treatmentId": "old"}],
            "results": [
                {"attribute": "country", "attributeValue": "nl", "treatmentResults": [{"treatmentId": "nl"}]},
                {"attribute": "", "treatmentResults": [{"treatmentId": "all"}]},
            ],
        },
    )
    assert [result.treatment_id for result in found.total] == ["all"]
    assert [sliced.attribute_value for sliced in found.slices] == ["nl"]


@pytest.mark.parametrize("results", [None, [], [{"attribute": None, "treatmentResults": None}]])
def test_results_over_everyone_fall_back_to_the_deprecated_list(results: Any) -> None:
    found = read(MetricResults, {"treatmentResults": [{"treatmentId": "old"}], "results": results})
    assert [result.treatment_id for result in found.total] == ["old"]


def test_results_of_nobody_yet_are_empty() -> None:
    assert read(MetricResults, {"_links": {}}).total == ()


def test_legacy_results_are_read_with_their_capitalised_names() -> None:
    found = read(
        LegacyResults,
        {
            "metadata": [{"key": True}],
            "totals": [{"cumulativeValue": 3, "pValue": 0.04}],
            "series": [{"Time": 1_657_129_307_000, "VariationData": [{"value": 1.5}]}],
            "stats": {"chi2": 3.2, "winningVariationIdx": 0},
        },
    )
    assert found.series[0].variation_data[0].value == 1.5
    assert found.series[0].time is not None
    assert found.stats.chi2 == 3.2


def test_a_flag_finds_variations_by_id_and_by_index_and_rules_by_id() -> None:
    flag = read(
        FeatureFlag,
        {
            "key": "f",
            "variations": [{"_id": "v", "value": {"a": 1}}, {"_id": "w", "value": None}],
            "environments": {
                "production": {
                    "on": True,
                    "version": 3,
                    "fallthrough": {"variation": 1},
                    "rules": [{"_id": "r", "rollout": {"variations": [{"variation": 0, "weight": 100000}]}}],
                }
            },
        },
    )
    config = flag.environments["production"]
    assert flag.variation("v").value == {"a": 1}
    assert (flag.variation("x"), flag.variation_at(2), flag.variation_at(None)) == (None, None, None)
    assert flag.variation_at(config.rule("fallthrough").variation).id == "w"
    assert config.rule("r").rollout.variations[0].weight == 100_000
    assert config.rule("gone") is None


def test_a_metric_says_which_direction_is_better() -> None:
    assert read(Metric, {"key": "m", "successCriteria": "LowerThanBaseline"}).lower_is_better
    assert not read(Metric, {"key": "m", "successCriteria": "HigherThanBaseline"}).lower_is_better
    assert not read(Metric, {"key": "m"}).lower_is_better


def test_a_metric_group_is_read_with_its_version_under_either_name() -> None:
    assert read(MetricGroup, {"key": "g", "version": 2}).version == 2
    assert read(MetricGroup, {"key": "g", "_version": 3}).version == 3


def test_an_environment_forgets_its_keys() -> None:
    secret = {"key": "production", "apiKey": "sdk-secret", "mobileKey": "mob-secret"}
    found = [read(Environment, secret), read(Project, {"key": "demo", "environments": {"items": [secret]}})]
    assert "secret" not in repr(found)
    assert "secret" not in str([model.model_dump() for model in found])


DESIGN: dict[str, Any] = {
    "hypothesis": "Bold sells more",
    "metrics": [{"key": "m"}],
    "primarySingleMetricKey": "m",
    "flags": {"f": {"ruleId": "fallthrough", "flagConfigVersion": 1}},
    "treatments": [
        {
            "name": "Control",
            "baseline": True,
            "allocationPercent": "50",
            "parameters": [{"flagKey": "f", "variationId": "v"}],
        },
        {
            "name": "Bold",
            "baseline": False,
            "allocationPercent": "50",
            "parameters": [{"flagKey": "f", "variationId": "w"}],
        },
    ],
}


def treatments(*changes: dict[str, Any]) -> dict[str, Any]:
    pairs = zip(DESIGN["treatments"], changes, strict=True)
    return DESIGN | {"treatments": [treatment | change for treatment, change in pairs]}


def test_a_whole_design_is_written_in_launchdarklys_spelling() -> None:
    assert IterationInput.checked(DESIGN).to_wire() == DESIGN | {"metrics": [{"key": "m", "isGroup": False}]}


def test_snake_case_is_taken_too() -> None:
    snake = {
        "hypothesis": "h",
        "metrics": [{"key": "m", "is_group": True}],
        "primary_funnel_key": "m",
        "flags": {"f": {"rule_id": "fallthrough", "flag_config_version": 1}},
        "treatments": [
            {
                "name": "a",
                "baseline": True,
                "allocation_percent": 100,
                "parameters": [{"flag_key": "f", "variation_id": "v"}],
            }
        ],
    }
    assert IterationInput.checked(snake).to_wire()["primaryFunnelKey"] == "m"


MEASURED = {
    "_id": "i1",
    "primaryFunnel": {"key": "signup-funnel"},
    "metrics": [{"key": "signup-funnel"}, {"key": "errors"}, {"key": "health", "isGroup": True}],
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, ("signup-funnel", True)),
        ("signup-funnel", ("signup-funnel", True)),
        ("errors", ("errors", False)),
        ("health", ("health", True)),
    ],
)
def test_a_measured_metric_is_found_by_key_and_a_funnel_is_a_group(key: str | None, expected: tuple[str, bool]) -> None:
    metric = read(Iteration, MEASURED).measured_metric(key)
    assert (metric.key, metric.is_group) == expected


@pytest.mark.parametrize(
    ("iteration", "key", "says"),
    [
        (MEASURED, "sales", "iteration 'i1' does not measure 'sales'; it measures signup-funnel, errors, health"),
        ({"_id": "i1", "metrics": [{"key": "errors"}]}, None, "has no primary metric; it measures errors"),
        ({"_id": "i1"}, None, "has no primary metric; it measures nothing"),
    ],
)
def test_a_metric_that_is_not_measured_is_an_error_that_lists_those_that_are(
    iteration: Any, key: str | None, says: str
) -> None:
    with pytest.raises(MetricNotMeasuredError, match=says):
        read(Iteration, iteration).measured_metric(key)


@pytest.mark.parametrize(
    ("shown", "latest"),
    [
        ({"currentIteration": {"_id": "a", "status": "not_started"}}, None),
        (
            {
                "currentIteration": {"_id": "a", "status": "stopped", "startedAt": 1_700_000_000_000},
                "previousIterations": [{"_id": "b", "status": "stopped", "startedAt": 1_800_000_000_000}],
            },
            "b",
        ),
        (
            {
                "currentIteration": {"_id": "a", "status": "running", "startedAt": 1_700_000_000_000},
                "previousIterations": [{"_id": "b", "status": "stopped", "startedAt": 1_800_000_000_000}],
            },
            "a",
        ),
    ],
)
def test_the_latest_started_iteration_is_the_running_one_or_the_one_that_started_last(
    shown: Any, latest: str | None
) -> None:
    found = read(Experiment, {"key": "bold"} | shown).latest_started
    assert (found.id if found else None) == latest


@pytest.mark.parametrize("share", [50, 50.0, "50", "50.00", "5E1", Decimal(50)])
def test_an_allocation_is_sent_as_a_plain_string(share: Any) -> None:
    treatment = TreatmentInput.checked({"name": "a", "baseline": True, "allocationPercent": share, "parameters": []})
    assert treatment.to_wire()["allocationPercent"] == "50"


@pytest.mark.parametrize("share", ["half", "-1", "101", "NaN", "", None, True])
def test_an_allocation_that_is_no_percentage_is_refused_with_its_value(share: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"treatments\.0\.allocationPercent"):
        IterationInput.checked(treatments({"allocationPercent": share}, {}))


@pytest.mark.parametrize(
    ("field", "given"),
    [("hypothesys", "x"), ("primaryMetric", "m"), ("randomisationUnit", "user")],
)
def test_a_misspelt_field_is_refused_by_name(field: str, given: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{field}: LaunchDarkly has no such field"):
        IterationInput.checked(DESIGN | {field: given})


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        ExperimentPost.checked({"key": "a b", "methodology": "bayes", "iteration": {"metrics": []}})
    for field in ("key", "name", "methodology", "iteration.hypothesis", "iteration.treatments", "iteration.metrics"):
        assert f"{field}: " in str(refused.value)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (treatments({}, {"allocationPercent": "49.9"}), "must add up to 100, adds up to 99.9"),
        (treatments({"baseline": False}, {}), "exactly one has baseline true, found 0"),
        (treatments({}, {"baseline": True}), "exactly one has baseline true, found 2"),
        (treatments({}, {"name": "Control"}), "treatments: name is given twice"),
        (treatments({}, {"parameters": []}), "one variation for each of the flags"),
        (DESIGN | {"primarySingleMetricKey": None}, "exactly one of primarySingleMetricKey and primaryFunnelKey"),
        (DESIGN | {"primaryFunnelKey": "g"}, "exactly one of primarySingleMetricKey and primaryFunnelKey"),
        (DESIGN | {"metrics": [{"key": "m"}, {"key": "m"}]}, "metrics: key is given twice"),
        (DESIGN | {"flags": {}}, "flags"),
    ],
)
def test_a_design_that_cannot_work_is_refused_before_anything_is_sent(design: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IterationInput.checked(design)


@pytest.mark.parametrize("shares", [("33.33", "66.67"), (0.1, 99.9), ("0", "100"), ("12.345", "87.655")])
def test_allocations_are_added_exactly(shares: tuple[Any, Any]) -> None:
    design = treatments(*({"allocationPercent": share} for share in shares))
    assert len(IterationInput.checked(design).treatments) == 2


def test_a_bandit_is_bayesian() -> None:
    with pytest.raises(ConfigurationError, match="a bandit"):
        ExperimentPost.checked(
            {"key": "k", "name": "n", "type": "mab", "methodology": "frequentist", "iteration": DESIGN}
        )


def test_an_update_needs_a_value_and_a_removal_does_not() -> None:
    assert FieldChange(operation="remove").to_wire() == {"operation": "remove"}
    with pytest.raises(ConfigurationError, match="operation update needs a value"):
        FieldChange.checked({"operation": "update"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of variationId and rolloutWeights"),
        ({"variationId": "v", "rolloutWeights": {"v": 100_000}}, "exactly one of variationId and rolloutWeights"),
        ({"rolloutWeights": {"v": 60, "w": 40}}, "must add up to 100000"),
    ],
)
def test_a_rule_serves_one_variation_or_a_whole_rollout(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        UpdateFallthroughVariationOrRollout.checked(fields)


def test_a_numeric_metric_says_which_direction_is_better() -> None:
    with pytest.raises(ConfigurationError, match="also needs successCriteria and eventKey"):
        MetricPost.checked({"key": "m", "kind": "custom", "isNumeric": True})


def test_only_one_randomization_unit_is_the_default() -> None:
    units = [{"randomizationUnit": name, "default": True} for name in ("user", "org")]
    with pytest.raises(ConfigurationError, match="only one may be the default"):
        ExperimentationSettingsPut.checked({"randomizationUnits": units})


@pytest.mark.parametrize("package", ["models", "endpoints", "writes"])
def test_every_public_name_of_a_lazy_package_is_listed_with_its_home(package: str) -> None:
    """mypy reads the names by `import *`, Python by the list: both have to offer the same."""
    module = import_module(f"airflow_provider_launchdarkly.api.{package}")
    starred = [
        node.module
        for node in ast.walk(ast.parse(Path(module.__file__ or "").read_text()))
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    ]
    public = {
        node.name
        for home in starred
        for node in ast.parse(Path(import_module(str(home)).__file__ or "").read_text()).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    assert public - set(module.__all__) == set()


@pytest.mark.parametrize("package", [".models", ".endpoints", ".writes"])
def test_every_name_that_a_package_offers_is_there(package: str) -> None:
    module = import_module(f"airflow_provider_launchdarkly.api{package}")
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018
