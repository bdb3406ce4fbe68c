"""Results have LaunchDarkly's shape, and their numbers follow from the data, calibrated over many experiments."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.population.metric_results import (
    GroupMember,
    serialize_group_results,
    serialize_metric_results,
)
from airflow_provider_launchdarkly.emulator.population.population_cache import metric_statistics
from airflow_provider_launchdarkly.emulator.population.types import (
    CovariateMoments,
    MetricStatistics,
    SimulatedArm,
    SimulatedIteration,
    SimulatedMetric,
    TreatmentStatistics,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
SIGNUP = SimulatedMetric("signup", is_numeric=False, higher_is_better=True)
LATENCY = SimulatedMetric("latency", is_numeric=True, higher_is_better=False)
ARMS = (
    SimulatedArm("treatment-0", "control", "false", 0.5),
    SimulatedArm("treatment-1", "new", "true", 0.5),
)
ITERATION = SimulatedIteration("checkout", 1, START, None, ARMS)


def arm(number: int, exposed: int, units: int, total: float, squares: float, **others: Any) -> TreatmentStatistics:
    given = {"covariate": None, "last_event_at": START + timedelta(hours=23) if total else None} | others
    return TreatmentStatistics(f"treatment-{number}", exposed, units, total, squares, **given)


def converted(*counts: tuple[int, int]) -> MetricStatistics:
    treatments = (arm(number, people, people, float(sold), float(sold)) for number, (people, sold) in enumerate(counts))
    return MetricStatistics(START + timedelta(days=1), tuple(treatments))


def numbers(*values: tuple[int, float, float]) -> MetricStatistics:
    """Observe numeric values by (units, mean, standard deviation)."""
    treatments = (
        arm(number, n, n, n * mean, (n - 1) * deviation**2 + n * mean**2)
        for number, (n, mean, deviation) in enumerate(values)
    )
    return MetricStatistics(START + timedelta(days=1), tuple(treatments))


def treatments(statistics: MetricStatistics, metric: SimulatedMetric = SIGNUP, **options: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = serialize_metric_results(statistics, ITERATION, metric, **options)[
        "treatmentResults"
    ]
    return results


# Shape


def test_a_conversions_results_have_every_published_field() -> None:
    result = serialize_metric_results(converted((1_000, 100), (1_000, 120)), ITERATION, SIGNUP, expand_traffic=True)
    assert set(result) == {"_links", "treatmentResults", "metricSeen", "probabilityOfMismatch", "results"}
    assert set(result["treatmentResults"][0]) == {
        "treatmentId", "treatmentName", "units", "traffic", "eventValuesSum", "dataMean", "dataStdDev", "mean",
        "credibleInterval", "distribution", "model", "bayesianBeta", "pBest", "relativeDifferences",
    }  # fmt: skip
    assert result["metricSeen"] == {"ever": True, "timestamp": int((START + timedelta(hours=23)).timestamp())}


def test_a_conversions_posterior_is_the_beta_of_a_flat_prior() -> None:
    control = treatments(converted((998, 99), (1_000, 120)))[0]
    assert control["distribution"] == {"kind": "beta", "parameters": {"alpha": 100.0, "beta": 900.0}}
    assert control["model"] == "bayesianBeta"
    assert control["bayesianBeta"] == {"priorAlpha": 1.0, "priorBeta": 1.0, "priorMean": 0.5, "dataWeight": 0.998}
    assert control["mean"] == pytest.approx(0.1)
    assert control["mean"] == pytest.approx(0.998 * control["dataMean"] + 0.002 * 0.5)
    assert control["dataStdDev"] == pytest.approx(math.sqrt(99 / 998 * 899 / 998))
    assert control["credibleInterval"]["lower"] < control["mean"] < control["credibleInterval"]["upper"]


def test_a_numbers_posterior_is_normal_around_the_weighted_mean() -> None:
    control, new = treatments(numbers((99, 300.0, 80.0), (99, 200.0, 40.0)), LATENCY)
    assert control["bayesianNormal"] == {"priorMean": pytest.approx(250), "dataWeight": 0.99}
    assert control["mean"] == pytest.approx(0.99 * 300 + 0.01 * 250)
    assert control["dataMean"] == pytest.approx(300)
    assert control["dataStdDev"] == pytest.approx(80)
    assert new["distribution"]["parameters"]["sigma"] == pytest.approx(4.0)
    interval = new["credibleInterval"]
    assert interval["upper"] - interval["lower"] == pytest.approx(2 * 1.6448536 * 4.0, rel=1e-5)


def test_traffic_is_added_only_on_request() -> None:
    assert "traffic" not in treatments(converted((10, 1), (10, 2)))[0]
    assert treatments(converted((10, 1), (10, 2)), expand_traffic=True)[0]["traffic"] == 10


def test_the_links_are_those_given() -> None:
    links = {"self": {"href": "/api/v2/…", "type": "application/json"}}
    assert serialize_metric_results(converted((10, 1), (10, 2)), ITERATION, SIGNUP, links=links)["_links"] == links


def test_without_slices_results_holds_the_total_alone() -> None:
    result = serialize_metric_results(converted((10, 1), (10, 2)), ITERATION, SIGNUP)
    assert result["results"] == [{"treatmentResults": result["treatmentResults"]}]


def test_slices_of_one_attribute_follow_the_total() -> None:
    slices = {("country", "de"): converted((6, 1), (6, 1)), ("country", "fr"): converted((4, 0), (4, 1))}
    result = serialize_metric_results(converted((10, 1), (10, 2)), ITERATION, SIGNUP, slices=slices)
    assert [(each.get("attribute"), each.get("attributeValue")) for each in result["results"]] == [
        (None, None),
        ("country", "de"),
        ("country", "fr"),
    ]
    assert result["results"][2]["treatmentResults"][0]["units"] == 4
    assert "treatmentResults" in result


def test_with_slices_of_several_attributes_there_is_no_top_level_list() -> None:
    slices = {("country", "de"): converted((6, 1), (6, 1)), ("plan", "free"): converted((4, 0), (4, 1))}
    assert "treatmentResults" not in serialize_metric_results(
        converted((10, 1), (10, 2)), ITERATION, SIGNUP, slices=slices
    )


def test_before_anybody_came_there_are_units_and_nothing_else() -> None:
    result = serialize_metric_results(converted((0, 0), (0, 0)), ITERATION, SIGNUP)
    assert result["metricSeen"] == {"ever": False}
    assert "probabilityOfMismatch" not in result
    assert result["treatmentResults"] == [
        {"treatmentId": "treatment-0", "treatmentName": "control", "units": 0},
        {"treatmentId": "treatment-1", "treatmentName": "new", "units": 0},
    ]


def test_a_treatment_without_people_does_not_keep_the_others_from_being_compared() -> None:
    arms = (*ARMS, SimulatedArm("treatment-2", "bold", "bold", 0.0))
    iteration = SimulatedIteration("checkout", 1, START, None, arms)
    results = serialize_metric_results(converted((100, 10), (100, 20), (0, 0)), iteration, SIGNUP)["treatmentResults"]
    assert results[0]["pBest"] + results[1]["pBest"] == pytest.approx(1)
    assert len(results[0]["relativeDifferences"]) == 1
    assert "pBest" not in results[2]


def test_one_treatment_with_people_is_compared_with_nothing() -> None:
    control, new = treatments(converted((100, 10), (0, 0)))
    assert "mean" in control
    assert not {"pBest", "relativeDifferences"} & control.keys()
    assert new.keys() == {"treatmentId", "treatmentName", "units"}


@pytest.mark.parametrize(("units", "deviation"), [(1, 0.0), (20, 0.0)])
def test_values_without_any_spread_have_a_mean_and_no_posterior(units: int, deviation: float) -> None:
    control = treatments(numbers((units, 5.0, deviation), (20, 5.0, 1.0)), LATENCY)[0]
    assert control["dataMean"] == 5.0
    assert "distribution" not in control


@pytest.mark.parametrize("sold", [(0, 0), (0, 50), (50, 50)])
def test_results_are_finite_if_no_people_or_all_people_convert(sold: tuple[int, int]) -> None:
    statistics = converted((50, sold[0]), (50, sold[1]))
    result = serialize_metric_results(statistics, ITERATION, SIGNUP)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert sum(each["pBest"] for each in result["treatmentResults"]) == pytest.approx(1)


def test_an_answer_can_be_changed_without_changing_the_next() -> None:
    statistics = converted((100, 10), (100, 20))
    first = treatments(statistics)
    first[0]["distribution"]["parameters"]["alpha"] = -1
    first[0]["relativeDifferences"].clear()
    assert treatments(statistics)[0]["distribution"]["parameters"]["alpha"] == 11.0
    assert treatments(statistics)[0]["relativeDifferences"]


def test_a_groups_results_come_metric_by_metric_in_its_order() -> None:
    members = [
        GroupMember({"key": "cart", "name": "Cart"}, SIGNUP, converted((100, 30), (100, 40))),
        GroupMember({"key": "order", "name": "Order"}, SIGNUP, converted((100, 10), (100, 20))),
    ]
    result = serialize_group_results(members, ITERATION, links={"parent": {"href": "/p", "type": "application/json"}})
    assert [each["metric"]["key"] for each in result["metrics"]] == ["cart", "order"]
    assert result["metrics"][1]["results"]["treatmentResults"][0]["eventValuesSum"] == 10.0
    assert result["_links"] == {"parent": {"href": "/p", "type": "application/json"}}


# Inference


def test_the_probability_to_be_best_follows_the_metrics_direction() -> None:
    statistics = numbers((1_000, 300.0, 80.0), (1_000, 290.0, 80.0))
    lower = treatments(statistics, LATENCY)
    higher = treatments(statistics, SimulatedMetric("revenue", is_numeric=True, higher_is_better=True))
    assert lower[1]["pBest"] > 0.99
    assert higher[1]["pBest"] == pytest.approx(lower[0]["pBest"])
    assert lower[0]["pBest"] + lower[1]["pBest"] == pytest.approx(1)


def test_relative_differences_are_against_each_other_treatment() -> None:
    arms = (*ARMS, SimulatedArm("treatment-2", "bold", "bold", 0.0))
    iteration = SimulatedIteration("checkout", 1, START, None, arms)
    statistics = converted((10_000, 1_000), (10_000, 1_100), (10_000, 1_200))
    bold = serialize_metric_results(statistics, iteration, SIGNUP)["treatmentResults"][2]["relativeDifferences"]
    assert [each["fromTreatmentId"] for each in bold] == ["treatment-0", "treatment-1"]
    assert bold[0]["lower"] < 0.2 < bold[0]["upper"]
    assert (bold[0]["lower"] + bold[0]["upper"]) / 2 == pytest.approx(0.2, rel=0.01)
    assert bold[0]["variance"] == pytest.approx(((bold[0]["upper"] - bold[0]["lower"]) / 2 / 1.6448536) ** 2)


def test_an_a_a_experiment_calls_a_winner_as_often_as_chance_does() -> None:
    truth = GroundTruth.from_dict({"people_per_day": 1_000, "metrics": {"signup": {"baseline_rate": 0.1}}})
    called = 0
    covered = 0
    for seed in range(1_000):
        control, new = treatments(metric_statistics(truth, seed, ITERATION, SIGNUP, START + timedelta(days=14)))
        called += new["pBest"] > 0.95
        covered += control["credibleInterval"]["lower"] < 0.1 < control["credibleInterval"]["upper"]
    assert called / 1_000 == pytest.approx(0.05, abs=3.5 * math.sqrt(0.0475 / 1_000))
    assert covered / 1_000 == pytest.approx(0.90, abs=3.5 * math.sqrt(0.09 / 1_000))


def test_an_a_a_experiment_on_a_number_calls_a_winner_as_often_as_chance_does() -> None:
    metrics = {"latency": {"baseline_mean": 300, "standard_deviation": 80}}
    truth = GroundTruth.from_dict({"people_per_day": 200, "metrics": metrics})
    called = sum(
        treatments(metric_statistics(truth, seed, ITERATION, LATENCY, START + timedelta(days=7)), LATENCY)[1]["pBest"]
        > 0.95
        for seed in range(600)
    )
    assert called / 600 == pytest.approx(0.05, abs=3.5 * math.sqrt(0.0475 / 600))


def test_a_true_effect_is_found_and_its_size_recovered() -> None:
    metrics = {"signup": {"baseline_rate": 0.1, "effects": {"true": {"relative": 0.1}}}}
    truth = GroundTruth.from_dict({"people_per_day": 20_000, "metrics": metrics})
    new = treatments(metric_statistics(truth, 42, ITERATION, SIGNUP, START + timedelta(days=28)))[1]
    difference = new["relativeDifferences"][0]
    assert new["pBest"] > 0.999
    assert difference["lower"] < 0.1 < difference["upper"]
    assert difference["upper"] - difference["lower"] < 0.05


def test_a_split_of_51_to_49_is_seen_as_a_mismatch_and_a_right_one_is_not() -> None:
    definition: dict[str, Any] = {"people_per_day": 20_000, "metrics": {"signup": {"baseline_rate": 0.1}}}
    broken = GroundTruth.from_dict(definition | {"split": {"true": 0.51, "false": 0.49}})
    at = START + timedelta(days=14)
    mismatch, none = (
        serialize_metric_results(metric_statistics(truth, 42, ITERATION, SIGNUP, at), ITERATION, SIGNUP)[
            "probabilityOfMismatch"
        ]
        for truth in (broken, GroundTruth.from_dict(definition))
    )
    assert mismatch > 0.999
    assert none < 0.5


# A covariate


def with_covariate(correlation: float) -> tuple[MetricStatistics, MetricStatistics]:
    """Observe the same people with and without their covariate."""
    metrics = {"latency": {"baseline_mean": 300, "standard_deviation": 80, "covariate_correlation": correlation}}
    truth = GroundTruth.from_dict({"people_per_day": 5_000, "metrics": metrics})
    statistics = metric_statistics(truth, 42, ITERATION, LATENCY, START + timedelta(days=7))
    plain = tuple(arm(n, t.exposed, t.units, t.sum, t.sum_of_squares) for n, t in enumerate(statistics.treatments))
    return statistics, MetricStatistics(statistics.through, plain)


def test_a_covariate_cuts_the_variance_by_the_square_of_its_correlation() -> None:
    adjusted, plain = (treatments(statistics, LATENCY)[1] for statistics in with_covariate(0.8))
    assert adjusted["correlation"] == pytest.approx(0.8, abs=0.01)
    assert adjusted["standardDeviationRatio"] == pytest.approx(1.0, abs=0.02)
    assert adjusted["varianceReduction"] == pytest.approx(0.64, abs=0.02)
    assert adjusted["relativeDifferences"][0]["varianceReduction"] == pytest.approx(0.64, abs=0.02)
    sigma = adjusted["distribution"]["parameters"]["sigma"] / plain["distribution"]["parameters"]["sigma"]
    assert sigma == pytest.approx(0.6, abs=0.02)
    assert adjusted["dataMean"] == plain["dataMean"]
    assert "correlation" not in plain


def test_the_imbalances_of_the_covariate_cancel_out_over_the_treatments() -> None:
    results = treatments(with_covariate(0.8)[0], LATENCY)
    assert sum(each["covariateImbalance"] * each["units"] for each in results) == pytest.approx(0, abs=1e-3)


def test_a_covariate_of_two_people_is_not_used() -> None:
    two = [arm(n, 2, 2, 7.0, 25.0, covariate=CovariateMoments(7.0, 25.0, 25.0)) for n in (0, 1)]
    assert "correlation" not in treatments(MetricStatistics(START, tuple(two)), LATENCY)[0]


def test_a_covariate_that_does_not_vary_is_not_used() -> None:
    same = [arm(n, 4, 4, 10.0, 30.0, covariate=CovariateMoments(8.0, 16.0, 20.0)) for n in (0, 1)]
    assert "correlation" not in treatments(MetricStatistics(START, tuple(same)), LATENCY)[0]
