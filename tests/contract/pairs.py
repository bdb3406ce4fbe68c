"""The same calls said twice: as requests of our own client, and as method calls of LaunchDarkly's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import EnvironmentRef, endpoints
from airflow_provider_launchdarkly.api import models as m
from airflow_provider_launchdarkly.api.models import instructions as do
from contract.official import SEMANTIC_PATCH, VERSIONS

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api import Request

OLD = ("17.1.0", "17.2.0")
NEW = ("25.0.1",)
PRODUCTION = EnvironmentRef("demo", "production")
PROJECT = {"project_key": "demo"}
ENVIRONMENT = {"project_key": "demo", "environment_key": "production"}
EXPERIMENT = {**ENVIRONMENT, "experiment_key": "cta"}


@dataclass(frozen=True, slots=True)
class Pair:
    """One call.

    Attributes:
        ours: our request.
        api: the official client's API, such as `experiments`.
        method: its method.
        arguments: its arguments; bodies as plain JSON in LaunchDarkly's spelling.
        beta: whether LaunchDarkly's documentation wants `LD-API-Version: beta`; otherwise the client's own default.
        versions: the clients that can say it.
    """

    ours: Request[Any]
    api: str
    method: str
    arguments: dict[str, Any]
    beta: bool = False
    versions: tuple[str, ...] = VERSIONS

    @property
    def content_type(self) -> str | None:
        """What the official client has to be told; it takes every PATCH for a JSON patch."""
        return SEMANTIC_PATCH if self.ours.method == "PATCH" else None


def _iteration() -> tuple[m.IterationInput, dict[str, Any]]:
    ours = m.IterationInput(
        hypothesis="Green buys more",
        metrics=(m.MetricInput(key="sales"), m.MetricInput(key="funnel", is_group=True)),
        treatments=(_arm("control", "id-0", baseline=True), _arm("green", "id-1", baseline=False)),
        flags={"cta": m.FlagInput(rule_id="fallthrough", flag_config_version=4, not_in_experiment_variation_id="id-0")},
        primary_single_metric_key="sales",
        randomization_unit="user",
        can_reshuffle_traffic=False,
        attributes=("country", "plan"),
    )
    theirs = {
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
    return ours, theirs


def _arm(name: str, variation_id: str, *, baseline: bool) -> m.TreatmentInput:
    parameter = m.TreatmentParameterInput(flag_key="cta", variation_id=variation_id)
    return m.TreatmentInput(name=name, baseline=baseline, allocation_percent="50", parameters=(parameter,))


def _experiments() -> dict[str, Pair]:
    ours, theirs = _iteration()
    bandit = {"reallocation_frequency_millis": 3_600_000, "covariate_id": "csv-1"}
    post = m.ExperimentPost(key="cta", name="CTA", description="d", maintainer_id="ada", holdout_id="h", iteration=ours)
    body = {
        "key": "cta",
        "name": "CTA",
        "description": "d",
        "maintainerId": "ada",
        "holdoutId": "h",
        "iteration": theirs,
    }
    newest = post.model_copy(
        update={
            "iteration": ours.model_copy(update=bandit),
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
    newest_body = {
        **body,
        "iteration": {**theirs, "reallocationFrequencyMillis": 3_600_000, "covariateId": "csv-1"},
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
    listing: dict[str, Any] = {"limit": 5, "offset": 10}
    listed_theirs = listing | {
        "filter": "flagKey:cta,metricKey:sales,status:running",
        "expand": "treatments,draftIteration",
        "lifecycle_state": "archived,active",
    }
    listed_ours = listing | {
        "flag_key": "cta",
        "metric_key": "sales",
        "status": "running",
        "expand": ("treatments", "draftIteration"),
        "lifecycle_state": ("archived", "active"),
    }
    settings = m.ExperimentationSettingsPut(
        randomization_units=(
            m.RandomizationUnitInput(randomization_unit="user", default=True, standard_randomization_unit="user"),
        )
    )
    units = [{"randomizationUnit": "user", "default": True, "standardRandomizationUnit": "user"}]

    def call(request: Request[Any], method: str, versions: tuple[str, ...] = VERSIONS, **arguments: Any) -> Pair:
        return Pair(request, "experiments", method, arguments, beta=True, versions=versions)

    return {
        "create an experiment": call(
            endpoints.create_experiment(PRODUCTION, post), "create_experiment", **ENVIRONMENT, experiment_post=body
        ),
        "create an experiment with every field": call(
            endpoints.create_experiment(PRODUCTION, newest),
            "create_experiment",
            NEW,
            **ENVIRONMENT,
            experiment_post=newest_body,
        ),
        "create an iteration": call(
            endpoints.create_iteration(PRODUCTION, "cta", ours),
            "create_iteration",
            **EXPERIMENT,
            iteration_input=theirs,
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
            endpoints.list_experiments(PRODUCTION, **listed_ours), "get_experiments", **ENVIRONMENT, **listed_theirs
        ),
        "list experiments in any environment": call(
            endpoints.list_experiments_in_any_environment("demo", **listed_ours),
            "get_experiments_any_env",
            NEW,
            **PROJECT,
            **listed_theirs,
        ),
        "get experimentation settings": call(
            endpoints.get_experimentation_settings("demo"), "get_experimentation_settings", **PROJECT
        ),
        "put experimentation settings": call(
            endpoints.put_experimentation_settings("demo", settings),
            "put_experimentation_settings",
            **PROJECT,
            randomization_settings_put={"randomizationUnits": units},
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


def _experiment_patches() -> dict[str, Pair]:
    fields = {
        "name": m.FieldChange(operation="update", value="CTA 2"),
        "tags": m.FieldChange(operation="add", value=["c"]),
        "attributes": m.FieldChange(operation="remove", value=["plan"]),
    }
    fields_json = {
        "name": {"operation": "update", "value": "CTA 2"},
        "tags": {"operation": "add", "value": ["c"]},
        "attributes": {"operation": "remove", "value": ["plan"]},
    }
    said: list[tuple[do.ExperimentInstruction, dict[str, Any]]] = [
        (do.UpdateName(value="n"), {"kind": "updateName", "value": "n"}),
        (do.UpdateDescription(value="d"), {"kind": "updateDescription", "value": "d"}),
        (do.StartIteration(), {"kind": "startIteration"}),
        (
            do.StartIteration(change_justification="why"),
            {"kind": "startIteration", "changeJustification": "why"},
        ),
        (
            do.StopIterationWithWinner(winning_treatment_id="t", winning_reason="r"),
            {"kind": "stopIteration", "winningTreatmentId": "t", "winningReason": "r"},
        ),
        (do.ArchiveExperiment(), {"kind": "archiveExperiment"}),
        (do.RestoreExperiment(), {"kind": "restoreExperiment"}),
        (do.UpdateExperimentFields(value=fields), {"kind": "updateExperimentFields", "value": fields_json}),
        (
            do.SaveAndStartNewIteration(change_justification="why", value=fields),
            {"kind": "saveAndStartNewIteration", "changeJustification": "why", "value": fields_json},
        ),
    ]
    pairs = {f"patch an experiment: {json['kind']} ({len(json)})": ([ours], [json]) for ours, json in said}
    pairs["patch an experiment: several at once"] = [ours for ours, _ in said[:3]], [json for _, json in said[:3]]
    return {
        name: Pair(
            endpoints.patch_experiment(PRODUCTION, "cta", ours, comment="by Airflow"),
            "experiments",
            "patch_experiment",
            {**EXPERIMENT, "experiment_patch_input": {"comment": "by Airflow", "instructions": theirs}},
            beta=True,
        )
        for name, (ours, theirs) in pairs.items()
    }


def _flags() -> dict[str, Pair]:
    flag = {**PROJECT, "feature_flag_key": "cta"}
    post = m.FlagPost(
        key="cta",
        name="CTA",
        variations=(m.VariationInput(value="a", name="A"), m.VariationInput(value="b", name="B")),
        defaults=m.DefaultsInput(on_variation=1, off_variation=0),
        client_side_availability=m.ClientSideAvailabilityInput(using_environment_id=True, using_mobile_key=False),
        temporary=False,
        tags=("a",),
        description="d",
    )
    body = {
        "key": "cta",
        "name": "CTA",
        "variations": [{"value": "a", "name": "A"}, {"value": "b", "name": "B"}],
        "defaults": {"onVariation": 1, "offVariation": 0},
        "clientSideAvailability": {"usingEnvironmentId": True, "usingMobileKey": False},
        "temporary": False,
        "tags": ["a"],
        "description": "d",
    }
    weights = {"id-0": 60_000, "id-1": 40_000}
    clause = {"contextKind": "user", "attribute": "country", "op": "in", "negate": False, "values": ["DE"]}
    said: list[tuple[do.FlagInstruction, dict[str, Any]]] = [
        (do.TurnFlagOn(), {"kind": "turnFlagOn"}),
        (do.TurnFlagOff(), {"kind": "turnFlagOff"}),
        (
            do.UpdateFallthroughVariationOrRollout(variation_id="id-1"),
            {"kind": "updateFallthroughVariationOrRollout", "variationId": "id-1"},
        ),
        (
            do.UpdateRuleVariationOrRollout(rule_id="r", rollout_weights=weights, rollout_context_kind="user"),
            {
                "kind": "updateRuleVariationOrRollout",
                "ruleId": "r",
                "rolloutWeights": weights,
                "rolloutContextKind": "user",
            },
        ),
        (do.UpdateOffVariation(variation_id="id-0"), {"kind": "updateOffVariation", "variationId": "id-0"}),
        (
            do.OtherFlagInstruction.of("addRule", clauses=[clause], variationId="id-1"),
            {"kind": "addRule", "clauses": [clause], "variationId": "id-1"},
        ),
    ]
    patches = {
        f"patch a flag: {json['kind']}": Pair(
            endpoints.patch_flag(PRODUCTION, "cta", [ours], comment="by Airflow"),
            "feature_flags",
            "patch_feature_flag",
            {
                **flag,
                "patch_with_comment": {
                    "environmentKey": "production",
                    "comment": "by Airflow",
                    "instructions": [json],
                },
            },
        )
        for ours, json in said
    }
    dry_run = Pair(
        endpoints.patch_flag(PRODUCTION, "cta", [do.TurnFlagOn()], dry_run=True, ignore_conflicts=True),
        "feature_flags",
        "patch_feature_flag",
        {
            **flag,
            "dry_run": True,
            "ignore_conflicts": True,
            "patch_with_comment": {"environmentKey": "production", "instructions": [{"kind": "turnFlagOn"}]},
        },
        versions=NEW,
    )
    listed_ours = {"environments": ("production",), "filters": "hasExperiment:true", "tag": "a", "sort": "-name"}
    listed_theirs = {"env": "production", "filter": "hasExperiment:true", "tag": "a", "sort": "-name"}
    return {
        "get a flag": Pair(endpoints.get_flag("demo", "cta"), "feature_flags", "get_feature_flag", flag),
        "get a flag in one environment": Pair(
            endpoints.get_flag("demo", "cta", environments=("production",), expand=("evaluation",)),
            "feature_flags",
            "get_feature_flag",
            {**flag, "env": "production", "expand": "evaluation"},
        ),
        "list flags": Pair(endpoints.list_flags("demo"), "feature_flags", "get_feature_flags", PROJECT),
        "list flags with every parameter": Pair(
            endpoints.list_flags("demo", **listed_ours, with_rules=True, archived=False, limit=5, offset=10),
            "feature_flags",
            "get_feature_flags",
            {**PROJECT, **listed_theirs, "summary": False, "archived": False, "limit": 5, "offset": 10},
            versions=NEW,
        ),
        "create a flag": Pair(
            endpoints.create_flag("demo", post),
            "feature_flags",
            "post_feature_flag",
            {**PROJECT, "feature_flag_body": body},
        ),
        **patches,
        "patch a flag: only to see what would come of it": dry_run,
    }


def _metrics() -> dict[str, Pair]:
    post = m.MetricPost(
        key="sales",
        name="Sales",
        kind="custom",
        is_numeric=True,
        success_criteria=m.SuccessCriteria.HIGHER,
        unit="USD",
        event_key="sale",
        unit_aggregation_type="sum",
        analysis_type="mean",
        event_default=m.EventDefaultInput(disabled=False, value=0.5),
        tags=("a",),
    )
    body = {
        "key": "sales",
        "name": "Sales",
        "kind": "custom",
        "isNumeric": True,
        "successCriteria": "HigherThanBaseline",
        "unit": "USD",
        "eventKey": "sale",
        "unitAggregationType": "sum",
        "analysisType": "mean",
        "eventDefault": {"disabled": False, "value": 0.5},
        "tags": ["a"],
    }
    group = m.MetricGroupPost(
        key="funnel",
        name="Funnel",
        kind="funnel",
        maintainer_id="ada",
        tags=("a",),
        metrics=(m.MetricInGroupInput(key="seen", name_in_group="Seen"),),
    )
    group_body = {
        "key": "funnel",
        "name": "Funnel",
        "kind": "funnel",
        "maintainerId": "ada",
        "tags": ["a"],
        "metrics": [{"key": "seen", "nameInGroup": "Seen"}],
    }
    metric, one_group = {**PROJECT, "metric_key": "sales"}, {**PROJECT, "metric_group_key": "funnel"}
    return {
        "get a metric": Pair(endpoints.get_metric("demo", "sales"), "metrics", "get_metric", metric),
        "get a version of a metric": Pair(
            endpoints.get_metric("demo", "sales", version_id="v", expand=("experiments", "metricGroups")),
            "metrics",
            "get_metric",
            {**metric, "version_id": "v", "expand": "experiments,metricGroups"},
        ),
        "list metrics": Pair(
            endpoints.list_metrics("demo", filters='query equals "sales"', sort="-name", limit=50, offset=50),
            "metrics",
            "get_metrics",
            {**PROJECT, "filter": 'query equals "sales"', "sort": "-name", "limit": 50, "offset": 50},
            versions=NEW,
        ),
        "create a metric": Pair(
            endpoints.create_metric("demo", post), "metrics", "post_metric", {**PROJECT, "metric_post": body}
        ),
        "get a metric group": Pair(
            endpoints.get_metric_group("demo", "funnel", expand=("experiments",)),
            "metrics_beta",
            "get_metric_group",
            {**one_group, "expand": "experiments"},
            beta=True,
        ),
        "list metric groups": Pair(
            endpoints.list_metric_groups("demo", filters="experimentStatus equals 'running'", limit=50),
            "metrics_beta",
            "get_metric_groups",
            {**PROJECT, "filter": "experimentStatus equals 'running'", "limit": 50},
            beta=True,
            versions=NEW,
        ),
        "create a metric group": Pair(
            endpoints.create_metric_group("demo", group),
            "metrics_beta",
            "create_metric_group",
            {**PROJECT, "metric_group_post": group_body},
            beta=True,
        ),
    }


def _holdouts_and_layers() -> dict[str, Pair]:
    post = m.HoldoutPost(
        key="q1",
        name="Q1",
        description="d",
        randomization_unit="user",
        attributes=("country",),
        holdout_amount="10",
        primary_metric_key="sales",
        metrics=(m.MetricInput(key="sales"),),
        prerequisite_flag_key="holdout-flag",
        maintainer_id="ada",
    )
    body = {
        "key": "q1",
        "name": "Q1",
        "description": "d",
        "randomizationunit": "user",
        "attributes": ["country"],
        "holdoutamount": "10",
        "primarymetrickey": "sales",
        "metrics": [{"key": "sales", "isGroup": False}],
        "prerequisiteflagkey": "holdout-flag",
        "maintainerId": "ada",
    }
    holdout, layer = {**ENVIRONMENT, "holdout_key": "q1"}, {**PROJECT, "layer_key": "checkout"}
    holdout_steps = [do.EndHoldout(), do.RemoveExperimentFromHoldout(value="cta"), do.UpdateName(value="Q2")]
    holdout_json = [
        {"kind": "endHoldout"},
        {"kind": "removeExperiment", "value": "cta"},
        {"kind": "updateName", "value": "Q2"},
    ]
    layer_steps = [
        do.UpdateExperimentReservation(experiment_key="cta", reservation_percent=40),
        do.RemoveExperimentFromLayer(experiment_key="old"),
        do.UpdateLayerName(name="Checkout 2"),
        do.UpdateLayerDescription(description="d"),
    ]
    layer_json = [
        {"kind": "updateExperimentReservation", "experimentKey": "cta", "reservationPercent": 40},
        {"kind": "removeExperiment", "experimentKey": "old"},
        {"kind": "updateName", "name": "Checkout 2"},
        {"kind": "updateDescription", "description": "d"},
    ]

    def holdouts(request: Request[Any], method: str, **arguments: Any) -> Pair:
        return Pair(request, "holdouts", method, arguments, beta=True)

    return {
        "list holdouts": holdouts(
            endpoints.list_holdouts(PRODUCTION, limit=5, offset=10),
            "get_all_holdouts",
            **ENVIRONMENT,
            limit=5,
            offset=10,
        ),
        "get a holdout": holdouts(
            endpoints.get_holdout(PRODUCTION, "q1", expand=("treatments", "rel-treatments")),
            "get_holdout",
            **holdout,
            expand="treatments,rel-treatments",
        ),
        "get a holdout by id": holdouts(
            endpoints.get_holdout_by_id(PRODUCTION, "id-1"), "get_holdout_by_id", **ENVIRONMENT, holdout_id="id-1"
        ),
        "create a holdout": holdouts(
            endpoints.create_holdout(PRODUCTION, post), "post_holdout", **ENVIRONMENT, holdout_post_request=body
        ),
        "patch a holdout": holdouts(
            endpoints.patch_holdout(PRODUCTION, "q1", holdout_steps, comment="by Airflow"),
            "patch_holdout",
            **holdout,
            holdout_patch_input={"comment": "by Airflow", "instructions": holdout_json},
        ),
        "list layers": Pair(
            endpoints.list_layers("demo", filters="reservations.experimentKey contains cta"),
            "layers",
            "get_layers",
            {**PROJECT, "filter": "reservations.experimentKey contains cta"},
        ),
        "create a layer": Pair(
            endpoints.create_layer("demo", m.LayerPost(key="checkout", name="Checkout", description="d")),
            "layers",
            "create_layer",
            {**PROJECT, "layer_post": {"key": "checkout", "name": "Checkout", "description": "d"}},
        ),
        "patch a layer": Pair(
            endpoints.patch_layer(PRODUCTION, "checkout", layer_steps, comment="by Airflow"),
            "layers",
            "update_layer",
            {
                **layer,
                "layer_patch_input": {
                    "environmentKey": "production",
                    "comment": "by Airflow",
                    "instructions": layer_json,
                },
            },
        ),
    }


def _projects() -> dict[str, Pair]:
    listing = {"sort": "-name", "limit": 5, "offset": 10}
    return {
        "who am I": Pair(endpoints.get_caller_identity(), "other", "get_caller_identity", {}),
        "which versions are there": Pair(endpoints.get_versions(), "other", "get_versions", {}),
        "get a project": Pair(endpoints.get_project("demo"), "projects", "get_project", PROJECT),
        "get a project with its environments": Pair(
            endpoints.get_project("demo", expand=("environments",)),
            "projects",
            "get_project",
            {**PROJECT, "expand": "environments"},
        ),
        "list projects": Pair(
            endpoints.list_projects(filters="query:shop,tags:a+b", expand=("environments",), **listing),
            "projects",
            "get_projects",
            {"filter": "query:shop,tags:a+b", "expand": "environments", **listing},
        ),
        "get an environment": Pair(
            endpoints.get_environment(PRODUCTION), "environments", "get_environment", ENVIRONMENT
        ),
        "list environments": Pair(
            endpoints.list_environments("demo", filters="query:prod", **listing),
            "environments",
            "get_environments_by_project",
            {**PROJECT, "filter": "query:prod", **listing},
        ),
    }


PAIRS = {
    **_experiments(),
    **_experiment_patches(),
    **_flags(),
    **_metrics(),
    **_holdouts_and_layers(),
    **_projects(),
}
