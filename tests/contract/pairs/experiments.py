"""Experiments, iterations, results and settings, said in both clients' words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from contract.official import VERSIONS
from contract.pairs.pair import ENVIRONMENT, EXPERIMENT, NEW, OLD, PRODUCTION, PROJECT, Pair

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.request import Request


def _arm(name: str, variation_id: str, *, baseline: bool) -> m.TreatmentInput:
    parameter = m.TreatmentParameterInput(flag_key="cta", variation_id=variation_id)
    return m.TreatmentInput(name=name, baseline=baseline, allocation_percent="50", parameters=(parameter,))


ITERATION = m.IterationInput(
    hypothesis="Green buys more",
    metrics=(m.MetricInput(key="sales"), m.MetricInput(key="funnel", is_group=True)),
    treatments=(_arm("control", "id-0", baseline=True), _arm("green", "id-1", baseline=False)),
    flags={"cta": m.FlagInput(rule_id="fallthrough", flag_config_version=4, not_in_experiment_variation_id="id-0")},
    primary_single_metric_key="sales",
    randomization_unit="user",
    can_reshuffle_traffic=False,
    attributes=("country", "plan"),
)
ITERATION_BODY = {
    "hypothesis": "Green buys more",
    "metrics": [{"key": "sales", "isGroup": False}, {"key": "funnel", "isGroup": True}],
    "treatments": [
        {
            "name": name,
            "baseline": baseline,
            "allocationPercent": "50",
            "parameters": [{"flagKey": "cta", "variationId": variation}],
        }
        for name, variation, baseline in (("control", "id-0", True), ("green", "id-1", False))
    ],
    "flags": {"cta": {"ruleId": "fallthrough", "flagConfigVersion": 4, "notInExperimentVariationId": "id-0"}},
    "primarySingleMetricKey": "sales",
    "randomizationUnit": "user",
    "canReshuffleTraffic": False,
    "attributes": ["country", "plan"],
}
BANDIT = {"reallocation_frequency_millis": 3_600_000, "covariate_id": "csv-1"}
POST = m.ExperimentPost(
    key="cta", name="CTA", description="d", maintainer_id="ada", holdout_id="h", iteration=ITERATION
)
BODY = {
    "key": "cta",
    "name": "CTA",
    "description": "d",
    "maintainerId": "ada",
    "holdoutId": "h",
    "iteration": ITERATION_BODY,
}
NEWEST = POST.model_copy(
    update={
        "iteration": ITERATION.model_copy(update=BANDIT),
        "type": "mab",
        "methodology": "bayesian",
        "data_source": "snowflake",
        "tags": ("a", "b"),
        "analysis_config": m.AnalysisConfigInput(
            bayesian_threshold="95",
            significance_threshold="5",
            test_direction="two-sided",
            multiple_comparison_correction_method="bonferroni",
            multiple_comparison_correction_scope="metrics",
            sequential_testing_enabled=True,
        ),
    }
)
NEWEST_BODY = {
    **BODY,
    "iteration": {**ITERATION_BODY, "reallocationFrequencyMillis": 3_600_000, "covariateId": "csv-1"},
    "type": "mab",
    "methodology": "bayesian",
    "dataSource": "snowflake",
    "tags": ["a", "b"],
    "analysisConfig": {
        "bayesianThreshold": "95",
        "significanceThreshold": "5",
        "testDirection": "two-sided",
        "multipleComparisonCorrectionMethod": "bonferroni",
        "multipleComparisonCorrectionScope": "metrics",
        "sequentialTestingEnabled": True,
    },
}
LISTING: dict[str, Any] = {"limit": 5, "offset": 10}
LISTED_THEIRS = LISTING | {
    "filter": "flagKey:cta,metricKey:sales,status:running",
    "expand": "treatments,draftIteration",
    "lifecycle_state": "archived,active",
}
LISTED_OURS = LISTING | {
    "flag_key": "cta",
    "metric_key": "sales",
    "status": "running",
    "expand": ("treatments", "draftIteration"),
    "lifecycle_state": ("archived", "active"),
}
SETTINGS = m.ExperimentationSettingsPut(
    randomization_units=(
        m.RandomizationUnitInput(randomization_unit="user", default=True, standard_randomization_unit="user"),
    )
)
UNITS = [{"randomizationUnit": "user", "default": True, "standardRandomizationUnit": "user"}]


def call(request: Request[Any], method: str, versions: tuple[str, ...] = VERSIONS, **arguments: Any) -> Pair:
    return Pair(request, "experiments", method, arguments, beta=True, versions=versions)


EXPERIMENTS = {
    "create an experiment": call(
        endpoints.create_experiment(PRODUCTION, POST), "create_experiment", **ENVIRONMENT, experiment_post=BODY
    ),
    "create an experiment with every field": call(
        endpoints.create_experiment(PRODUCTION, NEWEST),
        "create_experiment",
        NEW,
        **ENVIRONMENT,
        experiment_post=NEWEST_BODY,
    ),
    "create an iteration": call(
        endpoints.create_iteration(PRODUCTION, "cta", ITERATION),
        "create_iteration",
        **EXPERIMENT,
        iteration_input=ITERATION_BODY,
    ),
    "get an experiment": call(endpoints.get_experiment(PRODUCTION, "cta"), "get_experiment", **EXPERIMENT),
    "get an experiment with everything": call(
        endpoints.get_experiment(PRODUCTION, "cta", expand=endpoints.EVERYTHING),
        "get_experiment",
        **EXPERIMENT,
        expand="previousIterations,draftIteration,secondaryMetrics,treatments,analysisConfig",
    ),
    "get an experiment whose key needs encoding": call(
        endpoints.get_experiment(EnvironmentRef("de mo", "pro/d"), "ä+%2F?#&="),
        "get_experiment",
        project_key="de mo",
        environment_key="pro/d",
        experiment_key="ä+%2F?#&=",
    ),
    "list experiments": call(endpoints.list_experiments(PRODUCTION), "get_experiments", **ENVIRONMENT),
    "list experiments with every parameter": call(
        endpoints.list_experiments(PRODUCTION, **LISTED_OURS), "get_experiments", **ENVIRONMENT, **LISTED_THEIRS
    ),
    "list experiments in any environment": call(
        endpoints.list_experiments_in_any_environment("demo", **LISTED_OURS),
        "get_experiments_any_env",
        NEW,
        **PROJECT,
        **LISTED_THEIRS,
    ),
    "get experimentation settings": call(
        endpoints.get_experimentation_settings("demo"), "get_experimentation_settings", **PROJECT
    ),
    "put experimentation settings": call(
        endpoints.put_experimentation_settings("demo", SETTINGS),
        "put_experimentation_settings",
        **PROJECT,
        randomization_settings_put={"randomizationUnits": UNITS},
    ),
    "get results": call(
        endpoints.get_metric_results(PRODUCTION, "cta", "sales", iteration_id="it", expand=("traffic",)),
        "get_experiment_results",
        OLD,
        **EXPERIMENT,
        metric_key="sales",
        iteration_id="it",
        expand="traffic",
    ),
    "get results of the current iteration": call(
        endpoints.get_metric_results(PRODUCTION, "cta", "sales"),
        "get_experiment_results",
        OLD,
        **EXPERIMENT,
        metric_key="sales",
    ),
    "get results of a group": call(
        endpoints.get_metric_group_results(PRODUCTION, "cta", "funnel", iteration_id="it"),
        "get_experiment_results_for_metric_group",
        OLD,
        **EXPERIMENT,
        metric_group_key="funnel",
        iteration_id="it",
    ),
    "get legacy results": call(
        endpoints.get_legacy_results(
            PRODUCTION,
            "cta",
            "sales",
            start=datetime(2026, 1, 5, tzinfo=UTC),
            end=datetime(2026, 1, 6, tzinfo=UTC),
        ),
        "get_legacy_experiment_results",
        OLD[:1],
        **ENVIRONMENT,
        feature_flag_key="cta",
        metric_key="sales",
        _from=1_767_571_200_000,
        to=1_767_657_600_000,
    ),
}
